"""The app as a whole, without a browser."""

import gc
import weakref
from types import SimpleNamespace

import panel as pn
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dashboards import app
from dashboards.app import PAGES, create_app, status_line
from dashboards.session import Session
from dashboards.state import default_descriptor, fit_model
from ldml.descriptors import AFS


@pytest.fixture
def tabs(session, linear_dataset):
    session.state.open_dataset(linear_dataset)
    *_, tabs = create_app(session).main
    return tabs


def test_tabs_and_state_follow_each_other(session, tabs):
    assert tabs._names == list(PAGES)
    session.state.select(0, show=True)
    assert tabs.active == list(PAGES).index("Structure")
    tabs.active = 1
    assert session.state.page == "Model"


def test_the_first_page_is_there_at_once(tabs):
    assert tabs[0].objects


def test_the_servers_own_sums_keep_to_one_core(session, linear_dataset):
    """Threads that wait for one another beside workers and browsers made a fit of 0.2 s take 2 s."""
    session.state.open_dataset(linear_dataset)
    with threadpool_limits(limits=2, user_api="blas"):
        app._keep_to_one_core.cache_clear()
        create_app(session)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_the_page_hears_of_its_own_visitor_only(session, linear_dataset):
    """Panel's flag is one for all visitors of a server."""
    session.state.open_dataset(linear_dataset)
    page = create_app(session)
    pn.state._add_busy_event("another visitor's")
    assert not page.busy
    session.state.computing = True
    assert page.busy
    pn.state._remove_busy_event("another visitor's")


def test_a_page_is_given_up_with_its_visitor(linear_dataset, monkeypatch):
    monkeypatch.setattr(type(pn.state), "on_session_destroyed", lambda self, callback: None)  # kept by the visit
    session = Session(runner=SimpleNamespace())
    session.state.open_dataset(linear_dataset)
    left = [weakref.ref(session), weakref.ref(create_app(session))]
    session = None
    gc.collect()
    assert [it() for it in left] == [None, None]


def test_the_status_line_says_what_is_open(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    assert "No dataset" in status_line(None, None, -1)
    assert "Opening <b>mine</b>" in status_line(None, None, -1, "mine")
    assert "no model" in status_line(linear_dataset, None, -1)
    text = status_line(linear_dataset, fit, 3)
    assert "24 structures" in text
    assert "n_max = 20" in text
    assert f"{fit.rmse(fit.test):.3f}" in text
    assert linear_dataset.names[3] in text


def test_the_variable_names_the_dataset_to_open_with(session, linear_dataset, tmp_path, monkeypatch):
    linear_dataset.save(tmp_path / "mine.h5")
    monkeypatch.setenv(app.DATASET_VARIABLE, str(tmp_path / "mine.h5"))
    create_app(session)
    assert (session.state.dataset.names == linear_dataset.names).all()


def test_a_dataset_that_is_not_there_is_said_and_the_app_opens(session, messages, tmp_path, monkeypatch):
    monkeypatch.setenv(app.DATASET_VARIABLE, str(tmp_path / "gone.h5"))
    create_app(session)
    assert session.state.dataset is None
    assert "gone.h5" in messages()[0]


def test_lengths_in_the_status_line_have_the_unit_of_the_dataset(clusters):
    data, descriptor = clusters.subset(range(len(clusters))), AFS(n_max=3, l_max=2, cutoff=4.0)
    data.descriptor_differences(descriptor)
    assert "cutoff = 4 σ" in status_line(data, fit_model(data, descriptor, test_proportion=0.2, seed=0), -1)
