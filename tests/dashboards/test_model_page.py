"""The Model shown: the form, the fit, the plot and what a tap in it does."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from test_state import with_unknown

from dashboards.pages.model import ModelPage, error_table, work_to_do
from dashboards.state import default_descriptor
from ldml.descriptors import get_descriptor
from ldml.regression import load_model


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    return ModelPage(session)


def enter(shown, **values):
    for name, value in values.items():
        shown._form.inputs[name].value = value


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
    assert len(session.runner.jobs) == 1
    assert session.state.fit is not None
    asyncio.run(shown.fit())
    assert len(session.runner.jobs) == 1  # computed once


def test_other_parameters_are_computed_and_the_curve_of_the_old_ones_goes(shown, session):
    session.state.split_curve = None
    enter(shown, n_max=3, l_max=2, cutoff=4.0)
    asyncio.run(shown.fit())
    assert session.state.fit.model.descriptor == get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)
    assert len(session.runner.jobs) == 1


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
    shown = ModelPage(session)
    fit = session.state.fit
    target = int(np.argmax(fit.true))
    shown.tapped(SimpleNamespace(x=fit.true[target], y=fit.predicted[target]))
    assert session.state.page == "Structure"
    assert data.names[session.state.selected] == fit.data.names[target]
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
