"""Views by themselves in JupyterLab and Jupyter Notebook: drawn, linked, and nothing asked of other hosts."""

import os
import subprocess
import sys
import time

import nbformat
import pytest
from app_actions import POINT, Faults, small_dataset, tap_point

from benchmarks.browser import answers, free_port

pytestmark = pytest.mark.browser

CELLS = """
import ldml
data = ldml.load_dataset("small.h5")
pages = ldml.pages(data)
---
ldml.view(data[0], color=data[0].positions[:, 0], bulk=data.bulk, backend="panel")
---
pages.model
---
pages.structure
"""
OWN_FAULTS = ("reading 'schema'", "'filebrowser:open-path' not registered")
"""Notebook 7.6 reports them of its own extensions, whatever the notebook holds."""


# whether as many views of atoms as that say they have drawn some
DRAWN = """(n) => [...Bokeh.index.query((view) => view.model.data?.status?.state == "ready")].length >= n"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jupyter")
    small_dataset().save(folder / "small.h5")
    cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS.split("---")]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), folder / "views.ipynb")
    return folder


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    """A Jupyter server for both user interfaces, and its address."""
    port, own = free_port(), str(tmp_path_factory.mktemp("settings"))
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    options = ["--IdentityProvider.token=", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={folder}"]
    no_news = ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    places = dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"), own)
    process = subprocess.Popen(
        [*command, *options, *no_news],
        env={**os.environ, **places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while not answers(f"{address}/api"):
            assert process.poll() is None, "Jupyter has not started"
            assert time.monotonic() < end, "Jupyter does not answer"
            time.sleep(0.3)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def tall_page(browser):
    """All cells are in sight, and what Jupyter itself reports is not the test's business."""
    context = browser.new_context(viewport={"width": 1400, "height": 3200})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.mark.parametrize("path", ["lab/tree/views.ipynb", "notebooks/views.ipynb"], ids=["lab", "notebook"])
def test_views_stand_alone_and_are_linked(path, server, tall_page):
    page, faults = tall_page, Faults(tall_page)
    page.goto(f"{server}/{path}")
    page.locator("[data-status=idle]").first.wait_for()  # the kernel is there
    page.get_by_role("menuitem", name="Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).first.click()
    field = page.get_by_role("combobox", name="Structure", exact=True)
    field.wait_for()
    page.wait_for_function(DRAWN, arg=2)
    tap_point(page, POINT, "V2-03", lambda: field.input_value() == "V2-03")
    assert not page.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts()
    faults.errors = [error for error in faults.errors if not any(own in error for own in OWN_FAULTS)]
    faults.assert_none()
