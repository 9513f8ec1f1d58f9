"""Distinct minima a CPU minute of each search method, beside the bars of the prototype.

    python -m benchmarks.landscape [seconds of each search]

One thread. A minimum is counted once it is relaxed to 1e-5 eV/Å; compiling is left out. The prototype's figures were taken
on a machine of this kind under load: compare ratios.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from ase import Atoms

from ldml.landscape import (
    ArtNouveau,
    Budget,
    Hopping,
    HoppingStatistics,
    Insertion,
    Landscape,
    MolecularDynamics,
    SearchStatistics,
    explore,
    hop,
)
from ldml.potentials import get_potential, perfect_crystal

POTENTIAL = "Fe-AM04"
BARS = {
    (Insertion, "I3"): 202,
    (Insertion, "V4"): 583,
    (Insertion, "I4"): 170,
    (ArtNouveau, "I3"): 73,
    (ArtNouveau, "V4"): 89,
    (MolecularDynamics, "I3"): 48,
    (MolecularDynamics, "V4"): 70,
}
LJ38_BAR = 3000


class _Elapsed(Exception):
    """The CPU seconds of a search are spent."""


class _Clock:
    """Progress that stops a search after some CPU seconds."""

    def __init__(self, seconds):
        self.begun, self.seconds = time.process_time(), seconds

    @property
    def minutes(self):
        return (time.process_time() - self.begun) / 60

    def update(self, done, total, stage=""):
        pass

    def check(self):
        if 60 * self.minutes > self.seconds:
            raise _Elapsed


def defects(method, label, seconds):
    """Distinct minima a CPU minute, and the statistics."""
    landscape = Landscape(perfect_crystal(POTENTIAL, 8), label, POTENTIAL)
    list(explore(landscape, method, seed=1, budget=Budget(2)))
    statistics, clock = SearchStatistics(), _Clock(seconds)
    _run(explore(landscape, method, seed=2, budget=Budget(10**6), statistics=statistics, progress=clock))
    return len(statistics.distinct) / clock.minutes, statistics


def cluster(n_atoms, seconds):
    """The same for a Lennard-Jones cluster."""
    rng = np.random.default_rng(0)
    edge = int(np.ceil(np.cbrt(n_atoms)))
    start = Atoms(f"X{n_atoms}", positions=1.2 * np.array(list(np.ndindex(edge, edge, edge))[:n_atoms]))
    lj = get_potential("LJ")
    list(hop(start, lj, rng, hopping=Hopping(n_steps=5)))
    statistics, clock = HoppingStatistics(), _Clock(seconds)
    _run(hop(start, lj, rng, hopping=Hopping(n_steps=10**7), statistics=statistics, progress=clock))
    return len(statistics.distinct) / clock.minutes, statistics


def _run(search):
    try:
        for _ in search:
            pass
    except _Elapsed:
        pass


def main(seconds):
    print(
        f"{'method':20} {'class':6} {'distinct/min':>12} {'prototype':>10} {'attempts':>9} {'failed':>7}  {POTENTIAL}, 8a0"
    )
    for (method, label), bar in BARS.items():
        rate, statistics = defects(method(), label, seconds)
        _row(method.name, label, rate, bar, statistics)
    rate, statistics = cluster(38, seconds)
    _row("basin hopping", "LJ38", rate, LJ38_BAR, statistics)


def _row(name, label, rate, bar, statistics):
    print(f"{name:20} {label:6} {rate:12.0f} {bar:10} {statistics.n_attempts:9} {statistics.n_failed:7}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
