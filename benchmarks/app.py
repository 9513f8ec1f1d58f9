"""The dashboard against its bars, in a real browser: ``python -m benchmarks.app``.

Times are from the action to the picture, on the server's clock: what the browser reports has been drawn. Without a graphics card
Chromium draws on the processor, which is what most of the time goes into then. Needs the extra "test" and a Chromium.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import panel as pn
from playwright.sync_api import Page, sync_playwright

from benchmarks.timing import Row, print_table
from dashboards.app import create_app
from dashboards.session import Session, shared_dataset
from dashboards.state import DEFAULT_SEED, DEFAULT_TEST_PROPORTION, default_descriptor, remembered_fit
from dashboards.viewer import AtomsView
from ldml.potentials import perfect_crystal

DATASET = "fe-am04-8a0"
FLAGS = ["--no-sandbox", "--use-gl=angle", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
REPEATS = 5
PATIENCE = 240.0  # s


def main() -> None:
    """Measure and print."""
    with browser_page() as page:
        print_table("3D view", [*recolouring(page, 37), *recolouring(page, 80)])
        print_table("Structure page", structure_page(page))


def recolouring(page: Page, repeats: int) -> list[Row]:
    """New values for a crystal of 2 `repeats`³ atoms."""
    atoms = perfect_crystal("Fe-AM04", repeats)
    rng = np.random.default_rng(0)
    view = AtomsView(width=700, height=600)
    view.show(atoms, rng.normal(size=len(atoms)), limits=(-2.0, 2.0))
    with served(page, lambda: view):
        until(page, lambda: view.status.get("state") == "ready")
        drawing, seen = [], []
        for _ in range(REPEATS):
            values = rng.normal(size=len(atoms))
            seen.append(until_drawn(page, view, lambda values=values: view.recolour(values, limits=(-2.0, 2.0))))
            drawing.append(view.status["recolour_ms"] / 1000.0)
        mode = view.status["mode"]
    what, bar = f"recolour {len(atoms):,} atoms", 0.2 if len(atoms) < 150_000 else None
    return [
        Row(f"{what}, in the browser", min(drawing), "s", bar, f"drawn as {mode}; median {np.median(drawing):.2f} s"),
        Row(f"{what}, from the server", min(seen), "s", None, f"median {np.median(seen):.2f} s"),
    ]


def structure_page(page: Page) -> list[Row]:
    """From a tap on "Next" to the next structure of 1024 atoms on the screen, exact and learned shares and all."""
    data = shared_dataset(DATASET)
    remembered_fit(data, default_descriptor(), test_proportion=DEFAULT_TEST_PROPORTION, seed=DEFAULT_SEED)
    session = Session()
    session.state.open_dataset(data)
    app = create_app(session)
    with served(page, lambda: app):
        page.get_by_text("test RMSE").first.wait_for(timeout=1000 * PATIENCE)
        page.get_by_role("tab", name="Structure").click()
        until(page, lambda: any(v.n_atoms for v in app.select(AtomsView)))
        view = next(v for v in app.select(AtomsView) if v.n_atoms)
        until(page, lambda: view.status.get("state") == "ready")
        button = page.get_by_role("button", name="Next structure of the class").locator("visible=true").first
        page.wait_for_timeout(2000)
        times = [until_drawn(page, view, button.click) for _ in range(REPEATS + 1)][1:]
    session.close()
    return [Row("tap to structure", min(times), "s", 0.3, f"median {np.median(times):.2f} s, learned shares included")]


def until_drawn(page: Page, view: AtomsView, action: Callable[[], None]) -> float:
    """Seconds from an action to the browser's word that the picture of a view has been drawn anew."""
    before = view.status["revision"]
    started = time.perf_counter()
    action()
    until(page, lambda: view.status["revision"] > before)
    return time.perf_counter() - started


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for a condition on the server."""
    end = time.perf_counter() + PATIENCE
    while not condition():
        if time.perf_counter() > end:
            raise SystemExit("the browser has not answered; is the machine overloaded?")
        page.wait_for_timeout(2)


@contextmanager
def served(page: Page, make: Callable[[], object]) -> Iterator[None]:
    """A component on a free port of this machine, open in the page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = pn.serve(make, port=port, threaded=True, show=False, verbose=False)
    try:
        until(page, lambda: is_listening(port))
        page.goto(f"http://127.0.0.1:{port}", timeout=1000 * PATIENCE)
        yield
    finally:
        page.goto("about:blank")
        server.stop()


def is_listening(port: int) -> bool:
    """Whether the server, which starts in a thread of its own, answers."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of 1400 x 900 pixels in the system's Chromium, or in Playwright's own."""
    system = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=system, args=FLAGS)
        yield browser.new_page(viewport={"width": 1400, "height": 900})
        browser.close()


if __name__ == "__main__":
    main()
