"""The dashboard in a real browser, for benchmarks and pictures: its server, a page, and times measured in that page.

Needs the extra "test" and a Chromium. Without a graphics card Chromium draws on the processor.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--use-gl=angle", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
PATIENCE = 100.0  # s
# what is on show, and the time from a press to the frame after which something is on the screen
HELPERS = """
window.ldml = {
  views: (suits) => [...Bokeh.index.query((view) => suits(view.model))],
  shown: (suits) => ldml.views(suits).filter((view) => view.el.getClientRects().length > 0),
  figures: () => ldml.shown((model) => model.type === "Figure"),
  hasAtoms: (model) => model.data?.frame?.positions?.length > 0,
  revisions: () => new Map(ldml.views(ldml.hasAtoms).map(({ model }) => [model.id, model.data.status.revision ?? 0])),
  saysFit: () => ldml.shown((model) => model.text?.includes("test RMSE")).length > 0,
  isDrawn: () => ldml.figures().length > 0 && ldml.figures().every((view) => view.has_finished()),
  parity: () => ldml.figures().flatMap((view) => view.model.renderers.map((part) => part.data_source.data.predicted ?? [])),
  parityIsNew: () => {
    const now = ldml.parity()
    return ldml.isDrawn() && now.length === ldml.before.parity.length && now.every((values, k) => values !== ldml.before.parity[k])
  },
  atomsAreNew: () => {
    const views = ldml.shown(ldml.hasAtoms)
    const isNew = ({ model }) => model.data.status.revision > (ldml.before.revisions.get(model.id) ?? 0)
    return views.length > 0 && views.every(isNew)
  },
  begin: () => {
    ldml.before = { revisions: ldml.revisions(), parity: ldml.parity() }
    ldml.begun = undefined
    addEventListener("pointerdown", () => (ldml.begun = performance.now()), { capture: true, once: true })
  },
  until: (done) => new Promise((resolve) => {
    const look = () => {
      let ready = false
      try { ready = done() } catch { /* the page is not there yet */ }
      if (ready) requestAnimationFrame(() => resolve((performance.now() - (ldml.begun ?? 0)) / 1000))
      else setTimeout(look, 5) // frames of its own would slow the page down
    }
    look()
  }),
}
"""


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of 1400 x 900 pixels in the system's Chromium, or in Playwright's own."""
    system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=system, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.add_init_script(HELPERS)
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Address of the dashboard, and the number of the process that serves it."""
    port = free_port()
    command = [sys.executable, "-c", "import sys; from ldml.cli import main; sys.exit(main())", "serve"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + PATIENCE
        while not answers(f"http://localhost:{port}/health"):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the server has not started; try 'ldml serve'")
            time.sleep(0.3)
        yield f"http://localhost:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    """Whether there is a server at an address."""
    try:
        with urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def press(page: Page, label: str) -> None:
    """Press the button in sight that has this label."""
    page.get_by_role("button", name=label, exact=True).locator("visible=true").first.click()


def seconds_until(page: Page, done: str) -> float:
    """Seconds from the page's opening until a condition of JavaScript holds and has been drawn."""
    return page.evaluate(f"() => ldml.until(() => {done})")


def seconds_from_press(page: Page, action: Callable[[], None], done: str) -> float:
    """Seconds from the press of the mouse within an action until a condition of JavaScript holds and has been drawn."""
    page.evaluate(f"() => {{ ldml.begin(); ldml.answer = ldml.until(() => ldml.begun !== undefined && ({done})) }}")
    action()
    return page.evaluate("() => ldml.answer")
