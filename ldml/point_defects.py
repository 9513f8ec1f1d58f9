"""Where the point defects of a relaxed structure are, by the Wigner-Seitz method.

Each atom belongs to the nearest site of the perfect crystal. A site with no atom is a vacancy, one with several atoms
holds an interstitial. Relaxation leaves the rigid translation of a periodic cell free, so the drift of the atoms from
their sites (its median) is taken off first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, wrap_positions
from scipy.spatial import cKDTree

from ldml.errors import InputError
from ldml.neighbours import cell_heights


@dataclass(frozen=True)
class PointDefects:
    """Point defects of one structure of N atoms in a crystal of N_b sites.

    Attributes
    ----------
    occupancy : (N_b,) int
        Atoms at each site.
    site_of_atom : (N,) int
    vacancies : (n_v, 3) float, Å
        Positions of the empty sites, in the frame of the structure.
    interstitial_atoms : (n,) int
        Atoms that share a site.
    n_interstitials : int
        Atoms beyond the first at each site.
    drift : (3,) float, Å
        Rigid translation of the structure against the crystal.
    """

    occupancy: np.ndarray
    site_of_atom: np.ndarray
    vacancies: np.ndarray
    interstitial_atoms: np.ndarray
    n_interstitials: int
    drift: np.ndarray

    @property
    def n_vacancies(self) -> int:
        return len(self.vacancies)


class WignerSeitz:
    """Assigns atoms to the sites of a perfect crystal, for as many structures as share it.

    Parameters
    ----------
    bulk : Atoms
        The perfect crystal, periodic in three directions.
    """

    def __init__(self, bulk: Atoms):
        if not bulk.pbc.all():
            raise InputError("Wigner-Seitz analysis needs a crystal that is periodic in three directions")
        self.bulk = bulk
        margin = min(4.0, 0.5 * float(cell_heights(bulk.cell.array).min()))
        images, owners = _with_images(bulk, margin)
        self._tree, self._owners = cKDTree(images), owners

    def __call__(self, atoms: Atoms) -> PointDefects:
        """Point defects of `atoms`, which must share the cell of the crystal."""
        if np.abs(atoms.cell.array - self.bulk.cell.array).max() > 1e-6:
            raise InputError("the structure and the perfect crystal have different cells")
        drift = np.zeros(3)
        # a drift near half a bond can mislead the first assignment; two more passes settle it
        for _ in range(3):
            sites, displacement = self.nearest_sites(atoms.positions - drift)
            drift = drift + np.median(displacement, axis=0)
        sites, _ = self.nearest_sites(atoms.positions - drift)
        occupancy = np.bincount(sites, minlength=len(self.bulk))
        return PointDefects(
            occupancy=occupancy,
            site_of_atom=sites,
            vacancies=self.bulk.positions[occupancy == 0] + drift,
            interstitial_atoms=np.flatnonzero(occupancy[sites] > 1),
            n_interstitials=int(np.maximum(occupancy - 1, 0).sum()),
            drift=drift,
        )

    def nearest_sites(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Site (N,) nearest to each of the positions (N, 3) and the displacements (N, 3) from them, Å."""
        folded = wrap_positions(positions, self.bulk.cell, pbc=True)
        _, nearest = self._tree.query(folded)
        return self._owners[nearest], folded - self._tree.data[nearest]


def inertia(positions: np.ndarray, cell) -> float:
    """Sum of squares of the principal moments of inertia of unit masses (n, 3) in a periodic cell, Å⁴ (paper, Sec. IV.A).

    Each point is taken at the image nearest to the points already placed, so a cluster across a cell face stays whole.
    """
    if len(positions) == 0:
        return 0.0
    whole = _gather(np.asarray(positions, dtype=float), cell)
    arms = whole - whole.mean(axis=0)
    tensor = np.sum(arms**2) * np.eye(3) - arms.T @ arms
    return float(np.sum(tensor**2))


def defect_positions(atoms: Atoms, defects: PointDefects) -> np.ndarray:
    """Interstitial atoms and vacant sites of a structure, (n, 3) Å."""
    return np.concatenate([atoms.positions[defects.interstitial_atoms], defects.vacancies])


def distance_to_defects(atoms: Atoms, defects: PointDefects) -> np.ndarray:
    """Distance (N,) of each atom to the nearest interstitial atom or vacancy, Å; infinite in a perfect crystal."""
    centres = defect_positions(atoms, defects)
    nearest = np.full(len(atoms), np.inf)
    for centre in centres:
        _, distances = find_mic(atoms.positions - centre, atoms.cell, pbc=True)
        np.minimum(nearest, distances, out=nearest)
    return nearest


def _gather(points, cell):
    placed, waiting = points[:1], points[1:]
    while len(waiting):
        arms, lengths = find_mic((waiting[:, None] - placed[None]).reshape(-1, 3), cell, pbc=True)
        best = int(lengths.argmin())
        which, anchor = divmod(best, len(placed))
        placed = np.vstack([placed, placed[anchor] + arms[best]])
        waiting = np.delete(waiting, which, axis=0)
    return placed


def _with_images(bulk, margin):
    """Sites of the cell and those of the neighbouring cells within `margin` of it, and which site each repeats."""
    cell = bulk.cell.array
    home = wrap_positions(bulk.positions, cell, pbc=True)
    reach = margin / cell_heights(cell)
    fractions = np.linalg.solve(cell.T, home.T).T
    points, owners = [], []
    for shift in np.ndindex(3, 3, 3):
        shifted = fractions + np.array(shift) - 1
        near = ((shifted > -reach) & (shifted < 1 + reach)).all(axis=1)
        points.append(shifted[near] @ cell)
        owners.append(np.flatnonzero(near))
    return np.concatenate(points), np.concatenate(owners)
