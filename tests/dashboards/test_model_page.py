"""The Model shown: the form, the fit, the plot and what a tap in it does."""

import asyncio
import csv
import io
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_state import with_unknown

from dashboards import tasks
from dashboards.fit_files import COLUMNS, csv_table, python_code
from dashboards.pages.kept_models import model_row
from dashboards.pages.model import CROSS_VALIDATED, STRUCTURE, WITH_WEIGHT, ModelPage, error_table, no_modes, work_to_do
from dashboards.state import default_descriptor, fit_model
from ldml.dataset import Dataset
from ldml.descriptors import get_descriptor
from ldml.regression import load_model


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    return ModelPage(session)


def enter(shown, **values):
    for name, value in values.items():
        shown._form.inputs[name].value = value


def computed(session):
    """How often descriptors were computed."""
    return sum(job.function is tasks.descriptor_totals for job in session.runner.jobs)


def points(shown):
    """Names in the parity plot."""
    sources = [r.data_source.data for r in shown._figure.renderers if "name" in r.data_source.data]
    return {name for data in sources for name in data["name"]}


def test_descriptors_at_hand_are_fitted_at_once(shown, session):
    assert session.runner.jobs == []
    assert session.state.fit is not None
    assert shown._results.visible
    assert not shown._empty.visible
    assert points(shown) == set(session.state.dataset.names)


def test_without_descriptors_the_page_says_what_to_do(session, linear_dataset):
    session.state.open_dataset(with_unknown(linear_dataset, set()))
    shown = ModelPage(session)
    assert session.state.fit is None
    assert not shown._results.visible
    assert "Fit" in shown._empty.object
    asyncio.run(shown.fit())
    assert computed(session) == 1
    assert session.state.fit is not None
    asyncio.run(shown.fit())
    assert computed(session) == 1  # not again


def test_other_parameters_are_computed_and_the_curve_of_the_old_ones_goes(shown, session):
    session.state.split_curve = None
    enter(shown, n_max=3, l_max=2, cutoff=4.0)
    asyncio.run(shown.fit())
    assert session.state.fit.model.descriptor == get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)
    assert computed(session) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cutoff": 8.0}, "half the smallest cell height"),
        ({"n_max": None}, "n_max is empty"),
        ({"n_max": 0}, "n_max = 0 is out of range"),
    ],
)
def test_what_cannot_be_fitted_is_explained_and_the_model_stays(shown, session, messages, values, words):
    before = session.state.fit
    enter(shown, **values)
    asyncio.run(shown.fit())
    (message,) = messages()
    assert words in message
    assert session.state.fit is before
    assert shown._results.visible
    assert session.runner.jobs == []
    enter(shown, n_max=20, l_max=10, cutoff=5.0)
    asyncio.run(shown.fit())
    assert messages() == []


def test_a_tap_shows_its_structure_by_name(session, linear_dataset):
    data = with_unknown(linear_dataset, {0, 1, 2})  # so that indices in the fit and in the dataset differ
    data.with_features(default_descriptor(), *_totals(linear_dataset))
    session.state.open_dataset(data)
    session.state.page = "Model"  # out of sight, the plot is not marked
    shown = ModelPage(session)
    fit = session.state.fit
    target = int(np.argmax(fit.true))
    shown.tapped(SimpleNamespace(x=fit.true[target], y=fit.predicted[target]))
    assert session.state.page == "Model"
    assert data.names[session.state.selected] == fit.data.names[target]
    assert shown._beside.value == STRUCTURE
    (ring,) = (r.data_source.data for r in shown._figure.renderers if r.name == "selection")
    assert ring["true"] == [fit.true[target]]
    session.state.select(0)  # of unknown entropy: not in the plot
    (ring,) = (r.data_source.data for r in shown._figure.renderers if r.name == "selection")
    assert ring["true"] == []


def test_a_tap_beside_the_points_does_nothing(shown, session):
    shown.tapped(SimpleNamespace(x=shown._figure.x_range.end, y=shown._figure.y_range.start))
    assert (session.state.selected, session.state.page) == (-1, "Data")


def test_the_error_table_holds_the_errors_of_the_fit(shown, session):
    fit = session.state.fit
    html = error_table(fit)
    for error in (fit.rmse, fit.mae):
        for part in (fit.train, fit.test):
            assert f"{error(part):.3f}" in html
            assert f"{error(part & (fit.data.labels == 'V2')):.3f}" in html


def test_the_model_file_is_the_model(shown, session, tmp_path):
    (tmp_path / "model.ldml").write_bytes(shown.model_file().getvalue())
    model = load_model(tmp_path / "model.ldml")
    assert model.predict(session.state.dataset) == pytest.approx(session.state.fit.predicted, rel=1e-12)


def test_another_dataset_is_fitted_with_the_form_as_it_is(shown, session, linear_dataset):
    other = linear_dataset.subset(range(4, 24))
    session.state.open_dataset(other)
    assert len(session.state.fit.true) == 20
    assert points(shown) == set(other.names)


def _totals(data):
    features = data._features[default_descriptor().fingerprint]
    return features.totals, features.bulk_totals


def test_what_a_fit_will_cost_is_said_beforehand(shown, session):
    assert shown._work.object == "220 features, at hand for all 24 structures."
    enter(shown, n_max=3, l_max=2)
    assert "9 features, to compute for 24 structures; the time is measured on the first" in shown._work.object
    enter(shown, n_max=0)
    assert shown._work.object == ""
    enter(shown, n_max=3, cutoff=4.0)
    asyncio.run(shown.fit())
    assert shown._work.object == "9 features, at hand for all 24 structures."
    assert work_to_do(None, default_descriptor()) == "220 features."


@pytest.mark.parametrize("name", ["BSO4", "Whole"])
def test_other_descriptors_are_fitted_and_named(shown, session, whole, messages, name):
    shown._form.choose(name)
    if name == "BSO4":
        enter(shown, j_max=1.0, cutoff=4.0)
    asyncio.run(shown.fit())
    assert messages() == []
    assert session.state.fit.model.descriptor.name == name
    assert shown._summary.object.startswith(name)
    assert "features, 22 structures fitted" in shown._summary.object


def test_features_that_only_count_atoms_are_told(shown, session, whole, monkeypatch):
    monkeypatch.setattr(type(whole), "trivial_features", np.arange(9) < 2)
    shown._form.choose("Whole")
    asyncio.run(shown.fit())
    assert "9 features (2 left out: they only count atoms)" in shown._summary.object


def test_species_are_those_of_the_dataset(shown):
    assert shown._form.inputs["species"].options == ["Fe"]
    assert shown._form.inputs["species"].disabled


@pytest.fixture
def copies(linear_dataset):
    """Each structure of the dataset twice, the second a copy of the first."""
    again = [replace(entry, name=f"{entry.name} copy", parent=entry.name) for entry in linear_dataset.entries]
    data = Dataset.from_entries(
        "copies", linear_dataset.bulks, [*linear_dataset.entries, *again], linear_dataset.metadata
    )
    totals, bulk_totals = _totals(linear_dataset)
    data.with_features(default_descriptor(), np.concatenate([totals, totals]), bulk_totals)
    return data


def test_whole_parents_are_held_out_unless_random_is_asked_for_and_then_the_page_says_what_that_hides(session, copies):
    session.state.open_dataset(copies)
    shown = ModelPage(session)
    fit = session.state.fit
    assert shown._by_parents.visible
    assert fit.by_parents
    assert not set(fit.data.parents[fit.test]) & set(fit.data.parents[fit.train])
    honest = fit.rmse(fit.test)
    shown._by_parents.value = False
    asyncio.run(shown.fit())
    fit = session.state.fit
    assert set(fit.data.parents[fit.test]) & set(fit.data.parents[fit.train])
    assert "flatters" in shown._flattery.object
    assert (
        f"test RMSE {fit.rmse(fit.test):.3f} k_B; with whole parents held out {honest:.3f} k_B"
        in shown._flattery.object
    )
    assert fit.rmse(fit.test) < honest


def test_without_common_parents_there_is_no_such_switch(shown, session):
    assert not shown._by_parents.visible
    assert not shown._flattery.visible
    assert not session.state.fit.by_parents


def test_the_table_and_the_summary_tell_the_coverage_of_the_intervals_and_what_lies_outside(shown, session):
    fit = session.state.fit
    inside = np.abs(fit.predicted - fit.true)[fit.test] <= fit.half_width[fit.test]
    row = next(row for row in error_table(fit).split("<tr") if "all" in row)
    assert f"{100 * inside.mean():.1f} %" in row
    assert f"{100 * (fit.extrapolation[fit.test] > 1).mean():.1f} %" in row
    assert f"they hold {100 * inside.mean():.1f} % of the test structures" in shown._summary.object


def test_models_are_kept_compared_shown_again_removed_and_brought_back(shown, session):
    first = session.state.fit
    enter(shown, n_max=3, l_max=2, cutoff=4.0)
    asyncio.run(shown.fit())
    second = session.state.fit
    kept = shown._kept
    assert session.state.models == [first, second]
    for letter, fit in zip("AB", (first, second), strict=True):
        row = model_row(letter, fit, 0.25)
        assert f"{fit.rmse(fit.test):.3f}" in row
        assert "0.25" in row
        for cell in row[:-1]:
            assert cell in kept._table.object
    assert kept._table.object.count("aria-current") == 1
    kept._choice.value = "A"
    assert session.state.fit is first
    assert "n_max = 20" in shown._summary.object
    kept.remove()
    assert session.state.models == [second]
    assert session.state.fit is second
    assert session.state.last_step.said == "Model A removed"
    session.state.undo()
    assert session.state.fit is first
    assert set(session.state.models) == {first, second}


def test_the_last_model_goes_and_comes_back_too(shown, session):
    fit = session.state.fit
    shown._kept.remove()
    assert session.state.fit is None
    assert not shown._results.visible
    assert "Undo" in shown._empty.object
    session.state.undo()
    assert session.state.fit is fit
    assert shown._results.visible


def test_descriptors_are_timed_once_there_is_something_to_compare(shown, session):
    asyncio.run(shown.fit())
    assert all(job.function is not tasks.descriptor_seconds for job in session.runner.jobs)
    enter(shown, n_max=3, l_max=2, cutoff=4.0)
    asyncio.run(shown.fit())
    asyncio.run(shown.fit())
    assert sum(job.function is tasks.descriptor_seconds for job in session.runner.jobs) == 2


def test_of_two_descriptors_side_by_side_only_the_missing_one_is_computed(shown, session, linear_dataset, monkeypatch):
    asked = []

    def totals(progress, data, record):
        asked.append(record["name"])
        n_features = len(record["parameters"]["levels"])
        return np.random.default_rng(0).random((len(data), n_features)), np.zeros((1, n_features))

    monkeypatch.setattr(tasks, "descriptor_totals", totals)
    monkeypatch.setattr(tasks, "descriptor_seconds", lambda progress, atoms, record: 1.0)
    shown._form._modes.value = True
    assert "225 features, 5 of them to compute" in shown._work.object
    asyncio.run(shown.fit())
    assert asked == ["SoftModes"]
    assert session.state.fit.model.descriptor == get_descriptor("AFS+SoftModes", potential="Fe-AM04")
    assert session.state.fit.model.n_features_in_ == 225


def test_soft_modes_are_for_minima_of_crystals_of_known_potentials(linear_dataset, clusters, saddles):
    assert no_modes(linear_dataset) == ""
    assert "known potential" in no_modes(clusters)
    assert "saddles" in no_modes(saddles)


def test_exact_entropies_of_atoms_are_fitted_in_a_job_and_judged_on_structures_held_out(session, with_locals, messages):
    session.state.open_dataset(with_locals)
    shown = ModelPage(session)
    assert shown._targets.visible
    alone = session.state.fit
    shown._targets.value = WITH_WEIGHT
    assert shown._local_weight.visible
    shown._local_weight.value = 30.0
    asyncio.run(shown.fit())
    assert messages() == []
    fit = session.state.fit
    assert fit.local.weight == 30.0
    assert fit.local.n_fitted == with_locals.has_local[fit.train].sum()
    assert fit.local.n_judged == with_locals.has_local[fit.test].sum() > 0
    assert fit.local.r2 > 0.9 > fit.local.r2_alone
    assert f"{fit.local.r2:.2f} ({fit.local.r2_alone:.2f} fitted on totals alone)" in shown._summary.object
    assert session.state.models == [alone, fit]
    shown._local_weight.value = 0.0
    asyncio.run(shown.fit())
    assert "enter a number above 0" in messages()[0]
    shown._targets.value = CROSS_VALIDATED
    assert not shown._local_weight.visible
    asyncio.run(shown.fit())
    assert session.state.fit.local.weight in (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


@pytest.fixture
def with_locals(linear_dataset):
    """Entropies of atoms that are linear in the descriptor, of every third structure, and totals that are not quite."""
    descriptor = get_descriptor("AFS", n_max=4, l_max=3)
    bulk, rng = linear_dataset.bulks[0], np.random.default_rng(3)
    D = [descriptor.compute(e.atoms) - descriptor.total(bulk) / len(bulk) for e in linear_dataset.entries]
    weights = rng.normal(size=descriptor.n_features) / np.sqrt(np.mean(np.concatenate(D) ** 2, axis=0))
    entries = [
        replace(e, formation_entropy=float(d.sum(axis=0) @ weights), local_entropy=d @ weights if k % 3 == 0 else None)
        for k, (e, d) in enumerate(zip(linear_dataset.entries, D, strict=True))
    ]
    data = Dataset.from_entries("locals", [bulk], entries, linear_dataset.metadata)
    data.with_features(default_descriptor(), *_totals(linear_dataset))
    return data


def test_the_python_shown_repeats_the_fit(session, copies, tmp_path):
    fit = fit_model(copies, get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0), test_proportion=0.25, seed=4)
    copies.save(tmp_path / "copies.h5")
    code = python_code(fit)
    assert "groups=data.parents" in code
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert float(found.split()[2]) == pytest.approx(fit.rmse(fit.test), rel=1e-6)


def test_the_python_shown_names_shipped_data_and_local_weights(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    assert "load_dataset('linear.h5')  # these 24 structures" in python_code(fit)
    local = tasks.LocalScore(weight=30.0, n_fitted=1, n_judged=0, r2=np.nan, r2_alone=np.nan)
    assert ".fit(data.subset(~test), local_weight=30)" in python_code(replace(fit, local=local))


def test_the_table_to_download_holds_every_structure(shown, session):
    fit = session.state.fit
    rows = list(csv.reader(io.StringIO(csv_table(fit))))
    assert tuple(rows[0]) == COLUMNS
    assert [row[0] for row in rows[1:]] == fit.data.names.tolist()
    for row, held_out, true, predicted, half in zip(
        rows[1:], fit.test, fit.true, fit.predicted, fit.half_width, strict=True
    ):
        assert row[2] == ("test" if held_out else "train")
        assert [float(value) for value in row[3:5]] == pytest.approx([true, predicted], abs=1e-6)
        assert row[5:7] == ["", ""] or float(row[6]) - float(row[5]) == pytest.approx(2 * half, abs=2e-6)
        assert bool(row[5]) == held_out


def test_weights_and_code_are_made_when_they_are_looked_at(shown, session):
    assert shown._weights.objects == []
    shown._what.value = "Weights"
    assert [view.visible for view in shown._views.values()] == [False, True, False]
    heading, _ = shown._weights.objects
    assert heading.object == "AFS"
    shown._what.value = "Python"
    assert shown._code.value == python_code(session.state.fit)
    enter(shown, n_max=3, l_max=2, cutoff=4.0)
    asyncio.run(shown.fit())
    assert "n_max=3" in shown._code.value


def test_the_form_says_how_the_model_in_view_was_made_also_one_of_a_link(shown, session, linear_dataset):
    first = session.state.fit
    descriptor = get_descriptor("AFS", n_max=4, l_max=2, cutoff=4.0)
    linked = fit_model(session.state.dataset, descriptor, test_proportion=0.4, seed=7)
    session.state.show_fit(linked)
    assert shown._form.descriptor() == descriptor
    assert (shown._test_proportion.value, shown._seed.value) == (0.4, 7)
    session.state.show_fit(first)
    assert shown._form.descriptor() == first.model.descriptor
    session.state.show_fit(fit_model(session.state.dataset, get_descriptor("BSO4"), test_proportion=0.2, seed=1))
    assert shown._form.descriptor() == get_descriptor("BSO4")


def test_what_is_entered_while_a_fit_is_on_its_way_stays(shown, session):
    enter(shown, cutoff=4.5)
    shown._fit_totals(session.state.fit.model.descriptor)
    assert shown._form.inputs["cutoff"].value == 4.5
