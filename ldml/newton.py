"""Relaxation of a defect in a large cell: Newton's method, its equations solved by preconditioned conjugate gradients.

    H d = F,        preconditioner G = (H_b + c t t^T)^-1

H is the Hessian and F the force at the present positions. The lattice Green's function G of the perfect crystal, extended to
extra atoms, is the inverse of H but for the defect, so that the number of conjugate-gradient steps does not grow with the cell;
plain gradients need one sweep for every cell length a displacement has to travel.

Far from the minimum steps are cut at a largest displacement and halved until the energy falls. Where conjugate gradients
meet a direction of negative curvature they stop and hand over what they have, as Newton's step would climb there. A
converged structure is tested by the same means: H x = f is solved for random forces f near the defects, which no negative
mode survives unseen, and the direction of negative curvature kicks the structure off a saddle.

Source: T. Steihaug, SIAM J. Numer. Anal. 20, 626 (1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ldml.entropy.defect_green import ExtendedCrystal, softest_modes
from ldml.entropy.dynamical_matrix import frequencies
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import ConvergenceError, InputError, NotAMinimumError
from ldml.point_defects import WignerSeitz
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import Relaxed, max_norm

MAXIMUM_INNER = 100
"""Conjugate-gradient steps for one Newton step; a hundred means that the structure is far from any minimum."""
SHORTEST_STEP = 1e-4
"""A step cut to this fraction without the energy falling is given up."""
TEST_RESIDUAL = 1e-4
"""The test for a minimum ends when the residual has fallen to this fraction."""
ENERGY_NOISE = 1e-14
"""Rounding of the energy, as a fraction of it: smaller changes mean nothing."""


def relax_newton(
    atoms: Atoms,
    lattice: LatticeGreen,
    fmax: float = 1e-8,
    *,
    max_displacement: float = 0.2,
    max_steps: int = 200,
    check_minimum: bool = True,
    kick: float = 0.1,
    max_tries: int = 4,
    progress: Progress | None = None,
) -> Relaxed:
    """Relax a defect in the crystal of `lattice`, the cell kept; made for thousands to millions of atoms.

    Parameters
    ----------
    atoms : Atoms
        The start: `ldml.newton.embed` a defect relaxed in a small cell, or take any seed. Not changed.
    lattice : LatticeGreen
        The perfect crystal in the same cell, and the potential.
    fmax : float, eV/Å
        Largest force left on an atom.
    max_displacement : float, Å
        Longest move of an atom in one step.
    max_steps : int
        Newton steps of each try.
    check_minimum : bool
        Test the end for negative curvature, and kick the structure off a saddle.
    kick : float, Å
        Largest displacement of an atom when a saddle is left.
    max_tries : int
        Relaxations in all, the first included.
    progress : Progress, optional

    Raises
    ------
    ConvergenceError
        If the forces do not fall below `fmax`.
    NotAMinimumError
        If every try ends on a saddle.
    InputError, StructureError
        For a structure that does not belong to the crystal.
    """
    progress = progress or NULL_PROGRESS
    lattice.potential.check(atoms)
    if not fmax > 0:
        raise InputError(f"fmax = {fmax} eV/Å must be positive")
    space = ExtendedCrystal(atoms, lattice)
    current = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    n_steps = 0
    downhill = None
    for n_kicks in range(max_tries):
        if downhill is not None:
            current.positions += downhill * (kick / max_norm(downhill))
        state = _descend(current, space, fmax, max_displacement, max_steps, progress)
        n_steps += state.n_steps
        downhill = _downhill(current, space, progress) if check_minimum else None
        if downhill is None:
            final = atoms.copy()
            final.calc = None
            final.positions = current.positions
            return Relaxed(final, state.energy, state.max_force, n_steps, n_kicks, check_minimum)
    raise _saddle(current, space, downhill)


def embed(defect: Atoms, unit_cell: Atoms, small_repeats, repeats) -> Atoms:
    """Put a relaxed defect from a small cell into the middle of a larger one of the same crystal, as a start for relaxation.

    Parameters
    ----------
    defect : Atoms
        In the cell of ``unit_cell.repeat(small_repeats)``.
    unit_cell : Atoms
        Cell of the perfect crystal.
    small_repeats, repeats : int or three ints

    Returns
    -------
    Atoms
        In the cell of ``unit_cell.repeat(repeats)``: atoms in the order of its sites, extra atoms last. The displacements
        of the small cell are kept; sites beyond it are perfect.
    """
    small_repeats, repeats = (np.broadcast_to(np.asarray(n, dtype=int), (3,)) for n in (small_repeats, repeats))
    if (repeats < small_repeats).any():
        raise InputError(f"a cell of {small_repeats.tolist()} unit cells does not fit into one of {repeats.tolist()}")
    crystal, large = (unit_cell.repeat(n.tolist()) for n in (small_repeats, repeats))
    assign = WignerSeitz(crystal)
    matched = assign(defect)
    sites, displacements = assign.nearest_sites(defect.positions - matched.drift)
    places = _sites_in_larger_cell(matched.occupancy, len(unit_cell), small_repeats, repeats)
    order = np.argsort(sites, kind="stable")
    extra = np.r_[False, sites[order][1:] == sites[order][:-1]]
    positions = large.positions.copy()
    first = order[~extra]
    positions[places[sites[first]]] += displacements[first]
    kept = np.ones(len(large), dtype=bool)
    kept[places[matched.occupancy == 0]] = False
    later = order[extra]
    added = large.positions[places[sites[later]]] + displacements[later]
    numbers = np.concatenate([large.numbers[kept], defect.numbers[later]])
    return Atoms(numbers, positions=np.concatenate([positions[kept], added]), cell=large.cell, pbc=True)


def _sites_in_larger_cell(occupancy, n_basis, small_repeats, repeats):
    """Site of the larger crystal for each site of the smaller one, the defects in the middle."""
    cells = np.stack(np.unravel_index(np.arange(len(occupancy)) // n_basis, tuple(small_repeats)), axis=-1)
    defects = cells[occupancy != 1] if (occupancy != 1).any() else cells[:1]
    # of a cluster across a face, the middle of its unit cells seen from the first
    centre = defects[0] + np.rint(_nearest_image(defects - defects[0], small_repeats).mean(axis=0)).astype(int)
    moved = (_nearest_image(cells - centre, small_repeats) + repeats // 2) % repeats
    cell = np.ravel_multi_index(tuple(moved.T), tuple(repeats))
    return cell * n_basis + np.arange(len(occupancy)) % n_basis


def _nearest_image(steps, repeats):
    return (steps + repeats // 2) % repeats - repeats // 2


@dataclass(frozen=True)
class _Descent:
    energy: float
    max_force: float
    n_steps: int


def _descend(atoms, space, fmax, max_displacement, max_steps, progress):
    """Move `atoms` to where all forces are below `fmax`."""
    potential = space.lattice.potential
    evaluator = potential.evaluator(atoms)
    energy, forces = evaluator.energy_and_forces(atoms.positions)
    first_force = max(max_norm(forces), fmax)
    for n_steps in range(max_steps + 1):
        force = max_norm(forces)
        _report(progress, force, first_force, fmax)
        if force <= fmax:
            return _Descent(energy, force, n_steps)
        hessian = potential.hessian_operator(atoms)
        step = _newton_step(hessian, space, forces, progress)
        del hessian  # before the next one is made: it is the largest object here
        step *= min(1.0, max_displacement / max_norm(step))
        energy, forces = _line_search(atoms, evaluator, energy, forces, step)
    raise ConvergenceError(
        f"Newton's method stopped after {max_steps} steps with a force of {max_norm(forces):.2g} eV/Å left, "
        f"above {fmax:g} eV/Å; allow more steps or start closer to a minimum"
    )


def _newton_step(hessian, space, forces, progress):
    right = forces.ravel()
    # a looser solution far from the minimum, a quadratically better one close to it
    tolerance = max(min(0.1, np.linalg.norm(right)), 1e-3)
    solution, downhill = _conjugate_gradients(hessian, space, right, tolerance, progress)
    if downhill is None:
        return solution.reshape(-1, 3)
    # along the curvature as well, in the sense that the energy falls
    return (solution if solution.any() else downhill * np.sign(downhill @ right)).reshape(-1, 3)


def _line_search(atoms, evaluator, energy, forces, step):
    """Halve the step until the energy falls, or, where rounding hides that, until the force does."""
    start = atoms.positions.copy()
    slope = -float(np.sum(forces * step))
    norm = np.linalg.norm(forces)
    fraction = 1.0
    while fraction > SHORTEST_STEP:
        atoms.positions = start + fraction * step
        trial, trial_forces = evaluator.energy_and_forces(atoms.positions)
        hidden = abs(fraction * slope) < ENERGY_NOISE * len(atoms) * abs(energy)
        if trial <= energy + 1e-4 * fraction * slope or (hidden and np.linalg.norm(trial_forces) < norm):
            return trial, trial_forces
        fraction *= 0.5
    raise ConvergenceError(
        f"the energy does not fall along Newton's step at a force of {max_norm(forces):.2g} eV/Å; "
        f"the potential may be rough there: ask for a larger fmax or start elsewhere"
    )


def _downhill(atoms, space, progress):
    """A direction (N, 3) of negative curvature; None at a minimum."""
    progress.update(99, 100, "testing the minimum")
    forces = space.forces_near_defects(np.random.default_rng(0))
    hessian = space.lattice.potential.hessian_operator(atoms)
    _, downhill = _conjugate_gradients(hessian, space, forces, TEST_RESIDUAL, progress)
    return None if downhill is None else downhill.reshape(-1, 3)


def _conjugate_gradients(hessian, space, right, tolerance, progress):
    """Solve H x = right to a residual of `tolerance` |right|, x free of translations.

    Returns
    -------
    solution : (3N,) float
        As far as it got.
    downhill : (3N,) float or None
        The direction of negative curvature that stopped it.
    """
    solution = np.zeros_like(right)
    residual = _without_mean(right)
    target = tolerance * np.linalg.norm(residual)
    answer = _without_mean(space.apply_green_flat(residual))
    direction = answer.copy()
    overlap = residual @ answer
    for _ in range(MAXIMUM_INNER):
        progress.check()
        pulled = hessian @ direction
        curvature = direction @ pulled
        if curvature <= 0.0:
            return solution, direction
        length = overlap / curvature
        solution += length * direction
        residual -= length * pulled
        if np.linalg.norm(residual) <= target:
            break
        answer = _without_mean(space.apply_green_flat(residual))
        previous, overlap = overlap, residual @ answer
        direction *= overlap / previous
        direction += answer
    return solution, None


def _without_mean(vector):
    rows = vector.reshape(-1, 3)
    return (rows - rows.mean(axis=0)).ravel()


def _saddle(atoms, space, downhill):
    eigenvalues, _ = softest_modes(atoms, space, 1, start=downhill.reshape(-1, 1))
    lowest = float(frequencies(eigenvalues[0] / atoms.get_masses().mean()))
    return NotAMinimumError(
        f"the structure is a saddle, not a minimum (lowest frequency {lowest:.2f} THz), after every kick; "
        f"relax it from a displaced start or exclude it",
        n_imaginary=1,
        lowest_frequency=lowest,
    )


def _report(progress, force, first, fmax):
    """Progress on a logarithmic scale of the force."""
    span = np.log(first / fmax) or 1.0
    done = int(100 * min(max(np.log(first / max(force, fmax)) / span, 0.0), 1.0))
    progress.update(done, 100, f"relaxing, largest force {force:.1e} eV/Å")
    progress.check()
