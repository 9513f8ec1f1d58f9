"""How good a model is, and on what: each protocol leaves out something else.

Random splits (the paper's, Sec. V.C) tell the error on structures like those of the training set; where several structures are
copies of one parent, strained or in another cell, they flatter, since the copies of a test structure were trained on. Leaving out
whole parents, classes, cell sizes or strains asks for more, and so does the step from compact defects to disorder (Sec. V.D).

The splits are scikit-learn's; a protocol says by what structures are held together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, LeaveOneGroupOut, ShuffleSplit

from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.evaluation.metrics import mae, rmse
from ldml.progress import NULL_PROGRESS, Progress
from ldml.registry import Registry
from ldml.regression.ldml import LDML

COVERAGE = 0.9
"""Probability of the intervals that evaluations look at."""


@dataclass(frozen=True)
class Protocol:
    """What is left out together.

    Attributes
    ----------
    name, title : str
    groups : callable or None
        ``groups(dataset)`` gives each structure's group, (M,); None where every structure stands for itself.
    is_repeated : bool
        Whether groups are drawn at random again and again, or each left out once.
    """

    name: str
    title: str
    groups: Callable[[Dataset], np.ndarray] | None
    is_repeated: bool

    def splits(self, data: Dataset, *, test_proportion: float, n_repeats: int, seed: int) -> Iterator[tuple]:
        """Name, training and test indices of each split.

        Raises
        ------
        InputError
            If there are fewer than two groups.
        """
        X, groups = np.empty((len(data), 0)), None if self.groups is None else self.groups(data)
        names = np.arange(len(data)) if groups is None else np.unique(groups)
        if len(names) < 2:
            raise InputError(
                f"leaving out {self.title.lower()} needs at least two; {data.name!r} has {len(names)}: choose another protocol"
            )
        if not self.is_repeated:
            for name, (train, test) in zip(names, LeaveOneGroupOut().split(X, groups=groups), strict=True):
                yield str(name), train, test
            return
        kind = ShuffleSplit if groups is None else GroupShuffleSplit
        splitter = kind(n_repeats, test_size=test_proportion, random_state=seed)
        for number, (train, test) in enumerate(splitter.split(X, groups=groups), start=1):
            yield f"repeat {number}", train, test


def sizes(data: Dataset) -> np.ndarray:
    """Sites of the crystal of each structure, (M,) int."""
    return np.array([len(bulk) for bulk in data.bulks])[_bulks(data)]


def strains(data: Dataset) -> np.ndarray:
    """Strain of the crystal of each structure, (M,) text such as "+1 %", against the one of the dataset nearest to rest.

    Rest is the lattice constant of the potential where the dataset names one that is known, otherwise the smallest crystal.
    """
    edges = np.array([(bulk.get_volume() / len(bulk)) ** (1 / 3) for bulk in data.bulks])
    rest = _edge_at_rest(data)
    relative = edges / (edges.min() if rest is None else rest) - 1.0
    return np.array([f"{100 * value:+.1f} %" for value in np.where(np.abs(relative) < 5e-4, 0.0, relative)])[
        _bulks(data)
    ]


def _edge_at_rest(data):
    from ldml.potentials import POTENTIALS, perfect_crystal

    name = data.metadata.get("potential", "")
    if name not in POTENTIALS or POTENTIALS[name].lattice_constant is None:
        return None
    cell = perfect_crystal(name, 1)
    return (cell.get_volume() / len(cell)) ** (1 / 3)


def _bulks(data):
    return np.array([entry.bulk for entry in data.entries], dtype=int)


PROTOCOLS: Registry[Protocol] = Registry(
    "protocol",
    {
        protocol.name: protocol
        for protocol in (
            Protocol("random", "Structures at random", None, True),
            Protocol("parents", "Parents at random", lambda data: data.parents, True),
            Protocol("classes", "Defect classes", lambda data: data.labels.astype(str), False),
            Protocol("sizes", "Cell sizes", sizes, False),
            Protocol("strains", "Strains", strains, False),
        )
    },
)


@dataclass(frozen=True)
class Fold:
    """One split.

    Attributes
    ----------
    name : str
        What was left out, or the number of the repeat.
    n_train, n_test : int
    rmse, mae : float, k_B
        On what was left out.
    covered : float
        Share of it inside the intervals of probability `COVERAGE`; NaN without calibration, or with too few structures for it.
    half_width : float, k_B
        Median of half their widths.
    outside : float
        Share of it that the model flags as extrapolation.
    """

    name: str
    n_train: int
    n_test: int
    rmse: float
    mae: float
    covered: float
    half_width: float
    outside: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A protocol carried out.

    Attributes
    ----------
    protocol : str
    dataset : str
    n_structures, n_features : int
    folds : tuple of Fold
    index, true, predicted, low, high : arrays
        Every prediction of a structure left out: which one, k_B, and its interval.
    beside : Evaluation or None
        Of a random split of structures with common parents, the same with whole parents left out: neither is told without
        the other.
    """

    protocol: str
    dataset: str
    n_structures: int
    n_features: int
    folds: tuple[Fold, ...]
    index: np.ndarray = field(repr=False)
    true: np.ndarray = field(repr=False)
    predicted: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    beside: Evaluation | None = None

    @property
    def rmse(self) -> float:
        """Root mean square over all predictions of structures left out, k_B."""
        return rmse(self.true, self.predicted)

    @property
    def mae(self) -> float:
        """Mean absolute error over the same, k_B."""
        return mae(self.true, self.predicted)

    @property
    def covered(self) -> float:
        """Share of them inside their intervals; NaN without calibration."""
        if np.isnan(self.low).any():
            return float("nan")
        return float(np.mean((self.low <= self.true) & (self.true <= self.high)))

    def by_class(self, labels) -> dict[str, tuple[int, float, float]]:
        """Predictions, RMSE and MAE of each class, from the labels (M,) of all structures of the dataset."""
        labels = np.asarray(labels, dtype=str)[self.index]
        chosen = {name: labels == name for name in np.unique(labels)}
        return {
            name: (
                int(which.sum()),
                rmse(self.true[which], self.predicted[which]),
                mae(self.true[which], self.predicted[which]),
            )
            for name, which in chosen.items()
        }


def evaluate(
    data: Dataset,
    model: LDML,
    protocol: str = "random",
    *,
    test_proportion: float = 0.1,
    n_repeats: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Errors of a model on what a protocol leaves out.

    Parameters
    ----------
    data : Dataset
        With known formation entropies.
    model : LDML
        Its descriptor and regressor are used; it need not be fitted.
    protocol : str
        A key of `PROTOCOLS`.
    test_proportion : float
        Of the structures, or parents, held out in each repeat.
    n_repeats, seed : int
        Of the protocols that draw at random.
    progress : Progress, optional

    Raises
    ------
    InputError
        For an unknown protocol, missing labels, or fewer than two groups.
    """
    chosen = PROTOCOLS[protocol]
    X, y = model.training_rows(data, progress=progress)
    options = {"test_proportion": test_proportion, "n_repeats": n_repeats, "seed": seed}
    if not 0 < test_proportion < 1 or n_repeats < 1:
        raise InputError(
            f"{n_repeats} repeats with {test_proportion:g} held out are none; give a proportion between 0 and 1, and 1 or more"
        )
    splits = list(chosen.splits(data, **options))
    found = _carried_out(protocol, data, model, X, y, splits, progress or NULL_PROGRESS)
    if protocol == "random" and len(np.unique(data.parents)) < len(data):
        beside = evaluate(data, model, "parents", **options, progress=progress)
        found = Evaluation(**{**vars(found), "beside": beside})
    return found


def transfer(train: Dataset, test: Dataset, model: LDML, *, progress: Progress | None = None) -> Evaluation:
    """Errors on one dataset of a model fitted on another, such as disorder predicted from compact defects (Sec. V.D).

    Raises
    ------
    InputError
        If the datasets are of different potentials.
    """
    potentials = [data.metadata.get("potential", "") for data in (train, test)]
    if potentials[0] != potentials[1]:
        raise InputError(
            f"{train.name!r} is of {potentials[0] or 'no known potential'} and {test.name!r} of "
            f"{potentials[1] or 'none'}; their entropies have nothing to do with each other"
        )
    rows = [model.training_rows(data, progress=progress) for data in (train, test)]
    X, y = np.concatenate([rows[0][0], rows[1][0]]), np.concatenate([rows[0][1], rows[1][1]])
    splits = [(test.name, np.arange(len(train)), len(train) + np.arange(len(test)))]
    labels, parents = (np.concatenate([getattr(d, name) for d in (train, test)]) for name in ("labels", "parents"))
    found = _folds(model, X, y, labels, parents, splits, progress or NULL_PROGRESS)
    return _evaluation(f"{train.name} to {test.name}", test.name, X, found, shift=len(train))


def _carried_out(protocol, data, model, X, y, splits, progress):
    return _evaluation(protocol, data.name, X, _folds(model, X, y, data.labels, data.parents, splits, progress))


def _evaluation(protocol, name, X, found, shift=0):
    folds, index, *values = found
    return Evaluation(protocol, name, len(X), X.shape[1], tuple(folds), index - shift, *values)


def _folds(model, X, y, labels, parents, splits, progress):
    """Folds, and of every prediction the index, truth, value and interval."""
    folds, parts = [], []
    for number, (name, train, test) in enumerate(splits):
        progress.check()
        # the descriptor has done its work: rows are enough
        fitted = LDML(regressor=model.regressor, min_relative_rms=model.min_relative_rms)
        fitted.fit(X[train], y[train], groups=parents[train])
        predicted = fitted.predict(X[test])
        half, outside = np.full(len(test), np.nan), np.nan
        if fitted.calibration_ is not None:
            outside = float((fitted.extrapolation(X[test]) > 1).mean())
            if fitted.calibration_.largest_coverage >= COVERAGE:
                half = fitted.half_width(X[test], COVERAGE, unseen=~np.isin(labels[test], labels[train]))
        errors = y[test] - predicted
        covered = np.nan if np.isnan(half).any() else float((np.abs(errors) <= half).mean())
        folds.append(
            Fold(
                name,
                len(train),
                len(test),
                rmse(y[test], predicted),
                mae(y[test], predicted),
                covered,
                float(np.median(half)),
                outside,
            )
        )
        parts.append((test, y[test], predicted, predicted - half, predicted + half))
        progress.update(number + 1, len(splits), "splits")
    return folds, *(np.concatenate(part) for part in zip(*parts, strict=True))
