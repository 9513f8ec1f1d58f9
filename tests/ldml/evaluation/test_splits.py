"""Split curves are explicit refits done fast."""

import numpy as np
import pytest

from ldml.errors import Cancelled, InputError
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.splits import ERRORS, random_test_set, split_curve, split_curve_arrays
from ldml.regression.ldml import LDML


def arrays(n=150, p=40, *, noise=0.3, seed=2):
    """Correlated columns of very different size, one of them negligible."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ (rng.normal(size=(p, p)) * np.geomspace(1, 1e-3, p))
    y = X[:, 1:] @ rng.normal(size=p - 1) + noise * rng.normal(size=n)
    X *= np.geomspace(1, 1e4, p)
    X[:, 0] *= 1e-12
    return X, y


def test_every_split_is_an_explicit_refit():
    """From 135 training rows for 40 columns to 15, below which the moments are singular."""
    X, y = arrays()
    proportions = (0.1, 0.5, 0.7, 0.9)
    curve = split_curve_arrays(X, y, proportions=proportions, n_repeats=3, seed=11)
    rng = np.random.default_rng(11)
    for repeat in range(3):
        order = rng.permutation(150)
        for j, n_test in enumerate([15, 75, 105, 135]):
            test, train = order[:n_test], order[n_test:]
            model = LDML().fit(X[train], y[train])
            expected = [error(y[part], model.predict(X[part])) for error in (rmse, mae) for part in (train, test)]
            found = [getattr(curve, name)[j, repeat] for name in ERRORS]
            assert found == pytest.approx(expected, rel=1e-8)
    assert curve.n_test.tolist() == [15, 75, 105, 135]
    assert curve.n_train.tolist() == [135, 75, 45, 15]
    assert (curve.n_structures, curve.n_features, curve.n_repeats, curve.seed) == (150, 40, 3, 11)


def test_order_of_proportions_does_not_matter():
    X, y = arrays()
    up = split_curve_arrays(X, y, proportions=(0.2, 0.2, 0.6), n_repeats=2)
    down = split_curve_arrays(X, y, proportions=(0.6, 0.2, 0.2), n_repeats=2)
    for name in ERRORS:
        assert np.array_equal(getattr(up, name), getattr(down, name)[::-1])


def test_same_seed_same_numbers_for_any_threads_and_repeats():
    X, y = arrays()
    one = split_curve_arrays(X, y, n_repeats=5, n_threads=1)
    three = split_curve_arrays(X, y, n_repeats=4, n_threads=3)
    other = split_curve_arrays(X, y, n_repeats=4, seed=1)
    assert np.array_equal(one.rmse_test[:, :4], three.rmse_test)
    assert not np.allclose(three.rmse_test, other.rmse_test)
    assert len({*one.rmse_test[0]}) == 5


def test_approaches_the_noise():
    """With 20 structures per weight, training and test RMSE straddle the noise by a factor sqrt(1 +- p/n)."""
    X, y = arrays(1000, 40)
    curve = split_curve_arrays(X, y, proportions=(0.2, 0.9), n_repeats=20)
    assert curve.mean("rmse_test")[0] == pytest.approx(0.3 * np.sqrt(1 + 40 / 800), rel=0.05)
    assert curve.mean("rmse_train")[0] == pytest.approx(0.3 * np.sqrt(1 - 40 / 800), rel=0.05)
    assert curve.mean("rmse_test")[1] > curve.mean("rmse_test")[0]
    assert curve.mean("mae_test")[0] == pytest.approx(np.sqrt(2 / np.pi) * curve.mean("rmse_test")[0], rel=0.05)
    assert np.all(curve.std("rmse_test") > 0)


class Watcher:
    def __init__(self, stop_after=None):
        self.seen, self.stop_after = [], stop_after

    def update(self, done, total, stage=""):
        self.seen.append((done, total, stage))

    def check(self):
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise Cancelled


def test_progress_and_cancel():
    X, y = arrays()
    watcher = Watcher()
    split_curve_arrays(X, y, n_repeats=6, progress=watcher, n_threads=2)
    assert watcher.seen == [(2, 6, "splits"), (4, 6, "splits"), (6, 6, "splits")]
    watcher = Watcher(stop_after=2)
    with pytest.raises(Cancelled):
        split_curve_arrays(X, y, n_repeats=100, progress=watcher, n_threads=1)
    assert len(watcher.seen) == 2


def test_datasets():
    X, y = arrays()

    class Stored:
        formation_entropy = y
        names = np.arange(len(y)).astype(str)
        name, metadata, parts = "stored", {}, ()

        def descriptor_differences(self, descriptor, *, progress=None):
            return X

        def __getitem__(self, i):
            raise IndexError

    class Forty:
        n_features = 40
        trivial_features = np.zeros(40, dtype=bool)
        parameters = {}  # noqa: RUF012

    curve = split_curve(Stored(), Forty(), n_repeats=2, proportions=[0.3])
    assert np.array_equal(curve.rmse_test, split_curve_arrays(X, y, n_repeats=2, proportions=[0.3]).rmse_test)


def test_results_are_read_only():
    X, y = arrays()
    curve = split_curve_arrays(X, y, n_repeats=1)
    with pytest.raises(ValueError, match="read-only"):
        curve.rmse_test[0, 0] = 0.0
    with pytest.raises(AttributeError):
        curve.seed = 3
    with pytest.raises(InputError, match="unknown error 'rmse'; known: rmse_train"):
        curve.mean("rmse")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proportions": [0.0]}, "between 0 and 1"),
        ({"proportions": [1.2]}, "between 0 and 1"),
        ({"proportions": []}, "between 0 and 1"),
        ({"proportions": [np.nan]}, "between 0 and 1"),
        ({"proportions": [0.995]}, "150 structures into 149 to test and 1 to train"),
        ({"proportions": [0.001]}, "150 structures into 0 to test"),
        ({"n_repeats": 0}, "n_repeats must be at least 1"),
        ({"n_threads": 0}, "n_threads must be at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        split_curve_arrays(*arrays(), **options)


def test_missing_labels():
    X, y = arrays()
    y[4] = np.nan
    with pytest.raises(InputError, match="1 of 150 formation entropies"):
        split_curve_arrays(X, y)


def test_a_test_set_of_groups_splits_none_of_them_and_comes_nearest_to_its_size():
    groups = np.repeat(["a", "b", "c", "d", "e"], [1, 2, 3, 4, 10])
    drawn = [random_test_set(20, 0.3, seed, groups=groups) for seed in range(30)]
    for held_out in drawn:
        assert not set(groups[held_out]) & set(groups[~held_out])
        assert abs(held_out.sum() - 6) <= 5  # half of the largest group
    assert {name for held_out in drawn for name in groups[held_out]} >= {"a", "b", "c", "d"}
    assert random_test_set(20, 0.3, 0).sum() == 6
