"""The address of the page: what is shown comes back from it, and hostile values do nothing."""

import pytest

from dashboards import url_state
from dashboards.pages.data import DataPage
from dashboards.pages.quantities import DIFFERENCE
from dashboards.selection import Columns, Filters
from dashboards.state import AppState, default_descriptor, fit_model
from dashboards.url_state import View, query_from, query_of, restore, search_of, view_of
from ldml.descriptors import AFS


@pytest.fixture
def named(monkeypatch, linear_dataset):
    """The small dataset under the name of a sample."""
    monkeypatch.setattr(url_state, "sample_manifest", lambda: {linear_dataset.name: {}})
    return linear_dataset


def test_a_view_comes_back_from_its_address(named):
    first, second = AppState(), AppState()
    first.open_dataset(named)
    first.select(5)
    first.fit = fit_model(named, default_descriptor(), test_proportion=0.25, seed=3)
    first.page, first.quantity = "Model", DIFFERENCE
    view = view_of(query_from(search_of(query_of(first))))
    assert view.problems == ()
    assert view.dataset == named.name
    second.open_dataset(named)
    assert restore(second, named, view) == []
    assert (second.page, second.selected, second.fit.seed) == ("Model", 5, 3)
    assert second.quantity == DIFFERENCE
    assert second.models == [second.fit]
    assert (second.fit.test == first.fit.test).all()
    assert query_of(second) == query_of(first)


def test_filters_and_the_part_in_use_come_back_from_the_address(named, session):
    first = AppState()
    first.open_dataset(named)
    by = Filters(hidden=frozenset({"V2"}), ranges={"E_f": (2.25, 2.85)})
    first.open_subset(Columns(named).chosen(by), by)
    first.filters = Filters(words="I2-0", crystal=0, exact_only=False)
    view = view_of(query_from(search_of(query_of(first))))
    assert view.problems == ()
    session.state.open_dataset(named)
    assert restore(session.state, named, view) == []
    assert session.state.dataset.names.tolist() == first.dataset.names.tolist()
    assert session.state.whole is named
    assert session.state.last_step is None
    page = DataPage(session)  # made after the link was read
    assert page._selection.filters == first.filters
    session.state.filters = Filters()
    assert page._selection.filters.are_empty
    page._filters._words.value = "V2"
    assert session.state.filters.words == "V2"


def test_filters_on_what_is_not_known_are_said_and_left_out(named):
    state, data = AppState(), named.subset(range(len(named)))  # whose defects nobody has looked for
    state.open_dataset(data)
    view = view_of(
        {"filters": '{"ranges": {"between defects": [1, 2], "S_f": [4, 5]}}', "part": '[{"words": "none such"}]'}
    )
    problems = restore(state, data, view)
    assert "no structure passes" in problems[0]
    assert "between defects" in problems[1]
    assert state.dataset is data
    assert dict(state.filters.ranges) == {"S_f": (4.0, 5.0)}


def test_nothing_asked_is_the_default_view():
    assert view_of({}) == View()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data", "/etc/passwd"),
        ("data", "../../secret.h5"),
        ("page", "<script>alert(1)</script>"),
        ("descriptor", "{"),
        ("descriptor", "[1]"),
        ("descriptor", '{"name": "AFS", "n_max": 1e9}'),
        ("descriptor", '{"name": "__import__"}'),
        ("descriptor", "[" * 1900),
        ("test", "nan"),
        ("test", "2"),
        ("seed", "-1"),
        ("seed", "1" * 100),
        ("parents", "maybe"),
        ("colour", "<b>red</b>"),
        ("structure", "x" * 5000),
        ("filters", "[]"),
        ("filters", '{"ranges": {"S_f": [1]}}'),
        ("filters", '{"ranges": {"S_f": [NaN, 1]}}'),
        ("filters", '{"ranges": 3}'),
        ("filters", '{"crystal": "all"}'),
        ("filters", '{"hidden": [1]}'),
        ("part", '{"words": "I2"}'),
    ],
)
def test_what_makes_no_sense_is_said_and_left_out(key, value):
    view = view_of({key: value})
    assert len(view.problems) == 1
    assert key in view.problems[0]
    assert view == View(problems=view.problems)


def test_what_the_dataset_does_not_have_is_said(named):
    state = AppState()
    state.open_dataset(named)
    view = View(structure="gone", descriptor=AFS(n_max=2, l_max=1, cutoff=3.5), page="Splits")
    problems = restore(state, named, view)
    assert "'gone'" in problems[0]
    assert "not at hand" in problems[1]
    assert (state.selected, state.fit, state.page) == (-1, None, "Splits")


def test_the_name_of_an_upload_stays_out_of_the_address(linear_dataset):
    state = AppState()
    state.open_dataset(linear_dataset)
    assert query_of(state)["data"] is None


def test_copies_held_out_apart_come_back_so(named, monkeypatch):
    copies = named.subset(range(len(named)))
    monkeypatch.setattr(url_state, "shares_parents", lambda data: True)
    first, second = AppState(), AppState()
    first.open_dataset(copies)
    first.fit = fit_model(copies, default_descriptor(), test_proportion=0.25, seed=3, by_parents=False)
    view = view_of(query_from(search_of(query_of(first))))
    assert not view.by_parents
    second.open_dataset(copies)
    restore(second, copies, view)
    assert (second.fit.test == first.fit.test).all()
