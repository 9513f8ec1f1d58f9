"""Relaxation of a structure to a true minimum at fixed cell.

Symmetric starts can end on saddles, where all forces vanish: a <111> dumbbell in iron is one. So the start is rattled,
and the end is tested: if the Hessian cannot be Cholesky-factorised, the structure is kicked along its most negative mode
and relaxed again, until the factorisation succeeds or the tries are used up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.optimize import FIRE, LBFGS

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix, lowest_modes
from ldml.entropy.harmonic import instability, is_minimum
from ldml.errors import ConvergenceError, InputError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.structures import rattled

DOWNHILL_STEPS = 100
"""Of damped dynamics, to get away from a saddle."""


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
    downhill: bool = False,
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
    downhill : bool
        Begin with damped dynamics, which from beside a saddle goes down on that side; L-BFGS alone may climb back.
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
    calculator = potential.calculator()
    n_steps = 0
    for n_kicks in range(max_tries):
        n_steps += _quench(current, calculator, fmax, max_steps, progress, downhill=downhill or n_kicks > 0)
        if not check_minimum:
            return _result(current, calculator, n_steps, n_kicks, checked=False)
        progress.update(1, 1, "testing the minimum")
        progress.check()
        dynamics = dynamical_matrix(potential.watched_hessian(current, progress), current)
        if is_minimum(dynamics):
            return _result(current, calculator, n_steps, n_kicks, checked=True)
        current.positions += _kick(dynamics, kick)
    raise instability(dynamics)


class _Reporter:
    """Turns the minimiser's steps into progress on a logarithmic scale of the force."""

    def __init__(self, atoms, fmax, progress):
        self.atoms, self.fmax, self.progress = atoms, fmax, progress
        self.first = None

    def __call__(self):
        force = max_norm(self.atoms.get_forces())
        if not np.isfinite(force):
            raise ConvergenceError(
                f"the forces cannot be brought below fmax = {self.fmax:g} eV/Å: their rounding is larger; allow 1e-10 or more"
            )
        self.first = self.first or max(force, self.fmax)
        span = np.log(self.first / self.fmax) or 1.0
        done = int(100 * min(max(np.log(self.first / max(force, self.fmax)) / span, 0.0), 1.0))
        self.progress.update(done, 100, f"relaxing, largest force {force:.1e} eV/Å")
        self.progress.check()


def max_norm(vectors: np.ndarray) -> float:
    """Largest norm of the rows of (N, 3) vectors."""
    return float(np.sqrt(np.max(np.sum(np.square(vectors), axis=1))))


def _quench(atoms, calculator, fmax, max_steps, progress, *, downhill=False):
    atoms.calc = calculator
    n_before = 0
    if downhill:
        # plain L-BFGS may climb back to the saddle it was kicked off; damped dynamics goes down only
        damped = FIRE(atoms, logfile=None, maxstep=0.1)
        damped.run(fmax=fmax, steps=DOWNHILL_STEPS)
        n_before = damped.nsteps
    minimiser = LBFGS(atoms, logfile=None, maxstep=0.2, memory=30, alpha=calculator.potential.stiffness)
    minimiser.attach(_Reporter(atoms, fmax, progress))
    converged = minimiser.run(fmax=fmax, steps=max_steps)
    if not converged:
        raise ConvergenceError(
            f"relaxation stopped after {max_steps} steps with a force of {max_norm(atoms.get_forces()):.2g} eV/Å left, "
            f"above {fmax:g} eV/Å; allow more steps or start closer to a minimum"
        )
    return n_before + minimiser.nsteps


def _kick(dynamics: DynamicalMatrix, size):
    _, modes = lowest_modes(dynamics, 1)
    displacement = modes[:, 0].reshape(-1, 3) / np.sqrt(dynamics.masses)[:, None]
    return displacement * (size / np.linalg.norm(displacement, axis=1).max())


def _result(atoms, calculator, n_steps, n_kicks, *, checked):
    energy, max_force = atoms.get_potential_energy(), max_norm(atoms.get_forces())
    final = atoms.copy()
    final.calc = None
    return Relaxed(final, float(energy), max_force, n_steps, n_kicks, checked)
