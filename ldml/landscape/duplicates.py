"""Which minima count as distinct (paper, Sec. IV.A).

Two minima of one class differ if their energies differ by more than 0.01 eV *or* the inertia of their defects differs.
The paper joins the two conditions by "and"; taken literally that cannot be, since 1701 minima of V4 would then span at
least 17 eV. Both counts are kept.

Energy and inertia are the same for all copies of a minimum by the symmetry of the crystal, so these are recognised. The
reverse need not hold: `is_copy` looks for the operation that maps one structure on another, atom by atom.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import permutations, product

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from ldml.errors import InputError
from ldml.point_defects import WignerSeitz, defect_positions

ENERGY_TOLERANCE = 0.01
"""eV"""
INERTIA_TOLERANCE = 0.02
"""Relative difference of the inertia, and absolute (Å⁴) below one."""
COPY_TOLERANCE = 0.3
"""Å between an atom and the one it is mapped on: loosely quenched copies differ along their soft modes."""
CUBIC_OPERATIONS = np.array(
    [
        np.diag(signs)[list(order)]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
)  # fmt: skip
"""(48, 3, 3): rotations and reflections of the cube."""


class DistinctMinima:
    """The distinct minima of one class, numbered in order of discovery.

    Parameters
    ----------
    energy_tolerance : float, eV
    inertia_tolerance : float
        Relative, and absolute below an inertia of one.
    """

    def __init__(self, *, energy_tolerance: float = ENERGY_TOLERANCE, inertia_tolerance: float = INERTIA_TOLERANCE):
        self._energy_tolerance, self._inertia_tolerance = energy_tolerance, inertia_tolerance
        # sorted, so that a look-up sees only what is near
        self._held: list[tuple[float, int, float]] = []
        self._strict_energies: list[float] = []
        self._strict_inertias: list[float] = []

    def __len__(self):
        return len(self._held)

    @property
    def n_strict(self) -> int:
        """How many remain when energy *and* inertia must differ (the paper's wording)."""
        return len(self._strict_energies)

    def match(self, energy: float, inertia: float) -> int | None:
        """The number of the first minimum held that this energy (eV) and inertia (Å⁴) do not differ from, if any."""
        reach = self._inertia_reach(inertia)
        near = _within(self._held, energy, self._energy_tolerance, key=lambda held: held[0])
        return min((number for _, number, other in near if abs(other - inertia) <= reach), default=None)

    def is_new(self, energy: float, inertia: float) -> bool:
        """Whether a minimum of this energy (eV) and inertia (Å⁴) differs from all held."""
        return self.match(energy, inertia) is None

    def add(self, energy: float, inertia: float) -> bool:
        """Hold the minimum if it is new; say whether it was."""
        if not self.is_new(energy, inertia):
            return False
        same_energy = _within(self._strict_energies, energy, self._energy_tolerance)
        same_inertia = _within(self._strict_inertias, inertia, self._inertia_reach(inertia))
        if not same_energy and not same_inertia:
            insort(self._strict_energies, energy)
            insort(self._strict_inertias, inertia)
        insort(self._held, (energy, len(self._held), inertia))
        return True

    def _inertia_reach(self, inertia):
        return self._inertia_tolerance * max(1.0, abs(inertia))


def is_copy(one: Atoms, other: Atoms, crystal: WignerSeitz, *, tolerance: float = COPY_TOLERANCE) -> bool:
    """Whether a rotation or reflection of the cube, with any translation, maps one structure on the other.

    Parameters
    ----------
    one, other : Atoms
        Relaxed structures with point defects, in the cell of the crystal, cubic axes along x, y and z.
    crystal : WignerSeitz
    tolerance : float, Å
        Largest distance between an atom and the one it is mapped on.

    Raises
    ------
    InputError
        If the cells differ, or there is no defect to compare.
    """
    if len(one) != len(other):
        return False
    points, others = (defect_positions(atoms, crystal(atoms)) for atoms in (one, other))
    if len(points) == 0 or len(others) == 0:
        raise InputError("a structure without defects has no copies; compare structures with point defects")
    if len(points) != len(others):
        return False
    cell = crystal.bulk.cell.array
    tree = _PeriodicTree(one.positions, cell)
    for operation in _operations_of(cell):
        turned = others @ operation.T
        # the first defect must come to lie on one of them: that fixes the translation
        for anchor in points:
            shift = anchor - turned[0]
            if _coincide(turned + shift, points, cell, 2 * tolerance) and tree.is_covered_by(
                other.positions @ operation.T + shift, tolerance
            ):
                return True
    return False


def _operations_of(cell):
    """Operations of the cube that map the lattice of the cell on itself."""
    turned = cell @ np.swapaxes(CUBIC_OPERATIONS, 1, 2) @ np.linalg.inv(cell)
    return CUBIC_OPERATIONS[(np.abs(turned - np.rint(turned)) < 1e-6).all(axis=(1, 2))]


def _coincide(moved, points, cell, tolerance):
    apart = _short(moved[:, None] - points[None], cell)
    return bool((np.sum(apart**2, axis=2).min(axis=1) < tolerance**2).all())


def _short(vectors, cell):
    """The shortest images of vectors; exact for those within half the thickness of the cell."""
    fractions = vectors @ np.linalg.inv(cell)
    return (fractions - np.rint(fractions)) @ cell


class _PeriodicTree:
    """Finds for positions the atoms of a periodic structure they lie on."""

    def __init__(self, positions, cell):
        self.positions, self.cell = positions, cell
        self._inverse = np.linalg.inv(cell)
        self._tree = cKDTree(self._fold(positions), boxsize=1.0)

    def is_covered_by(self, moved, tolerance):
        """Whether each atom has one of the moved atoms within the tolerance, beside a common drift."""
        _, nearest = self._tree.query(self._fold(moved))
        if len(np.unique(nearest)) < len(moved):
            return False
        apart = _short(moved - self.positions[nearest], self.cell)
        apart -= np.median(apart, axis=0)
        return bool(np.sum(apart**2, axis=1).max() < tolerance**2)

    def _fold(self, positions):
        fractions = (positions @ self._inverse) % 1.0
        # a tiny negative number folds to one itself, which the tree refuses
        return np.where(fractions < 1.0, fractions, 0.0)


def _within(values, centre, reach, key=None):
    """The part of sorted values within `reach` of the centre, both ends included whatever the rounding."""
    number = key or float
    slack = 1e-9 * (abs(centre) + reach)
    start = bisect_left(values, centre - reach - slack, key=key)
    end = bisect_left(values, centre + reach + slack, lo=start, key=key)
    return [value for value in values[start:end] if abs(number(value) - centre) <= reach]
