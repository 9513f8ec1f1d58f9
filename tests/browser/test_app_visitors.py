"""Several visitors of one server, in real browsers: what is whose, a closed tab, a killed worker, files too large."""

import os
import re
import signal

import pytest
from app_actions import Faults, small_dataset, stop_all_servers, turn_to, upload, wait_until

pytestmark = pytest.mark.browser

LIFETIME = {"unused_session_lifetime_milliseconds": 8000, "check_unused_sessions_milliseconds": 500}


@pytest.fixture(scope="module")
def address(runner, tmp_path_factory):
    """A server that makes each visitor a session, forgets those who have left in 8 s, and takes files of 1 MB."""
    from panel.tests.util import serve_and_wait

    from dashboards.app import create_app
    from dashboards.session import Session

    path = tmp_path_factory.mktemp("data") / "small.h5"
    small_dataset().save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LDML_APP_DATASET", str(path))
        patch.setenv("LDML_APP_UPLOAD_MB", "1")
        port = serve_and_wait(lambda: create_app(Session(runner=runner)), **LIFETIME)
        yield f"http://localhost:{port}"
    stop_all_servers()


@pytest.fixture
def visit(browser, address):
    """Open the app in a browser window of its own; none may ask another host, or report an error but that of a large file."""
    windows = []

    def open_window():
        page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        page.set_default_timeout(60_000)
        windows.append((page, Faults(page)))
        page.goto(address)
        page.get_by_text("small, 24 structures").wait_for()
        page.get_by_text("test RMSE").first.wait_for()
        return page

    yield open_window
    for page, _ in windows:
        page.context.close()
    for _, faults in windows:
        faults.errors = [error for error in faults.errors if "exceeds maximum file size" not in error]
        faults.assert_none()


@pytest.fixture
def vacancy_job(runner):
    """Start a job of some seconds on the Reference page, on a vacancy in a cell of 4a0 and more; the process that has it.

    Each size is asked for once: an answer that is known comes at once.
    """

    def start(page, more, n_atoms):
        turn_to(page, "Reference")
        slider = page.get_by_role("slider", name=re.compile("Cell size")).locator("visible=true").first
        slider.focus()
        for _ in range(more):
            slider.press("ArrowRight")
        page.get_by_text(re.compile(f"{n_atoms} atoms: estimated")).wait_for()
        page.get_by_role("button", name="Compute", exact=True).click()
        page.get_by_text(re.compile("diagonalisation")).wait_for()
        (process,) = runner._workers[0]._pool._processes
        return process

    return start


def test_two_visitors_share_no_state(visit):
    one, other = visit(), visit()
    field = one.get_by_role("textbox", name="Name, class or parent contains")
    field.fill("I2")
    field.press("Enter")
    one.get_by_role("button", name="Use these 12 as the dataset").click()
    one.get_by_text("12 of 24 structures").first.wait_for()
    assert other.get_by_text("small, 24 structures").is_visible()
    assert "V2-00" in other.get_by_role("gridcell").all_inner_texts()
    turn_to(other, "Model")
    other.get_by_text("Tap a point to see its structure").wait_for()
    assert one.locator("[role=tab][aria-selected=true]").inner_text() == "Data"


def test_a_closed_tab_frees_its_worker(visit, vacancy_job, runner):
    one = visit()
    vacancy_job(one, 4, "1,?023")
    one.close()
    other = visit()
    wait_until(other, lambda: runner.n_jobs == 0)
    assert runner._workers[0]._pool is not None  # it stopped its job and lives on


def test_a_killed_worker_is_said_and_its_job_tried_again(visit, vacancy_job):
    page = visit()
    process = vacancy_job(page, 5, "1,?457")
    os.kill(process, signal.SIGKILL)
    page.get_by_text("worker process died").wait_for()
    assert page.get_by_role("button", name="Give up").is_visible()
    page.get_by_role("button", name="Try again").click()
    page.get_by_text(re.compile("diagonalisation")).wait_for()
    page.get_by_role("button", name="Cancel").locator("visible=true").click()
    page.get_by_text("Exact entropy cancelled").wait_for()


def test_a_file_over_the_limit_is_refused_by_name(visit, tmp_path):
    page = visit()
    (tmp_path / "huge.h5").write_bytes(bytes(2_000_000))
    upload(page, tmp_path / "huge.h5")
    said = page.get_by_role("alert").filter(has_text="huge.h5")
    said.wait_for()
    assert "1 MB" in said.inner_text()
    assert page.get_by_text("small, 24 structures").is_visible()
