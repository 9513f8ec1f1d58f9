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
from ase import Atoms
from numba import njit

from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.errors import ConvergenceError, InputError
from ldml.landscape.duplicates import DistinctMinima
from ldml.landscape.exploration import SearchStatistics
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import max_norm

SAME_ENERGY = 1e-5
"""Relative to the depth of a pair, as all lengths here are to its width."""
SAME_INERTIA = 1e-4
MOST_HESSIANS = 3
STEPS_OF_A_FACTOR = 4
MEMORY = 12
MOST_STEPS = 3000
LONGEST_STEP = 0.5
"""Move of an atom along an axis in one step of a quench, in those of the walk."""
FRACTIONS = tuple(0.3**k for k in range(12))
"""To which a step is cut until the energy falls."""
ENERGY_NOISE = 1e-14


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
class HoppingStatistics(SearchStatistics):
    """What a walk has done so far; its saddles are quenches that ended on one, and were dropped."""

    n_accepted: int = 0
    n_restarts: int = 0
    distinct: DistinctMinima = field(
        default_factory=lambda: DistinctMinima(energy_tolerance=SAME_ENERGY, inertia_tolerance=SAME_INERTIA)
    )

    def record(self) -> dict:
        return super().record() | {"accepted": self.n_accepted, "restarts": self.n_restarts}


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
        except ConvergenceError as error:
            statistics.failures[type(error).__name__] += 1
            positions = None
            continue
        statistics.n_minima += 1
        if statistics.distinct.is_new(trial_energy, cluster_inertia(trial)):
            polished = _polished(start, trial, potential, quench, hopping.force)
            if polished is None:
                statistics.n_saddles += 1
                statistics.n_minima -= 1
            elif statistics.distinct.add(polished[1], cluster_inertia(polished[0].positions)):
                yield Minimum(*polished, attempt)
        if positions is None or rng.random() < np.exp(min(0.0, (energy - trial_energy) / hopping.temperature)):
            statistics.n_accepted += 1
            positions, energy = trial, trial_energy
        if hopping.restart_after and (attempt + 1) % hopping.restart_after == 0:
            positions = None


class _Quench:
    """Down to the next stationary point, by L-BFGS with steps cut until the energy falls.

    A cluster takes microseconds to evaluate, so the recursion is compiled; `ldml.lbfgs` is for larger systems.
    """

    def __init__(self, start, potential, hopping):
        self.energy_and_forces = potential.evaluator(start).energy_and_forces
        self._first_scale = 1.0 / potential.stiffness
        self._force = hopping.quench_force
        self._longest = LONGEST_STEP * hopping.step
        self._radius = hopping.largest_radius * _ball_radius(len(start), hopping)
        size = 3 * len(start)
        self._steps, self._changes, self._weights = np.zeros((MEMORY, size)), np.zeros((MEMORY, size)), np.zeros(MEMORY)

    def __call__(self, positions):
        energy, forces = self.energy_and_forces(positions)
        step, n_held, scale = np.zeros_like(positions), 0, self._first_scale
        for _ in range(MOST_STEPS):
            largest = _largest(forces)
            if largest < self._force:
                return self._whole(positions, energy)
            step, n_held = _direction(
                forces.ravel(), self._steps, self._changes, self._weights, n_held, scale, self._longest
            )
            for fraction in FRACTIONS:
                trial = positions + (fraction * step).reshape(-1, 3)
                trial_energy, trial_forces = self.energy_and_forces(trial)
                if trial_energy <= energy + ENERGY_NOISE * abs(energy):
                    break
            else:
                raise ConvergenceError(f"the quench stopped with a force of {largest:.2g} eV/Å")
            change = (forces - trial_forces).ravel()
            n_held, scale = _remember(fraction * step, change, self._steps, self._changes, self._weights, n_held, scale)
            positions, energy, forces = trial, trial_energy, trial_forces
        raise ConvergenceError(f"the quench stopped after {MOST_STEPS} steps with a force of {largest:.2g} eV/Å")

    def _whole(self, positions, energy):
        centred = positions - positions.mean(axis=0)
        if max_norm(centred) > self._radius:
            raise ConvergenceError(f"the cluster fell apart: an atom is {max_norm(centred):.3g} Å from its centre")
        return centred, energy


@njit(cache=True)
def _largest(forces):
    """Largest norm of a force; infinite where one is no number."""
    most = 0.0
    for i in range(forces.shape[0]):
        square = forces[i, 0] ** 2 + forces[i, 1] ** 2 + forces[i, 2] ** 2
        if not square < np.inf:
            return np.inf
        most = max(most, square)
    return np.sqrt(most)


@njit(cache=True)
def _direction(forces, steps, changes, weights, n_held, scale, longest):
    """Two-loop recursion on the steps held (a ring), cut at the longest move along an axis; forgets if it points uphill."""
    memory = weights.shape[0]
    while True:
        answer = forces.copy()
        lengths = np.empty(memory)
        first = max(0, n_held - memory)
        for k in range(n_held - 1, first - 1, -1):
            j = k % memory
            lengths[j] = weights[j] * np.dot(steps[j], answer)
            answer -= lengths[j] * changes[j]
        answer *= scale
        for k in range(first, n_held):
            j = k % memory
            answer += (lengths[j] - weights[j] * np.dot(changes[j], answer)) * steps[j]
        if n_held == 0 or np.dot(answer, forces) > 0.0:
            break
        n_held = 0
    largest = np.abs(answer).max()
    if largest > longest:
        answer *= longest / largest
    return answer, n_held


@njit(cache=True)
def _remember(step, change, steps, changes, weights, n_held, scale):
    """Add a step where the curvature along it is positive; how many were added so far, and the inverse curvature."""
    along = np.dot(step, change)
    if along <= 1e-12 * np.sqrt(np.dot(step, step) * np.dot(change, change)):
        return n_held, scale
    j = n_held % weights.shape[0]
    steps[j], changes[j], weights[j] = step, change, 1.0 / along
    return n_held + 1, along / np.dot(change, change)


def _polished(start, positions, potential, quench, force):
    """The minimum next to `positions` and its energy; None if the Hessian is not positive or the steps do not end.

    The quench ends so close that one factor serves for several of Newton's steps.
    """
    atoms = start.copy()
    atoms.positions = positions
    roots = np.sqrt(np.repeat(atoms.get_masses(), 3))
    for _ in range(MOST_HESSIANS):
        dynamics = dynamical_matrix(potential.hessian(atoms), atoms)
        try:
            factor = scipy.linalg.cho_factor(dynamics.lifted(dynamics.scale), lower=True)
        except np.linalg.LinAlgError:
            return None
        for _ in range(STEPS_OF_A_FACTOR):
            energy, forces = quench.energy_and_forces(atoms.positions)
            if max_norm(forces) < force:
                atoms.positions -= atoms.positions.mean(axis=0)
                return atoms, energy
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


def cluster_inertia(positions: np.ndarray) -> float:
    """Sum of squares of the principal second moments of atoms (N, 3) around the origin, Å⁴; turning and mirroring keep it."""
    return float(np.sum(np.linalg.eigvalsh(positions.T @ positions) ** 2))
