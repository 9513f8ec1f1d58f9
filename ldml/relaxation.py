"""Relaxation of a structure to a true minimum at fixed cell.

Symmetric starts can end on saddles, where all forces vanish: a <111> dumbbell in iron is one. So the start is rattled,
and the end is tested: if the Hessian cannot be Cholesky-factorised, the structure is kicked along its most negative mode
and relaxed again, until the factorisation succeeds or the tries are used up.

Defects of a crystal relax several times sooner when its Green's function preconditions the minimiser: displacements then reach
across the cell in one step. Far from a minimum, where forces are large, plain steps stay closer to the start.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from ldml.entropy.defect_green import ExtendedCrystal
from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix, lowest_modes
from ldml.entropy.harmonic import instability, is_minimum
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import InputError
from ldml.lbfgs import max_norm, minimise
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.structures import rattled

PRECONDITIONED_BELOW = 0.3
"""eV/Å; largest force from which on the crystal's Green's function preconditions."""


@dataclass(frozen=True)
class Relaxed:
    """A relaxed structure.

    Attributes
    ----------
    atoms : Atoms
    energy : float, eV
    max_force : float, eV/Å
        Largest force on an atom.
    n_steps : int
        Steps of the minimiser, over all tries.
    n_kicks : int
        How often a saddle had to be left.
    is_minimum : bool
        Whether the Hessian was found positive; False only when the test was not asked for.
    """

    atoms: Atoms
    energy: float
    max_force: float
    n_steps: int
    n_kicks: int
    is_minimum: bool


def relax(
    atoms: Atoms,
    potential: str | Potential,
    fmax: float = 1e-6,
    *,
    rattle: float = 0.01,
    seed: int = 0,
    kick: float = 0.1,
    max_tries: int = 4,
    max_steps: int = 3000,
    check_minimum: bool = True,
    lattice: LatticeGreen | None = None,
    progress: Progress | None = None,
) -> Relaxed:
    """Relax the positions of `atoms` to a minimum of `potential`, the cell kept.

    Parameters
    ----------
    atoms : Atoms
        Not changed.
    potential : Potential or its name
    fmax : float, eV/Å
        Largest force left on an atom; 1e-5 or better for entropies.
    rattle : float, Å
        Standard deviation of the random displacements of the start, which break its symmetry.
    seed : int
        Of those displacements.
    kick : float, Å
        Largest displacement of an atom when a saddle is left along its most negative mode.
    max_tries : int
        Relaxations in all, the first included.
    max_steps : int
        Steps of each.
    check_minimum : bool
        Test the end by factorising its Hessian.
    lattice : LatticeGreen, optional
        The perfect crystal in the same cell: makes the relaxation of its defects several times shorter.
    progress : Progress, optional

    Raises
    ------
    ConvergenceError
        If the forces do not fall below `fmax` within `max_steps`.
    NotAMinimumError
        If every try ends on a saddle.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    potential.check(atoms)
    if not fmax > 0:
        raise InputError(f"fmax = {fmax} eV/Å must be positive")
    if max_tries < 1:
        raise InputError(f"max_tries = {max_tries} must be at least 1")
    current = rattled(atoms, rattle, np.random.default_rng(seed)) if rattle else atoms.copy()
    current.calc = None
    evaluator = potential.evaluator(current)
    report = _Reporter(fmax, progress)
    n_steps = 0
    for n_kicks in range(max_tries):
        descent = _descend(current, evaluator, potential.stiffness, lattice, fmax, max_steps, report)
        current.positions = descent.positions
        n_steps += descent.n_steps
        result = Relaxed(current, descent.energy, max_norm(descent.forces), n_steps, n_kicks, check_minimum)
        if not check_minimum:
            return result
        progress.update(1, 1, "testing the minimum")
        progress.check()
        dynamics = dynamical_matrix(potential.watched_hessian(current, progress), current)
        if is_minimum(dynamics):
            return result
        current.positions += _kick(dynamics, kick)
    raise instability(dynamics)


class _Reporter:
    """Turns the minimiser's forces into progress on a logarithmic scale."""

    def __init__(self, fmax, progress):
        self.fmax, self.progress = fmax, progress
        self.first = None

    def __call__(self, force):
        self.first = self.first or max(force, self.fmax)
        span = np.log(self.first / self.fmax) or 1.0
        done = int(100 * min(max(np.log(self.first / max(force, self.fmax)) / span, 0.0), 1.0))
        self.progress.update(done, 100, f"relaxing, largest force {force:.1e} eV/Å")
        self.progress.check()


def _descend(atoms, evaluator, stiffness, lattice, fmax, max_steps, report):
    def plain(forces):
        return forces / stiffness

    if lattice is None:
        return minimise(evaluator, atoms.positions, fmax, plain, max_steps=max_steps, report=report)
    rough = minimise(
        evaluator, atoms.positions, max(fmax, PRECONDITIONED_BELOW), plain, max_steps=max_steps, report=report
    )
    atoms.positions = rough.positions
    elastic = ExtendedCrystal(atoms, lattice).apply_green
    fine = minimise(evaluator, rough.positions, fmax, elastic, max_steps=max_steps, report=report)
    return replace(fine, n_steps=rough.n_steps + fine.n_steps)


def _kick(dynamics: DynamicalMatrix, size):
    _, modes = lowest_modes(dynamics, 1)
    displacement = modes[:, 0].reshape(-1, 3) / np.sqrt(dynamics.masses)[:, None]
    return displacement * (size / np.linalg.norm(displacement, axis=1).max())
