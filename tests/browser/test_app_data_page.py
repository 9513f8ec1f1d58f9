"""The Data page in a real browser: a box in a plot chooses structures, the choice becomes the dataset; a file is mapped."""

import re

import ase.io
import pytest
from app_actions import small_dataset, wait_until

pytestmark = pytest.mark.browser

# draws a box in the k-th plot in sight, in pixels from its corner; all at once, since a slow start is a press to Bokeh
DRAW_BOX = """([k, from, to]) => {
  const layers = []
  const find = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.classList.contains("bk-events")) layers.push(element)
      if (element.shadowRoot) find(element.shadowRoot)
    }
  }
  find(document)
  const layer = layers.filter((element) => element.getBoundingClientRect().width > 0)[k]
  const box = layer.getBoundingClientRect()
  layer.setPointerCapture = () => {}  // there is no such pointer
  const send = (type, at, buttons) => layer.dispatchEvent(new PointerEvent(type, {
    bubbles: true, composed: true, pointerId: 1, isPrimary: true, pointerType: "mouse", button: 0, buttons,
    clientX: box.x + at[0], clientY: box.y + at[1],
  }))
  send("pointerdown", from, 1)
  send("pointermove", [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], 1)
  send("pointermove", to, 1)
  send("pointerup", to, 0)
  delete layer.setPointerCapture
}"""
ENTROPY, LANDSCAPE = 0, 2
"""Places of the plots."""


@pytest.fixture(scope="module")
def dataset():
    return small_dataset()


@pytest.fixture
def page(session, app):
    """The page that all tests of this file share."""
    return app.page


def n_chosen(page):
    return int(re.match(r"(\d+) of 24", page.get_by_text("structures chosen").inner_text())[1])


def n_rows(page):
    return page.get_by_role("gridcell", name=re.compile(r"^(V2|I2)-\d\d$")).count()


def test_a_box_chooses_structures_and_they_become_the_dataset(page, session):
    page.evaluate(DRAW_BOX, [ENTROPY, [120, 60], [220, 90]])
    wait_until(page, lambda: 0 < n_chosen(page) < 24)
    chosen = n_chosen(page)
    wait_until(page, lambda: n_rows(page) == min(chosen, 12))
    page.evaluate(DRAW_BOX, [LANDSCAPE, [60, 35], [200, 175]])
    wait_until(page, lambda: 0 < n_chosen(page) != chosen)
    page.get_by_role("button", name="I2", exact=True).click()  # leaves V2
    wait_until(page, lambda: "I2" not in "".join(page.get_by_role("gridcell").all_inner_texts()))
    n = n_chosen(page)
    page.get_by_role("button", name=f"Use these {n} as the dataset").click()
    page.get_by_text(f"small, {n} of 24 structures").wait_for()
    assert set(session.state.dataset.labels) == {"V2"}
    page.get_by_role("button", name="Back to all 24 structures").click()
    page.get_by_text("small, 24 structures").wait_for()
    assert len(session.state.dataset) == 24


def test_defects_are_found_and_mapped(page, session):
    page.get_by_role("button", name="Find them").click()
    page.get_by_role("button", name="Find them").wait_for(state="hidden")
    page.get_by_role("columnheader", name="n_V").wait_for()
    assert not page.get_by_role("alert").all()


def test_a_file_without_labels_is_previewed_mapped_and_opened(page, session, dataset, tmp_path):
    frames = [dataset[k] for k in range(3)]
    for k, frame in enumerate(frames):
        frame.info = {"my_entropy": 1.5 + k}
    path = tmp_path / "<b>mine.xyz"
    ase.io.write(path, frames, format="extxyz")
    page.locator("input[type=file]").first.set_input_files(path)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Open <b>mine.xyz?").wait_for()
    dialog.get_by_text("3 structures have no S_f").wait_for()
    dialog.get_by_role("combobox", name="S_f is in the field").click()
    page.get_by_role("menuitem", name="my_entropy").click()
    dialog.get_by_text("3 structures have no S_f").wait_for(state="hidden")
    dialog.get_by_role("button", name="Open", exact=True).click()
    wait_until(page, lambda: len(session.state.dataset) == 3)
    assert session.state.dataset.formation_entropy.tolist() == [1.5, 2.5, 3.5]
    assert session.state.dataset.labels.tolist() == ["V2"] * 3
    page.get_by_text(re.compile("mine, 3 structures")).wait_for()
