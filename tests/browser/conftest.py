"""A real Chromium for the tests: nothing may be fetched from outside and nothing may fail in the page.

Tests marked ``browser`` are skipped where Chromium, pytest-playwright or the viewer's bundle is missing, except with
CI or LDML_REQUIRE_BROWSER in the environment: then they fail and say what is missing.
"""

import functools
import importlib.util
import io
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from app_actions import Faults, stop_all_servers

BUNDLE = Path(__file__).parents[2] / "dashboards" / "viewer" / "ngl_atoms.bundle.js"
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
]
PASSED = pytest.StashKey[bool]()


@functools.cache
def _chromium():
    """A system Chromium, else the one `playwright install` has put in place, else None."""
    system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if system or importlib.util.find_spec("playwright") is None:
        return system
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


@functools.cache
def _missing():
    if importlib.util.find_spec("pytest_playwright") is None:
        return "pytest-playwright is not installed"
    if importlib.util.find_spec("panel_material_ui") is None:
        return "panel-material-ui is not installed (pip install ldml[app])"
    if not BUNDLE.is_file():
        return "the viewer is not built: python hatch_build.py"
    if _chromium() is None:
        return "there is no Chromium: install the system's, or run `playwright install chromium`"
    return ""


@pytest.hookimpl(tryfirst=True)  # before the fixtures, which may need what is missing
def pytest_collection_modifyitems(items):
    items.sort(
        key=lambda item: item.get_closest_marker("browser") is None
    )  # they take longest: one process begins with them
    for item in items:
        if item.get_closest_marker("browser"):
            # on a loaded machine the browser can be starved; what fails twice in a row is broken
            item.add_marker(pytest.mark.flaky(reruns=1))
            item.add_marker(pytest.mark.xdist_group("browser"))  # two browsers at once would starve each other


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


def pytest_runtest_setup(item):
    if not item.get_closest_marker("browser") or not (reason := _missing()):
        return
    if os.environ.get("CI") or os.environ.get("LDML_REQUIRE_BROWSER"):
        pytest.fail(f"a browser is required here, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser_type_launch_args():
    return {"executable_path": _chromium(), "headless": True, "args": FLAGS}


@pytest.fixture
def page(page):
    """Playwright's page; at the end of the test it must have asked no other host and reported no error."""
    faults = Faults(page)
    yield page
    faults.assert_none()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What the workers compute is not kept for the user, nor do they find it there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LDML_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def stop_servers(request):
    """Each test's servers end with it; those of a whole module have their own end."""
    yield
    if not {"app", "address"} & set(request.fixturenames) and importlib.util.find_spec("panel"):
        stop_all_servers()


@pytest.fixture
def picture():
    """What a locator shows, as an array of (height, width, 3) bytes."""
    from PIL import Image

    def take(locator):
        return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)

    return take


class App:
    """The app on the module's dataset in one page of the browser, for one test after the other.

    Opening it takes as long as a test. It is opened anew after a test that failed or left another dataset, descriptor or result.
    """

    def __init__(self, browser, dataset, runner):
        self._browser, self._dataset, self._runner = browser, dataset, runner
        self._context = self._document = None

    @property
    def is_open(self):
        return self._context is not None

    def open(self):
        """Serve the app and wait for its first page and its model."""
        from panel.io.state import state
        from panel.tests.util import serve_component

        from dashboards.app import create_app
        from dashboards.session import Session

        self.session = Session(runner=self._runner)
        # nothing that a test computes belongs to the dataset of the module
        self._opened = self._dataset.subset(range(len(self._dataset)))
        self.session.state.open_dataset(self._opened)

        def served():
            self._document = state.curdoc
            return create_app(self.session)

        self._context = self._browser.new_context(viewport={"width": 1400, "height": 900})
        self.page = self._context.new_page()
        self.page.set_default_timeout(60_000)  # two cores draw, serve and compute at once
        self.faults = Faults(self.page)
        serve_component(self.page, served)
        self._wait_for_model()
        self._descriptor = self.session.state.fit.model.descriptor

    @property
    def can_be_used_again(self):
        """Whether the last test has left dataset and descriptor as they were and no result."""
        if not self.is_open:
            return False
        state = self.session.state
        descriptor = None if state.fit is None else state.fit.model.descriptor
        return state.dataset is self._opened and descriptor == self._descriptor and state.reference is None

    def start_over(self):
        """The first page, nothing selected and no messages."""
        done = threading.Event()

        def restore():
            for source in list(self.session._alerts):
                self.session.clear(source)
            self.session.state.param.update(selected=-1, quantity="", split_curve=None, page="Data")
            done.set()

        self._document.add_next_tick_callback(restore)  # Bokeh allows this one call from another thread
        assert done.wait(30)
        # a tab that is tapped before the page has turned back would be left again
        self.page.locator("[role=tab][aria-selected=true]", has_text="Data").wait_for()
        self._wait_for_model()

    def close(self):
        if self.is_open:
            self.session.close()
            self._context.close()
            stop_all_servers()
            self._context = None

    def _wait_for_model(self):
        self.page.get_by_text(f"{self._dataset.name}, {len(self._dataset)} structures").wait_for()
        self.page.get_by_text("test RMSE").first.wait_for()


@pytest.fixture(scope="module")
def runner():
    """One worker process for the tests of a module."""
    from dashboards.jobs import JobRunner

    runner = JobRunner(1)
    runner.warm_up()
    yield runner
    runner.shutdown()


@pytest.fixture
def flag(tmp_path):
    """A file whose appearance ends a job; it appears at the latest when the test ends."""
    yield tmp_path / "flag"
    (tmp_path / "flag").touch()


@pytest.fixture(scope="module")
def app(browser, dataset, runner):
    """One app for the tests of a module; they take `session`, which sees to its state."""
    app = App(browser, dataset, runner)
    yield app
    app.close()


@pytest.fixture
def session(app, request):
    """A session with the module's dataset on the screen, a model fitted, the first page drawn and the others made."""
    if app.can_be_used_again:
        app.start_over()
    else:
        app.close()
        app.open()
    yield app.session
    faults = app.faults
    if not request.node.stash.get(PASSED, False) or faults.outside or faults.errors:
        app.close()
    faults.assert_none()
