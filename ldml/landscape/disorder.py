"""Random disorder: atoms of a structure put elsewhere at random, so that quenching leaves many Frenkel pairs.

Each chosen atom moves by a vector of random direction and of a length uniform between given bounds. It may not come to
rest nearer to another atom than a smallest separation: of several vectors drawn, the first with room enough is taken,
and where none has, the one with most room. The number of atoms does not change, so that the numbers of interstitials
and of vacancies keep their difference.

Source: the "random database" of the paper, Sec. V.C.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ldml.errors import InputError
from ldml.neighbours import cell_heights

MINIMUM_SEPARATION = 1.4
"""Å; an octahedral site of iron has its nearest atoms there."""
MOST_DRAWS = 200


def random_displacements(
    atoms: Atoms,
    rng: np.random.Generator,
    *,
    n_atoms: int,
    distance: float,
    shortest: float | None = None,
    radius: float | None = None,
    minimum_separation: float = MINIMUM_SEPARATION,
) -> Atoms:
    """Copy of `atoms` with some of them moved by random vectors.

    Parameters
    ----------
    atoms : Atoms
    rng : numpy.random.Generator
        Draws the atoms, and the vectors.
    n_atoms : int
        Atoms to move.
    distance : float, Å
        Longest vector.
    shortest : float, Å, optional
        Shortest vector; 0.6 of the longest unless given.
    radius : float, Å, optional
        Atoms are chosen within it around a random point of the cell (around a random atom where the structure is not
        periodic); anywhere unless given.
    minimum_separation : float, Å
        Between a moved atom and any other.

    Raises
    ------
    InputError
        If there are fewer atoms to choose from, a length is negative, or the cell is thinner than twice the separation.
    """
    shortest = 0.6 * distance if shortest is None else shortest
    _check(atoms, distance, shortest, minimum_separation)
    eligible = _eligible(atoms, radius, rng)
    if not 0 <= n_atoms <= len(eligible):
        where = "in the structure" if radius is None else f"within {radius:g} Å"
        raise InputError(f"{n_atoms} atoms cannot be moved: there are {len(eligible)} {where}")
    moved = atoms.copy()
    for atom in rng.choice(eligible, n_atoms, replace=False):
        moved.positions[atom] = _new_place(moved, atom, shortest, distance, minimum_separation, rng)
    return moved


def _eligible(atoms, radius, rng):
    if radius is None:
        return np.arange(len(atoms))
    centre = rng.uniform(size=3) @ atoms.cell.array if atoms.pbc.all() else atoms.positions[rng.integers(len(atoms))]
    probe = atoms.copy() + Atoms("X", positions=[centre])
    return np.flatnonzero(probe.get_distances(len(atoms), np.arange(len(atoms)), mic=True) < radius)


def _new_place(atoms, atom, shortest, longest, separation, rng):
    others = np.delete(atoms.positions, atom, axis=0)
    best, best_room = atoms.positions[atom], -1.0
    for _ in range(MOST_DRAWS):
        direction = rng.normal(size=3)
        place = atoms.positions[atom] + rng.uniform(shortest, longest) * direction / np.linalg.norm(direction)
        room = _room(place, others, atoms.cell.array, atoms.pbc)
        if room >= separation:
            return place
        if room > best_room:
            best, best_room = place, room
    return best


def _room(place, others, cell, periodic):
    """Distance to the nearest of the others; exact below half the thickness of the cell, where one image is nearest."""
    apart = others - place
    if periodic.any():
        fractions = apart @ np.linalg.inv(cell)
        apart = (fractions - np.where(periodic, np.rint(fractions), 0.0)) @ cell
    return float(np.sqrt(np.min(np.sum(apart**2, axis=1), initial=np.inf)))


def _check(atoms, distance, shortest, separation):
    if not 0 <= shortest <= distance:
        raise InputError(
            f"vectors between {shortest} and {distance} Å: the shortest must be positive and not the longest"
        )
    if atoms.pbc.any():
        thickness = cell_heights(atoms.cell.array)[atoms.pbc].min()
        if not 0 <= separation < 0.5 * thickness:
            raise InputError(
                f"a separation of {separation} Å does not fit a cell {thickness:.3g} Å thick; give less than half of it"
            )
