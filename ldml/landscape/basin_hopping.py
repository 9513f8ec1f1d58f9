"""Basin hopping: minima of a cluster by random moves, each followed by a quench.

A move is kept with probability min(1, exp(-(E_new - E_old) / k_B T)) of the quenched energies E, so that the walk sees the
landscape as a staircase of basins. Two moves alternate at random: every atom a little, or a few atoms to anywhere on the
surface.

Source: D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import scipy.optimize
from ase import Atoms
from threadpoolctl import ThreadpoolController

from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.errors import ConvergenceError, InputError
from ldml.landscape.duplicates import DistinctMinima
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import max_norm

SAME_ENERGY = 1e-5
"""Relative to the depth of a pair, as all lengths here are to its width."""
SAME_INERTIA = 1e-4
MOST_NEWTON_STEPS = 8


@dataclass(frozen=True)
class Hopping:
    """How to walk; the defaults suit Lennard-Jones clusters, in their reduced units.

    Attributes
    ----------
    n_steps : int
    temperature : float, eV
        k_B T of the acceptance.
    step : float, Å
        Largest displacement of an atom along an axis.
    surface_moves : float
        Share of the moves that take one to three atoms to the surface.
    restart_after : int
        Steps after which the walk begins anew from a random ball; 0 for never.
    ball_density : float, Å^-3
        Number density of that ball.
    largest_radius : float
        A quenched cluster with an atom farther from the centre than this many radii of the ball has fallen apart.
    quench_force, force : float, eV/Å
        Largest force left by a quench, and in a minimum that is kept.
    """

    n_steps: int = 1000
    temperature: float = 0.8
    step: float = 0.38
    surface_moves: float = 0.2
    restart_after: int = 150
    ball_density: float = 0.65
    largest_radius: float = 1.9
    quench_force: float = 1e-4
    force: float = 1e-8


@dataclass
class HoppingStatistics:
    """What a walk has done so far."""

    n_attempts: int = 0
    n_accepted: int = 0
    n_restarts: int = 0
    n_failed: int = 0
    n_saddles: int = 0
    distinct: DistinctMinima = field(
        default_factory=lambda: DistinctMinima(energy_tolerance=SAME_ENERGY, inertia_tolerance=SAME_INERTIA)
    )


@dataclass(frozen=True)
class Minimum:
    """A minimum met for the first time.

    Attributes
    ----------
    atoms : Atoms
        Centred on the origin.
    energy : float, eV
    attempt : int
    """

    atoms: Atoms
    energy: float
    attempt: int


def hop(
    start: Atoms,
    potential: str | Potential,
    rng: np.random.Generator,
    *,
    hopping: Hopping | None = None,
    statistics: HoppingStatistics | None = None,
    progress: Progress | None = None,
) -> Iterator[Minimum]:
    """Walk from `start` and yield every minimum that was not met before.

    Parameters
    ----------
    start : Atoms
        A cluster, any shape; not changed.
    potential : Potential or its name
    rng : numpy.random.Generator
    hopping : Hopping, optional
    statistics : HoppingStatistics, optional
        Counted up as the walk goes on; one that has seen a walk knows its minima.
    progress : Progress, optional

    Raises
    ------
    InputError
        If `start` is periodic.
    """
    potential, hopping, progress = get_potential(potential), hopping or Hopping(), progress or NULL_PROGRESS
    statistics = statistics or HoppingStatistics()
    if start.pbc.any():
        raise InputError("basin hopping is for clusters, but the structure is periodic; set pbc to False")
    potential.check(start)
    quench = _Quench(start, potential, hopping)
    positions, energy = None, np.inf
    for attempt in range(hopping.n_steps):
        progress.check()
        progress.update(attempt, hopping.n_steps, f"{len(statistics.distinct):,} minima")
        statistics.n_attempts += 1
        if positions is None:
            trial = start.positions if attempt == 0 else _random_ball(len(start), hopping, rng)
            statistics.n_restarts += attempt > 0
        else:
            trial = _moved(positions, hopping, rng)
        try:
            trial, trial_energy = quench(trial)
        except ConvergenceError:
            statistics.n_failed += 1
            positions = None
            continue
        if statistics.distinct.is_new(trial_energy, _inertia(trial)):
            minimum = _polished(start, trial, potential, hopping.force)
            if minimum is None:
                statistics.n_saddles += 1
            elif statistics.distinct.add(potential.energy(minimum), _inertia(minimum.positions)):
                yield Minimum(minimum, potential.energy(minimum), attempt)
        if positions is None or rng.random() < np.exp(min(0.0, (energy - trial_energy) / hopping.temperature)):
            statistics.n_accepted += 1
            positions, energy = trial, trial_energy
        if hopping.restart_after and (attempt + 1) % hopping.restart_after == 0:
            positions = None


class _Quench:
    """Down to the next stationary point."""

    def __init__(self, start, potential, hopping):
        self._evaluator = potential.evaluator(start)
        self._blas = ThreadpoolController()
        self._force = hopping.quench_force
        self._radius = hopping.largest_radius * _ball_radius(len(start), hopping)

    def __call__(self, positions):
        # the vectors are so short that threads of BLAS cost ten times what they share out
        with self._blas.limit(limits=1, user_api="blas"):
            found = scipy.optimize.minimize(
                self._energy_and_gradient,
                positions.ravel(),
                jac=True,
                method="L-BFGS-B",
                options={"maxcor": 6, "gtol": 0.5 * self._force, "ftol": 0.0, "maxiter": 5000, "maxfun": 10000},
            )
        left = max_norm(found.jac.reshape(-1, 3))
        if not left < self._force:
            raise ConvergenceError(f"the quench stopped with a force of {left:.2g} eV/Å")
        quenched = found.x.reshape(-1, 3)
        quenched = quenched - quenched.mean(axis=0)
        if max_norm(quenched) > self._radius:
            raise ConvergenceError(f"the cluster fell apart: an atom is {max_norm(quenched):.3g} Å from its centre")
        return quenched, float(found.fun)

    def _energy_and_gradient(self, flat):
        energy, forces = self._evaluator.energy_and_forces(flat.reshape(-1, 3))
        return energy, -forces.ravel()


def _polished(start, positions, potential, force):
    """The minimum next to `positions` by Newton's method; None if the Hessian is not positive or the steps do not end."""
    atoms = start.copy()
    atoms.positions = positions
    for _ in range(MOST_NEWTON_STEPS):
        forces = potential.forces(atoms)
        dynamics = dynamical_matrix(potential.hessian(atoms), atoms)
        try:
            factor = scipy.linalg.cho_factor(dynamics.lifted(dynamics.scale), lower=True)
        except np.linalg.LinAlgError:
            return None
        if max_norm(forces) < force:
            atoms.positions -= atoms.positions.mean(axis=0)
            return atoms
        roots = np.sqrt(np.repeat(dynamics.masses, 3))
        atoms.positions += (scipy.linalg.cho_solve(factor, forces.ravel() / roots) / roots).reshape(-1, 3)
    return None


def _moved(positions, hopping, rng):
    if rng.random() >= hopping.surface_moves:
        return positions + rng.uniform(-hopping.step, hopping.step, positions.shape)
    moved = positions.copy()
    chosen = rng.choice(len(moved), size=min(int(rng.integers(1, 4)), len(moved)), replace=False)
    moved[chosen] = _directions(len(chosen), rng) * max_norm(positions)
    return moved


def _random_ball(n_atoms, hopping, rng):
    radii = _ball_radius(n_atoms, hopping) * np.cbrt(rng.random(n_atoms))
    return _directions(n_atoms, rng) * radii[:, None]


def _ball_radius(n_atoms, hopping):
    return float(np.cbrt(3 * n_atoms / (4 * np.pi * hopping.ball_density)))


def _directions(n, rng):
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def _inertia(positions):
    """Sum of squares of the principal second moments of the atoms, a number that turning and mirroring keep."""
    return float(np.sum(np.linalg.eigvalsh(positions.T @ positions) ** 2))
