"""Protocols leave out what they say, and tell what a refit by hand gives."""

from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk as crystal
from sklearn.linear_model import Ridge

from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.evaluation.learning import learning_curve
from ldml.evaluation.metrics import mae, rmse
from ldml.evaluation.protocols import PROTOCOLS, evaluate, sizes, strains, transfer
from ldml.evaluation.splits import split_curve_arrays
from ldml.regression import LDML

CLASSES = ("I2", "I3", "V4")


class Numbers:
    """A descriptor whose totals are kept, never computed."""

    name, n_features, fingerprint = "Numbers", 5, "numbers"
    trivial_features = np.zeros(5, dtype=bool)
    parameters: ClassVar[dict] = {}

    def total(self, atoms):
        return np.zeros(5)


def dataset(n_parents=30, copies=3, *, name="small", seed=0, potential="X", first=0):
    """Each parent in three crystals: at rest, strained by 2 %, and larger; near copies in all they know."""
    rng = np.random.default_rng(seed)
    rest = crystal("Fe", a=2.87, cubic=True).repeat(2)
    stretched = crystal("Fe", a=2.87 * 1.02, cubic=True).repeat(2)
    larger = crystal("Fe", a=2.87, cubic=True).repeat(3)
    entries, totals, common = [], [], rng.normal(size=(n_parents, 5))
    for p in range(n_parents):
        own = rng.normal()  # what no descriptor knows, the same for all copies
        for k in range(copies):
            row = common[p] + 0.05 * rng.normal(size=5)
            parent = f"p{first + p}"
            entries.append(
                Entry(
                    atoms=(rest, stretched, larger)[k].copy(),
                    label=CLASSES[p % 3],
                    name=parent if k == 0 else f"{parent}@{k}",
                    formation_entropy=float(row.sum() + 0.5 * own),
                    bulk=k,
                    parent="" if k == 0 else parent,
                )
            )
            totals.append(row)
    data = Dataset.from_entries(name, [rest, stretched, larger], entries, {"potential": potential})
    data.keep_totals("numbers", np.array(totals), np.zeros((3, 5)))
    return data


@pytest.fixture(scope="module")
def data():
    return dataset()


@pytest.fixture(scope="module")
def model():
    return LDML(Numbers())


def test_groups_are_those_of_the_crystals(data):
    assert set(sizes(data)) == {16, 54}
    assert sorted(set(strains(data))) == ["+0.0 %", "+2.0 %"]
    assert (strains(data)[1::3] == "+2.0 %").all()


@pytest.mark.parametrize(
    ("protocol", "groups"), [("classes", lambda d: d.labels), ("sizes", sizes), ("strains", strains)]
)
def test_each_group_is_left_out_once(data, model, protocol, groups):
    found, groups = evaluate(data, model, protocol), groups(data).astype(str)
    assert [fold.name for fold in found.folds] == sorted(set(groups))
    X, y = model.training_rows(data)
    for fold in found.folds:
        out = groups == fold.name
        fitted = LDML().fit(X[~out], y[~out])
        assert (fold.n_train, fold.n_test) == ((~out).sum(), out.sum())
        assert fold.rmse == pytest.approx(rmse(y[out], fitted.predict(X[out])), rel=1e-9)
        assert fold.mae == pytest.approx(mae(y[out], fitted.predict(X[out])), rel=1e-9)
    assert np.array_equal(np.sort(found.index), np.arange(len(data)))
    np.testing.assert_array_equal(found.true, y[found.index])
    assert {name: n for name, (n, _, _) in found.by_class(data.labels).items()} == dict.fromkeys(CLASSES, 30)


def test_parents_are_never_on_both_sides(data):
    for _, train, test in PROTOCOLS["parents"].splits(data, test_proportion=0.2, n_repeats=5, seed=0):
        assert not set(data.parents[train]) & set(data.parents[test])
        assert len(test) == 18


def test_a_random_split_of_copies_brings_the_grouped_one_along():
    """Five numbers for ten parents: with its copies in the training set a structure is nearly known."""
    data = dataset(10)
    found = evaluate(data, LDML(Numbers()), "random", n_repeats=20)
    assert found.beside.protocol == "parents"
    assert found.rmse < 0.8 * found.beside.rmse
    alone = data.subset(np.arange(0, len(data), 3))
    assert evaluate(alone, LDML(Numbers()), "random", n_repeats=2).beside is None


def test_other_regressors_have_errors_but_no_intervals(data):
    found = evaluate(data, LDML(Numbers(), Ridge(fit_intercept=False)), "classes")
    assert np.isfinite(found.rmse)
    assert np.isnan(found.covered)
    assert np.isfinite(evaluate(data, LDML(Numbers()), "classes").covered)


def test_from_one_dataset_to_another(data, model):
    other = dataset(8, seed=5, name="other", first=100)
    found = transfer(data, other, model)
    X, y = model.training_rows(data)
    expected = LDML().fit(X, y).predict(model.training_rows(other)[0])
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-9)
    np.testing.assert_array_equal(found.index, np.arange(24))
    with pytest.raises(InputError, match="nothing to do with each other"):
        transfer(data, dataset(8, potential="Y"), model)


def test_too_few_groups_are_refused(data, model):
    one = data.subset(data.labels == "I2")
    with pytest.raises(InputError, match=r"leaving out defect classes needs at least two; 'small' has 1"):
        evaluate(one, model, "classes")
    with pytest.raises(InputError, match="give a proportion between 0 and 1"):
        evaluate(data, model, test_proportion=1.5)
    with pytest.raises(InputError, match="unknown protocol 'classs'; did you mean 'classes'"):
        evaluate(data, model, "classs")


def test_grouped_split_curves_cut_between_groups(data, model):
    X, y = model.training_rows(data)
    curve = split_curve_arrays(X, y, groups=data.parents, proportions=(0.2, 0.5), n_repeats=4, seed=7)
    rng = np.random.default_rng(7)
    names, places = np.unique(data.parents, return_inverse=True)
    for repeat in range(4):
        rank = rng.permutation(len(names))[places]
        for j, n_groups in enumerate((6, 15)):
            test = rank < n_groups
            fitted = LDML().fit(X[~test], y[~test])
            assert curve.rmse_test[j, repeat] == pytest.approx(rmse(y[test], fitted.predict(X[test])), rel=1e-8)


def test_learning_curves_keep_their_test_sets(data, model):
    X, y = model.training_rows(data)
    curve = learning_curve(X, y, n_train=(60, 10, 30), groups=data.parents, n_repeats=5)
    assert curve.n_train.tolist() == [10, 30, 60]
    assert (curve.n_test == 18).all()
    assert curve.rmse_test[2].mean() < curve.rmse_test[0].mean()
    with pytest.raises(InputError, match="cannot be drawn from the 72 that are not held out"):
        learning_curve(X, y, n_train=(80,))
