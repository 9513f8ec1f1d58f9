"""The state all pages share, and the fit it holds."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dashboards.pages.undo_bar import undo_bar
from dashboards.state import MAX_FITS, MAX_MODELS, AppState, _fits, default_descriptor, fit_model, remembered_fit
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


def test_fits_are_kept_for_comparison_up_to_a_limit_and_removed(linear_dataset):
    state, descriptor = AppState(dataset=linear_dataset), default_descriptor()
    fits = [fit_model(linear_dataset, descriptor, test_proportion=0.25, seed=seed) for seed in range(MAX_MODELS + 1)]
    for fit in (*fits, fits[-1]):
        state.show_fit(fit)
    assert state.models == fits[1:]
    assert state.fit is fits[-1]
    state.show_fit(fits[3])
    state.remove_fit(fits[3])
    assert state.models == [*fits[1:3], *fits[4:]]
    assert state.fit is fits[-1]
    state.remove_fit(fits[1])
    assert state.fit is fits[-1]
    state.open_dataset(linear_dataset)
    assert state.models == []


def test_a_fit_tells_intervals_and_what_lies_outside(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=3)
    low, high = fit.model.predict_interval(linear_dataset)
    assert fit.predicted - fit.half_width == pytest.approx(low, rel=1e-9)
    assert fit.predicted + fit.half_width == pytest.approx(high, rel=1e-9)
    assert fit.extrapolation == pytest.approx(fit.model.extrapolation(linear_dataset), rel=1e-9)
    everything = np.ones(len(fit.true), dtype=bool)
    assert fit.covered(everything) == pytest.approx(((low <= fit.true) & (fit.true <= high)).mean())
    assert fit.share_outside(everything) == fit.outside.mean()


def test_too_few_structures_for_an_interval_have_none(linear_dataset):
    fit = fit_model(linear_dataset.subset(range(8, 16)), default_descriptor(), test_proportion=0.25, seed=0)
    assert not fit.has_intervals
    assert np.isnan(fit.covered(fit.test))


def test_contributions_are_weights_times_the_spread_of_the_features(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    X = linear_dataset.descriptor_differences(default_descriptor())[fit.train]
    scaled = (X - X.mean(axis=0)) * fit.model.coef_
    assert fit.contributions**2 == pytest.approx((scaled**2).mean(axis=0), rel=1e-9)


def test_a_subset_and_an_added_structure_are_taken_back_with_their_models(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    state = AppState(dataset=linear_dataset, selected=2)
    state.show_fit(fit)
    chosen = np.arange(len(linear_dataset)) < 5
    larger = linear_dataset.extended([replace(linear_dataset.entries[0], name="added")], [])
    changes = (
        lambda: state.open_subset(chosen),
        lambda: state.extend_dataset(larger, len(linear_dataset)),
    )
    for change in changes:
        change()
        assert state.dataset is not linear_dataset
        state.undo()
        assert (state.dataset, state.whole, state.selected) == (linear_dataset, None, 2)
        assert (state.fit, state.models) == (fit, [fit])
        assert state.last_step is None
    state.open_subset(chosen)
    part = state.dataset
    state.open_whole()
    state.undo()
    assert state.dataset is part
    assert state.whole is linear_dataset


def test_only_the_latest_step_is_taken_back_and_once(linear_dataset):
    state, taken = AppState(dataset=linear_dataset), []
    state.offer_undo("one", lambda: taken.append(1))
    state.offer_undo("two", lambda: taken.append(2))
    state.undo()
    state.undo()
    assert taken == [2]
    state.offer_undo("three", lambda: taken.append(3))
    state.open_dataset(linear_dataset)  # of another dataset there is nothing to take back
    state.undo()
    assert taken == [2]


def test_the_bar_shows_while_there_is_a_step_to_take_back(linear_dataset):
    state, taken = AppState(dataset=linear_dataset), []
    bar = undo_bar(state)
    said, undo, dismiss = bar
    assert not bar.visible
    state.offer_undo("<b> removed", lambda: taken.append(1))
    assert bar.visible
    assert "<b>" not in said.object
    dismiss.clicks += 1
    assert not bar.visible
    assert taken == []
    state.offer_undo("two", lambda: taken.append(2))
    undo.clicks += 1
    assert taken == [2]
    assert not bar.visible
