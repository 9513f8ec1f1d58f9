"""LDML: Eqs. 13-15 hold exactly, columns and guards do what they say, scikit-learn can use it."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.model_selection import cross_val_score

from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.regression.evidence import EvidenceRidge
from ldml.regression.ldml import LDML


def arrays(n=200, p=12, *, noise=0.1, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.geomspace(1, 1e3, p)
    return X, X @ (rng.normal(size=p) / np.geomspace(1, 1e3, p)) + noise * rng.normal(size=n)


def with_entropies(data, values):
    entries = [Entry(e.atoms, e.label, e.name, value) for e, value in zip(data.entries, values, strict=True)]
    return Dataset.from_entries(data.name, data.bulks, entries)


def test_learns_a_linear_entropy(data, descriptor):
    train, test = data.subset(range(20)), data.subset(range(20, 30))
    model = LDML(descriptor).fit(train)
    error = model.predict(test) - test.formation_entropy
    assert np.abs(error).max() < 0.1  # noise of 0.02 in the labels, 4 weights from 20 structures
    assert model.score(test) > 0.99
    assert model.training_["name"] == "vacancies"
    assert model.training_["rmse"] < 0.05


def test_a_perfect_crystal_has_no_formation_entropy(data, descriptor, perfect):
    """The label mean is far from zero, so an intercept would show (paper, Eq. 15, for D_d = D_b)."""
    model = LDML(descriptor).fit(data)
    assert abs(data.formation_entropy.mean()) > 1
    assert model.predict_structures([perfect, perfect * (2, 1, 1)]) == pytest.approx([0, 0], abs=1e-9)
    assert model.predict(np.zeros((1, 4)))[0] == 0.0


def test_local_entropies_sum_to_the_total(data, descriptor):
    model = LDML(descriptor).fit(data)
    totals = model.predict(data)
    for i in range(5):
        local = model.predict_local(data[i])
        assert local.shape == (len(data[i]),)
        assert local.sum() == pytest.approx(totals[i], abs=1e-10)
    assert model.predict_structures([data[i] for i in range(5)]) == pytest.approx(totals[:5], abs=1e-10)


def test_formation_entropy_is_extensive(data, descriptor):
    """n copies of a cell hold n defects (paper, below Eq. 14)."""
    model = LDML(descriptor).fit(data)
    one, two = model.predict_structures([data[0], data[0] * (2, 1, 1)])
    assert two == pytest.approx(2 * one, rel=1e-9)


def test_strained_reference(data, descriptor, perfect):
    model = LDML(descriptor).fit(data)
    strained = perfect.copy()
    strained.set_cell(perfect.cell * 1.01, scale_atoms=True)
    assert abs(model.predict_structures([strained])[0]) > 0.1
    assert model.predict_structures([strained], bulk=strained)[0] == pytest.approx(0, abs=1e-9)
    assert model.predict_local(strained, bulk=strained) == pytest.approx(np.zeros(len(strained)), abs=1e-10)


def test_arrays_need_a_reference_for_local_entropies(data, descriptor, perfect):
    X = data.descriptor_differences(descriptor)
    model = LDML(descriptor).fit(X, data.formation_entropy)
    with pytest.raises(InputError, match="bulk_descriptor="):
        model.predict_local(data[0])
    reference = descriptor.total(perfect) / len(perfect)
    model.fit(X, data.formation_entropy, bulk_descriptor=reference)
    full = LDML(descriptor).fit(data)
    assert model.predict_local(data[0]) == pytest.approx(full.predict_local(data[0]))
    assert np.array_equal(model.coef_, full.coef_)
    assert model.training_["sha256"] == full.training_["sha256"]


def test_two_crystals_leave_no_default_reference(data, descriptor, perfect):
    strained = perfect.copy()
    strained.set_cell(perfect.cell * 1.01, scale_atoms=True)
    both = Dataset.from_entries("both", [perfect, strained], data.entries)
    model = LDML(descriptor).fit(both)
    with pytest.raises(InputError, match="no single perfect crystal"):
        model.predict_structures([data[0]])
    assert model.predict_structures([data[0]], bulk=perfect) == pytest.approx(model.predict(data)[:1])


def test_units_of_a_column_do_not_matter():
    X, y = arrays()
    scaled = X.copy()
    scaled[:, 4] *= 1e6
    scaled[:, 7] *= 1e-6
    model, other = (LDML(min_relative_rms=0).fit(x, y) for x in (X, scaled))
    np.testing.assert_allclose(other.predict(scaled), model.predict(X), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(other.coef_[[4, 7]], model.coef_[[4, 7]] * [1e-6, 1e6], rtol=1e-9)


def test_negligible_columns_get_no_weight():
    X, y = arrays()
    X[:, 2] = 1e-8 * X[:, 2]
    X[:, 5] = 0.0
    model = LDML().fit(X, y)
    assert model.coef_[[2, 5]].tolist() == [0, 0]
    without = LDML().fit(np.delete(X, [2, 5], axis=1), y)
    np.testing.assert_allclose(np.delete(model.coef_, [2, 5]), without.coef_, rtol=1e-9)
    probe = X[:3] + 100.0
    for mine, other in zip(
        model.predict(probe, return_std=True),
        without.predict(np.delete(probe, [2, 5], axis=1), return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-9)


def test_weights_are_those_of_scikit_learn_on_scaled_columns():
    X, y = arrays()
    rms = np.sqrt(np.mean(X**2, axis=0))
    reference = BayesianRidge(fit_intercept=False).fit(X / rms, y)
    for regressor in (None, EvidenceRidge(), BayesianRidge(fit_intercept=False)):
        model = LDML(regressor=regressor).fit(X, y)
        np.testing.assert_allclose(model.coef_, reference.coef_ / rms, rtol=1e-9)
        np.testing.assert_allclose(model.predict(X), reference.predict(X / rms), rtol=1e-9)
        np.testing.assert_allclose(model.posterior_covariance_, reference.sigma_, rtol=1e-6)


def test_features_that_only_count_atoms_get_no_weight(data, descriptor, monkeypatch):
    monkeypatch.setattr(type(descriptor), "trivial_features", np.array([False, True, False, False]))
    model = LDML(descriptor).fit(data)
    assert model.coef_[1] == 0.0
    assert np.all(model.coef_[[0, 2, 3]] != 0.0)


def test_regressors_without_posterior():
    X, y = arrays()
    model = LDML(regressor=Ridge(fit_intercept=False)).fit(X, y)
    assert model.score(X, y) > 0.9
    with pytest.raises(InputError, match="no posterior"):
        model.predict(X, return_std=True)
    with pytest.raises(InputError, match="Ridge fitted an intercept"):
        LDML(regressor=Ridge()).fit(X, y + 5.0)


def test_stated_deviation_of_white_noise_is_right():
    """The one case in which it is: linear truth, white noise; 2,000 new structures."""
    X, y = arrays(2400, noise=0.5)
    model = LDML().fit(X[:400], y[:400])
    mean, std = model.predict(X[400:], return_std=True)
    assert np.mean(((y[400:] - mean) / std) ** 2) == pytest.approx(1.0, abs=0.25)
    far = model.predict(10 * X[400:], return_std=True)[1]
    assert np.all(far > std)


def test_scikit_learn_habits(descriptor):
    X, y = arrays()
    model = LDML(descriptor, EvidenceRidge(tol=1e-5), min_relative_rms=1e-7)
    copy = clone(model)
    assert copy.descriptor.fingerprint == descriptor.fingerprint
    assert (copy.regressor.tol, copy.min_relative_rms) == (1e-5, 1e-7)
    assert copy.get_params()["regressor__tol"] == 1e-5
    assert copy.set_params(regressor__tol=1e-4).regressor.tol == 1e-4
    assert model.regressor.tol == 1e-5
    assert np.all(cross_val_score(LDML(), X, y, cv=5) > 0.9)
    again = LDML().fit(X, y).fit(X[:, :5], y)
    assert again.n_features_in_ == 5
    assert not hasattr(LDML(regressor=model.regressor).fit(X, y).regressor, "coef_")


def test_progress_sees_the_descriptors(data, descriptor):
    class Watcher:
        calls = 0

        def update(self, done, total, stage=""):
            self.calls += 1

        def check(self):
            pass

    watcher = Watcher()
    LDML(type(descriptor)((2.5, 3.0, 4.0))).fit(data, progress=watcher)
    assert watcher.calls >= len(data)


def test_missing_labels(data, descriptor):
    values = data.formation_entropy
    values[[3, 8]] = np.nan
    with pytest.raises(InputError, match=r"2 of 30 structures have no formation entropy \(first: 's03'\)"):
        LDML(descriptor).fit(with_entropies(data, values))
    values = data.formation_entropy
    values[3] = 0.0
    with pytest.raises(InputError, match="1 defects have a formation entropy of exactly 0"):
        LDML(descriptor).fit(with_entropies(data, values))


def test_a_zero_label_is_right_for_a_perfect_crystal(data, descriptor, perfect):
    LDML(descriptor).fit(data.extended([Entry(perfect, "bulk", "bulk", 0.0)]))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones((1, 3)), [1.0], "at least 2 structures, got 1"),
        (np.zeros((4, 3)), np.ones(4), "every descriptor difference"),
        (np.ones((4, 3)), np.ones(3), "4 rows of descriptors but 3"),
        (np.ones(4), np.ones(4), r"got shape \(4,\)"),
        (np.ones((4, 0)), np.ones(4), r"got shape \(4, 0\)"),
        (np.ones((4, 3)), None, "needs its formation entropies"),
        (np.ones((4, 3)), np.ones((4, 1)), r"got shape \(4, 1\)"),
        (np.ones((4, 3)), [1.0, np.nan, 2.0, np.inf], "2 of 4 formation entropies"),
        (np.array([[1.0], [np.nan], [2.0]]), np.ones(3), r"1 structures are not finite \(first: row 1\)"),
    ],
)
def test_bad_training_data(X, y, message):
    with pytest.raises(InputError, match=message):
        LDML().fit(X, y)


def test_bad_use(data, descriptor):
    X, y = arrays()
    with pytest.raises(InputError, match="no weights yet"):
        LDML(descriptor).predict(X)
    with pytest.raises(InputError, match="no descriptor"):
        LDML().fit(data)
    with pytest.raises(InputError, match="12 descriptor components where the model has 4"):
        LDML(descriptor).fit(X, y)
    with pytest.raises(InputError, match="5 descriptor components where the model has 12"):
        LDML().fit(X, y).predict(X[:, :5])


def test_cells_are_checked_against_the_cutoff_once_each(data, descriptor, monkeypatch):
    seen = []
    monkeypatch.setattr("ldml.regression.ldml.check_cutoff_fits", lambda *arguments: seen.append(arguments))
    LDML(descriptor).fit(data)
    assert [(cutoff, name) for cutoff, _, name in seen] == [(4.2, "s00")]


def test_cutoff_beyond_half_the_cell(data, descriptor):
    wide = type(descriptor)(cutoff=4.4)
    with pytest.raises(InputError, match=r"4\.4 Å is more than half the smallest cell height of 's00'"):
        LDML(wide).fit(data)
    model = LDML(descriptor).fit(data)
    small = data[0]
    small.set_cell(0.9 * small.cell, scale_atoms=True)
    for predict in (model.predict_local, lambda atoms: model.predict_structures([atoms])):
        with pytest.raises(InputError, match="more than half"):
            predict(small)


def test_a_refit_may_be_on_another_potential(data, descriptor):
    model = LDML(descriptor).fit(data)
    other = Dataset.from_entries("other", data.bulks, data.entries, {"potential": "another"})
    with pytest.raises(InputError, match="fitted on none and 'other' is of another"):
        model.predict(other)
    assert model.fit(other).training_["potential"] == "another"


def test_several_potentials_or_units_are_not_fitted_as_one(data, descriptor):
    half = [data.subset(np.arange(15)), data.subset(np.arange(15, 30))]
    for key, values in (("potential", ("A", "B")), ("units", ({"entropy": "k_B"}, {"entropy": "eV/K"}))):
        parts = [
            Dataset.from_entries(f"part {v}", p.bulks, p.entries, {key: v}) for v, p in zip(values, half, strict=True)
        ]
        with pytest.raises(InputError, match=f"mixes structures of different {key}"):
            LDML(descriptor).fit(Dataset.merged(parts))


def test_a_descriptor_of_another_potential_is_refused(data, descriptor, monkeypatch):
    monkeypatch.setattr(type(descriptor), "parameters", {"potential": "Fe-AM04", "cutoff": 4.2})
    with pytest.raises(InputError, match="minima of none, the descriptor is for those of Fe-AM04"):
        LDML(descriptor).fit(data)


def test_elements_never_seen_are_refused(data, descriptor):
    model = LDML(descriptor).fit(data)
    atoms = data[0].copy()
    atoms.symbols[3] = "Cu"
    for predict in (lambda: model.predict_structures([data[1], atoms]), lambda: model.predict_local(atoms)):
        with pytest.raises(InputError, match="holds Cu, and the model was fitted on Fe only"):
            predict()
