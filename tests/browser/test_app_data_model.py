"""The app in a real browser: Data, Model and Splits."""

import re
from dataclasses import replace

import browser_jobs
import numpy as np
import pytest
from app_actions import POINT, accept, choose, enter, messages, small_dataset, tap_point, turn_to, upload, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def dataset():
    return small_dataset()


@pytest.fixture
def page(session, app):
    """The page that all tests of this file share."""
    return app.page


def test_the_app_opens_with_its_pages_and_a_model(page, session):
    assert [tab.inner_text() for tab in page.get_by_role("tab").all()] == [
        "Data",
        "Model",
        "Splits",
        "Structure",
        "Reference",
        "Scaling",
        "Teach",
    ]
    assert page.get_by_text("small, 24 structures").is_visible()
    turn_to(page, "Model")
    wait_until(page, lambda: session.state.page == "Model")
    page.get_by_text("Tap a point to see its structure").wait_for()


def test_a_tap_in_the_parity_plot_shows_its_structure_beside_it_and_open_its_page(page, session):
    turn_to(page, "Model")
    for name in ("V2-05", "I2-11"):
        tap_point(page, POINT, name, lambda name=name: session.state.dataset.names[session.state.selected] == name)
        n_atoms = len(session.state.dataset.entries[session.state.selected].atoms)
        page.get_by_role("application", name=f"3D view of {n_atoms} atoms").locator("visible=true").wait_for()
        page.get_by_text(f"in view: {name}").wait_for()
    assert session.state.page == "Model"
    page.get_by_role("button", name="Open on the Structure page").locator("visible=true").click()
    wait_until(page, lambda: session.state.page == "Structure")
    page.locator("[role=tab][aria-selected=true]", has_text="Structure").wait_for()
    turn_to(page, "Model")
    page.get_by_role("button", name="Errors", exact=True).locator("visible=true").click()
    page.get_by_text("Tap a point to see its structure").wait_for()
    turn_to(page, "Data")
    page.locator(".tabulator-selected", has_text="I2-11").wait_for()
    assert page.locator(".tabulator-page.active").inner_text() == "2"  # of two pages of the table


def test_a_row_of_the_table_opens_in_3d(page, session):
    page.get_by_role("gridcell", name="V2-03").click()
    wait_until(page, lambda: session.state.selected == 3)
    page.get_by_role("button", name="Open in 3D").click()
    wait_until(page, lambda: session.state.page == "Structure")


def test_another_split_is_fitted_at_once_again_and_again(page, session):
    turn_to(page, "Model")
    for seed in (1, 2):
        before = session.state.fit
        enter(page, "Seed of the split", seed)
        wait_until(page, lambda seed=seed: page.get_by_label("Seed of the split").first.input_value() == str(seed))
        page.get_by_role("button", name="Fit", exact=True).click()
        wait_until(page, lambda before=before: session.state.fit is not before)
        page.wait_for_timeout(500)
        assert not messages(page)
        assert page.evaluate(POINT, "I2-11") is not None


def test_a_cutoff_too_large_is_explained_and_another_is_computed_in_the_background_and_can_be_cancelled(
    page, session, runner, flag
):
    before = session.state.fit
    turn_to(page, "Model")
    enter(page, "cutoff (Å)", 8)
    page.get_by_role("button", name="Fit", exact=True).click()
    alert = page.get_by_role("alert").filter(has_text="half the smallest cell height")
    alert.wait_for()
    assert session.state.fit is before
    assert page.evaluate(POINT, "I2-11") is not None
    alert.get_by_role("button").click()
    alert.wait_for(state="hidden")
    other = runner.submit(browser_jobs.wait_for, str(flag))
    enter(page, "cutoff (Å)", 4.5)
    page.get_by_text("220 features, to compute for").wait_for()  # the value has arrived
    fit = page.get_by_role("button", name="Fit", exact=True)
    fit.click()
    page.get_by_text(re.compile("waiting, 1 job ahead")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("alert").filter(has_text="Fit cancelled").wait_for()
    assert session.state.fit is before
    fit.click()
    page.get_by_text(re.compile("waiting, . jobs? ahead")).wait_for()
    flag.touch()
    wait_until(page, lambda: session.state.fit is not before)
    assert session.state.fit.model.descriptor.parameters["cutoff"] == 4.5
    page.get_by_text("cutoff = 4.5 Å").first.wait_for()
    assert other.done
    assert not messages(page)


def test_another_descriptor_is_chosen_changed_and_fitted(page, session):
    turn_to(page, "Model")
    choose(page, "Descriptor", "BSO4")
    page.get_by_text("26 features, to compute for 24 structures").wait_for()
    enter(page, "j_max", 1.3)
    page.get_by_text("no multiple of 0.5").wait_for()
    enter(page, "j_max", 2)
    page.get_by_text("no multiple of 0.5").wait_for(state="hidden")
    assert not page.get_by_role("textbox", name="self_weight").is_visible()
    page.get_by_role("button", name="More parameters").click()
    enter(page, "self_weight", 0.5)
    page.get_by_role("button", name="Fit", exact=True).click()
    wait_until(page, lambda: session.state.fit.model.descriptor.name == "BSO4")
    page.get_by_text("BSO4, j_max = 2, diagonal = yes, cutoff = 5 Å, self_weight = 0.5").first.wait_for()
    assert page.evaluate(POINT, "I2-11") is not None
    assert not messages(page)


def test_the_split_curve_comes_by_itself_and_switches_to_mae(page, session):
    turn_to(page, "Splits")
    wait_until(page, lambda: session.state.split_curve is not None)
    page.get_by_text("the gap between the curves is overfitting").wait_for()
    rmse = page.get_by_text(re.compile(r"Fitted on \d+ structures")).inner_text()
    page.get_by_role("button", name="MAE").click()
    wait_until(page, lambda: page.get_by_text(re.compile(r"Fitted on \d+ structures")).inner_text() != rmse)
    page.get_by_role("button", name="RMSE").click()


def test_an_upload_is_opened(page, session, tmp_path):
    replace(session.state.dataset.subset(range(9)), name="mine").save(tmp_path / "mine.h5")
    upload(page, tmp_path / "mine.h5")
    accept(page)
    wait_until(page, lambda: session.state.dataset.name == "mine")
    page.get_by_text("mine, 9 structures").wait_for()


def test_a_large_file_that_is_no_dataset_is_explained_and_the_page_lives_on(page, session, tmp_path):
    (tmp_path / "noise.h5").write_bytes(
        np.random.default_rng(0).bytes(21_000_000)
    )  # more than a message of the server may have
    upload(page, tmp_path / "noise.h5")
    page.get_by_role("alert").filter(has_text="noise.h5").wait_for()
    assert session.state.dataset.name == "small"
    page.get_by_role("gridcell", name="V2-04").click()
    wait_until(page, lambda: session.state.selected == 4)


def test_names_in_an_upload_are_text_and_nothing_more(page, session, tmp_path):
    evil = "<img src=x onerror=\"document.title='changed'\">"
    entries = [replace(entry, name=f"{evil}{k}", label=evil) for k, entry in enumerate(session.state.dataset.entries)]
    data = type(session.state.dataset).from_entries(evil, session.state.dataset.bulks, entries, {"potential": evil})
    data.save(tmp_path / "evil.h5")
    upload(page, tmp_path / "evil.h5")
    accept(page)
    wait_until(page, lambda: session.state.dataset.name == evil)
    page.get_by_role("gridcell", name=f"{evil}3").click()
    wait_until(page, lambda: session.state.selected == 3)
    turn_to(page, "Structure")
    page.get_by_text(f"in view: {evil}3").wait_for()
    page.wait_for_timeout(500)
    assert "changed" not in page.title()


def test_dark_and_light_are_both_drawn(page, session, picture):
    turn_to(page, "Model")
    page.get_by_text("Tap a point to see its structure").wait_for()
    page.wait_for_timeout(500)
    main = page.locator("main")
    assert picture(main).mean() > 200
    page.locator("header button").last.click()
    wait_until(page, lambda: picture(main).mean() < 80)
    assert (picture(main) > 200).mean() > 0.002  # text and ticks stand out
    page.locator("header button").last.click()
    wait_until(page, lambda: picture(main).mean() > 200)
