"""What the user has chosen and what is known: the one thing all pages share. No Panel in here.

Pages write choices and results into an `AppState` and watch it for those of others; they never call each other.
"""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import param

from dashboards.selection import Filters
from dashboards.tasks import Coverage, LocalScore, Reference, Rows
from ldml.dataset import Dataset, Entry
from ldml.descriptors import get_descriptor
from ldml.errors import InputError
from ldml.evaluation.class_matrix import ClassMatrix
from ldml.evaluation.learning import LearningCurve
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.protocols import COVERAGE
from ldml.evaluation.splits import SplitCurve, random_test_set
from ldml.regression.ldml import LDML

DEFAULT_TEST_PROPORTION, DEFAULT_SEED = 0.1, 0
MAX_FITS = 4
"""Remembered for each dataset that somebody has open."""
MAX_ANSWERS = 256
"""About splits, remembered for all visitors of a server."""
MAX_MODELS = 8
"""Kept for comparison in a session."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted on part of a dataset, and how it does on all of it.

    Attributes
    ----------
    model : LDML
    data : Dataset
        All M structures; those of unknown entropy are left out beforehand.
    test : (M,) bool
        Which were held out.
    true, predicted : (M,) float, k_B
    half_width : (M,) float, k_B
        Half of the intervals that hold the exact values with probability `COVERAGE`; NaN if too few structures were fitted to
        tell.
    extrapolation : (M,) float
        Above 1 a structure lies outside the training set; NaN where the model cannot tell.
    seed, test_proportion : int, float
        Of the random split.
    by_parents : bool
        Whether structures of one parent were held out together.
    local : LocalScore or None
        Of exact local entropies, if they were fitted, too.
    """

    model: LDML
    data: Dataset
    test: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    half_width: np.ndarray = field(repr=False)
    extrapolation: np.ndarray = field(repr=False)
    seed: int
    test_proportion: float
    by_parents: bool
    local: LocalScore | None = None

    @property
    def train(self) -> np.ndarray:
        return ~self.test

    @property
    def rows(self) -> Rows:
        """What this model and others of the same descriptor are fitted on."""
        return Rows(
            self.data.descriptor_differences(self.model.descriptor), self.true, self.data.labels, self.data.parents
        )

    @cached_property
    def content(self) -> str:
        """Hash of the rows: what is said of splits is the same for all fits that share it."""
        rows = self.rows
        parts = (
            rows.X.tobytes(),
            rows.y.tobytes(),
            *("\0".join(names).encode() for names in (rows.labels, rows.parents)),
        )
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    @property
    def contributions(self) -> np.ndarray:
        """What each feature typically adds to a difference in S_f, (n_features,) k_B: weight times standard deviation over
        the training set, so that features of any size compare."""
        X = self.data.descriptor_differences(self.model.descriptor)
        return self.model.coef_ * X[self.train].std(axis=0)

    @property
    def has_intervals(self) -> bool:
        """Whether enough structures were fitted for intervals."""
        return not np.isnan(self.half_width).any()

    @property
    def outside(self) -> np.ndarray:
        """Which structures lie outside the training set, (M,) bool."""
        return self.extrapolation > 1

    def share_outside(self, which: np.ndarray) -> float:
        """Share of a mask of structures that lie outside the training set; NaN where the model cannot tell."""
        return float("nan") if np.isnan(self.extrapolation).any() else float(self.outside[which].mean())

    def covered(self, which: np.ndarray) -> float:
        """Share of the intervals over a mask of structures that hold the exact value; NaN without intervals."""
        if not self.has_intervals:
            return float("nan")
        return float(np.mean(np.abs(self.predicted - self.true)[which] <= self.half_width[which]))

    def place_of(self, entry: Entry) -> int | None:
        """Index of a structure among those of the fit; None of one it does not know, whatever its name."""
        found = np.flatnonzero(self.data.names == entry.name)
        return int(found[0]) if len(found) and self.data.entries[found[0]] is entry else None

    def speaks_of(self, data: Dataset) -> bool:
        """Whether structures of a dataset are among those fitted or held out; else the model was made elsewhere."""
        known = set(map(id, data.entries))
        return any(id(entry) in known for entry in self.data.entries)

    def rmse(self, which: np.ndarray) -> float:
        """RMSE (Eq. 22) over a boolean mask of structures, k_B."""
        return rmse(self.true[which], self.predicted[which])

    def mae(self, which: np.ndarray) -> float:
        """MAE (Eq. 23) over a boolean mask of structures, k_B."""
        return mae(self.true[which], self.predicted[which])


NO_SPLITS = dict.fromkeys(("split_curve", "grouped_curve", "class_matrix", "learning", "coverage"))
"""What the Splits page says of a dataset and a descriptor, none of it known."""


_OF_DATASET = ("dataset", "whole", "taken_by", "selected", "fit", "models", *NO_SPLITS)
"""What a change of the dataset changes, and its undoing brings back."""


@dataclass(frozen=True, eq=False)
class Step:
    """A step that can be taken back.

    Attributes
    ----------
    said : str
        What was done, for the user.
    take_back : callable
        Brings back what it has taken away.
    """

    said: str
    take_back: Callable[[], None]


class AppState(param.Parameterized):
    """Choices and results of one session."""

    dataset = param.ClassSelector(class_=Dataset, allow_None=True, doc="Dataset the pages show.")
    whole = param.ClassSelector(
        class_=Dataset, allow_None=True, doc="Of which the dataset shown is a part, if it is one."
    )
    filters = param.ClassSelector(class_=Filters, default=Filters(), doc="What the Data page is asked for.")
    taken_by = param.List(
        [],
        item_type=Filters,
        doc="The filters by which the part of the dataset on show was taken, one after the other.",
    )
    opening = param.String("", doc="Name of the dataset that is being read, if one is.")
    selected = param.Integer(-1, bounds=(-1, None), doc="Index of the structure in view; -1 for none.")
    quantity = param.String("", doc="What the atoms on the Structure page are coloured by; empty for its own choice.")
    fit = param.ClassSelector(class_=Fit, allow_None=True, doc="Current model with its train and test sets.")
    models = param.List([], item_type=Fit, doc="Fits kept for comparison, oldest first; the current one is among them.")
    split_curve = param.ClassSelector(class_=SplitCurve, allow_None=True, doc="Errors against proportion held out.")
    grouped_curve = param.ClassSelector(
        class_=SplitCurve, allow_None=True, doc="The same with whole parents held out, where structures share parents."
    )
    class_matrix = param.ClassSelector(
        class_=ClassMatrix, allow_None=True, doc="Errors of models of classes on classes."
    )
    learning = param.ClassSelector(class_=LearningCurve, allow_None=True, doc="Errors against number fitted.")
    coverage = param.ClassSelector(
        class_=Coverage, allow_None=True, doc="Share inside intervals against share promised."
    )
    reference = param.ClassSelector(class_=Reference, allow_None=True, doc="Latest exact answer.")
    last_step = param.ClassSelector(class_=Step, allow_None=True, doc="The latest step that can be taken back.")
    computing = param.Boolean(False, doc="Whether a job of this visitor runs or waits.")
    page = param.Selector(
        default="Data",
        objects=["Data", "Model", "Splits", "Structure", "Reference", "Scaling", "Teach"],
        doc="Page in view.",
    )
    apart = param.List(
        [], item_type=str, doc="Pages that stand by themselves, as in a notebook, and are always in view."
    )

    def is_in_view(self, page: str) -> bool:
        """Whether a page is the one turned to, or stands by itself."""
        return page == self.page or page in self.apart

    def open_dataset(self, data: Dataset) -> None:
        """Show another dataset; what was computed from the old one goes with it.

        The model stays where it is all there is to ask: no entropy of the new one is known, and it has no other elements.
        """
        kept = self.fit if self.fit is not None and _has_only_questions(data, self.fit.data) else None
        models = [] if kept is None else [kept]
        self.param.update(
            dataset=data, whole=None, taken_by=[], selected=-1, fit=kept, models=models, last_step=None, **NO_SPLITS
        )

    def extend_dataset(self, data: Dataset, index: int) -> None:
        """Show the dataset with a structure added, which comes into view; `undo` shows it without."""
        before = self._as_it_is()
        if self.dataset is None:
            self.open_dataset(data)
        self.param.update(dataset=data, selected=index)
        unknown = "" if self.fit is None else "; the model does not know it until the next fit"
        self.offer_undo(f"{data.names[index]} added to {data.name}{unknown}", before)

    def offer_undo(self, said: str, take_back: Callable[[], None]) -> None:
        """Let the user take back what was just done; an earlier step can be taken back no longer."""
        self.last_step = Step(said, take_back)

    def undo(self) -> None:
        """Take the latest step back, if there is one that can be."""
        step, self.last_step = self.last_step, None
        if step is not None:
            step.take_back()

    def _as_it_is(self):
        """Brings back the dataset with its models and answers as they are now."""
        kept = {name: getattr(self, name) for name in _OF_DATASET}
        return lambda: self.param.update(**kept)

    def show_fit(self, fit: Fit) -> None:
        """Make a fit the current one and keep it for comparison; what was said of splits of another descriptor goes."""
        kept = self.models if fit in self.models else [*self.models, fit][-MAX_MODELS:]
        changed = self.fit is None or self.fit.model.descriptor != fit.model.descriptor
        self.param.update(fit=fit, models=kept, **(NO_SPLITS if changed else {}))

    def remove_fit(self, fit: Fit, name: str = "The model") -> None:
        """Keep a fit no longer; the newest of the others takes its place in view. `undo` brings it back."""
        self.offer_undo(f"{name} removed", lambda: self.show_fit(fit))
        others = [kept for kept in self.models if kept is not fit]
        if fit is self.fit and others:
            self.show_fit(others[-1])
        self.param.update(models=others, **({"fit": None, **NO_SPLITS} if fit is self.fit else {}))

    def open_subset(self, chosen: np.ndarray, by: Filters | None = None) -> None:
        """Show only the structures in a boolean mask (M,); the one in view stays if it is among them. `undo` brings back
        the others, and the models fitted on them.

        Parameters
        ----------
        chosen : (M,) bool
        by : Filters, optional
            By which they were chosen.

        Raises
        ------
        InputError
            If there are none.
        """
        indices = np.flatnonzero(chosen)
        if len(indices) == 0:
            raise InputError("no structure passes the filters, so there is no subset to use; widen or clear them")
        taken_by = [*self.taken_by, by or Filters()]
        self._turn_to(self.dataset.subset(indices), self._everything(), f"{len(indices):,} structures in use", taken_by)

    def open_whole(self) -> None:
        """Show the dataset again that a subset was taken from, with what has been added to the subset."""
        everything = self._everything()
        self._turn_to(everything, None, f"All {len(everything):,} structures in use", [])

    def _everything(self):
        """The whole dataset, with what has been added to the part of it that is shown."""
        if self.whole is None:
            return self.dataset
        known = set(self.whole.names)
        added = [entry for entry in self.dataset.entries if entry.name not in known]
        # what was added may have brought crystals of its own, after those of the whole
        return self.whole.extended(added, self.dataset.bulks[len(self.whole.bulks) :]) if added else self.whole

    def _turn_to(self, data, whole, said, taken_by):
        before = self._as_it_is()
        name = self.dataset.entries[self.selected].name if 0 <= self.selected < len(self.dataset) else None
        found = np.flatnonzero(data.names == name)
        selected = int(found[0]) if len(found) else -1
        self.param.update(
            dataset=data, whole=whole, taken_by=taken_by, selected=selected, fit=None, models=[], **NO_SPLITS
        )
        self.offer_undo(said, before)

    def select(self, index: int, *, show: bool = False) -> None:
        """Bring structure `index` into view; with `show`, turn to its page as well."""
        self.param.update(selected=int(index), page="Structure" if show else self.page)


def _has_only_questions(data, learned_from):
    """Whether no entropy of a dataset is known, and all its elements are in another."""
    return not np.isfinite(data.formation_entropy).any() and _elements(data) <= _elements(learned_from)


def _elements(data):
    return {int(number) for atoms in (*data.bulks, *data) for number in np.unique(atoms.numbers)}


class Answers:
    """Answers to questions about the splits of some rows, the oldest forgotten first."""

    def __init__(self):
        self._kept: OrderedDict[tuple[str, str], tuple[tuple, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, content: str, question: str, options: tuple, answer) -> None:
        """Keep the latest answer to a question about the rows with this hash, asked with these options."""
        with self._lock:
            self._kept.pop((content, question), None)
            self._kept[content, question] = (options, answer)
            while len(self._kept) > MAX_ANSWERS:
                self._kept.popitem(last=False)

    def latest(self, content: str, question: str, options: tuple | None = None):
        """The latest answer, if it was asked with these options, where any are given; otherwise None."""
        asked, answer = self._kept.get((content, question), (None, None))
        return answer if options is None or options == asked else None


ANSWERS = Answers()
"""Of all visitors of this server."""


def shares_parents(data: Dataset) -> bool:
    """Whether structures are copies of one parent, so that random test sets flatter."""
    return len(set(data.parents.tolist())) < len(data)


def fit_model(data: Dataset, descriptor, *, test_proportion: float, seed: int, by_parents: bool = True) -> Fit:
    """Fit on a random part of the structures with known entropy, predict all; the descriptors must be at hand.

    Parameters
    ----------
    data : Dataset
    descriptor : Descriptor
    test_proportion : float
        Between 0 and 1 (exclusive).
    seed : int
    by_parents : bool
        Hold structures of one parent out together, where there are any.
    """
    known, split = held_out(data, test_proportion=test_proportion, seed=seed, by_parents=by_parents)
    return evaluated(LDML(descriptor).fit(known.subset(~split["test"])), known, split)


def held_out(data: Dataset, *, test_proportion: float, seed: int, by_parents: bool) -> tuple[Dataset, dict]:
    """The structures of known entropy, and the test set drawn from them with what it was drawn by, for `Fit`."""
    known = with_known_entropy(data)
    by_parents = by_parents and shares_parents(known)
    test = random_test_set(len(known), test_proportion, seed, groups=known.parents if by_parents else None)
    return known, {"test": test, "test_proportion": test_proportion, "seed": seed, "by_parents": by_parents}


def with_known_entropy(data: Dataset) -> Dataset:
    """The structures whose entropy is known; another object, even if that is all of them."""
    known = np.isfinite(data.formation_entropy)
    return replace(data) if known.all() else data.subset(known)


def evaluated(model: LDML, known: Dataset, split: dict, local: LocalScore | None = None) -> Fit:
    """What a fitted model says of all structures.

    Parameters
    ----------
    model : LDML
    known : Dataset
        With known entropies.
    split : dict
        The test set and what it was drawn by, as `held_out` gives it.
    local : LocalScore, optional
    """
    X = known.descriptor_differences(model.descriptor)
    half_width, extrapolation = intervals(model, X, known.labels)
    return Fit(
        model=model,
        data=known,
        true=known.formation_entropy,
        predicted=model.predict(X),
        half_width=half_width,
        extrapolation=extrapolation,
        local=local,
        **split,
    )


def intervals(model: LDML, X: np.ndarray, labels) -> tuple[np.ndarray, np.ndarray]:
    """Half of the `COVERAGE` intervals, k_B, and how far structures lie outside the training set (above 1), (n,) each.

    NaN where too few structures were fitted to tell.

    Parameters
    ----------
    model : LDML
    X : (n, n_features) array
        Descriptor differences.
    labels : sequence of str
        Classes of the structures.
    """
    half_width, extrapolation = np.full((2, len(X)), np.nan)
    if model.calibration_ is not None:
        extrapolation = model.extrapolation(X)
        if model.calibration_.largest_coverage >= COVERAGE:
            half_width = model.half_width(X, COVERAGE, unseen=model.calibration_.is_unseen(labels))
    return half_width, extrapolation


def remembered_fit(data: Dataset, descriptor, *, test_proportion: float, seed: int, by_parents: bool = True) -> Fit:
    """What `fit_model` gives, computed once for all visitors of a server who ask the same of the same dataset.

    A second thread that asks while it is computed waits for it.
    """
    choices = {"test_proportion": test_proportion, "seed": seed, "by_parents": by_parents}
    key = (descriptor.fingerprint, *choices.values())
    with _fitting:
        if id(data) not in _fits:
            weakref.finalize(data, _fits.pop, id(data), None)
        fits = _fits.setdefault(id(data), {})
        if key not in fits:
            fit = fit_model(data, descriptor, **choices)
            if len(fits) == MAX_FITS:
                del fits[next(iter(fits))]
            fits[key] = fit
        return fits[key]


_fits: dict[int, dict[tuple, Fit]] = {}
_fitting = threading.Lock()


def default_descriptor():
    """The paper's: AFS with n_max = 20, l_max = 10 and a cutoff of 5 Å."""
    return get_descriptor("AFS", n_max=20, l_max=10, cutoff=5.0)
