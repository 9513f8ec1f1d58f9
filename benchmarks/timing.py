"""Timing and tables shared by the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a benchmark table; `bar` is the most, or with `at_least` the least, it may be, in the same unit, or None."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    note: str = ""
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        met = self.value >= self.bar if self.at_least else self.value <= self.bar
        return "ok" if met else "MISSED"


def best_of(function: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of several runs, s: the run least disturbed by whatever else the machine does."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def print_table(title: str, rows: list[Row]) -> None:
    """Print the rows with their bars and verdicts."""
    width = max(len(row.what) for row in rows)
    print(f"\n{title}")
    for row in rows:
        bar = "" if row.bar is None else f"{'>=' if row.at_least else '<='} {row.bar:g} {row.unit}"
        print(f"  {row.what:{width}s}  {row.value:10.4g} {row.unit:5s} {bar:16s} {row.verdict:7s} {row.note}".rstrip())
