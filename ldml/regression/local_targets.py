"""Exact entropies of single atoms as targets beside totals.

    minimise  sum_s (S_s - w . D_s)^2 + omega sum_s sum_i (S_si - w . D_si)^2 + (ridge) |w|^2

s structures, i the atoms of those whose exact S_i are known, D_si the descriptor of an atom less that of an atom of the crystal,
omega the weight. Totals fix one number a structure: how it is shared out among the atoms is left to the prior, so that shares
learned from totals alone are one of many decompositions. One structure's S_i are a thousand more equations, and few structures
make the decomposition unique, at hardly any cost to the totals.

The weight is chosen by cross-validation inside the training set, of structures with their atoms left out together: the one with the
smallest product of the two errors, of totals and of atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ldml.errors import InputError
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.evidence import EvidenceRidge, Moments

WEIGHTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Weights that cross-validation chooses from."""
N_FOLDS = 5


@dataclass(frozen=True, eq=False)
class LocalTargets:
    """Sums over the atoms of each structure with exact local entropies.

    Attributes
    ----------
    index : (n_local,) int array
        Which structures of the dataset.
    moments : tuple of Moments
        Of the rows D_si and the targets S_si of each.
    """

    index: np.ndarray
    moments: tuple[Moments, ...]

    @classmethod
    def of_dataset(cls, data, descriptor, *, progress: Progress | None = None) -> LocalTargets:
        """From a dataset with exact local entropies of some structures.

        Raises
        ------
        InputError
            If no structure has them.
        """
        progress, index = progress or NULL_PROGRESS, np.flatnonzero(data.has_local)
        if not len(index):
            raise InputError(
                f"no structure of {data.name!r} has exact local entropies to fit; compute some, or fit without local_weight"
            )
        moments = []
        for done, i in enumerate(index):
            progress.check()
            progress.update(done, len(index), "local descriptors")
            rows = descriptor.compute(data.entries[i].atoms) - data.bulk_descriptor(descriptor, data.entries[i].bulk)
            moments.append(Moments.of_rows(rows, data.local_entropy(i)))
        progress.update(len(index), len(index), "local descriptors")
        return cls(index, tuple(moments))

    def weighted(self, weight: float, scale: np.ndarray, chosen: np.ndarray | None = None) -> Moments:
        """Sum over the chosen structures (n_local,) bool, or all, for columns divided by `scale`, times `weight`."""
        picked = [m for k, m in enumerate(self.moments) if chosen is None or chosen[k]]
        total = sum(picked[1:], picked[0]).scaled(scale)
        return Moments(
            weight * total.gram,
            weight * total.projection,
            weight * total.y_square,
            weight * total.y_sum,
            total.n_samples,
        )

    def mean_square_error(self, coef: np.ndarray, chosen: np.ndarray) -> float:
        """Mean over the atoms of the chosen structures of (S_si - w . D_si)^2, k_B^2."""
        total = n = 0.0
        for m, is_chosen in zip(self.moments, chosen, strict=True):
            if is_chosen:
                total += m.y_square - 2.0 * coef @ m.projection + coef @ m.gram @ coef
                n += m.n_samples
        return max(total, 0.0) / n


def fit_with_local(
    regressor: EvidenceRidge, X: np.ndarray, y: np.ndarray, scale: np.ndarray, local: LocalTargets, weight: float
) -> EvidenceRidge:
    """The regressor, fitted on totals and on atoms with this weight.

    Parameters
    ----------
    X : (n_structures, n_features) array
    y : (n_structures,) array, k_B
    scale : (n_features,) array
        What columns are divided by.

    Raises
    ------
    InputError
        If the regressor is not an `EvidenceRidge`, or the weight not positive.
    """
    if not isinstance(regressor, EvidenceRidge):
        raise InputError(
            f"local targets need the default regressor, not {type(regressor).__name__}; leave local_weight out or regressor"
        )
    if not 0 < weight < np.inf:
        raise InputError(f"local_weight = {weight!r} must be a positive number, None or 'cross-validate'")
    return regressor.fit_moments(Moments.of_rows(X / scale, y) + local.weighted(weight, scale))


def cross_validated_weight(
    regressor: EvidenceRidge,
    X: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    local: LocalTargets,
    groups: np.ndarray,
    *,
    weights: Sequence[float] = WEIGHTS,
    seed: int = 0,
    progress: Progress | None = None,
) -> float:
    """The weight with the smallest product of the errors of totals and of atoms, both of structures left out.

    Parameters
    ----------
    regressor, X, y, scale, local
        As in `fit_with_local`.
    groups : (n_structures,) array
        Structures of one group are left out together.
    weights : sequence of float
    seed : int
        Of the folds.
    progress : Progress, optional

    Raises
    ------
    InputError
        If fewer than two structures have local entropies.
    """
    progress = progress or NULL_PROGRESS
    n_local = len(local.index)
    if n_local < 2:
        raise InputError(
            f"{n_local} structure with local entropies cannot be both fitted and left out; give local_weight as a number"
        )
    names, places = np.unique(groups, return_inverse=True)
    folds = _folds(places, places[local.index], len(names), min(N_FOLDS, n_local), np.random.default_rng(seed))
    errors = np.zeros((2, len(weights)))
    for number, held_out in enumerate(folds):
        out, local_out = held_out[places], held_out[places[local.index]]
        totals = Moments.of_rows(X[~out] / scale, y[~out])
        for k, weight in enumerate(weights):
            progress.check()
            fitted = type(regressor)(**regressor.get_params()).fit_moments(
                totals + local.weighted(weight, scale, ~local_out)
            )
            coef = fitted.coef_ / scale
            errors[0, k] += np.mean((y[out] - X[out] @ coef) ** 2) / len(folds)
            errors[1, k] += local.mean_square_error(coef, local_out) / len(folds)
        progress.update(number + 1, len(folds), "cross-validation")
    return float(weights[int(np.argmin(errors.prod(axis=0)))])


def _folds(places, local_places, n_groups, n_folds, rng):
    """Masks of groups; the groups with local entropies are dealt out first, so that each fold leaves some out."""
    with_local = rng.permutation(np.unique(local_places))
    others = rng.permutation(np.setdiff1d(np.arange(n_groups), with_local))
    order = np.concatenate([with_local, others])
    masks = np.zeros((n_folds, n_groups), dtype=bool)
    for k in range(n_folds):
        masks[k, order[k::n_folds]] = True
    return masks
