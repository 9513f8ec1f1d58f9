"""The app in a real browser: models side by side, honest test sets, and the four questions about splits."""

import re

import numpy as np
import pytest
from app_actions import POINT, choose, enter, messages, rattled_defects, turn_to, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def dataset():
    """20 rattled defects of 4a0 and a copy of each, with entropies linear in their number, the descriptor's totals at hand."""
    from dataclasses import replace

    from dashboards.state import default_descriptor
    from ldml.dataset import Dataset
    from ldml.potentials import perfect_crystal
    from ldml.structures import rattled

    rng = np.random.default_rng(8)
    bulk = perfect_crystal("Fe-AM04", 4)
    parents = rattled_defects(bulk, 10)
    entries = []
    for parent in parents:
        copy = rattled(parent.atoms, 0.01, rng)
        value = parent.formation_entropy + 0.1
        entries += [
            parent,
            replace(parent, atoms=copy, name=f"{parent.name}-copy", formation_entropy=value, parent=parent.name),
        ]
    data = Dataset.from_entries("pairs", [bulk], entries, {"potential": "Fe-AM04"})
    data.descriptor_differences(default_descriptor())
    return data


@pytest.fixture
def page(session, app):
    """The page that all tests of this file share."""
    return app.page


def test_models_are_fitted_compared_shown_again_removed_and_taken_away(page, session):
    turn_to(page, "Model")
    page.get_by_text("40 structures are copies, such as strained ones, of 20 parents").wait_for()
    page.get_by_text(re.compile("held out, whole parents together")).wait_for()
    wait_until(page, lambda: page.evaluate(POINT, "I2-09") is not None)
    first = session.state.fit
    page.get_by_role("switch", name="Hold out whole parents").uncheck()
    page.get_by_text("its error flatters").wait_for()
    page.get_by_role("button", name="Fit", exact=True).click()
    wait_until(page, lambda: len(session.state.models) == 2)
    page.get_by_text(re.compile(r"with whole parents held out \d\.\d+ k_B")).wait_for()
    assert page.get_by_role("row", name=re.compile("^[AB]: AFS")).count() == 2
    choose(page, "Model in view", "A")
    wait_until(page, lambda: session.state.fit is first)
    page.get_by_role("button", name="Remove").click()
    wait_until(page, lambda: first not in session.state.models)
    page.get_by_role("button", name="Undo").click()
    wait_until(page, lambda: session.state.fit is first)
    page.get_by_role("button", name="Weights").click()
    page.get_by_text("what it typically adds to a difference in S_f").wait_for()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Python", exact=True).click()
    page.get_by_role("button", name="Copy as Python").click()
    wait_until(page, lambda: "groups=data.parents" in page.evaluate("navigator.clipboard.readText()"))
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert download.value.path().read_text().startswith("name,class,part,exact_k_B")
    assert not messages(page)
    page.get_by_role("button", name="Parity", exact=True).click()


def test_each_question_about_splits_is_answered_when_it_is_chosen(page, session):
    turn_to(page, "Splits")
    page.get_by_text("Drawn at random, test structures have copies of their parents").wait_for()
    for question, words in (
        ("Classes", "suffers most from being left out"),
        ("Learning curve", "structures the"),
        ("Coverage", "Intervals that promise 90 %"),
    ):
        choose(page, "Question", question)
        page.get_by_text(words).first.wait_for()
    enter(page, "Repeats", 3)
    before = session.state.coverage
    page.get_by_role("button", name="Run", exact=True).click()
    wait_until(page, lambda: session.state.coverage is not before)
    assert not messages(page)
