"""A real Chromium for the tests: nothing may be fetched from outside and nothing may fail in the page.

Tests marked ``browser`` are skipped where Chromium, pytest-playwright or the viewer's bundle is missing, except with
CI or LDML_REQUIRE_BROWSER in the environment: then they fail and say what is missing.
"""

import functools
import importlib.util
import io
import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

BUNDLE = Path(__file__).parents[2] / "dashboards" / "viewer" / "ngl_atoms.bundle.js"
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
]


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
    for item in items:
        if item.get_closest_marker("browser"):
            # on a loaded machine the browser can be starved; what fails twice in a row is broken
            item.add_marker(pytest.mark.flaky(reruns=1))


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
    outside, errors = [], []

    def on_request(request):
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname not in ("localhost", "127.0.0.1"):
            outside.append(request.url)

    page.on("request", on_request)
    page.on("websocket", on_request)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    assert not outside, f"requests to other hosts: {outside}"
    assert not errors, f"errors in the page: {errors}"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What the workers compute is not kept for the user, nor do they find it there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LDML_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def stop_servers():
    """Each test's servers end with it."""
    yield
    if importlib.util.find_spec("panel"):
        from panel.io.state import state

        state.reset()


@pytest.fixture
def picture():
    """What a locator shows, as an array of (height, width, 3) bytes."""
    from PIL import Image

    def take(locator):
        return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)

    return take


@pytest.fixture
def session(page, dataset, runner):
    """A session with the module's dataset on the screen, a model fitted, the first page drawn and the others made."""
    from panel.tests.util import serve_component

    from dashboards.app import create_app
    from dashboards.session import Session
    from dashboards.state import AppState

    state = AppState()
    state.open_dataset(dataset.subset(range(len(dataset))))
    session = Session(state=state, runner=runner)
    page.set_viewport_size({"width": 1400, "height": 900})
    serve_component(page, lambda: create_app(session))
    page.get_by_text("test RMSE").wait_for()
    yield session
    session.close()
