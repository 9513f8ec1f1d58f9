"""Crystals and point-defect seeds: everything here is a starting point for relaxation, not yet a minimum."""

from __future__ import annotations

import re

import numpy as np
from ase import Atoms
from ase.build import bulk as ase_bulk
from ase.data import chemical_symbols

from ldml.errors import InputError, StructureError
from ldml.neighbours import cell_heights, neighbour_list

DUMBBELL_AXES = {"110": (1, 1, 0), "111": (1, 1, 1), "100": (1, 0, 0)}
MINIMUM_SEPARATION = 0.5
"""Atoms closer than this (Å) are taken for a mistake in the file, not for physics."""
GREATEST_STRAIN = 0.06
"""Along an axis, up to which a cell is taken for one of the same crystal."""


def supercell(element: str, lattice_constant: float, repeats: int, *, lattice: str = "bcc") -> Atoms:
    """Perfect crystal of `repeats`³ conventional cubic cells.

    Parameters
    ----------
    element : str
    lattice_constant : float, Å
    repeats : int
    lattice : {"bcc", "fcc", "diamond", "sc"}
    """
    if int(repeats) != repeats or repeats < 1:
        raise InputError(f"repeats = {repeats} is not a positive whole number of unit cells")
    unit = ase_bulk(element, lattice, a=lattice_constant, cubic=True)
    # ASE gives iron magnetic moments; they are no part of a structure here
    plain = Atoms(unit.numbers, positions=unit.positions, cell=unit.cell, pbc=True)
    return plain.repeat(int(repeats))


def fcc_ball(symbol: str, lattice_constant: float, n_atoms: int, *, centre=(0.5, 0.5, 0.5)) -> Atoms:
    """The `n_atoms` atoms of a face-centred cubic crystal that lie nearest to a point: a free cluster.

    Parameters
    ----------
    symbol : str
    lattice_constant : float, Å
    n_atoms : int
    centre : (3,) array
        In units of the lattice constant. Around (1/2, 1/2, 1/2), an octahedral site, 38 atoms are the truncated octahedron.
    """
    if n_atoms < 1:
        raise InputError(f"a cluster of {n_atoms} atoms does not exist; give one or more")
    # four atoms a cell: this many cells to each side hold the ball whatever its centre
    reach = int(np.ceil(np.cbrt(n_atoms))) + 1
    cells = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = (cells + np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])).reshape(-1, 3) - centre
    # rounded, so that sites of one shell keep the order of the crystal on any machine
    nearest = np.argsort(np.round(np.linalg.norm(sites, axis=1), 9), kind="stable")[:n_atoms]
    return Atoms([symbol] * n_atoms, positions=lattice_constant * sites[nearest])


def matching_crystal(atoms: Atoms, lattice_constant: float, *, lattice: str = "bcc") -> Atoms | None:
    """The perfect crystal that fills the orthogonal cell of `atoms`, strained to fit; None if none does.

    Parameters
    ----------
    lattice_constant : float, Å
        Of the unstrained crystal; a cell strained by more than `GREATEST_STRAIN` along an axis is not recognised.
    """
    cell = atoms.cell.array
    lengths = np.diag(cell)
    if np.abs(cell - np.diag(lengths)).max() > 1e-6 or lengths.min() <= 0:
        return None
    repeats = np.rint(lengths / lattice_constant).astype(int)
    if repeats.min() < 1 or np.abs(lengths / (repeats * lattice_constant) - 1.0).max() > GREATEST_STRAIN:
        return None
    crystal = supercell(str(atoms.symbols[0]), lattice_constant, 1, lattice=lattice).repeat(repeats)
    crystal.set_cell(cell, scale_atoms=True)
    return crystal


def unit_cell_of(crystal: Atoms, lattice_constant: float, *, lattice: str = "bcc") -> tuple[Atoms, np.ndarray] | None:
    """The conventional cell that `crystal` repeats, and how often (3,) along each axis; None if it is no such crystal.

    Parameters
    ----------
    crystal : Atoms
        One element, in any order of atoms and at any origin.
    lattice_constant : float, Å
        Of the unstrained crystal; strains up to `GREATEST_STRAIN` along an axis are recognised, as in `matching_crystal`.
    """
    perfect = matching_crystal(crystal, lattice_constant, lattice=lattice)
    if perfect is None or len(perfect) != len(crystal) or len(set(crystal.numbers)) != 1:
        return None
    repeats = np.rint(crystal.cell.lengths() / lattice_constant).astype(int)
    unit = supercell(str(crystal.symbols[0]), lattice_constant, 1, lattice=lattice)
    unit.set_cell(crystal.cell.array / repeats[:, None], scale_atoms=True)
    # every atom must stand on a site once the first one does, which may be any of the cell
    found = _site_keys(crystal.positions - crystal.positions[0], unit, repeats)
    for origin in unit.positions:
        if np.array_equal(found, _site_keys(perfect.positions - origin, unit, repeats)):
            return unit, repeats
    return None


def _site_keys(positions, unit, repeats):
    """Sorted positions in the supercell, in steps of 1/12000 of the unit cell: sites of cubic lattices fall on steps."""
    steps = np.rint(12000 * positions @ np.linalg.inv(unit.cell.array)).astype(np.int64) % (12000 * repeats)
    return np.sort(np.ravel_multi_index(tuple(steps.T), tuple(12000 * repeats)))


def parse_defect(label: str) -> tuple[str, int]:
    """Split a class name such as ``"I3"`` or ``"V4"`` into its kind (``"I"`` or ``"V"``) and its number of defects."""
    match = re.fullmatch(r"([IV])([1-9]\d*)", label)
    if match is None:
        raise InputError(f"defect class {label!r} is not of the form V1, V2, ... or I1, I2, ...")
    return match[1], int(match[2])


def vacancy_cluster(bulk: Atoms, n: int, *, centre: int = 0) -> Atoms:
    """Remove atom `centre` and the n - 1 atoms nearest to it from a crystal."""
    _check_count(n, bulk)
    return _without(bulk, _nearest(bulk, centre, n))


def interstitial_cluster(bulk: Atoms, n: int, *, axis: str = "110", centre: int = 0, spacing: float = 1.9) -> Atoms:
    """Replace atom `centre` and its n - 1 nearest atoms by parallel dumbbells.

    Parameters
    ----------
    axis : {"110", "111", "100"}
        Dumbbell axis in the cubic frame.
    spacing : float, Å
        Distance between the two atoms of a dumbbell before relaxation.
    """
    _check_count(n, bulk)
    if axis not in DUMBBELL_AXES:
        raise InputError(f"dumbbell axis {axis!r} is unknown; choose one of {', '.join(DUMBBELL_AXES)}")
    sites = _nearest(bulk, centre, n)
    direction = np.asarray(DUMBBELL_AXES[axis], dtype=float)
    half = 0.5 * spacing * direction / np.linalg.norm(direction)
    pairs = np.concatenate([bulk.positions[sites] + half, bulk.positions[sites] - half])
    return _replace(bulk, sites, pairs)


def strained(atoms: Atoms, strain: float) -> Atoms:
    """Copy of `atoms` under the isotropic strain `strain` (0.01 for 1 %), scaled coordinates kept."""
    if strain <= -0.5:
        raise InputError(f"strain {strain} would collapse the cell; use a fraction such as 0.01")
    copy = atoms.copy()
    copy.set_cell(atoms.cell * (1.0 + strain), scale_atoms=True)
    return copy


def rattled(atoms: Atoms, amplitude: float, rng: np.random.Generator) -> Atoms:
    """Copy of `atoms` with normal random displacements of standard deviation `amplitude` (Å)."""
    if not amplitude >= 0:
        raise InputError(f"a random displacement of {amplitude} Å is negative; give zero or more")
    copy = atoms.copy()
    copy.positions += rng.normal(scale=amplitude, size=copy.positions.shape)
    return copy


def check_structure(atoms: Atoms, *, elements=None, periodic: bool = False, name: str = "") -> None:
    """Refuse a structure nothing sensible can be computed from.

    Parameters
    ----------
    elements : set of str, optional
        Elements the caller knows.
    periodic : bool
        Whether the structure must be a crystal, periodic in three directions.
    name : str, optional
        Named in the message.

    Raises
    ------
    StructureError
        Empty, not finite, unknown element, cell not periodic or singular, overlapping atoms.
    """
    where = f"structure {name!r}" if name else "the structure"
    if len(atoms) == 0:
        raise StructureError(f"{where} has no atoms")
    if not np.isfinite(atoms.positions).all():
        bad = int(np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))[0])
        raise StructureError(
            f"{where}: position of atom {bad} is {atoms.positions[bad]}; every coordinate must be finite"
        )
    if elements is not None:
        _check_elements(atoms, elements, where)
    if periodic and not atoms.pbc.all():
        flags = " ".join("T" if p else "F" for p in atoms.pbc)
        raise StructureError(
            f"{where} is not a periodic crystal (pbc = {flags}); give it the cell that holds the crystal and pbc = T T T"
        )
    _check_cell(atoms, where)
    _check_overlap(atoms, where)


def check_same_cell(defect: Atoms, bulk: Atoms) -> None:
    """Raise `InputError` unless both structures share one cell (constant volume)."""
    if len(bulk) == 0:
        raise InputError("the perfect crystal has no atoms")
    difference = np.abs(defect.cell.array - bulk.cell.array).max()
    if difference > 1e-6:
        raise InputError(
            f"the cells of the defect and of the perfect crystal differ by {difference:.3g} Å; "
            f"S_f is taken at constant volume, so give both the same cell"
        )


def _check_elements(atoms, elements, where):
    present = {chemical_symbols[number] for number in np.unique(atoms.numbers)}
    unknown = sorted(present - set(elements))
    if unknown:
        known = ", ".join(sorted(elements))
        raise StructureError(
            f"{where} contains {', '.join(unknown)}, but the potential knows only {known}; choose another potential"
        )


def _check_cell(atoms, where):
    cell = atoms.cell.array
    if not np.isfinite(cell).all():
        raise StructureError(f"{where} has a cell that is not finite: {cell.tolist()}")
    lengths = np.linalg.norm(cell, axis=1)
    if atoms.pbc.all() and (lengths.min() == 0 or abs(np.linalg.det(cell)) < 1e-6 * np.prod(lengths)):
        raise StructureError(
            f"{where} has a singular cell (volume {abs(np.linalg.det(cell)):.3g} Å³); its three cell vectors must be independent"
        )
    if atoms.pbc.all() and cell_heights(cell).min() < 2 * MINIMUM_SEPARATION:
        raise StructureError(f"{where} has a cell only {cell_heights(cell).min():.3g} Å thick; lengths are in Å")


def _check_overlap(atoms, where):
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, MINIMUM_SEPARATION, half=True)
    if len(pairs.distances):
        k = int(np.argmin(pairs.distances))
        i = int(np.searchsorted(pairs.offsets, k, side="right") - 1)
        raise StructureError(
            f"{where}: atoms {i} and {pairs.indices[k]} are {pairs.distances[k]:.3g} Å apart, "
            f"closer than {MINIMUM_SEPARATION} Å; remove the duplicate or check the units (Å)"
        )


def _check_count(n, bulk):
    if int(n) != n or not 1 <= n < len(bulk):
        raise InputError(f"a cluster of {n} defects does not fit a crystal of {len(bulk)} atoms")


def _nearest(bulk, centre, n):
    distances = bulk.get_distances(centre, np.arange(len(bulk)), mic=True)
    return np.argsort(np.round(distances, 6), kind="stable")[:n]


def _without(bulk, sites):
    keep = np.ones(len(bulk), dtype=bool)
    keep[sites] = False
    return bulk[keep]


def _replace(bulk, sites, positions):
    symbol = bulk.symbols[int(sites[0])]
    extra = Atoms([symbol] * len(positions), positions=positions, cell=bulk.cell, pbc=bulk.pbc)
    return _without(bulk, sites) + extra
