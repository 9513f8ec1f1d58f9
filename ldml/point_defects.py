"""Where the point defects of a relaxed structure are, by the Wigner-Seitz method.

Each atom belongs to the nearest site of the perfect crystal. A site with no atom is a vacancy, one with several atoms
holds an interstitial. Relaxation leaves the rigid translation of a periodic cell free, so the drift of the atoms from
their sites is taken off first: it is the median of their displacements, once most atoms stand near a site. A drift near
half a bond leads the first assignment astray; then the displacements of some atoms from the sites around them are tried
one after the other, and the one that brings the atoms nearest to sites wins. A drift by a lattice vector cannot be seen,
and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import find_mic, wrap_positions
from scipy.spatial import cKDTree

from ldml.errors import InputError
from ldml.neighbours import cell_heights

SETTLED = 0.1
"""Mean distance of an atom from its site, in bonds, above which the drift is looked for again."""
MOST_PASSES = 5
SAME_DRIFT = 1e-6
"""Å between two passes, after which the next would change nothing."""
TRIAL_ATOMS = 6
TRIAL_SITES = 8
"""Around each; with several atoms in the unit cell the nearest site may be of the wrong kind."""


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
    interstitial_sites : (n_s, 3) float, Å
        Positions of the sites that hold several atoms, in the frame of the structure.
    interstitial_atoms : (n,) int
        Atoms that share a site.
    n_interstitials : int
        Atoms beyond the first at each site.
    drift : (3,) float, Å
        Rigid translation of the structure against the crystal, beside lattice vectors.
    """

    occupancy: np.ndarray
    site_of_atom: np.ndarray
    vacancies: np.ndarray
    interstitial_sites: np.ndarray
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
        self._reach_to(min(4.0, float(cell_heights(bulk.cell.array).min())))
        self._bond = self._shortest_bond()

    def __call__(self, atoms: Atoms) -> PointDefects:
        """Point defects of `atoms`, which must share the cell of the crystal."""
        if np.abs(atoms.cell.array - self.bulk.cell.array).max() > 1e-6:
            raise InputError("the structure and the perfect crystal have different cells")
        drift, sites = self._drift(atoms.positions)
        occupancy = np.bincount(sites, minlength=len(self.bulk))
        return PointDefects(
            occupancy=occupancy,
            site_of_atom=sites,
            vacancies=self.bulk.positions[occupancy == 0] + drift,
            interstitial_sites=self.bulk.positions[occupancy > 1] + drift,
            interstitial_atoms=np.flatnonzero(occupancy[sites] > 1),
            n_interstitials=int(np.maximum(occupancy - 1, 0).sum()),
            drift=drift,
        )

    def nearest_sites(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Site (N,) nearest to each of the positions (N, 3) and the displacements (N, 3) from them, Å."""
        folded = wrap_positions(positions, self.bulk.cell, pbc=True)
        nearest = self._query(folded, 1)[1][:, 0]
        return self._owners[nearest], folded - self._tree.data[nearest]

    def _query(self, folded, n_sites):
        """Distances (N, n) and indices (N, n) of the nearest sites; more images are listed until none can be missing."""
        while True:
            n = min(n_sites, self._tree.n)
            distances, nearest = self._tree.query(folded, k=np.arange(1, n + 1))
            if n == n_sites and distances.max(initial=0.0) <= self._reach:
                return distances, nearest
            self._reach_to(2.0 * self._reach)

    def _reach_to(self, reach):
        images, self._owners = _with_images(self.bulk, reach)
        self._tree, self._reach = cKDTree(images), reach

    def _shortest_bond(self):
        return float(self._query(wrap_positions(self.bulk.positions[:1], self.bulk.cell, pbc=True), 2)[0][0, 1])

    def _drift(self, positions):
        """The drift, and the site of each atom beside it."""
        drift, sites, distance = self._settle(positions, np.zeros(3))
        if distance < SETTLED:
            return drift, sites
        chosen = wrap_positions(positions[:: max(1, len(positions) // TRIAL_ATOMS)], self.bulk.cell, pbc=True)
        _, near = self._query(chosen, TRIAL_SITES)
        trials = [drift, *(chosen[:, None] - self._tree.data[near]).reshape(-1, 3)]
        distances = [self._mean_distance(self.nearest_sites(positions - trial)[1]) for trial in trials]
        return self._settle(positions, trials[int(np.argmin(distances))])[:2]

    def _settle(self, positions, drift):
        """The drift next to a first idea of it, the site of each atom, and how far the atoms are from them."""
        for _ in range(MOST_PASSES):
            sites, displacement = self.nearest_sites(positions - drift)
            shift = np.median(displacement, axis=0)
            drift = drift + shift
            if np.abs(shift).max() < SAME_DRIFT:
                break
        return drift, sites, self._mean_distance(displacement - shift)

    def _mean_distance(self, displacement):
        """Of an atom from its site, in bonds; half a bond for those farther away, which are defects."""
        return float(np.minimum(np.linalg.norm(displacement, axis=1) / self._bond, 0.5).mean())


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


def defect_distances(atoms: Atoms, defects: PointDefects) -> np.ndarray:
    """Distances between the defects of a structure, each pair at its nearest images, sorted (n (n - 1) / 2,), Å (Fig. 5a).

    A defect is a vacant site or a site that holds several atoms: a dumbbell counts once, at the site that its atoms share.
    """
    points = np.concatenate([defects.interstitial_sites, defects.vacancies])
    one, other = np.triu_indices(len(points), k=1)
    if len(one) == 0:
        return np.zeros(0)
    _, distances = find_mic(points[other] - points[one], atoms.cell, pbc=True)
    return np.sort(distances)


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


def _with_images(bulk, reach):
    """Sites of the cell and those of its images within `reach` of it, and which site each repeats."""
    cell = bulk.cell.array
    home = wrap_positions(bulk.positions, cell, pbc=True)
    margin = reach / cell_heights(cell)
    shells = np.ceil(margin).astype(int)
    fractions = np.linalg.solve(cell.T, home.T).T
    points, owners = [], []
    for shift in np.ndindex(*(2 * shells + 1)):
        shifted = fractions + np.array(shift) - shells
        near = ((shifted > -margin) & (shifted < 1 + margin)).all(axis=1)
        points.append(shifted[near] @ cell)
        owners.append(np.flatnonzero(near))
    return np.concatenate(points), np.concatenate(owners)
