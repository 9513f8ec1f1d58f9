"""Errors of structures left out against refits, and intervals that hold what they promise on data no linear model fits."""

import json
import zipfile

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.regression import LDML, load_model
from ldml.regression.uncertainty import Calibration, left_out, leverages


@pytest.fixture(scope="module")
def ridge():
    """Rows, labels, a ridge, A^-1 and residuals."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 6))
    y = X @ rng.normal(size=6) + rng.normal(size=40)
    inverse = np.linalg.inv(X.T @ X + 0.7 * np.eye(6))
    return X, y, 0.7, inverse, y - X @ (inverse @ X.T @ y)


def refitted(X, y, r, without):
    """Errors and leverages of rows left out, by solving again without them."""
    keep = np.setdiff1d(np.arange(len(y)), without)
    A = X[keep].T @ X[keep] + r * np.eye(X.shape[1])
    w = np.linalg.solve(A, X[keep].T @ y[keep])
    return y[without] - X[without] @ w, np.einsum("ij,ij->i", X[without], np.linalg.solve(A, X[without].T).T)


@pytest.mark.parametrize(
    "groups", [None, np.repeat(np.arange(20), 2)[np.random.default_rng(2).permutation(40)], np.arange(40) // 15]
)
def test_left_out_is_what_a_refit_gives(ridge, groups):
    X, y, r, inverse, residuals = ridge
    errors, outside = left_out(X, residuals, inverse, groups)
    for group in np.unique(np.arange(40) if groups is None else groups):
        members = np.flatnonzero((np.arange(40) if groups is None else groups) == group)
        expected = refitted(X, y, r, members)
        np.testing.assert_allclose(errors[members], expected[0], rtol=1e-9)
        np.testing.assert_allclose(outside[members], expected[1], rtol=1e-9)


def misfit(rng, n):
    """Labels that are no linear function of their rows, the less so the further out."""
    X = rng.normal(size=(n, 10)) * rng.gamma(2.0, size=(n, 1))
    return X, X @ np.arange(10.0) + 0.3 * X[:, 0] ** 2 + np.sin(3 * X[:, 1])


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_cover_structures_never_seen(coverage):
    """1,000 structures, ten fits: the standard error of the share covered is below 0.02."""
    covered = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        model = LDML().fit(*misfit(rng, 300))
        X, y = misfit(rng, 100)
        low, high = model.predict_interval(X, coverage)
        covered.append(np.mean((low <= y) & (y <= high)))
    assert np.mean(covered) == pytest.approx(coverage, abs=0.05)


def test_intervals_widen_with_the_distance():
    rng = np.random.default_rng(0)
    X, y = misfit(rng, 300)
    model = LDML().fit(X, y)
    near, far = X[:1], 10 * X[:1]
    width = [np.subtract(*model.predict_interval(rows)[::-1])[0] for rows in (near, far)]
    assert width[1] == pytest.approx(10 * width[0])
    assert model.extrapolation(far)[0] == pytest.approx(10 * model.extrapolation(near)[0])
    assert (model.extrapolation(X) > 1).mean() < 0.02
    assert model.extrapolation(20 * X[:5]).min() > 1


def test_copies_of_a_parent_do_not_vouch_for_each_other():
    """Twice the same structures tell no more than once: alone, each would seem to be predicted by its copy."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 20)), rng.normal(size=60)
    once = LDML().fit(X, y)
    twice = LDML().fit(np.r_[X, X], np.r_[y, y], groups=np.tile(np.arange(60), 2))
    careless = LDML().fit(np.r_[X, X], np.r_[y, y])
    assert np.median(careless.calibration_.errors) < 0.9 * np.median(twice.calibration_.errors)
    # the two ridges differ, their errors on structures left out hardly
    assert np.median(twice.calibration_.errors) > 0.8 * np.median(once.calibration_.errors)


def test_a_new_class_gets_at_least_its_typical_error():
    calibration = Calibration(np.arange(1.0, 101.0), np.full(100, 30.0), edge=1.0, classes=("I2", "V4"))
    unseen = calibration.is_unseen(["V4", "I3"])
    assert unseen.tolist() == [False, True]
    np.testing.assert_allclose(calibration.half_width(np.array([0.01, 0.01]), 0.9, unseen=unseen), [9.1, 30.0])
    assert not Calibration(np.ones(3), np.ones(3), 1.0).is_unseen(["I3"]).any()


def test_coverage_must_be_possible(ridge):
    model = LDML().fit(ridge[0], ridge[1])
    with pytest.raises(InputError, match=r"40 training structures cannot tell an interval of coverage 0\.99"):
        model.predict_interval(ridge[0], 0.99)
    for coverage in (0.0, 1.0, -1, 90, float("nan")):
        with pytest.raises(InputError, match="no probability"):
            model.predict_interval(ridge[0], coverage)


def test_leverages_are_those_of_the_rows(ridge):
    X, _, _, inverse, _ = ridge
    np.testing.assert_allclose(leverages(X, inverse), np.diag(X @ inverse @ X.T), rtol=1e-10)


def test_a_file_keeps_the_calibration(tmp_path):
    rng = np.random.default_rng(0)
    X, y = misfit(rng, 60)
    model = LDML().fit(X, y)
    model.save(tmp_path / "m.ldml")
    loaded = load_model(tmp_path / "m.ldml")
    assert np.array_equal(loaded.predict_interval(X), model.predict_interval(X))
    assert np.array_equal(loaded.extrapolation(X), model.extrapolation(X))
    assert json.loads(zipfile.ZipFile(tmp_path / "m.ldml").read("model.json"))["format_version"] == 2
