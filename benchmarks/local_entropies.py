"""Local entropies by every method: ``python -m benchmarks.local_entropies``.

A vacancy in Fe-AM04 at 128, 1024 and 2000 sites, as many BLAS threads as the machine gives. Errors are against
eigenvectors; memory is the peak of a process of its own above where it stood, in units of one dense matrix (72 N^2
bytes). At 16,000 atoms, where no matrix is dense, atoms of the perfect crystal are held against reciprocal space.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

import ldml
from benchmarks.timing import Row, best_of, print_table
from ldml.potentials import perfect_crystal
from ldml.structures import vacancy_cluster

POTENTIAL = "Fe-AM04"
SIZES = (4, 8, 10)
CHOSEN = np.arange(16)
METHODS = {
    "shifts": {"local": True},
    "lanczos": {"local": True},
    "cholesky+lanczos": {"local_atoms": CHOSEN},
}
TIME_BAR = {8: 3.0}
"""Seconds for all atoms of the paper's cell on two cores."""
ERROR_BAR = 1e-6
TOTAL_MEMORY_BAR = {8: 1.3, 10: 1.3}


def main() -> None:
    """Print time, error and memory of every method at every size."""
    ldml.harmonic_entropy(perfect_crystal(POTENTIAL, 4), POTENTIAL, local=True, method="lanczos")  # compiles
    for repeats in SIZES:
        vacancy = ldml.relax(vacancy_cluster(perfect_crystal(POTENTIAL, repeats), 1), POTENTIAL).atoms
        print_table(f"{len(vacancy)} atoms", of_size(vacancy, repeats))
    print_table("16 chosen atoms of 16,000, nothing factorised", large_cell())


def of_size(atoms, repeats):
    """Rows for one structure."""
    rows = [
        Row("total: time", best_of(lambda: ldml.harmonic_entropy(atoms, POTENTIAL)), "s"),
        Row("total: memory", _memory("cholesky", repeats), "x", TOTAL_MEMORY_BAR.get(repeats)),
    ]
    start = time.perf_counter()
    exact = ldml.harmonic_entropy(atoms, POTENTIAL, local=True, method="eigenvectors").local
    rows += [
        Row("eigenvectors: time", time.perf_counter() - start, "s"),
        Row("eigenvectors: memory", _memory("eigenvectors", repeats), "x"),
    ]
    for method, asked in METHODS.items():
        results = []
        again = 2 if method == "shifts" else 1
        seconds = best_of(
            lambda m=method, a=asked, r=results: r.append(ldml.harmonic_entropy(atoms, POTENTIAL, method=m, **a)), again
        )
        result = results[-1]
        label = method if result.local_atoms is None else f"{method}, {len(CHOSEN)} atoms"
        reference = exact if result.local_atoms is None else exact[result.local_atoms]
        error = float(np.abs(result.local - reference).max())
        bar = TIME_BAR.get(repeats) if method == "shifts" else None
        rows += [
            Row(f"{label}: time", seconds, "s", bar),
            Row(f"{label}: largest error", error, "k_B", ERROR_BAR, f"stated bound {result.error:.1e}"),
            Row(f"{label}: memory", _memory(method, repeats), "x"),
        ]
    return rows


def large_cell():
    """Rows for a cell whose dense matrix would take 18 GB."""
    crystal = perfect_crystal(POTENTIAL, 20)
    start = time.perf_counter()
    result = ldml.harmonic_entropy(crystal, POTENTIAL, local_atoms=CHOSEN, method="lanczos")
    seconds = time.perf_counter() - start
    bulk = ldml.bulk_entropy(perfect_crystal(POTENTIAL, 1), 20, POTENTIAL)
    error = float(np.abs(result.local - bulk.total / bulk.n_atoms).max())
    return [
        Row("time with forces and Hessian", seconds, "s"),
        Row("largest error", error, "k_B", ERROR_BAR, f"stated bound {result.error:.1e}"),
    ]


def _memory(method, repeats):
    """Peak memory of one entropy in a fresh process, in dense matrices; NaN where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return float("nan")
    command = [sys.executable, "-m", "benchmarks.local_entropies", method, str(repeats)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _print_memory(method, repeats):
    asked = METHODS.get(method, {"local": method == "eigenvectors"})
    small, large = (perfect_crystal(POTENTIAL, n) for n in (3, repeats))
    # libraries loaded and kernels compiled before the count begins
    ldml.harmonic_entropy(small, POTENTIAL, method=method, **asked)
    before = _status("VmRSS")
    ldml.harmonic_entropy(large, POTENTIAL, method=method, **asked)
    print((_status("VmHWM") - before) / (72 * len(large) ** 2))


def _status(field):
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _print_memory(sys.argv[1], int(sys.argv[2]))
    else:
        main()
