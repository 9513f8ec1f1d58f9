"""Active learning: whose exact entropy to compute next.

With the posterior covariance Sigma of the weights and the noise sigma^2 of a label, one more label at x lowers the variance of
the prediction at each target t:

    sum_t var_t  falls by  sum_t (t^T Sigma x)^2 / (sigma^2 + x^T Sigma x)

The structure of the pool with the largest fall is chosen, the covariance updated as if its label were known (which needs no
label: in a linear model variances do not depend on them), and so on: a batch is chosen one by one and does not hold near copies.
Source: D. A. Cohn, Z. Ghahramani, M. I. Jordan, J. Artif. Intell. Res. 4, 129 (1996).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldml.errors import InputError
from ldml.evaluation.metrics import rmse
from ldml.progress import NULL_PROGRESS, Progress
from ldml.regression.ldml import LDML

MOST_TARGETS = 2000
"""Targets of the variance; of a larger pool, so many are drawn."""


def next_structures(model: LDML, pool, n: int, *, targets=None, seed: int = 0) -> np.ndarray:
    """The structures of a pool whose exact entropies would help a fitted model most.

    Parameters
    ----------
    model : LDML
        Fitted with a posterior.
    pool : Dataset or (M, n_features) array
        Candidates, or their descriptor differences; labels are not looked at.
    n : int
        How many to choose.
    targets : Dataset or (n_targets, n_features) array, optional
        Structures that are to be predicted; by default the pool itself.
    seed : int
        Of the targets drawn where there are more than `MOST_TARGETS`.

    Returns
    -------
    (n,) int array
        Indices into the pool, the most useful first.

    Raises
    ------
    InputError
        If the model has no posterior, or the pool is smaller than `n`.
    """
    candidates = _scaled(model, pool)
    if not 1 <= n <= len(candidates):
        raise InputError(f"{n} structures cannot be chosen from a pool of {len(candidates)}")
    wanted = candidates if targets is None else _scaled(model, targets)
    if len(wanted) > MOST_TARGETS:
        wanted = wanted[np.random.default_rng(seed).choice(len(wanted), MOST_TARGETS, replace=False)]
    return _chosen(candidates, wanted, model.posterior_covariance_, 1.0 / model.noise_precision_, n)


def _scaled(model, data):
    if getattr(model, "posterior_covariance_", None) is None:
        raise InputError("this model has no posterior to choose by; fit it with the default regressor")
    if hasattr(data, "descriptor_differences"):
        data = data.descriptor_differences(model.descriptor)
    X = np.asarray(data, dtype=float)
    if X.ndim != 2 or X.shape[1] != model.n_features_in_ or not np.isfinite(X).all():
        raise InputError(
            f"a pool must be rows of {model.n_features_in_} finite descriptor components, got an array of shape {X.shape}"
        )
    return X / model.scale_


def _chosen(candidates, targets, covariance, noise, n):
    """Indices of `n` rows, greedily; each answer is taken into the covariance by a rank-one update."""
    towards = candidates @ covariance @ targets.T  # x^T Sigma t, (M, n_targets)
    variance = np.einsum("ij,jk,ik->i", candidates, covariance, candidates, optimize=True)
    chosen = np.empty(n, dtype=int)
    open_ = np.ones(len(candidates), dtype=bool)
    steps = []  # Sigma' = Sigma - sum of outer products of these
    for k in range(n):
        gain = np.where(open_, np.einsum("ij,ij->i", towards, towards) / (noise + variance), -np.inf)
        best = chosen[k] = int(np.argmax(gain))
        open_[best] = False
        step = covariance @ candidates[best]
        for previous in steps:
            step -= previous * (previous @ candidates[best])
        step /= np.sqrt(noise + variance[best])
        steps.append(step)
        along = candidates @ step
        towards -= np.outer(along, targets @ step)
        variance = np.maximum(variance - along**2, 0.0)
    return chosen


@dataclass(frozen=True, eq=False)
class ActiveCurve:
    """Test error against the number of labels, chosen actively and at random.

    Attributes
    ----------
    n_train : (n_sizes,) int array
    active, random : (n_sizes, n_repeats) arrays, k_B
        RMSE on structures held out; both begin with the same labels in each repeat.
    """

    n_train: np.ndarray
    active: np.ndarray
    random: np.ndarray


def active_curve(
    X: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    n_start: int = 40,
    batch: int = 20,
    n_batches: int = 10,
    test_proportion: float = 0.3,
    n_repeats: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> ActiveCurve:
    """How much faster the error falls when the next structures are chosen than when they are drawn.

    In each repeat a test set is held out at random, `n_start` labels are drawn from the rest and batches added. Targets are the
    pool, never the test set.

    Parameters
    ----------
    X : (M, n_features) array
        Descriptor differences.
    y : (M,) array, k_B
    groups : (M,) array, optional
        Structures of one group, such as the copies of one parent, are held out together.
    n_start, batch, n_batches : int
    test_proportion : float
    n_repeats, seed : int
    progress : Progress, optional

    Raises
    ------
    InputError
        If there are too few structures.
    """
    X, y = LDML().training_rows(X, y)
    groups = np.arange(len(y)) if groups is None else np.asarray(groups)
    progress = progress or NULL_PROGRESS
    sizes = n_start + batch * np.arange(n_batches + 1)
    errors = np.empty((2, len(sizes), n_repeats))
    for repeat in range(n_repeats):
        rng = np.random.default_rng([seed, repeat])
        names = rng.permutation(np.unique(groups))
        held_out = np.isin(groups, names[: round(test_proportion * len(names))])
        rest = rng.permutation(np.flatnonzero(~held_out))
        if len(rest) < sizes[-1] or not held_out.any() or n_start < 2:
            raise InputError(
                f"{len(y)} structures with {test_proportion:g} held out are too few for {n_start} labels and {n_batches} "
                f"batches of {batch}; ask for fewer"
            )
        for row, is_active in enumerate((True, False)):
            train, pool = rest[:n_start], rest[n_start:]
            for k in range(len(sizes)):
                progress.check()
                model = LDML().fit(X[train], y[train])
                errors[row, k, repeat] = rmse(y[held_out], model.predict(X[held_out]))
                if k + 1 < len(sizes):
                    picked = next_structures(model, X[pool], batch) if is_active else np.arange(batch)
                    train, pool = np.concatenate([train, pool[picked]]), np.delete(pool, picked)
        progress.update(repeat + 1, n_repeats, "active learning")
    return ActiveCurve(sizes, errors[0], errors[1])
