"""The stories: what they compute is the engine's, every step can be told, the page turns them."""

import asyncio

import numpy as np
import pytest
from bokeh.models import LayoutDOM

import ldml
from dashboards.figures.stories import Curve, curves
from dashboards.pages.numbers import typeset
from dashboards.pages.teach import TeachPage
from dashboards.stories import STORIES, measured
from dashboards.stories.measured import left_out_error
from ldml.progress import NULL_PROGRESS
from ldml.structures import vacancy_cluster


@pytest.fixture(scope="module")
def small():
    """Small cells and few structures make the same story."""
    patch = pytest.MonkeyPatch()
    patch.setattr(measured, "REPEATS", 4)
    patch.setattr(measured, "N_FITTED", 24)
    patch.setattr(measured, "CUTOFFS", (3.6, 5.0, 6.0))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def told(small, tmp_path_factory):
    """What each story measured, by title."""
    patch = pytest.MonkeyPatch()
    patch.setenv("LDML_CACHE", str(tmp_path_factory.mktemp("cache")))
    found = {story.title: story.measure(NULL_PROGRESS) for story in STORIES}
    patch.undo()
    return found


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_every_step_can_be_told(story, told):
    assert len(story.steps) == 5
    for step in story.steps:
        text = step.text(told[story.title])
        assert "nan" not in text
        assert text.count("**") % 2 == 0
        assert isinstance(step.figure(told[story.title]), LayoutDOM)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("adds **-0.53 k_B**, (-7.3)", "adds **−0.53 k<sub>B</sub>**, (−7.3)"),
        ("S_f, S_i − S_bulk", "S<sub>f</sub>, S<sub>i</sub> − S<sub>bulk</sub>"),
        ("1.9e+03 or 2e-07", "1.9&nbsp;×&nbsp;10<sup>3</sup> or 2&nbsp;×&nbsp;10<sup>−7</sup>"),
        ("a <110> dumbbell of `fe-meam-8a0` 2-3", "a &lt;110&gt; dumbbell of `fe-meam-8a0` 2-3"),
    ],
)
def test_sentences_are_typeset(written, printed):
    assert typeset(written) == printed


def test_a_legend_keeps_clear_of_the_curves():
    x, y = np.arange(3.0), np.array([9.0, 3.0, 1.0])
    drawn = {
        "falling": Curve(x, y, "named"),
        "rising": Curve(x, y[::-1], "named"),
        "from the right": Curve(-x, y, "named"),
    }
    places = {name: curves(curve, x_label="x", y_label="y").legend.location for name, curve in drawn.items()}
    assert places == {"falling": "top_right", "rising": "top_left", "from the right": "top_left"}


def test_the_dumbbell_is_that_of_the_library(told, am04, crystal4):
    found = told["A soft dumbbell mode"]
    vacancy = ldml.relax(vacancy_cluster(crystal4, 1), am04).atoms
    assert found["entropy_vacancy"] == pytest.approx(ldml.formation_entropy(vacancy, crystal4, am04).value, abs=1e-5)
    assert found["stiffness"][0] < 0.1 < found["stiffness"][1]
    assert found["shares"].sum() == pytest.approx(1.0)


def test_the_saddle_has_one_unstable_mode_and_the_literatures_barrier(told):
    found = told["What a saddle looks like"]
    assert (found["frequencies"]["saddle"] < 0).sum() == 1
    assert (found["frequencies"]["minimum"] > 0).all()
    # G. J. Ackland et al., J. Phys.: Condens. Matter 16, S2629 (2004): 0.64 eV
    assert found["barrier"] == pytest.approx(0.64, abs=0.02)
    assert found["energy"].max() == pytest.approx(found["barrier"], abs=1e-5)
    assert found["energy"].argmax() == len(found["energy"]) // 2
    assert found["energy"] == pytest.approx(found["energy"][::-1], abs=1e-6)
    slope = np.polyfit(1.0 / found["temperature"], np.log(found["rate"]), 1)[0]
    assert -slope * 8.617333e-5 == pytest.approx(found["barrier"], rel=1e-6)


def test_copies_flatter(told):
    found = told["Why random splits flatter"]
    at_random, parents = (found["curves"][name]["rmse_test"] for name in ("at random", "whole parents"))
    assert (parents > at_random).all()
    assert found["parents"] < found["structures"]


def test_the_error_left_out_is_the_noise_of_a_linear_law(rng):
    X = rng.normal(size=(400, 6))
    y = X @ rng.normal(size=6) + 0.1 * rng.normal(size=400)
    assert left_out_error(X, y, np.arange(400) // 2) == pytest.approx(0.1, rel=0.1)


def test_the_page_turns_the_steps(session, told):
    page = TeachPage(session)
    story = page.story
    assert page._start.visible
    assert not page._told.visible
    page._measured[story.title] = told[story.title]
    page._turn_to(0)
    assert page._back.disabled
    assert page._place.object == "1 of 5"
    for _ in range(7):
        page._turn_to(page._step + 1)
    assert page._next.disabled
    assert page._title.object == story.steps[4].title
    page._presenter.value = True
    assert page._text.styles["font-size"] == "26px"
    page._choice.value = STORIES[1].title
    assert page._start.visible


def test_a_step_opens_its_place_in_the_app(session, told):
    page = TeachPage(session)
    page._measured[page.story.title] = told[page.story.title]
    page._turn_to(3)
    asyncio.run(page.open_scene())
    assert session.state.page == "Structure"
    assert session.state.dataset.name == measured.EXPLORED
