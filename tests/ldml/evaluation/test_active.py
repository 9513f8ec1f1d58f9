"""Active learning: the greedy choice against refitting by brute force, and against chance where it must win."""

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.evaluation.active import active_curve, next_structures
from ldml.regression import LDML


@pytest.fixture(scope="module")
def problem():
    """Most structures are alike; the few others carry half of the features."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 8)) * np.r_[np.ones(4), np.zeros(4)]
    rare = rng.normal(size=(40, 8))
    X = np.concatenate([common, rare])[rng.permutation(340)]
    return X, X @ rng.normal(size=8) + 0.05 * rng.normal(size=340)


def variance_of(model, X, extra, targets):
    """Sum over the targets of the variance with the rows `extra` labelled, from an inverse of its own."""
    rows = X[extra] / model.scale_
    precision = np.linalg.inv(model.posterior_covariance_) + model.noise_precision_ * rows.T @ rows
    return np.trace(targets @ np.linalg.inv(precision) @ targets.T)


def test_each_choice_is_the_best_of_all(problem):
    X, y = problem
    model = LDML().fit(X[:12], y[:12])
    pool, targets = X[12:80], X[80:] / model.scale_
    chosen = next_structures(model, pool, 4, targets=X[80:])
    for k in range(4):
        left = [i for i in range(len(pool)) if i not in chosen[:k]]
        variances = {i: variance_of(model, pool, [*chosen[:k], i], targets) for i in left}
        assert min(variances, key=variances.get) == chosen[k]
    assert len(set(chosen)) == 4


def test_a_batch_holds_no_copies(problem):
    X, y = problem
    model = LDML().fit(X[:12], y[:12])
    model.noise_precision_ = 1e6  # a label that is exact tells nothing when repeated
    best = X[12 + next_structures(model, X[12:], 1)[0]]
    pool = np.concatenate([np.repeat(best[None], 10, axis=0), X[12:60]])
    assert (next_structures(model, pool, 3) < 10).sum() == 1


def test_it_learns_rare_structures_sooner_than_chance(problem):
    X, y = problem
    curve = active_curve(X, y, n_start=10, batch=5, n_batches=4, n_repeats=8)
    np.testing.assert_array_equal(curve.n_train, [10, 15, 20, 25, 30])
    np.testing.assert_array_equal(curve.active[0], curve.random[0])
    assert curve.active[2].mean() < 0.8 * curve.random[2].mean()


def test_groups_are_held_out_whole(problem):
    X, y = problem
    pairs = np.concatenate([X, X])
    together = active_curve(
        pairs, np.r_[y, y], groups=np.tile(np.arange(len(y)), 2), n_start=10, batch=5, n_batches=1, n_repeats=2
    )
    assert np.isfinite(together.active).all()


def test_what_cannot_be_chosen_is_refused(problem):
    X, y = problem
    model = LDML().fit(X[:12], y[:12])
    with pytest.raises(InputError, match="5 structures cannot be chosen from a pool of 4"):
        next_structures(model, X[:4], 5)
    with pytest.raises(InputError, match="rows of 8 finite descriptor components"):
        next_structures(model, X[:, :3], 1)
    with pytest.raises(InputError, match="too few for 300 labels"):
        active_curve(X, y, n_start=300)
    with pytest.raises(InputError, match="no posterior"):
        next_structures(LDML(), X, 1)
