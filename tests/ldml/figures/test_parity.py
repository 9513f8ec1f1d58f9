"""Figs 2, 3, 6 and 7: every point is of a structure left out, errors are those of the points, insets those of split curves."""

from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk

from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.evaluation.splits import split_curve_arrays
from ldml.figures import FIGURES
from ldml.figures.parity import cross_validated_parity, draw_parity, report, transfer_parity
from ldml.regression import LDML


class Numbers:
    """A descriptor whose totals are kept, never computed."""

    name, n_features, fingerprint = "Numbers", 4, "numbers"
    trivial_features = np.zeros(4, dtype=bool)
    parameters: ClassVar[dict] = {}


def dataset(n, seed, name):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 4))
    crystal = bulk("Fe", a=2.87, cubic=True)
    entropy = rows @ [3.0, 2.0, 1.0, 0.5] + 0.1 * rng.normal(size=n)
    labels = np.array(["I3", "V4"])[np.arange(n) % 2]
    entries = [Entry(crystal.copy(), labels[k], f"{name}{k}", float(entropy[k]), parent=f"p{k // 2}") for k in range(n)]
    data = Dataset.from_entries(name, [crystal], entries, {})
    data.keep_totals("numbers", rows, np.zeros((1, 4)))
    return data


@pytest.fixture(scope="module")
def data():
    return dataset(60, 0, "small")


def test_no_point_was_fitted(data):
    """Left out with its parent, an absurd label moves its own error but not its own prediction."""
    parity = cross_validated_parity(data, Numbers())
    entries = list(data.entries)
    entries[7] = type(entries[7])(**{**vars(entries[7]), "formation_entropy": 500.0})
    absurd = Dataset.from_entries("absurd", data.bulks, entries, {})
    absurd.keep_totals("numbers", data.descriptor_differences(Numbers()), np.zeros((1, 4)))
    changed = cross_validated_parity(absurd, Numbers())
    assert changed.predicted[7] == parity.predicted[7]
    assert changed.predicted[6] == parity.predicted[6], "of the same parent"
    assert not np.allclose(changed.predicted, parity.predicted, atol=1e-3)


def test_errors_are_those_of_the_points(data):
    parity = cross_validated_parity(data, Numbers(), with_splits=True)
    errors = parity.true - parity.predicted
    assert parity.rmse == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert parity.mae == pytest.approx(np.abs(errors).mean())
    assert {name: n for name, (n, _, _) in parity.by_group.items()} == {"I3": 30, "V4": 30}
    fitted = LDML(Numbers()).fit(data)
    assert parity.fit_rmse == pytest.approx(fitted.training_["rmse"])
    assert parity.fit_rmse < parity.rmse
    X, y = LDML(Numbers()).training_rows(data)
    np.testing.assert_array_equal(parity.splits.rmse_test, split_curve_arrays(X, y).rmse_test)


def test_transfer_fits_on_the_first_only(data):
    other = dataset(20, 3, "other")
    parity = transfer_parity(data, other, Numbers(), paper_rmse=1.0)
    np.testing.assert_allclose(parity.predicted, LDML(Numbers()).fit(data).predict(other))
    assert parity.n_train == 60
    assert "paper: RMSE 1 k_B" in "\n".join(report(parity))


def test_the_picture_shows_every_point_and_the_inset(data):
    parity = cross_validated_parity(data, Numbers(), with_splits=True)
    axes = draw_parity(parity).axes[0]
    shown = np.concatenate([line.get_xydata() for line in axes.lines if line.get_marker() == "."])
    np.testing.assert_allclose(np.sort(shown[:, 1]), np.sort(parity.predicted))
    (inset,) = axes.child_axes
    np.testing.assert_allclose(inset.lines[1].get_ydata(), parity.splits.mean("rmse_test"))
    assert "k_" in axes.get_xlabel()


def test_strains_have_an_order_of_colours(data):
    groups = np.array(["-1.0 %", "+0.0 %", "+2.0 %"])[np.arange(60) % 3]
    axes = draw_parity(cross_validated_parity(data, Numbers(), groups=groups)).axes[0]
    colours = {line.get_label().split(" (")[0]: line.get_color() for line in axes.lines if line.get_marker() == "."}
    assert colours["-1.0 %"][2] > colours["-1.0 %"][0]
    assert colours["+2.0 %"][0] > colours["+2.0 %"][2]


@pytest.mark.parametrize("name", ["3a", "6a", "6b"])
def test_a_missing_dataset_is_said(data, name):
    with pytest.raises(InputError, match="made of 2 datasets and 1 are there"):
        FIGURES[name].compute([data])
