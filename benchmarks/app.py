"""The dashboard against its bars, in a real browser: ``python -m benchmarks.app``.

Times are taken in the page, from the press of the mouse to the frame that shows the answer; recolouring is also measured from the
server. Without a graphics card Chromium draws on the processor, which is what much of the time goes into then. Needs the extra
"test" and a Chromium.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import panel as pn
from playwright.sync_api import Page

from benchmarks.browser import PATIENCE, browser_page, free_port, press, seconds_from_press, seconds_until, server
from benchmarks.timing import Row, print_table
from dashboards.figures.parity import parity_plot
from dashboards.viewer import AtomsView
from ldml.potentials import perfect_crystal

REPEATS = 5
SETTLED = 6000  # ms: the pages out of sight are made after the first
POINTS = 40_000
# the place on the screen of one of the points of a plot on show, and the times between the frames of a page
PLACE = """(k) => {
  for (const plot of ldml.figures()) {
    for (const { data_source } of plot.model.renderers) {
      const { true: x, predicted: y, name } = data_source.data
      if (!name || x.length <= k) continue
      const box = plot.canvas_view.el.getBoundingClientRect()
      return [box.x + plot.frame.x_scale.compute(x[k]), box.y + plot.frame.y_scale.compute(y[k])]
    }
  }
}"""
FRAMES = """() => {
  const times = (ldml.frames = [])
  const note = (time) => { times.push(time); if (ldml.frames === times) requestAnimationFrame(note) }
  requestAnimationFrame(note)
}"""
GAPS = "() => { const times = ldml.frames; ldml.frames = null; return times.slice(1).map((time, k) => (time - times[k]) / 1000) }"


def main() -> None:
    """Measure and print."""
    with server() as (address, _), browser_page() as page:
        print_table("Pages, 4,520 structures of 1024 atoms", pages(page, address))
    with browser_page() as page:
        print_table("Plots", [many_points(page)])
        print_table("3D view", [*recolouring(page, 37), *recolouring(page, 80)])


def pages(page: Page, address: str) -> list[Row]:
    """The first page, a new model, and the way from a point and from a button to a structure."""
    first = []
    for _ in range(4):
        page.goto(f"{address}/?page=Model")
        first.append(seconds_until(page, "ldml.saysFit() && ldml.isDrawn()"))
        page.wait_for_timeout(SETTLED)
    refits = [seconds_from_press(page, lambda: press(page, "Fit"), "ldml.parityIsNew()") for _ in seeds(page)]
    taps = []
    for k in range(REPEATS + 1):
        x, y = page.evaluate(PLACE, 3 * k + 1)
        taps.append(seconds_from_press(page, lambda x=x, y=y: page.mouse.click(x, y), "ldml.atomsAreNew()"))
        page.wait_for_timeout(1500)
    page.get_by_role("tab", name="Structure").click()
    page.wait_for_timeout(4000)
    button = page.get_by_role("button", name="Next structure of the class").locator("visible=true").first
    steps = []
    for _ in range(REPEATS + 1):
        steps.append(seconds_from_press(page, button.click, "ldml.atomsAreNew()"))
        page.wait_for_timeout(1500)
    return [
        row("first page, warm", first[1:], 3.0, f"the server's very first {first[0]:.1f} s"),
        row("refit and new parity plot", refits, 1.0, "descriptors at hand, a new split each time"),
        row(
            "tap on a point to its structure", taps[1:], 0.3, f"learned shares included; the very first {taps[0]:.1f} s"
        ),
        row("next structure", steps[1:], 0.3, "learned shares included"),
    ]


def seeds(page: Page) -> Iterator[int]:
    """Enter one seed after another for the split."""
    field = page.get_by_role("textbox", name="Seed").locator("visible=true").first
    for seed in range(1, REPEATS + 1):
        field.click()
        field.press("Control+A")
        field.press_sequentially(str(seed))
        field.press("Tab")
        page.wait_for_timeout(1500)
        yield seed


def many_points(page: Page) -> Row:
    """Dragging a parity plot of many points with intervals."""
    rng = np.random.default_rng(0)
    true = rng.normal(10.0, 5.0, POINTS)
    labels, names = rng.choice(["I2", "I3", "I4", "V4"], POINTS), np.array([f"structure {k}" for k in range(POINTS)])
    test, half_width = rng.random(POINTS) < 0.2, np.full(POINTS, 0.5)
    predicted = true + rng.normal(0.0, 0.3, POINTS)
    with served(page, lambda: pn.pane.Bokeh(parity_plot(true, predicted, labels, names, test, half_width=half_width))):
        seconds_until(page, "ldml.isDrawn()")
        page.wait_for_timeout(3000)
        box = page.locator("canvas").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.evaluate(FRAMES)
        for k in range(30):
            page.mouse.move(x + 3 * k, y + k)
        gaps = page.evaluate(GAPS)
        page.mouse.up()
    return row(f"drag a plot of {POINTS:,} points, from frame to frame", gaps, 0.1, f"longest {max(gaps):.2f} s")


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
        row(f"{what}, in the browser", drawing, bar, f"drawn as {mode}"),
        row(f"{what}, from the server", seen, None),
    ]


def row(what: str, times: list[float], bar: float | None, note: str = "") -> Row:
    """The median of times, s; the shortest beside it."""
    return Row(what, float(np.median(times)), "s", bar, ", ".join(filter(None, [f"shortest {min(times):.2f} s", note])))


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
    port = free_port()
    server = pn.serve(make, port=port, threaded=True, show=False, verbose=False)
    try:
        until(page, lambda: is_listening(port))
        page.goto(f"http://127.0.0.1:{port}")
        yield
    finally:
        page.goto("about:blank")
        server.stop()


def is_listening(port: int) -> bool:
    """Whether the server, which starts in a thread of its own, answers."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
