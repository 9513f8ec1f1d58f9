"""Cost of the descriptors: ``python -m benchmarks.descriptors`` prints a table, in about a minute.

Every time is the best of several, interleaved with the others, and on one thread it is processor time: both survive a
busy machine better than seconds on the wall. bcc Fe (2.8553 Å, rattled by 0.05 Å), cutoff 5 Å: 56 to 60 neighbours an atom.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import acos, cos

import numba
import numpy as np
from ase import Atoms
from ase.build import bulk
from numba import njit

from ldml.descriptors import AFS, get_descriptor
from ldml.descriptors.radial_basis import cosine_cutoff, radial_functions
from ldml.neighbours import neighbour_list

CUTOFF = 5.0
REPEATS = 4


@dataclass(frozen=True)
class Row:
    """One line of the table; `bar` is the largest value that passes, None where there is none to pass."""

    what: str
    value: float | None
    unit: str
    bar: float | None = None
    note: str = ""

    def __str__(self) -> str:
        value = "not installed" if self.value is None else f"{self.value:.3g} {self.unit}"
        bar = "" if self.bar is None else f"<= {self.bar:g}"
        verdict = "" if self.bar is None or self.value is None else ("pass" if self.value <= self.bar else "FAIL")
        return f"{self.what:<52} {value:>16}  {bar:>9}  {verdict:<5} {self.note}"


def iron(repeats: int) -> Atoms:
    """Slightly rattled bcc iron of 2 repeats³ atoms."""
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=1)
    return atoms


@njit(cache=True)
def textbook_afs(offsets, vectors, distances, weights, l_max):
    """The sum over pairs as the formula reads, an acos a pair and a cos a pair and order."""
    n_atoms = len(offsets) - 1
    n_max = weights.shape[1]
    features = np.zeros((n_atoms, n_max, l_max + 1))
    for i in range(n_atoms):
        for k in range(offsets[i], offsets[i + 1]):
            for j in range(offsets[i], offsets[i + 1]):
                dot = vectors[k, 0] * vectors[j, 0] + vectors[k, 1] * vectors[j, 1] + vectors[k, 2] * vectors[j, 2]
                theta = acos(min(1.0, max(-1.0, dot / (distances[k] * distances[j]))))
                for l in range(l_max + 1):
                    cosine = cos(l * theta)
                    for n in range(n_max):
                        features[i, n, l] += weights[k, n] * weights[j, n] * cosine
    return features


def textbook(atoms: Atoms, descriptor: AFS) -> np.ndarray:
    """AFS of every atom by `textbook_afs`, shape (N, n_features)."""
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, descriptor.cutoff)
    r = pairs.distances
    weights = radial_functions(r, descriptor.n_max, descriptor.cutoff) * cosine_cutoff(r, descriptor.cutoff)[:, None]
    return textbook_afs(pairs.offsets, pairs.vectors, r, weights, descriptor.l_max).reshape(len(atoms), -1)


def with_threads(n: int, call: Callable[[], object]) -> Callable[[], object]:
    """`call` on `n` threads of numba."""

    def limited():
        numba.set_num_threads(n)
        return call()

    return limited


def best_times(calls: dict[str, Callable[[], object]], clocks: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Best of `REPEATS` interleaved times of each call by its clock after one to warm up, seconds."""
    for call in calls.values():
        call()
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(REPEATS):
        for name, call in calls.items():
            start = clocks[name]()
            call()
            best[name] = min(best[name], clocks[name]() - start)
    return best


def dscribe_soap() -> Callable[[Atoms], object] | None:
    """SOAP n_max = 6, l_max = 10 of dscribe on one process, or None."""
    try:
        from dscribe.descriptors import SOAP
    except ImportError:
        return None
    soap = SOAP(species=["Fe"], r_cut=CUTOFF, n_max=6, l_max=10, periodic=True)
    return lambda atoms: soap.create(atoms, n_jobs=1)


def featomic_soap() -> Callable[[Atoms], object] | None:
    """SOAP with 20 radial functions up to l = 10 of featomic, or None."""
    try:
        from featomic import SoapPowerSpectrum
    except ImportError:
        return None
    soap = SoapPowerSpectrum(
        cutoff={"radius": CUTOFF, "smoothing": {"type": "ShiftedCosine", "width": CUTOFF}},
        density={"type": "Gaussian", "width": 0.5},
        basis={"type": "TensorProduct", "max_angular": 10, "radial": {"type": "Gto", "max_radial": 19}},
    )
    return lambda atoms: soap.compute(atoms)


def speed_rows() -> Iterator[Row]:
    """µs an atom against a textbook loop and peers."""
    descriptor = get_descriptor("AFS", n_max=20, l_max=10, cutoff=CUTOFF)
    large, small = iron(20), iron(4)
    peers = {"dscribe SOAP n6 l10": dscribe_soap(), "featomic SOAP n20 l10": featomic_soap()}
    threads = [n for n in (1, 2) if n <= numba.config.NUMBA_NUM_THREADS]
    sizes: dict[str, int] = {}
    calls: dict[str, Callable[[], object]] = {}
    clocks: dict[str, Callable[[], float]] = {}

    def add(name, atoms, call, clock=time.process_time):
        sizes[name] = len(atoms)
        calls[name] = call
        clocks[name] = clock

    for n in threads:
        clock = time.process_time if n == 1 else time.perf_counter
        add(f"compute, {n} thread(s)", large, with_threads(n, lambda: descriptor.compute(large)), clock)
        add(f"total, {n} thread(s)", large, with_threads(n, lambda: descriptor.total(large)), clock)
    add("textbook acos/cos pair loop", small, lambda: textbook(small, descriptor))
    for name, peer in peers.items():
        if peer is not None:
            add(name, small, lambda peer=peer: peer(small))
    times = best_times(calls, clocks)
    per_atom = {name: 1e6 * seconds / sizes[name] for name, seconds in times.items()}
    one = per_atom["compute, 1 thread(s)"]

    rows, reference = descriptor.compute(small), textbook(small, descriptor)
    yield Row("largest deviation from the textbook loop", abs(rows - reference).max() / abs(reference).max(), "", 1e-12)
    for name, value in per_atom.items():
        bar = 25.0 if name == "compute, 1 thread(s)" else None
        yield Row(f"{name}, {sizes[name]} atoms", value, "µs/atom", bar, f"{value / one:.3g} of compute, 1 thread")
    yield Row("one thread / textbook", one / per_atom["textbook acos/cos pair loop"], "", 0.05)
    for name, peer in peers.items():
        if peer is None:
            yield Row(name, None, "µs/atom")


def printed_by(code: str, **environment: str) -> float:
    """The number printed by a fresh Python that runs `code`."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


IMPORT = "import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
FIRST_CALL = """
import time
from ase.build import bulk
from ldml.descriptors import get_descriptor
atoms, descriptor = bulk("Fe", cubic=True), get_descriptor("AFS")
start = time.process_time()
descriptor.compute(atoms)
print(time.process_time() - start)
"""
# not getrusage: its maximum starts from the memory of the process that forked
PEAK_MEMORY = """
from pathlib import Path
from benchmarks.descriptors import iron
from ldml.descriptors import get_descriptor
get_descriptor("AFS").total(iron({repeats}))
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) / 1024)
"""


def process_rows() -> Iterator[Row]:
    """What a fresh process pays: imports, compilation, memory."""
    modules = ("numba", "ldml.descriptors")
    times = {module: min(printed_by(IMPORT.format(module=module)) for _ in range(2)) for module in modules}
    yield Row("import ldml.descriptors", times["ldml.descriptors"], "s", 3.0, f"numba alone {times['numba']:.2f} s")
    with tempfile.TemporaryDirectory() as cache:
        yield Row("first call ever: compile", printed_by(FIRST_CALL, NUMBA_CACHE_DIR=cache), "s", 20.0)
        yield Row("first call of a later process: cached", printed_by(FIRST_CALL, NUMBA_CACHE_DIR=cache), "s", 1.0)
    idle, peak = (printed_by(PEAK_MEMORY.format(repeats=repeats)) for repeats in (2, 40))
    yield Row("peak memory, total of 128,000 atoms", peak, "MB", 512.0, f"{idle:.0f} MB with 16 atoms")


def main() -> None:
    """Print the table."""
    print(f"{'AFS n_max=20 l_max=10 cutoff=5 Å, bcc Fe':<52} {'measured':>16}  {'bar':>9}")
    for rows in (speed_rows(), process_rows()):
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
