"""Coverage of intervals, against counting by hand; a class left out is treated as unseen."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut, ShuffleSplit

from ldml.errors import InputError
from ldml.evaluation.calibration import coverage_curve
from ldml.regression import LDML


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 6)) * rng.gamma(2.0, size=(240, 1))
    labels = np.repeat(["I2", "I3", "V4"], 80)
    return X, X.sum(axis=1) + 0.3 * X[:, 0] ** 2 + 2.0 * (labels == "I3"), labels


def test_it_counts_what_lies_inside(problem):
    X, y, _ = problem
    train, test = np.arange(200), np.arange(200, 240)
    curve = coverage_curve(X, y, [(train, test)], coverages=(0.5, 0.9))
    low, high = LDML().fit(X[train], y[train]).predict_interval(X[test], 0.9)
    assert curve.at(0.9) == np.mean((low <= y[test]) & (y[test] <= high))
    assert curve.half_width[1] == pytest.approx(np.median(high - low) / 2)
    assert curve.n_test == 40
    assert curve.at(0.5) < curve.at(0.9)


def test_random_splits_cover_what_they_promise(problem):
    X, y, _ = problem
    curve = coverage_curve(X, y, ShuffleSplit(10, test_size=0.2, random_state=0).split(X))
    np.testing.assert_allclose(curve.covered, curve.coverages, atol=0.08)


def test_classes_left_out_are_unseen(problem):
    X, y, labels = problem
    splits = list(LeaveOneGroupOut().split(X, y, labels))
    known, blind = (coverage_curve(X, y, splits, labels=given) for given in (labels, None))
    assert known.at(0.9) > blind.at(0.9)
    assert known.n_test == 240


def test_no_split_is_refused(problem):
    with pytest.raises(InputError, match="at least one split"):
        coverage_curve(problem[0], problem[1], [])
