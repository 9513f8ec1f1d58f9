"""Pictures of every page of the dashboard on the sample data, for README and docs: ``python -m benchmarks.screenshots [PAGE ...]``.

Written to ``docs/images/app_<page>_<theme>.png``. Needs the extra "test" and a Chromium.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from benchmarks.browser import browser_page, press, server

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
STRUCTURE = "I3-00003"
STORY = "Why random splits flatter"
SETTLED = 6000  # ms: plots and atoms come after the page


def data(page: Page) -> None:
    """The plots of all structures, defects counted."""
    press(page, "Find them")
    page.get_by_text("Numbers of vacancies and interstitials, and the").wait_for(state="hidden")


def model(page: Page) -> None:
    """The first fit."""
    page.get_by_text("Tap a point to see its structure").wait_for()


def splits(page: Page) -> None:
    """The curve that comes by itself."""
    page.get_by_text("the gap between the curves is overfitting").wait_for()


def structure(page: Page) -> None:
    """Atoms coloured by their exact entropies."""
    page.get_by_text(f"in view: {STRUCTURE}").wait_for()


def reference(page: Page) -> None:
    """The vacancy that the form proposes, computed."""
    press(page, "Compute")
    page.get_by_role("button", name="Spectrum", exact=True).locator("visible=true").wait_for()


def scaling(page: Page) -> None:
    """The sizes that the form proposes, measured."""
    press(page, "Measure")
    page.get_by_text("exact, diagonalisation: N^").wait_for()
    until_idle(page)


def teach(page: Page) -> None:
    """The telling step of a story."""
    press(page, STORY)
    press(page, "Start")
    page.get_by_role("button", name="Next", exact=True).locator("visible=true").wait_for()
    for _ in range(2):
        press(page, "Next")
        page.wait_for_timeout(SETTLED)


PAGES = {
    "Data": data,
    "Model": model,
    "Splits": splits,
    "Structure": structure,
    "Reference": reference,
    "Scaling": scaling,
    "Teach": teach,
}


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", default=list(PAGES), help=", ".join(PAGES))
    parser.add_argument("-o", "--output", type=Path, default=IMAGES)
    parser.add_argument("--width", type=int, default=1400)
    chosen = parser.parse_args()
    with server() as (address, _), browser_page() as page:
        page.set_viewport_size({"width": chosen.width, "height": 900})
        for name in chosen.pages:
            page.goto(f"{address}/?page={name}&structure={STRUCTURE}")
            page.get_by_text("test RMSE").first.wait_for()
            PAGES[name](page)
            for theme in ("light", "dark"):
                page.mouse.move(700, 895)  # away from what shows a tip
                page.wait_for_timeout(SETTLED)
                path = chosen.output / f"app_{name.lower()}_{theme}.png"
                Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, optimize=True)
                print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)
                page.locator("header button").last.click()


def until_idle(page: Page) -> None:
    """Wait until no job has been under way for some time."""
    button, idle = page.get_by_role("button", name="Cancel").locator("visible=true"), 0
    while idle < 4:
        page.wait_for_timeout(1000)
        idle = 0 if button.count() else idle + 1


if __name__ == "__main__":
    main()
