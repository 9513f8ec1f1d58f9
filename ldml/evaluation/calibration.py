"""Whether intervals hold what they promise: the share of structures inside them, against the share promised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ldml.errors import InputError
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.ldml import LDML

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, eq=False)
class CoverageCurve:
    """Intervals of structures held out, for several promises.

    Attributes
    ----------
    coverages : (n,) array
        Probability promised.
    covered : (n,) array
        Share of the structures inside.
    half_width : (n,) array, k_B
        Median of half the width.
    n_test : int
        Structures held out, all splits together.
    outside : float
        Share of them that the model flags as extrapolation.
    """

    coverages: np.ndarray
    covered: np.ndarray
    half_width: np.ndarray
    n_test: int
    outside: float

    def at(self, coverage: float) -> float:
        """Share covered by intervals that promise `coverage`."""
        return float(np.interp(coverage, self.coverages, self.covered))


def coverage_curve(
    X: np.ndarray,
    y: np.ndarray,
    splits: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    labels=None,
    groups=None,
    coverages: Sequence[float] = COVERAGES,
    model: LDML | None = None,
    progress: Progress | None = None,
) -> CoverageCurve:
    """Coverage of the intervals of models fitted on one side of each split, over the structures of the other.

    Parameters
    ----------
    X : (M, n_features) array
        Descriptor differences.
    y : (M,) array, k_B
    splits : iterable of (train, test) index arrays
        As scikit-learn's splitters give them.
    labels : (M,) array of str, optional
        Defect classes: structures of a class that a split leaves out are of an unseen one.
    groups : (M,) array, optional
        Parents, which are left out together when errors are calibrated.
    coverages : sequence of float
    model : LDML, optional
        To be fitted on each training set; by default ``LDML()``.
    progress : Progress, optional

    Raises
    ------
    InputError
        If there is no split.
    """
    progress, splits = progress or NULL_PROGRESS, list(splits)
    inside, widths, outside = [], [], []
    for number, (train, test) in enumerate(splits):
        progress.check()
        fitted = (LDML() if model is None else model).fit(X[train], y[train], groups=_of(groups, train))
        classes = () if labels is None else np.unique(np.asarray(labels)[train])
        unseen = np.zeros(len(test), dtype=bool) if labels is None else ~np.isin(np.asarray(labels)[test], classes)
        half = np.array([fitted.half_width(X[test], coverage, unseen=unseen) for coverage in coverages])
        inside.append(np.abs(y[test] - fitted.predict(X[test])) <= half)
        widths.append(half)
        outside.append(fitted.extrapolation(X[test]) > 1)
        progress.update(number + 1, len(splits), "coverage")
    if not inside:
        raise InputError("coverage needs at least one split into training and test structures; none was given")
    inside, widths = np.concatenate(inside, axis=1), np.concatenate(widths, axis=1)
    return CoverageCurve(
        np.array(coverages),
        inside.mean(axis=1),
        np.median(widths, axis=1),
        inside.shape[1],
        float(np.concatenate(outside).mean()),
    )


def _of(values, chosen):
    return None if values is None else np.asarray(values)[chosen]
