"""Activation-relaxation technique (ART nouveau): from a minimum over a saddle to a neighbouring minimum.

1. Activation: the atoms around a centre are pushed along a random direction, the others relaxing a little across it, until
   the lowest curvature of the energy, lambda = min_v v^T H v, falls below a threshold.
2. Convergence: up along v, lambda's mode, down across it, until the forces vanish; Newton's method ends it.
3. Descent: down from the saddle on both sides. One side should lead back to the start.

The mode comes from Lanczos recursions on H v = -[f(x + h v) - f(x - h v)] / 2h: forces f only, no Hessian. On the way up,
where the mode need not be exact, the known f(x) takes the place of one of the two. `climb` goes up and leaves a rough
saddle; `finish_event` refines it and goes down, which costs several times as much and so is for saddles that are new.

Sources: G. T. Barkema and N. Mousseau, Phys. Rev. Lett. 77, 4358 (1996); R. Malek and N. Mousseau, Phys. Rev. E 62, 7723
(2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms
from ase.build import minimize_rotation_and_translation
from ase.geometry import find_mic

from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import ConvergenceError, InputError
from ldml.landscape.saddle import refine_saddle
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import Relaxed, max_norm, relax

DIFFERENCE_STEP = 1e-3
"""Å, norm of the displacement of all atoms in a difference of forces."""
SAME_ENERGY = 1e-3
"""eV between two relaxations to one minimum."""
FINAL_LANCZOS_STEPS = 64
"""At the refined saddle, whose eigenvalue is recorded."""
SOFTEST = 0.05
"""Smallest curvature that a step across the mode is made for, in units of the potential's stiffness."""


class StillInBasinError(ConvergenceError):
    """An activation that met no negative curvature."""


class NoSaddleError(ConvergenceError):
    """A convergence that did not end on a saddle."""


@dataclass(frozen=True)
class ArtSettings:
    """How far and how carefully to go.

    Attributes
    ----------
    radius : float, Å
        Atoms within it around the centre are pushed.
    push : float, Å
        Largest move of an atom in one step.
    max_pushes : int
        Before the activation is given up.
    threshold : float, eV/Å²
        Curvature at which the start's basin counts as left.
    lanczos_steps : int
        Of each recursion.
    lanczos_tolerance : float
        Relative change of the curvature that ends it sooner.
    saddle_force : float, eV/Å
        Largest force at which Newton's method takes over.
    max_steps : int
        Of the convergence.
    kick : float, Å
        Largest move of an atom off the saddle on either side.
    minimum_force : float, eV/Å
        Largest force left in the minima.
    """

    radius: float = 4.0
    push: float = 0.2
    max_pushes: int = 40
    threshold: float = -0.5
    lanczos_steps: int = 12
    lanczos_tolerance: float = 0.05
    saddle_force: float = 0.05
    max_steps: int = 100
    kick: float = 0.1
    minimum_force: float = 1e-4


@dataclass(frozen=True)
class RoughSaddle:
    """Where a climb ended: near a saddle, good enough to tell it from others.

    Attributes
    ----------
    atoms : Atoms
    energy : float, eV
    max_force : float, eV/Å
    curvature : float, eV/Å²
        Along the mode.
    mode : (N, 3) array
        Of norm 1, pointing away from the start.
    n_force_calls : int
        Of the way up.
    """

    atoms: Atoms
    energy: float
    max_force: float
    curvature: float
    mode: np.ndarray
    n_force_calls: int

    def beside(self, push: float) -> Atoms:
        """The structure off the saddle along the mode, its most moved atom by `push` (Å); away from the start if positive."""
        off = self.atoms.copy()
        off.positions += push / max_norm(self.mode) * self.mode
        return off


@dataclass(frozen=True)
class Event:
    """A saddle with the minima on its two sides.

    Attributes
    ----------
    saddle : Relaxed
    eigenvalue : float, eV/Å²
        The one negative eigenvalue of the Hessian there.
    ends : (Relaxed, Relaxed)
        The minima; if one is the start, it comes first.
    leads_back : bool
        Whether one of them is the start.
    start_energy : float, eV
    n_force_calls : int
        Of the way up.
    """

    saddle: Relaxed
    eigenvalue: float
    ends: tuple[Relaxed, Relaxed]
    leads_back: bool
    start_energy: float
    n_force_calls: int

    @property
    def barrier(self) -> float:
        """Energy of the saddle above the start, eV."""
        return self.saddle.energy - self.start_energy

    @property
    def reverse_barrier(self) -> float:
        """Energy of the saddle above the minimum on the other side, eV."""
        return self.saddle.energy - self.ends[1].energy


def find_event(
    start: Atoms,
    potential: str | Potential,
    centre: np.ndarray,
    rng: np.random.Generator,
    *,
    settings: ArtSettings | None = None,
    progress: Progress | None = None,
) -> Event:
    """One attempt to leave a minimum over a saddle.

    Parameters
    ----------
    start : Atoms
        A minimum of `potential`; not changed.
    potential : Potential or its name
    centre : (3,) array, Å
        Where the push begins: a defect site.
    rng : numpy.random.Generator
        Draws the direction.
    settings : ArtSettings, optional
    progress : Progress, optional

    Raises
    ------
    ConvergenceError
        If no saddle is met or reached.
    InputError
        If no atom lies around the centre, or the search ends on no saddle of order one.
    """
    rough = climb(start, potential, centre, rng, settings=settings, progress=progress)
    return finish_event(start, rough, potential, settings=settings, progress=progress)


def climb(
    start: Atoms,
    potential: str | Potential,
    centre: np.ndarray,
    rng: np.random.Generator,
    *,
    settings: ArtSettings | None = None,
    progress: Progress | None = None,
) -> RoughSaddle:
    """The way up of an attempt; takes and raises what `find_event` does."""
    potential, settings, progress = get_potential(potential), settings or ArtSettings(), progress or NULL_PROGRESS
    potential.check(start)
    walk = _Walk(start, potential, settings, progress)
    mode = walk.activate(_push_direction(start, centre, settings.radius, rng))
    return walk.converge(mode)


def finish_event(
    start: Atoms,
    rough: RoughSaddle,
    potential: str | Potential,
    *,
    settings: ArtSettings | None = None,
    lattice: LatticeGreen | None = None,
    progress: Progress | None = None,
) -> Event:
    """Refine a saddle that `climb` found from `start`, prove its order, and go down on both sides.

    `lattice` is the perfect crystal in the same cell; it shortens the descents (see `ldml.relax`).

    Raises
    ------
    ConvergenceError
        If the saddle or one of the minima is not reached.
    InputError
        If the refinement ends on no saddle of order one.
    """
    potential, settings, progress = get_potential(potential), settings or ArtSettings(), progress or NULL_PROGRESS
    saddle = refine_saddle(rough.atoms, potential, settings.minimum_force, progress=progress)
    evaluator = potential.evaluator(saddle.atoms)
    eigenvalue, mode = lowest_curvature(
        lambda positions: evaluator.energy_and_forces(positions)[1],
        saddle.atoms.positions,
        rough.mode,
        FINAL_LANCZOS_STEPS,
        tolerance=1e-5,
    )
    ends = []
    for side in (1, -1):
        off = saddle.atoms.copy()
        off.positions += side * settings.kick / max_norm(mode) * mode
        ends.append(
            relax(
                off,
                potential,
                settings.minimum_force,
                rattle=0.0,
                check_minimum=False,
                lattice=lattice,
                progress=progress,
            )
        )
    start_energy = potential.energy(start)
    back = [same_minimum(end.atoms, end.energy, start, start_energy) for end in ends]
    if back[1] and not back[0]:
        ends.reverse()
    return Event(saddle, eigenvalue, tuple(ends), any(back), start_energy, rough.n_force_calls)


def lowest_curvature(
    forces_at,
    positions: np.ndarray,
    guess: np.ndarray,
    n_steps: int,
    *,
    tolerance: float = 0.01,
    forces: np.ndarray | None = None,
    below: float = -np.inf,
) -> tuple[float, np.ndarray]:
    """Lowest eigenvalue of the Hessian beside translations, and its mode, by Lanczos recursion.

    Parameters
    ----------
    forces_at : function
        Forces (N, 3) in eV/Å at positions (N, 3).
    positions, guess : (N, 3) arrays
        Where, and a first idea of the mode.
    n_steps : int
        At most; each costs two evaluations of the forces, or one where `forces` are given.
    tolerance : float
        Relative change of the eigenvalue in one step that ends the recursion sooner.
    forces : (N, 3) array, eV/Å, optional
        At `positions`, for one-sided differences: half the cost, and an error from the third derivatives.
    below : float, eV/Å²
        The recursion may end as soon as the eigenvalue is known to be lower.

    Returns
    -------
    eigenvalue : float, eV/Å²
        From above: the true one is lower or the same.
    mode : (N, 3) array
        Of norm 1.
    """
    basis, diagonal, coupling = [_unit(_without_drift(guess))], [], []
    value = np.inf
    for _ in range(n_steps):
        product = _without_drift(_curvature_along(forces_at, positions, basis[-1], forces))
        diagonal.append(float(np.vdot(basis[-1], product)))
        previous, value = value, float(scipy.linalg.eigvalsh_tridiagonal(diagonal, coupling)[0])
        if abs(value - previous) < tolerance * abs(value) or value < below:
            break
        for _ in range(2):  # once is not enough to stay orthogonal
            for vector in basis:
                product -= np.vdot(vector, product) * vector
        norm = float(np.linalg.norm(product))
        if norm < 1e-8 * max(map(abs, diagonal)) or len(diagonal) == n_steps:
            break
        coupling.append(norm)
        basis.append(product / norm)
    _, vectors = scipy.linalg.eigh_tridiagonal(diagonal, coupling[: len(diagonal) - 1], select="i", select_range=(0, 0))
    return value, _unit(np.tensordot(vectors[:, 0], np.array(basis[: len(diagonal)]), axes=1))


def _curvature_along(forces_at, positions, direction, forces):
    """H v, from differences of forces."""
    step = DIFFERENCE_STEP * direction
    if forces is not None:
        return (forces - forces_at(positions + step)) / DIFFERENCE_STEP
    return (forces_at(positions - step) - forces_at(positions + step)) / (2 * DIFFERENCE_STEP)


class _Walk:
    """A structure on its way from a minimum to a saddle."""

    def __init__(self, start, potential, settings, progress):
        self.start, self.settings, self.progress = start, settings, progress
        self.positions = start.positions.copy()
        self._evaluator = potential.evaluator(start)
        self._softest = SOFTEST * potential.stiffness
        self._step = 1.0 / potential.stiffness
        self.energy = np.inf
        self.n_force_calls = 0

    def forces_at(self, positions):
        self.n_force_calls += 1
        self.energy, forces = self._evaluator.energy_and_forces(positions)
        return forces

    def activate(self, direction):
        """Push until the curvature turns negative; the mode in which it does."""
        mode = direction
        for n_pushes in range(1, self.settings.max_pushes + 1):
            self._report(0.3 * n_pushes / self.settings.max_pushes, "leaving the minimum")
            self.positions += self.settings.push * direction
            self._relax_across(_unit(direction), 3, self.settings.saddle_force)
            curvature, mode = self._lowest_mode(mode, self.forces_at(self.positions), below=self.settings.threshold)
            if curvature < self.settings.threshold:
                return self._away(mode)
        raise StillInBasinError(
            f"no negative curvature within {self.settings.max_pushes} pushes of {self.settings.push:g} Å; push elsewhere"
        )

    def converge(self, mode):
        """Up along the lowest mode and down across it, until the forces are small."""
        n_across = 4
        for step in range(self.settings.max_steps):
            self._report(0.3 + 0.7 * step / self.settings.max_steps, "climbing to the saddle")
            forces = self.forces_at(self.positions)
            energy = self.energy
            curvature, new = self._lowest_mode(mode, forces)
            # the mode keeps its side as it turns
            mode = new if np.vdot(new, mode) > 0 else -new
            if curvature < 0 and max_norm(forces) < self.settings.saddle_force:
                return self._saddle(energy, forces, curvature, mode)
            self.positions += self._climb(mode, curvature, float(np.vdot(forces, mode)))
            self._relax_across(mode, n_across, 0.5 * self.settings.saddle_force)
            n_across = min(n_across + 1, 12)
        raise NoSaddleError(
            f"no saddle within {self.settings.max_steps} steps: a force of {max_norm(forces):.2g} eV/Å is left"
        )

    def _saddle(self, energy, forces, curvature, mode):
        atoms = self.start.copy()
        atoms.positions = self.positions
        atoms.calc = None
        return RoughSaddle(atoms, energy, max_norm(forces), curvature, self._away(mode), self.n_force_calls)

    def _lowest_mode(self, guess, forces, below=-np.inf):
        return lowest_curvature(
            self.forces_at,
            self.positions,
            guess,
            self.settings.lanczos_steps,
            tolerance=self.settings.lanczos_tolerance,
            forces=forces,
            below=below,
        )

    def _climb(self, mode, curvature, force):
        largest = self.settings.push / max_norm(mode)
        if curvature >= 0:
            return largest * self._away(mode)
        return np.clip(-force / abs(curvature), -largest, largest) * mode

    def _away(self, mode):
        return mode if np.vdot(mode, self.positions - self.start.positions) > 0 else -mode

    def _relax_across(self, normal, n_steps, tolerance):
        """Steepest descent in the hyperplane across `normal`, the length of a step from the one before (Barzilai, Borwein)."""
        previous = moved = None
        for _ in range(n_steps):
            forces = self.forces_at(self.positions)
            across = forces - np.vdot(forces, normal) * normal
            largest = max_norm(across)
            if largest < tolerance:
                return
            if moved is not None:
                rise = np.vdot(moved, previous - across)
                self._step = np.vdot(moved, moved) / max(rise, self._softest * np.vdot(moved, moved))
            previous, moved = across, min(self._step, self.settings.push / largest) * across
            self.positions += moved

    def _report(self, fraction, stage):
        self.progress.update(int(100 * fraction), 100, stage)
        self.progress.check()


def _push_direction(start, centre, radius, rng):
    """Random move of the atoms around the centre, the largest 1 Å."""
    offsets, distances = find_mic(start.positions - np.asarray(centre, dtype=float), start.cell, start.pbc)
    near = distances < radius
    if not near.any():
        raise InputError(
            f"no atom lies within {radius:g} Å of the centre {np.round(centre, 3).tolist()} Å; give a defect site"
        )
    direction = np.where(near[:, None], rng.normal(size=offsets.shape), 0.0)
    direction = _without_drift(direction)
    return direction / max_norm(direction)


def same_minimum(one: Atoms, one_energy: float, other: Atoms, other_energy: float, *, tolerance: float = 0.1) -> bool:
    """Whether two relaxed structures with the same order of atoms are one minimum, moved as a whole.

    Parameters
    ----------
    one, other : Atoms
    one_energy, other_energy : float, eV
    tolerance : float, Å
        Largest distance between an atom and itself.
    """
    if abs(one_energy - other_energy) > SAME_ENERGY:
        return False
    if not one.pbc.any():
        turned = one.copy()
        minimize_rotation_and_translation(other, turned)
        return max_norm(turned.positions - other.positions) < tolerance
    shift = one.positions - other.positions
    return max_norm(find_mic(shift - shift.mean(axis=0), one.cell, one.pbc)[0]) < tolerance


def _without_drift(vectors):
    return vectors - vectors.mean(axis=0)


def _unit(vectors):
    return vectors / np.linalg.norm(vectors)
