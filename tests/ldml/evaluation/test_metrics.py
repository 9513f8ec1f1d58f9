"""RMSE and MAE (paper, Eqs. 22, 23)."""

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.evaluation.metrics import mae, r2_within, rmse


def test_by_hand():
    true, predicted = [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 6.0, 0.0]
    assert rmse(true, predicted) == 2.5  # sqrt((9 + 16) / 4)
    assert mae(true, predicted) == 1.75


def test_bounds():
    """MAE <= RMSE <= sqrt(M) MAE, with equality for equal errors and for a single one."""
    rng = np.random.default_rng(0)
    true, predicted = rng.normal(size=(2, 30))
    assert mae(true, predicted) < rmse(true, predicted) < np.sqrt(30) * mae(true, predicted)
    assert rmse(true, true + 0.3) == pytest.approx(mae(true, true + 0.3))


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([1.0], [1.0, 2.0], r"shapes \(1,\) and \(2,\)"),
        ([], [], "at least one"),
        ([[1.0]], [[1.0]], "one length"),
        ([1.0, np.nan], [1.0, 2.0], "1 of 2 pairs"),
        ([1.0, 2.0], [np.inf, 2.0], "1 of 2 pairs"),
    ],
)
def test_bad_input(true, predicted, message):
    for metric in (rmse, mae):
        with pytest.raises(InputError, match=message):
            metric(true, predicted)


def test_atoms_that_do_not_count_do_not_matter():
    exact = [(np.array([0.1, 0.4, 9.0]), np.array([True, True, False])), (np.array([0.2, 0.3]), np.array([True, True]))]
    r2, error = r2_within(exact, [np.array([0.2, 0.4, -5.0]), np.array([0.2, 0.2])])
    assert error == pytest.approx(np.sqrt(0.02 / 4))
    assert r2 == pytest.approx(1 - 0.02 / 0.05)
