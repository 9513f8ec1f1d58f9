"""Pages one by one: each displays by itself, and what is chosen in one shows in the others."""

import panel as pn
import pytest

import ldml
from dashboards.apart import Pages
from dashboards.app import PAGES
from ldml.errors import InputError


@pytest.fixture
def pages(session, linear_dataset):
    return Pages(linear_dataset.subset(range(len(linear_dataset))), session)


def test_every_page_stands_by_itself(pages):
    assert dir(pages) == sorted(name.lower() for name in PAGES)
    for name in dir(pages):
        page = getattr(pages, name)
        assert isinstance(page, pn.Column)
        assert getattr(pages, name) is page
        page.get_root().destroy()
    assert repr(pages).startswith(f"pages of {pages._session.state.dataset.name}: data, model")


def test_a_structure_chosen_in_one_shows_in_the_others(pages, session):
    pages.model, pages.structure, pages.data  # noqa: B018
    assert session.state.fit is not None
    assert session.state.page == "Data"
    for i in (5, 2):
        session.state.select(i)
        name = str(session.state.dataset.names[i])
        shown = pages.structure.select(lambda part: getattr(part, "label", None) == "Structure")
        assert [part.value for part in shown] == [name]


def test_a_name_that_is_no_page_is_said(pages):
    with pytest.raises(AttributeError, match="no page 'parity'; choose one of data, model"):
        pages.parity  # noqa: B018


def test_what_cannot_be_opened_or_drawn_is_said(monkeypatch, linear_dataset):
    with pytest.raises(InputError, match="nowhere"):
        ldml.pages("nowhere.h5")
    monkeypatch.setattr("ldml.jupyter.find_spec", lambda name: None if name == "panel" else True)
    with pytest.raises(InputError, match=r"ldml.pages needs panel; .*pip install"):
        ldml.pages(linear_dataset)
