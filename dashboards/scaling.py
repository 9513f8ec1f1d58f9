"""Seconds that the exact entropy and the learned one take for one defect in growing cells; library only, no Panel.

    t = c N^p        ln t = ln c + p ln N

N atoms, t CPU time of one process, p the exponent fitted by least squares over the largest sizes. Relaxation is timed for
neither: both answers need the minimum. CPU time does not depend on what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from threadpoolctl import threadpool_limits

from ldml.entropy import formation_entropy, harmonic_entropy
from ldml.entropy.formation import crystal_cell, formation_from, perfect_crystal_entropy
from ldml.entropy.lattice_green import LatticeGreen
from ldml.newton import embed, relax_newton
from ldml.potentials import Potential, get_potential, perfect_crystal
from ldml.regression.ldml import LDML
from ldml.relaxation import relax
from ldml.structures import interstitial_cluster, vacancy_cluster

DEFECTS = {"vacancy": (vacancy_cluster, -1), "<110> dumbbell": (interstitial_cluster, 1)}
"""Maker and atoms more than the crystal."""
MODEL, EIGENVALUES, CHOLESKY, GREEN = "linear model", "eigenvalues", "cholesky", "green"
EXACT = (EIGENVALUES, CHOLESKY, GREEN)
RELAXED_UP_TO = 10
"""Unit cells along an edge; larger cells start from the minimum of a smaller one, embedded."""
FORCE = 1e-4
"""eV/Å, left on an atom."""
QUICK = 3.0
"""CPU seconds below which a time is the better of two."""
FITTED_SIZES = 3
"""Largest sizes that an exponent is fitted on: smaller ones are ruled by what every call costs."""

PAPER_ATOMS, PAPER_CPU_SECONDS = 200_000, 10 * 3600 * 1000
"""Sec. I: 2e5 atoms "requires more than 20 TB of memory and ten hours over thousands of the most recent CPUs", of which one
thousand is the least."""


@dataclass(frozen=True)
class ScalingPoint:
    """What one size took.

    Attributes
    ----------
    n_atoms : int
    seconds : dict of str to float, CPU s
        By method.
    entropies : dict of str to float, k_B
        S_f by method.
    """

    n_atoms: int
    seconds: dict[str, float] = field(default_factory=dict)
    entropies: dict[str, float] = field(default_factory=dict)


def n_atoms_of(repeats: int, defect: str) -> int:
    """Atoms of a bcc cell of repeats^3 unit cells with the defect."""
    return 2 * repeats**3 + DEFECTS[defect][1]


def measure(
    progress, repeats: int, potential: str, defect: str, methods: Sequence[str], model: LDML | None
) -> ScalingPoint:
    """Time the methods on one defect in a cell of repeats^3 unit cells, and the model if there is one.

    Parameters
    ----------
    progress : Progress
    repeats : int
    potential : str
    defect : str
        One of `DEFECTS`.
    methods : sequence of str
        Of `EXACT`.
    model : LDML or None

    Raises
    ------
    InputError
        If a method's matrices do not fit into memory.
    """
    steps = [*([MODEL] if model else []), *methods]
    potential = get_potential(potential)
    progress.update(0, len(steps) + 1, "relaxation")
    bulk = perfect_crystal(potential, repeats)
    atoms = _minimum(repeats, potential, defect, bulk, progress)
    point = ScalingPoint(len(atoms))
    with threadpool_limits(limits=1):
        for k, step in enumerate(steps):
            progress.check()
            progress.update(k + 1, len(steps) + 1, step)
            measured = _model_time(atoms, bulk, model) if step == MODEL else _exact_time(atoms, bulk, potential, step)
            point.seconds[step], point.entropies[step] = measured
    return point


def fitted_power(n_atoms, seconds) -> tuple[float, float]:
    """Prefactor c and exponent p of t = c N^p over the largest sizes.

    Parameters
    ----------
    n_atoms, seconds : (n,) array_like, n >= 2
    """
    order = np.argsort(n_atoms)[-FITTED_SIZES:]
    p, log_c = np.polyfit(np.log(np.asarray(n_atoms, float)[order]), np.log(np.asarray(seconds, float)[order]), 1)
    return float(np.exp(log_c)), float(p)


def series(points: Sequence[ScalingPoint], method: str) -> tuple[np.ndarray, np.ndarray]:
    """Atoms and CPU seconds of the points that a method was measured on, by size."""
    pairs = sorted((point.n_atoms, point.seconds[method]) for point in points if method in point.seconds)
    return np.array([n for n, _ in pairs], float), np.array([t for _, t in pairs], float)


def _minimum(repeats, potential: Potential, defect, bulk, progress) -> Atoms:
    make = DEFECTS[defect][0]
    if repeats <= RELAXED_UP_TO:
        return relax(make(bulk, 1), potential, fmax=FORCE, check_minimum=False, progress=progress).atoms
    small = perfect_crystal(potential, RELAXED_UP_TO)
    relaxed = relax(make(small, 1), potential, fmax=FORCE, check_minimum=False, progress=progress).atoms
    cell, _ = crystal_cell(bulk, potential)
    start = embed(relaxed, cell, RELAXED_UP_TO, repeats)
    lattice = LatticeGreen(cell, repeats, potential)
    return relax_newton(start, lattice, FORCE, check_minimum=False, progress=progress).atoms


def _model_time(atoms, bulk, model):
    """The crystal's descriptors are needed once for all defects in it, and are left out."""
    descriptor = model.descriptor
    crystal = descriptor.total(bulk) / len(bulk)
    return _timed(lambda: float(model.predict((descriptor.total(atoms) - len(atoms) * crystal)[None])[0]))


def _exact_time(atoms, bulk, potential, method):
    """The crystal's entropy comes from reciprocal space and is left out."""
    crystal = perfect_crystal_entropy(bulk, potential)
    if method == GREEN:
        return _timed(lambda: formation_entropy(atoms, bulk, potential, method=GREEN, bulk_entropy=crystal).value)
    seconds, entropy = _timed(lambda: harmonic_entropy(atoms, potential, method=method))
    return seconds, formation_from(entropy, crystal).value


def _timed(function):
    """CPU seconds and result; what is quick is run again, for the first call of a process also loads compiled code."""
    seconds, result = _clocked(function)
    return (
        min((seconds, result), _clocked(function), key=lambda pair: pair[0]) if seconds < QUICK else (seconds, result)
    )


def _clocked(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result
