"""An update of a component costs what it changes, and all data keep the mark by which Panel cleans up after a page."""

import pytest

pytest.importorskip("panel")

import panel as pn
import panel_material_ui as pmui
from bokeh.document import Document
from bokeh.model import DataModel

from dashboards import light_updates


@pytest.fixture
def page():
    """A page of many parts, and the model of it that the browser gets."""
    light_updates.mark_once()
    inside = pn.Column(*(pmui.Column(*(pmui.Button(label=str(n)) for n in range(5))) for _ in range(10)))
    page = pmui.Page(main=[inside])
    return page, inside, page.get_root(Document())


def _data_and_marks(root):
    data = list(root.select({"type": DataModel}))
    return data, [model for model in data if f"__ref:{root.ref['id']}" in model.tags]


def test_all_data_of_a_page_are_marked(page):
    _, _, root = page
    data, marked = _data_and_marks(root)
    assert len(data) > 60
    assert marked == data


def test_data_of_parts_that_come_later_are_marked(page):
    """In a container of Panel's, in one of Material's, and in the page itself."""
    page, inside, root = page
    before = len(_data_and_marks(root)[0])
    inside.append(pmui.Card(pmui.Button(label="late")))
    inside[0].append(pmui.Row(pmui.Button(label="later")))
    page.main = [*page.main, pmui.Column(pmui.Button(label="latest"))]
    data, marked = _data_and_marks(root)
    assert len(data) >= before + 6
    assert marked == data


def test_a_flag_of_the_page_does_not_walk_through_it(page, monkeypatch):
    page, _, _ = page
    visited = []
    walk = light_updates.visit_immediate_value_references

    def counted(model, visitor):
        visited.append(model)
        walk(model, visitor)

    monkeypatch.setattr(light_updates, "visit_immediate_value_references", counted)
    page.sidebar_open = not page.sidebar_open
    assert 0 < len(visited) < 5  # of over 100
