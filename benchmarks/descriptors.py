"""Cost of the descriptors against bars and peers: ``python -m benchmarks.descriptors`` prints tables, in a few minutes.

Times are the best of several, interleaved with the others. On one thread they are processor time, which survives a busy
machine; on two they are seconds on the wall and want a quiet one. bcc Fe (2.8553 Å, rattled by 0.05 Å), cutoff 5 Å: 56 to 60
neighbours an atom. Peers that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numba
import numpy as np
from ase import Atoms
from ase.build import bulk

from benchmarks import descriptor_peers as peers
from benchmarks.fresh_process import compilation_rows, import_rows, machine_load, million_rows
from benchmarks.timing import Row, print_table
from ldml.descriptors import get_descriptor

CUTOFF = 5.0
LATTICE_CONSTANT = 2.8553
REPEATS = 4


@dataclass(frozen=True)
class Timed:
    """A call to time, for a number of atoms; on one thread by processor time, on more by the clock on the wall."""

    what: str
    call: Callable[[], object]
    n_atoms: int
    threads: int = 1
    bar: float | None = None

    def seconds(self) -> float:
        """One run."""
        numba.set_num_threads(self.threads)
        clock = time.process_time if self.threads == 1 else time.perf_counter
        start = clock()
        self.call()
        return clock() - start


def iron(repeats: int) -> Atoms:
    """Slightly rattled bcc iron of 2 repeats³ atoms."""
    atoms = bulk("Fe", a=LATTICE_CONSTANT, cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=1)
    return atoms


def best_times(timed: list[Timed]) -> dict[str, float]:
    """Best of `REPEATS` interleaved runs of each after one to warm up, µs an atom."""
    best = {one.what: float("inf") for one in timed}
    for run in range(REPEATS + 1):
        for one in timed:
            seconds = one.seconds()
            if run > 0:
                best[one.what] = min(best[one.what], 1e6 * seconds / one.n_atoms)
    return best


def cost_rows(timed: list[Timed]) -> Iterator[Row]:
    """µs an atom of each and what they are of the first."""
    best = best_times(timed)
    one = best[timed[0].what]
    for each in timed:
        yield Row(each.what, best[each.what], "µs", each.bar, f"{best[each.what] / one:.3g} times the first")


def two_threads() -> list[int]:
    """[2] where numba may use two threads, else nothing."""
    return [2] if numba.config.NUMBA_NUM_THREADS >= 2 else []


def speed_up_row(what: str, call: Callable[[], object], bar: float | None = None) -> Iterator[Row]:
    """How much faster two threads are than one, both by the clock on the wall."""
    for threads in two_threads():
        walls = {}
        for _ in range(REPEATS):
            for n in (1, threads):
                numba.set_num_threads(n)
                start = time.perf_counter()
                call()
                walls[n] = min(walls.get(n, float("inf")), time.perf_counter() - start)
        yield Row(what, walls[1] / walls[threads], "x", bar, f"1 thread / 2 threads; {machine_load()}", at_least=True)


def deviation(rows: np.ndarray, reference: np.ndarray) -> float:
    """Largest deviation, as a part of the largest value of its column."""
    return float((abs(rows - reference) / abs(reference).max(axis=0)).max())


def afs_rows() -> Iterator[Row]:
    """AFS(20, 10): µs an atom against pair loops and SOAP."""
    descriptor = get_descriptor("AFS", cutoff=CUTOFF)
    distinct = get_descriptor("AFS", cutoff=CUTOFF, pairs="distinct", cutoff_function="none")
    large, small = iron(16), iron(4)
    loops = {"textbook pair loop": peers.textbook(descriptor), "MiLaDy-like pair loop": peers.milady_like(distinct)}
    soaps = {
        "dscribe SOAP, n 6, l 10": peers.dscribe_soap(CUTOFF),
        "featomic SOAP, n 20, l 10": peers.featomic_soap(CUTOFF),
    }
    timed = [
        Timed("AFS compute, 1 thread", lambda: descriptor.compute(large), len(large), bar=16.0),
        Timed("AFS total, 1 thread", lambda: descriptor.total(large), len(large)),
        Timed("AFS compute, k < k', f = 1", lambda: distinct.compute(large), len(large)),
    ]
    timed += [
        Timed(name, lambda peer=peer: peer(small), len(small)) for name, peer in {**loops, **soaps}.items() if peer
    ]
    yield from cost_rows(timed)
    yield from speed_up_row("AFS compute on two threads", lambda: descriptor.compute(large), bar=1.8)
    for ours, (name, loop) in zip((descriptor, distinct), loops.items(), strict=True):
        reference = loop(small)
        error = float(abs(ours.compute(small) - reference).max() / abs(reference).max())
        yield Row(f"deviation from the {name}", error, "", 1e-12, "of the largest value")
    yield from missing_rows(soaps)


def bso4_rows() -> Iterator[Row]:
    """bSO(4), j_max = 7/2: µs an atom against LAMMPS."""
    descriptor = get_descriptor("BSO4", cutoff=CUTOFF)
    full = get_descriptor("BSO4", cutoff=CUTOFF, diagonal=False)
    large, small = iron(16), iron(4)
    lammps = peers.lammps_bispectrum(small, CUTOFF, descriptor.rfac0)
    timed = [
        Timed("BSO4 compute, 26 components, 1 thread", lambda: descriptor.compute(large), len(large), bar=22.0),
        Timed("BSO4 total, 26 components, 1 thread", lambda: descriptor.total(large), len(large)),
        Timed("BSO4 compute, all 40 components, 1 thread", lambda: full.compute(large), len(large)),
    ]
    if lammps is not None:
        timed.append(Timed("LAMMPS sna/atom, all 40 components", lammps, len(small)))
    yield from cost_rows(timed)
    yield from speed_up_row("BSO4 compute on two threads", lambda: descriptor.compute(large))
    if lammps is not None:
        rows, reference = full.compute(small), lammps()
        if rows.shape == reference.shape:
            yield Row("deviation from LAMMPS", deviation(rows, reference), "", 1e-12, "of the column's largest value")
    yield from missing_rows({"LAMMPS": lammps})


def scattering_rows() -> Iterator[Row]:
    """Solid-harmonic scattering: seconds for 1024 atoms, and against kymatio on its grid."""
    descriptor = get_descriptor("Scattering")
    atoms = iron(8)
    for threads in two_threads() or [1]:
        timed = Timed("", lambda: descriptor.total(atoms), len(atoms), threads)
        wall = min(timed.seconds() for _ in range(3))
        yield Row(f"Scattering total, {len(atoms)} atoms, {threads} thread(s)", wall, "s", 3.0, machine_load())
    start = time.process_time()
    descriptor.compute(atoms)
    yield Row("  with the share of each atom", time.process_time() - start, "s", None, "CPU seconds")
    yield from kymatio_rows()


def kymatio_rows() -> Iterator[Row]:
    """Three octaves up to l = 9 of 128 atoms; kymatio on 40³ points, its filters made beforehand, its density for nothing."""
    n_points, n_octaves, l_max = 40, 2, 9
    kymatio = peers.kymatio_scattering(n_points, n_octaves, l_max)
    if kymatio is None:
        yield from missing_rows({"kymatio": None})
        return
    atoms = iron(4)
    spacing = 4 * LATTICE_CONSTANT / n_points
    ours = get_descriptor("Scattering", scales=range(n_octaves + 1), l_max=l_max, unit=spacing, sigma=2 * spacing)
    density = np.random.default_rng(0).random((n_points,) * 3)
    timed = [
        Timed("Scattering total, scales 0 1 2, l <= 9, 128 atoms", lambda: ours.total(atoms), len(atoms)),
        Timed("kymatio, the same scales and orders", lambda: kymatio(density), len(atoms)),
    ]
    yield from cost_rows(timed)


def missing_rows(found: dict[str, object]) -> Iterator[Row]:
    """A line for each peer that is not installed."""
    for name, peer in found.items():
        if peer is None:
            yield Row(name, float("nan"), "", None, "not installed")


TABLES = {
    "afs": ("AFS, n_max = 20, l_max = 10, time an atom", afs_rows),
    "bso4": ("bSO(4), j_max = 7/2, time an atom", bso4_rows),
    "scattering": ("Solid-harmonic scattering", scattering_rows),
    "million": ("A million atoms", million_rows),
    "import": ("Imports", import_rows),
    "compile": ("Compilation", compilation_rows),
}


def main() -> None:
    """Print the tables asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all by default")
    wanted = parser.parse_args().tables or list(TABLES)
    if unknown := set(wanted) - set(TABLES):
        parser.error(f"unknown table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    for name in wanted:
        title, rows = TABLES[name]
        print_table(title, list(rows()))


if __name__ == "__main__":
    main()
