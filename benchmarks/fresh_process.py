"""What a fresh process pays for the descriptors: imports, compilation, memory. Each number is printed by one that runs here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from benchmarks.timing import Row
from ldml.descriptors import DESCRIPTORS

IMPORT = """
import time
start = time.process_time()
import {module}
print(time.process_time() - start)
"""
FIRST_CALLS = """
import time
from ase.build import bulk
from ldml.descriptors import get_descriptor
atoms = bulk("Fe", cubic=True)
for name in {names}:
    times = []
    for call in range(2):
        start = time.process_time()
        descriptor = get_descriptor(name)
        descriptor.compute(atoms)
        descriptor.total(atoms)
        times.append(time.process_time() - start)
    print(times[0] - times[1])
"""
# not getrusage: its maximum starts from the memory of the process that forked
TOTAL = """
import time
from pathlib import Path
import numba
from benchmarks.descriptors import iron
from ldml.descriptors import get_descriptor
descriptor, small, atoms = get_descriptor("AFS"), iron(2), iron({repeats})
descriptor.total(small)
numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
start = time.perf_counter(), time.process_time()
descriptor.total(atoms)
print(time.perf_counter() - start[0])
print(time.process_time() - start[1])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) * 1024 / 1e6)
"""


def machine_load() -> str:
    """How busy the machine is, beside which seconds on the wall are to be read."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def printed_by(code: str, **environment: str) -> list[float]:
    """The numbers printed by a fresh Python that runs `code`."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the fresh process failed:\n{done.stderr}")
    return [float(line) for line in done.stdout.split()]


def million_rows(repeats: int = 80) -> Iterator[Row]:
    """Time and memory of the AFS total of 2 repeats³ atoms."""
    n_atoms = 2 * repeats**3
    wall, processor, peak = printed_by(TOTAL.format(repeats=repeats))
    _, _, idle = printed_by(TOTAL.format(repeats=2))
    whole = n_atoms >= 1_000_000
    yield Row(
        f"AFS total of {n_atoms:,} atoms, 2 threads", wall, "s", 12.0 if whole else None, f"{processor:.3g} CPU s"
    )
    yield Row("  peak memory of the process", peak, "MB", 450.0 if whole else None, f"{idle:.0f} MB with 16 atoms")


def import_rows() -> Iterator[Row]:
    """Seconds to import, best of three."""
    best = {
        module: min(printed_by(IMPORT.format(module=module))[0] for _ in range(3))
        for module in ("ldml", "numba", "ldml.descriptors")
    }
    yield Row("import ldml", best["ldml"], "s", 0.5)
    yield Row("import ldml.descriptors", best["ldml.descriptors"], "s", None, f"numba alone {best['numba']:.2f} s")


def compilation_rows() -> Iterator[Row]:
    """What the first compute and total of each descriptor cost beyond the second: nothing compiled, and in a later process."""
    names = list(DESCRIPTORS)
    with tempfile.TemporaryDirectory() as cache:
        first = printed_by(FIRST_CALLS.format(names=names), NUMBA_CACHE_DIR=cache)
        yield Row("first calls ever, compiled: all descriptors together", sum(first), "s")
        for name, seconds in zip(names, first, strict=True):
            yield Row(f"  {name}", seconds, "s", 20.0)
        for name in names:
            (later,) = printed_by(FIRST_CALLS.format(names=[name]), NUMBA_CACHE_DIR=cache)
            yield Row(f"first call of a later process: {name}", later, "s", 1.0)
