"""The state all pages share, and the fit it holds."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dashboards.state import MAX_FITS, AppState, _fits, default_descriptor, fit_model, remembered_fit
from ldml.dataset import Dataset
from ldml.errors import InputError


def with_unknown(data, indices):
    """The dataset with some entropies unknown."""
    entries = [replace(e, formation_entropy=np.nan) if k in indices else e for k, e in enumerate(data.entries)]
    return Dataset.from_entries(data.name, data.bulks, entries, data.metadata)


def test_linear_entropies_are_learned(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=3)
    assert fit.test.sum() == 6
    assert (fit.train == ~fit.test).all()
    assert fit.rmse(fit.train) < 0.05 * fit.true.std()
    assert fit.mae(fit.train) <= fit.rmse(fit.train)
    assert fit.rmse(fit.test) == pytest.approx(np.sqrt(np.mean((fit.predicted - fit.true)[fit.test] ** 2)), rel=1e-12)


def test_the_seed_makes_the_split(linear_dataset):
    tests = [fit_model(linear_dataset, default_descriptor(), test_proportion=0.5, seed=seed).test for seed in (0, 0, 1)]
    assert (tests[0] == tests[1]).all()
    assert (tests[0] != tests[2]).any()


def test_structures_of_unknown_entropy_are_left_out(linear_dataset):
    data = with_unknown(linear_dataset, {0, 5})
    fit = fit_model(data, default_descriptor(), test_proportion=0.25, seed=0)
    assert len(fit.true) == len(data) - 2
    assert not {data.names[0], data.names[5]} & set(fit.data.names)


def test_a_fit_is_computed_once_for_all_who_ask_the_same_of_the_same_dataset(linear_dataset):
    data, descriptor = linear_dataset.subset(range(len(linear_dataset))), default_descriptor()
    first = remembered_fit(data, descriptor, test_proportion=0.25, seed=0)
    assert remembered_fit(data, descriptor, test_proportion=0.25, seed=0) is first
    fresh = fit_model(data, descriptor, test_proportion=0.25, seed=0)
    assert (first.predicted == fresh.predicted).all()
    other = data.subset(range(len(data)))
    assert remembered_fit(other, descriptor, test_proportion=0.25, seed=0) is not first
    assert remembered_fit(data, descriptor, test_proportion=0.5, seed=0) is not first
    for seed in range(1, MAX_FITS + 1):
        remembered_fit(data, descriptor, test_proportion=0.25, seed=seed)
    assert remembered_fit(data, descriptor, test_proportion=0.25, seed=0) is not first  # the oldest went
    key = id(data)
    del data
    assert key not in _fits  # nobody has the dataset open


def test_too_few_structures_are_refused(linear_dataset):
    with pytest.raises(InputError):
        fit_model(linear_dataset.subset([0, 1]), default_descriptor(), test_proportion=0.5, seed=0)


def test_another_dataset_takes_what_was_computed_from_the_old_one_away(linear_dataset):
    state = AppState()
    state.open_dataset(linear_dataset)
    state.fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    state.select(3, show=True)
    assert (state.selected, state.page) == (3, "Structure")
    state.open_dataset(linear_dataset.subset(range(10)))
    assert (state.selected, state.fit, state.split_curve) == (-1, None, None)


def test_state_and_tasks_need_no_panel():
    code = "import sys, dashboards.tasks, dashboards.state, dashboards.jobs; sys.exit('panel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
