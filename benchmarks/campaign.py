"""Bars of the campaigns that make the databases: ``python -m benchmarks.campaign [N]``.

A campaign of N attempts of each class (4 unless said) by random insertion in the 8a0 cell, each potential: processor seconds of
one structure from the seed to S_f, the classes weighted as in the paper's Table I; from them the hours of that table's 8a0
row on two cores; and what a campaign of two processes adds to the work of its tasks. Seconds are those of the processor, so
that other work on the machine counts little. Only the overhead is by the clock: time within tasks against all of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.timing import Row, print_table
from ldml.campaign.crystals import crystal
from ldml.campaign.executors import InProcess, Processes
from ldml.campaign.runner import Runner
from ldml.campaign.store import Store
from ldml.campaign.tasks import Task, has_failed
from ldml.figures.class_table import PAPER_COUNTS
from ldml.sample_data import sample_manifest

EAM, MEAM = "Fe-AM04", "Fe-EtesamiAsadi2018"
REPEATS, CORES = 8, 2
STRUCTURE_BAR, ROW_BAR, OVERHEAD_BAR = 3.0, 1.5, 5.0
"""Processor s of one MEAM structure; hours of both potentials' rows; % of the tasks' own time."""
PROTOTYPE_HOURS = {EAM: 0.4, MEAM: 0.8}


@dataclass(frozen=True)
class Cost:
    """Processor seconds of one structure of a class: the quench of its seed; the tight minimum and its entropy."""

    quench: float
    minimum: float

    @property
    def total(self) -> float:
        return self.quench + self.minimum


class Clocked(Processes):
    """Processes that report the seconds on the clock of each task, in place of those of the processor."""

    def submit(self, function, *arguments):
        return super().submit(_on_the_clock, function, *arguments)


def _on_the_clock(function, *arguments):
    begun = time.perf_counter()
    result, _ = function(*arguments)
    return result, time.perf_counter() - begun


def main(n_each="4") -> None:
    """Print costs, projections and overhead."""
    hours = {}
    for name in (EAM, MEAM):
        costs = class_costs(name, int(n_each))
        bar = STRUCTURE_BAR if name == MEAM else None
        print_table(f"{name}: processor seconds of one structure, 8a0", _cost_rows(costs, bar))
        print_table(f"{name}: Table I's 8a0 row of {sum(PAPER_COUNTS.values())} structures", _row_rows(name, costs))
        hours[name] = row_hours(costs)
    total = Row("both potentials, from the seed to S_f", sum(hours.values()), "h", ROW_BAR)
    print_table(f"Table I's 8a0 row on {CORES} cores", [total])
    print_table("What the campaign adds to its tasks", [overhead(name, int(n_each)) for name in (EAM, MEAM)])


def class_costs(name, n):
    """Mean costs of each class over `n` attempts that are quenched and, where that succeeds, brought to their minimum."""
    costs = {}
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Store(folder), InProcess())
        # what is compiled or cached on first use is not the cost of a structure
        list(runner.map([_minimum(_quenched(runner, _insertion(name, "V1", 0)))]))
        for label in PAPER_COUNTS:
            seeds = [_insertion(name, label, number) for number in range(n)]
            before = runner.activity.busy_seconds
            found = [seed for seed, result in zip(seeds, runner.map(seeds), strict=True) if not has_failed(result)]
            quenched = runner.activity.busy_seconds
            n_minima = len(list(runner.map(_minimum(seed) for seed in found)))
            minimum = (runner.activity.busy_seconds - quenched) / max(n_minima, 1)
            costs[label] = Cost((quenched - before) / n, minimum)
        runner.executor.close()
    return costs


def _quenched(runner, seed):
    runner.one(seed)
    return seed


def _insertion(name, label, number):
    parameters = {
        "crystal": crystal(name, REPEATS).parameters,
        "label": label,
        "seed": 1,
        "number": number,
        "spreads": [1.0],
        "highest_energy": 8.0,
    }
    return Task("insertion", parameters)


def _minimum(insertion):
    return Task("minimum", {key: insertion.parameters[key] for key in ("crystal", "label")}, (insertion,))


def overhead(name, n):
    """What two processes spend beside their tasks: storing, handing out, waiting. Their start is left out."""
    executor = Clocked(CORES)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Store(folder), executor)
        warm_up = [_insertion(name, "V1", number) for number in range(4 * CORES)]
        list(runner.map(_minimum(_quenched(runner, seed)) for seed in warm_up))
        before, begun = runner.activity.busy_seconds, time.perf_counter()
        seeds = [_insertion(name, label, number) for number in range(n) for label in PAPER_COUNTS]
        quenched = zip(seeds, runner.map(seeds), strict=True)
        n_minima = len(list(runner.map(_minimum(seed) for seed, result in quenched if not has_failed(result))))
        spent = CORES * (time.perf_counter() - begun)
        busy = runner.activity.busy_seconds - before
        executor.close()
    note = f"{len(seeds) + n_minima} tasks, {busy:.1f} s of {spent:.1f} s"
    return Row(f"{name}, {CORES} processes", 100.0 * (spent - busy) / busy, "%", OVERHEAD_BAR, note)


def _mean(costs, part):
    """Over the classes in the proportions of Table I."""
    return float(np.average([getattr(costs[c], part) for c in PAPER_COUNTS], weights=list(PAPER_COUNTS.values())))


def _cost_rows(costs, bar):
    rows = [
        Row(
            f"{label}: seed to S_f",
            cost.total,
            "s",
            note=f"quench {cost.quench:.2f}, minimum and S_f {cost.minimum:.2f}",
        )
        for label, cost in costs.items()
    ]
    return [*rows, Row("mean of Table I's classes", _mean(costs, "total"), "s", bar)]


def row_hours(costs):
    """Hours on all cores for every structure of the row, each found at the first attempt."""
    return sum(PAPER_COUNTS.values()) * _mean(costs, "total") / CORES / 3600.0


def _row_rows(name, costs):
    rows = [
        Row(f"from the seed to S_f, {CORES} cores", row_hours(costs), "h", note=f"prototype {PROTOTYPE_HOURS[name]} h")
    ]
    attempts = _attempts_per_minimum(name)
    if attempts:
        besides = sum((attempts[c] - 1.0) * PAPER_COUNTS[c] * costs[c].quench for c in attempts) / CORES / 3600.0
        rates = "attempts a minimum: " + ", ".join(f"{label} {n:.1f}" for label, n in attempts.items())
        rows.append(Row("quenches besides that found nothing new", besides, "h", note=rates))
    return rows


def _attempts_per_minimum(name):
    """Attempts for each distinct minimum in the sample data of this potential; none where there are no such data."""
    for record in sample_manifest().values():
        search = record.get("search", {})
        if record.get("potential") == name and set(PAPER_COUNTS) <= set(search):
            return {c: search[c]["attempts"] / search[c]["distinct_energy_or_inertia"] for c in PAPER_COUNTS}
    return {}


if __name__ == "__main__":
    main(*sys.argv[1:])
