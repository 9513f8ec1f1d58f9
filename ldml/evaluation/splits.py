"""Test error against the proportion of structures held out (paper, Sec. V.C).

The structures are split at random into a test set of proportion p and a training set of 1 - p, a model is
fitted on the second and judged on both by RMSE and MAE; each proportion is repeated and averaged.

A repeat draws one random order of the structures and cuts it at every proportion, so the test sets are
nested: each is a uniformly random split on its own, and differences between proportions carry less noise.
Training sets then grow by blocks of rows, whose moments X^T X, X^T y add, and one pass over the rows serves
all proportions.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from ldml.errors import InputError
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.evidence import Moments, Spectrum, Tridiagonal, maximise_evidence
from ldml.regression.ldml import LDML, column_scale

PROPORTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, eq=False)
class SplitCurve:
    """Errors of models fitted on random parts of a data set; arrays are read-only.

    Attributes
    ----------
    proportions : (n_proportions,) array
        Fraction of the structures in the test set, as asked for.
    n_test : (n_proportions,) int array
        Structures in the test set.
    rmse_train, rmse_test, mae_train, mae_test : (n_proportions, n_repeats) arrays, k_B
        Errors (Eqs. 22, 23) of every repeat.
    n_structures, n_features : int
        Size of the data set.
    seed : int
        Seed of the random orders.
    """

    proportions: np.ndarray
    n_test: np.ndarray
    rmse_train: np.ndarray
    rmse_test: np.ndarray
    mae_train: np.ndarray
    mae_test: np.ndarray
    n_structures: int
    n_features: int
    seed: int

    def __post_init__(self):
        for name in ("proportions", "n_test", *ERRORS):
            getattr(self, name).setflags(write=False)

    @property
    def n_repeats(self) -> int:
        """Random splits of each proportion."""
        return self.rmse_test.shape[1]

    @property
    def n_train(self) -> np.ndarray:
        """Structures in the training set, (n_proportions,)."""
        return self.n_structures - self.n_test

    def mean(self, error: str) -> np.ndarray:
        """Mean over repeats of an error, such as ``"rmse_test"``; (n_proportions,), k_B."""
        return self._repeats(error).mean(axis=1)

    def std(self, error: str) -> np.ndarray:
        """Standard deviation over repeats of an error; (n_proportions,), k_B. Repeats share structures."""
        return self._repeats(error).std(axis=1)

    def _repeats(self, error):
        if error not in ERRORS:
            raise InputError(f"unknown error {error!r}; known: {', '.join(ERRORS)}")
        return getattr(self, error)


ERRORS = ("rmse_train", "rmse_test", "mae_train", "mae_test")


def split_curve(
    data,
    descriptor,
    *,
    proportions: Sequence[float] = PROPORTIONS,
    n_repeats: int = 100,
    seed: int = 0,
    grouped: bool = False,
    progress: Progress | None = None,
) -> SplitCurve:
    """Train and test errors of `LDML` against the proportion of test structures.

    Parameters
    ----------
    data : Dataset
        Structures with known formation entropies.
    descriptor : Descriptor
    proportions : sequence of float
        Fractions of the structures held out, between 0 and 1.
    n_repeats : int
        Random splits of each proportion.
    seed : int
        Seed of the random orders; the first repeats do not depend on `n_repeats`.
    grouped : bool
        Hold out whole parents with all their copies (`Dataset.parents`).
    progress : Progress, optional

    Returns
    -------
    SplitCurve

    Raises
    ------
    InputError
        If a label is missing, or a proportion leaves fewer than two structures to train or none to test.
    """
    X, y = LDML(descriptor).training_rows(data, progress=progress)
    groups = data.parents if grouped else None
    return split_curve_arrays(
        X, y, groups=groups, proportions=proportions, n_repeats=n_repeats, seed=seed, progress=progress
    )


def split_curve_arrays(
    X: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    proportions: Sequence[float] = PROPORTIONS,
    n_repeats: int = 100,
    seed: int = 0,
    progress: Progress | None = None,
    n_threads: int | None = None,
) -> SplitCurve:
    """Like `split_curve`, for descriptor differences and labels.

    Every split is the model that ``LDML().fit(X[train], y[train])`` gives, to rounding.

    Parameters
    ----------
    X : (n_structures, n_features) array
        Descriptor differences D_d - (N_d / N_b) D_b.
    y : (n_structures,) array, k_B
        Formation entropies.
    groups : (n_structures,) array, optional
        Structures of one group are held out together; a test set is then the whole groups that come nearest to its size.
    proportions, n_repeats, seed, progress
        As in `split_curve`.
    n_threads : int, optional
        Repeats done at once; by default as many as the linear algebra library would use. The result is the
        same for any.

    Returns
    -------
    SplitCurve

    Raises
    ------
    InputError
        As `split_curve`.
    """
    X, y = LDML().training_rows(X, y)
    proportions = np.array(proportions, dtype=float)
    n_test = _test_sizes(proportions, len(y))
    if n_repeats < 1:
        raise InputError(f"n_repeats must be at least 1, got {n_repeats}")
    n_threads = _blas_threads() if n_threads is None else n_threads
    if n_threads < 1:
        raise InputError(f"n_threads must be at least 1, got {n_threads}")
    progress = progress or NULL_PROGRESS
    rng = np.random.default_rng(seed)
    errors = np.empty((len(ERRORS), len(proportions), n_repeats))
    # small eigenproblems run faster side by side than spread over cores
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        for start in range(0, n_repeats, n_threads):
            progress.check()
            batch = range(start, min(start + n_threads, n_repeats))
            orders = [_order(rng, n_test, len(y), groups) for _ in batch]
            for repeat, result in zip(batch, pool.map(lambda o: _one_order(X, y, *o), orders), strict=True):
                errors[:, :, repeat] = result
            progress.update(batch[-1] + 1, n_repeats, "splits")
    return SplitCurve(proportions, n_test, *errors, n_structures=len(y), n_features=X.shape[1], seed=seed)


def random_test_set(n_structures: int, proportion: float, seed: int, *, groups: np.ndarray | None = None) -> np.ndarray:
    """Mask (n_structures,) of a random test set.

    Parameters
    ----------
    n_structures : int
    proportion : float
        Fraction to hold out, between 0 and 1.
    seed : int
    groups : (n_structures,) array, optional
        Structures of one group, such as the copies of one parent, are held out together; the test set is then the whole groups
        that come nearest to its size.

    Raises
    ------
    InputError
        If fewer than two structures would be left to train, or none to test.
    """
    n_test = _test_sizes(np.array([proportion], dtype=float), n_structures)
    order, (n_test,) = _order(np.random.default_rng(seed), n_test, n_structures, groups)
    held_out = np.zeros(n_structures, dtype=bool)
    held_out[order[:n_test]] = True
    return held_out


def _test_sizes(proportions, n_structures):
    if proportions.ndim != 1 or len(proportions) == 0 or not np.all((proportions > 0) & (proportions < 1)):
        raise InputError(f"test proportions must be a list of numbers between 0 and 1, got {proportions.tolist()}")
    n_test = np.rint(proportions * n_structures).astype(int)
    bad = np.flatnonzero((n_test < 1) | (n_structures - n_test < 2))
    if len(bad):
        p, n = proportions[bad[0]], n_test[bad[0]]
        raise InputError(
            f"a test proportion of {p:g} splits {n_structures} structures into {n} to test and "
            f"{n_structures - n} to train; at least 1 and 2 are needed"
        )
    return n_test


def _order(rng, n_test, n_structures, groups):
    """A random order of the structures, and where it is cut for each test set."""
    if groups is None:
        return rng.permutation(n_structures), n_test
    names, places = np.unique(groups, return_inverse=True)
    rank = rng.permutation(len(names))[places]
    ends = np.cumsum(np.bincount(rank))
    inner = ends[ends <= n_structures - 2]
    if not len(inner):
        raise InputError(
            f"{len(names)} groups of structures cannot be split: at least two are needed, one of them to train"
        )
    nearest = inner[np.abs(inner[None, :] - n_test[:, None]).argmin(axis=1)]
    return np.argsort(rank, kind="stable"), nearest


def _one_order(X, y, order, n_test):
    """Errors (4, n_proportions) of the models fitted on order[n:] for each n in n_test."""
    weights = np.empty((X.shape[1], len(n_test)))
    moments, end = None, len(y)
    for j in np.argsort(-n_test, kind="stable"):  # smallest training set first: each contains the one before
        block = order[n_test[j] : end]
        grown = Moments.of_rows(X[block], y[block])
        moments = grown if moments is None else moments + grown
        end = n_test[j]
        weights[:, j] = _weights(X, y, order[end:], moments)
    residuals = (y[:, None] - X @ weights)[order]
    errors = np.empty((len(ERRORS), len(n_test)))
    for j, n in enumerate(n_test):
        test, train = residuals[:n, j], residuals[n:, j]
        errors[:, j] = _rms(train), _rms(test), np.abs(train).mean(), np.abs(test).mean()
    return errors


def _weights(X, y, train, moments):
    scale = column_scale(moments.mean_square)
    if len(train) > X.shape[1]:
        problem = Tridiagonal.of_moments(moments.scaled(scale))
    else:
        problem = Spectrum.of_rows(X[train] / scale, y[train])
    return maximise_evidence(problem).coef / scale


def _rms(values):
    return np.sqrt(values @ values / len(values))


def _blas_threads():
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
