"""Many visitors at once: ``python -m benchmarks.sessions [--visitors N]``.

Each has a browser window of its own on one server. Printed: the server's memory for each visitor whose pages have been made, and
how long a page takes to answer (a filter typed on the Data page, until the number of structures has changed) while jobs of
others run. Browsers and server share this machine. Needs the extra "test" and a Chromium.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

from benchmarks.browser import PATIENCE, browser_page, press, server
from benchmarks.timing import Row, print_table

MADE = 8.0
"""s after which the pages out of sight have been made."""


def main() -> None:
    """Open the windows, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    visitors = parser.parse_args().visitors
    with server() as (address, process), browser_page() as first:
        browser = first.context.browser
        pages, memory = [], []
        for _ in range(visitors):
            page = browser.new_context(viewport={"width": 1000, "height": 700}).new_page()
            page.set_default_timeout(1000 * PATIENCE)
            page.goto(address)
            page.get_by_text("test RMSE").first.wait_for()
            pages.append(page)
            time.sleep(MADE)
            memory.append(resident_megabytes(process))
        each = (memory[-1] - memory[1]) / (visitors - 2)
        idle = [answer_time(page, "I3") for page in pages[1:6]]
        pages[0].get_by_role("tab", name="Splits").click()
        press(pages[0], "Run")
        busy = [answer_time(page, "V2") for page in pages[1:]]
    print_table(
        f"{visitors} visitors",
        [
            Row(
                "memory of a visitor",
                each,
                "MB",
                30.0,
                f"server {memory[0]:.0f} MB with one, {memory[-1]:.0f} MB with all",
            ),
            Row(
                "answer of a page, idle",
                max(idle),
                "s",
                1.0,
                f"the slowest of {len(idle)}; median {np.median(idle):.2f} s",
            ),
            Row(
                "answer of a page, jobs running",
                max(busy),
                "s",
                1.0,
                f"the slowest of {len(busy)}; median {np.median(busy):.2f} s",
            ),
        ],
    )


def answer_time(page: Page, text: str) -> float:
    """Seconds from a filter typed to its effect."""
    chosen = page.get_by_text("structures chosen").locator("visible=true").first
    before = chosen.inner_text()
    field = page.get_by_role("textbox", name="Name, class or parent contains").first
    started = time.perf_counter()
    field.fill(text)
    field.press("Enter")
    while chosen.inner_text() == before:
        page.wait_for_timeout(5)
        if time.perf_counter() - started > PATIENCE:
            raise SystemExit("a page does not answer")
    return time.perf_counter() - started


def resident_megabytes(process: int) -> float:
    """Memory of a process that is not shared with the disk."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1000.0


if __name__ == "__main__":
    main()
