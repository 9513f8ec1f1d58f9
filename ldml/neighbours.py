"""Neighbours within a cutoff, for any cell.

Atoms are sorted into bins of a grid laid over the cell. Every neighbour of an atom lies within ``reach`` bins of its
own along each cell vector; where the cell is thinner than the cutoff the walk over bins passes through the same bin
several times, once for each periodic image. That one rule serves triclinic cells, cells smaller than the cutoff,
slabs and clusters alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from ase.geometry import complete_cell
from numba import njit

from ldml.errors import StructureError

MINIMUM_HEIGHT = 0.1
"""Å; a thinner periodic cell would have images without number within any cutoff."""


@dataclass(frozen=True)
class CellGrid:
    """Atoms sorted into the bins of a grid; N atoms, B = product of ``n_bins``.

    Attributes
    ----------
    cell : (3, 3) float
        Vectors spanned by the grid, Å (rows). Along a direction that is not periodic the vector just spans the atoms.
    positions : (N, 3) float
        Positions folded into the grid, Å, relative to its origin, in bin order.
    order : (N,) int
        Original index of each sorted atom.
    wraps : (N, 3) int
        Cell vectors subtracted from each sorted atom to fold it.
    bins : (N, 3) int
        Bin of each sorted atom.
    bin_start : (B + 1,) int
        First sorted atom of each bin.
    n_bins, reach : (3,) int
        Number of bins, and bins to visit on either side, along each vector.
    periodic : (3,) bool
    """

    cell: np.ndarray
    positions: np.ndarray
    order: np.ndarray
    wraps: np.ndarray
    bins: np.ndarray
    bin_start: np.ndarray
    n_bins: np.ndarray
    reach: np.ndarray
    periodic: np.ndarray

    def arrays(self):
        """Everything a compiled kernel needs to walk the bins."""
        return (self.positions, self.bins, self.bin_start, self.n_bins, self.reach, self.periodic, self.cell)


@dataclass(frozen=True)
class NeighbourList:
    """Pairs i -> j within the cutoff in compressed rows; N atoms, M pairs.

    Attributes
    ----------
    offsets : (N + 1,) int64
        Pairs of atom i are ``offsets[i]:offsets[i + 1]``.
    indices : (M,) int32
        Atom j of each pair.
    shifts : (M, 3) float
        Lattice translation of the image of j, Å: ``vectors = positions[j] + shifts - positions[i]``.
    vectors : (M, 3) float
        From i to the image of j, Å.
    distances : (M,) float
        Å.
    """

    offsets: np.ndarray
    indices: np.ndarray
    shifts: np.ndarray
    vectors: np.ndarray
    distances: np.ndarray


def cell_heights(cell: np.ndarray) -> np.ndarray:
    """Perpendicular distances between opposite faces of a cell (3, 3), Å; shape (3,)."""
    volume = abs(np.linalg.det(cell))
    areas = np.linalg.norm(np.cross(cell[[1, 2, 0]], cell[[2, 0, 1]]), axis=1)
    return volume / areas


def cell_grid(positions: np.ndarray, cell: np.ndarray, pbc, cutoff: float) -> CellGrid:
    """Sort atoms into bins at least about `cutoff` wide.

    Parameters
    ----------
    positions : (N, 3) array, Å
    cell : (3, 3) array, Å
        Rows are cell vectors; vectors of directions that are not periodic may be zero.
    pbc : bool or three bools
    cutoff : float, Å

    Raises
    ------
    StructureError
        If a periodic direction has no volume to repeat.
    """
    positions = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,)).copy()
    cell, origin = _spanning_cell(positions, np.asarray(cell, dtype=np.float64), periodic, cutoff)
    heights = cell_heights(cell)
    n_bins = _bin_counts(heights, cutoff, len(positions))
    reach = np.ceil(cutoff * n_bins / heights - 1e-12).astype(np.int64)

    fractional = np.linalg.solve(cell.T, (positions - origin).T).T
    wraps = np.where(periodic, np.floor(fractional), 0.0)
    fractional -= wraps
    fractional *= n_bins
    bins = fractional.astype(np.int64)
    del fractional  # each of these is 24 MB for a million atoms
    np.clip(bins, 0, n_bins - 1, out=bins)
    keys = np.ravel_multi_index(tuple(bins.T), n_bins) if len(bins) else np.zeros(0, dtype=np.int64)
    order = np.argsort(keys, kind="stable")
    bin_start = np.zeros(int(np.prod(n_bins)) + 1, dtype=np.int64)
    np.cumsum(np.bincount(keys, minlength=len(bin_start) - 1), out=bin_start[1:])
    del keys
    bins = bins[order]
    wraps = wraps[order]
    folded = positions[order]
    folded -= origin
    folded -= wraps @ cell
    return CellGrid(
        cell=np.ascontiguousarray(cell),
        positions=folded,
        order=order,
        wraps=wraps.astype(np.int64),
        bins=bins,
        bin_start=bin_start,
        n_bins=n_bins,
        reach=reach,
        periodic=periodic,
    )


def coordination_numbers(positions, cell, pbc, cutoff: float) -> np.ndarray:
    """How many neighbours each atom has within `cutoff`, (N,); without the memory of a list. Parameters as in `neighbour_list`."""
    grid = cell_grid(positions, cell, pbc, cutoff)
    return _count_neighbours(*grid.arrays(), grid.order, cutoff, False)


def neighbour_list(positions, cell, pbc, cutoff: float, *, half: bool = False) -> NeighbourList:
    """List all neighbours within `cutoff`.

    Parameters
    ----------
    positions : (N, 3) array, Å
    cell : (3, 3) array, Å
    pbc : bool or three bools
    cutoff : float, Å
    half : bool
        List each pair once (i < j; of the two images of an atom by itself, one) instead of from both ends.

    Returns
    -------
    NeighbourList
        Rows in the order of the atoms. An atom never neighbours itself, but does neighbour its own images.
    """
    grid = cell_grid(positions, cell, pbc, cutoff)
    counts = _count_neighbours(*grid.arrays(), grid.order, cutoff, half)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    n_pairs = int(offsets[-1])
    indices = np.empty(n_pairs, dtype=np.int32)
    images = np.empty((n_pairs, 3), dtype=np.int64)
    vectors = np.empty((n_pairs, 3))
    distances = np.empty(n_pairs)
    _fill_neighbours(*grid.arrays(), grid.order, grid.wraps, cutoff, half, offsets, indices, images, vectors, distances)
    return NeighbourList(offsets, indices, images @ grid.cell, vectors, distances)


def _spanning_cell(positions, cell, periodic, cutoff):
    """The cell itself along periodic directions; along the others a vector that just spans the atoms, and its origin."""
    if not np.isfinite(positions).all():
        bad = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
        raise StructureError(f"atom {bad} has a position that is not finite: {positions[bad]}; repair the file")
    lengths = np.linalg.norm(cell, axis=1)
    if not np.isfinite(cell).all() or np.any(lengths[periodic] == 0.0):
        raise StructureError(
            f"the cell {cell.tolist()} has no extent along a periodic direction; give a cell vector or set pbc to False"
        )
    full = complete_cell(np.where(periodic[:, None], cell, 0.0)) if not periodic.all() else cell.copy()
    volume = abs(np.linalg.det(full))
    if volume < 1e-6 * np.prod(np.linalg.norm(full, axis=1)):
        raise StructureError(
            f"the cell {cell.tolist()} is singular (volume {volume:.3g} Å^3); give independent cell vectors"
        )
    if cell_heights(full)[periodic].min(initial=np.inf) < MINIMUM_HEIGHT:
        raise StructureError(
            f"the cell is only {cell_heights(full)[periodic].min():.3g} Å thick, less than {MINIMUM_HEIGHT} Å; lengths are in Å"
        )
    origin = np.zeros(3)
    if not periodic.all() and len(positions):
        fractional = np.linalg.solve(full.T, positions.T).T
        heights = cell_heights(full)
        low = fractional.min(axis=0)
        span = np.maximum(np.ptp(fractional, axis=0) * (1.0 + 1e-9), cutoff / heights)
        origin = np.where(periodic, 0.0, low) @ full
        full = np.where(periodic, 1.0, span)[:, None] * full
    return full, origin


def _bin_counts(heights, cutoff, n_atoms):
    n_bins = np.maximum(1, np.floor(heights / cutoff)).astype(np.int64)
    # a few atoms in a vast box must not cost a vast grid
    most = max(64, 4 * n_atoms)
    while np.prod(n_bins.astype(float)) > most:
        n_bins = np.maximum(1, n_bins // 2)
    return n_bins


@njit(cache=True)
def _count_neighbours(positions, bins, bin_start, n_bins, reach, periodic, cell, order, cutoff, half):
    n_atoms = positions.shape[0]
    counts = np.zeros(n_atoms, np.int64)
    nothing_i = np.empty(0, np.int32)
    nothing_s = np.empty((0, 3), np.int64)
    nothing_v = np.empty((0, 3))
    nothing_d = np.empty(0)
    wraps = np.empty((0, 3), np.int64)
    for i in range(n_atoms):
        counts[order[i]] = _walk(
            i, positions, bins, bin_start, n_bins, reach, periodic, cell, order, wraps, cutoff, half,
            False, 0, nothing_i, nothing_s, nothing_v, nothing_d,
        )  # fmt: skip
    return counts


@njit(cache=True)
def _fill_neighbours(
    positions, bins, bin_start, n_bins, reach, periodic, cell, order, wraps, cutoff, half,
    offsets, indices, images, vectors, distances,
):  # fmt: skip
    for i in range(positions.shape[0]):
        _walk(
            i, positions, bins, bin_start, n_bins, reach, periodic, cell, order, wraps, cutoff, half,
            True, offsets[order[i]], indices, images, vectors, distances,
        )  # fmt: skip


@njit(cache=True)
def _walk(
    i, positions, bins, bin_start, n_bins, reach, periodic, cell, order, wraps, cutoff, half,
    fill, at, indices, images, vectors, distances,
):  # fmt: skip
    """Visit the neighbours of sorted atom i; write them from row `at` on if `fill`; return their number."""
    found = 0
    squared = cutoff * cutoff
    shift = np.empty(3, np.int64)
    for da in range(-reach[0], reach[0] + 1):
        a = bins[i, 0] + da
        shift[0] = a // n_bins[0]
        if shift[0] != 0 and not periodic[0]:
            continue
        a -= shift[0] * n_bins[0]
        for db in range(-reach[1], reach[1] + 1):
            b = bins[i, 1] + db
            shift[1] = b // n_bins[1]
            if shift[1] != 0 and not periodic[1]:
                continue
            b -= shift[1] * n_bins[1]
            for dc in range(-reach[2], reach[2] + 1):
                c = bins[i, 2] + dc
                shift[2] = c // n_bins[2]
                if shift[2] != 0 and not periodic[2]:
                    continue
                c -= shift[2] * n_bins[2]
                home = shift[0] == 0 and shift[1] == 0 and shift[2] == 0
                x0 = shift[0] * cell[0, 0] + shift[1] * cell[1, 0] + shift[2] * cell[2, 0] - positions[i, 0]
                y0 = shift[0] * cell[0, 1] + shift[1] * cell[1, 1] + shift[2] * cell[2, 1] - positions[i, 1]
                z0 = shift[0] * cell[0, 2] + shift[1] * cell[1, 2] + shift[2] * cell[2, 2] - positions[i, 2]
                box = (a * n_bins[1] + b) * n_bins[2] + c
                for j in range(bin_start[box], bin_start[box + 1]):
                    if home and j == i:
                        continue
                    x = positions[j, 0] + x0
                    y = positions[j, 1] + y0
                    z = positions[j, 2] + z0
                    d2 = x * x + y * y + z * z
                    if d2 >= squared:
                        continue
                    if half and not _listed_once(order[i], order[j], shift):
                        continue
                    if fill:
                        k = at + found
                        indices[k] = order[j]
                        for d in range(3):
                            images[k, d] = shift[d] - wraps[j, d] + wraps[i, d]
                        vectors[k, 0] = x
                        vectors[k, 1] = y
                        vectors[k, 2] = z
                        distances[k] = sqrt(d2)
                    found += 1
    return found


@njit(cache=True, inline="always")
def _listed_once(i, j, shift):
    if i != j:
        return i < j
    if shift[0] != 0:
        return shift[0] > 0
    if shift[1] != 0:
        return shift[1] > 0
    return shift[2] > 0
