"""What descriptors of neighbourhoods share: rows and totals block by block, on several threads, and the walk over neighbours.

Threads share out fixed blocks of atoms, and a block is the work of one thread from beginning to end: what is added in
which order does not depend on their number. They are threads of Python over a kernel that holds no lock, which compiles in half
the time of a parallel loop.
"""

from __future__ import annotations

from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
from ase import Atoms
from numba import get_num_threads, njit

from ldml.descriptors.base import COINCIDENCE, Descriptor, coincidence_error, species_of
from ldml.descriptors.parameters import Parameter
from ldml.errors import InputError
from ldml.neighbours import cell_grid

ATOMS_PER_BLOCK = 64
BATCH_SIZE = 1 << 18
"""Numbers of block sums held at a time by `total`."""
NEIGHBOURS_PER_CHUNK = 64
"""Kernels work on as many neighbours at a time; buffers of `gather` hold a multiple of it."""
MAX_FEATURES = 100_000
"""More, from a long list of species, would be a mistake: a thousand atoms would fill a gigabyte."""


class LocalDescriptor(Descriptor):
    """A descriptor of each atom's neighbours within `cutoff`, of some `species`, by a compiled kernel.

    A subclass declares those two parameters and implements `_describe`.
    """

    declared_parameters: ClassVar[tuple[Parameter, ...]] = ()

    @abstractmethod
    def _describe(self, grid: tuple, kinds: np.ndarray, first: int, rows: np.ndarray, features: np.ndarray) -> bool:
        """Add the features of sorted atom first + i to row ``rows[i]``; False if two atoms coincide.

        Called on several threads at once, for whole blocks of atoms that share no row.
        """

    def _check_size(self, n_features, remedy):
        """Refuse more features than anyone wants."""
        if n_features > MAX_FEATURES:
            raise InputError(
                f"{len(self.species)} species with these parameters give {n_features:,} features, more than "
                f"{MAX_FEATURES:,}; list fewer species or {remedy}"
            )

    def _compute(self, atoms: Atoms) -> np.ndarray:
        grid, kinds = self._sorted(atoms)
        features = np.zeros((len(atoms), self.n_features))
        self._add(atoms, grid, kinds, 0, grid.order, features)
        return features

    def _total(self, atoms: Atoms) -> np.ndarray:
        grid, kinds = self._sorted(atoms)
        total = np.zeros(self.n_features)
        blocks = np.empty((min(_n_blocks(len(atoms)), max(8, BATCH_SIZE // self.n_features)), self.n_features))
        for first in range(0, len(atoms), len(blocks) * ATOMS_PER_BLOCK):
            n_atoms = min(len(atoms) - first, len(blocks) * ATOMS_PER_BLOCK)
            blocks[:] = 0.0
            self._add(atoms, grid, kinds, first, np.arange(n_atoms) // ATOMS_PER_BLOCK, blocks)
            total += blocks.sum(axis=0)
        return total

    def _sorted(self, atoms):
        """Grid of the atoms, and their species in its order."""
        kinds = species_of(atoms, self.species).astype(np.uint8)
        grid = cell_grid(atoms.positions, atoms.cell.array, atoms.pbc, self.cutoff)
        return grid, kinds[grid.order]

    def _add(self, atoms, grid, kinds, first, rows, features):
        """`_describe` all atoms of `rows`, blocks shared out to threads."""
        arrays, n_threads = grid.arrays(), get_num_threads()
        share = ATOMS_PER_BLOCK * max(8, -(-_n_blocks(len(rows)) // (4 * n_threads)))

        def describe(start):
            return self._describe(arrays, kinds, first + start, rows[start : start + share], features)

        starts = range(0, len(rows), share)
        if n_threads == 1 or len(starts) == 1:
            apart = all(map(describe, starts))
        else:
            with ThreadPoolExecutor(n_threads) as pool:
                apart = all(pool.map(describe, starts))
        if not apart:
            raise coincidence_error(atoms)


def _n_blocks(n_atoms):
    return -(-n_atoms // ATOMS_PER_BLOCK)


@njit(cache=True, nogil=True)
def gather(i, grid, kinds, cutoff, near, found):
    """Vectors from sorted atom i to its neighbours, by species.

    Parameters
    ----------
    i : int
    grid : tuple
        `CellGrid.arrays`.
    kinds : (N,) uint8 array
        Species of the sorted atoms.
    cutoff : float, Å
    near : (n_species, 3, n) array
        Filled with the vectors, Å; n a multiple of `NEIGHBOURS_PER_CHUNK`.
    found : (n_species,) int array
        Filled with their numbers.

    Returns
    -------
    near : array
        The same, or a longer one where it was too short.
    apart : bool
        False if a neighbour coincides with the atom.
    """
    apart = _walk(i, grid, kinds, cutoff, near, found)
    if found.max() > near.shape[2]:
        n_chunks = (found.max() + NEIGHBOURS_PER_CHUNK - 1) // NEIGHBOURS_PER_CHUNK
        near = np.empty((near.shape[0], 3, n_chunks * NEIGHBOURS_PER_CHUNK))
        apart = _walk(i, grid, kinds, cutoff, near, found)
    return near, apart


@njit(cache=True, nogil=True)
def _walk(i, grid, kinds, cutoff, near, found):
    """Fill `near` as far as it goes and count all."""
    positions, bins, bin_start, n_bins, reach, periodic, cell = grid
    found[:] = 0
    for da in range(-reach[0], reach[0] + 1):
        a = bins[i, 0] + da
        image_a = a // n_bins[0]
        if image_a != 0 and not periodic[0]:
            continue
        a -= image_a * n_bins[0]
        for db in range(-reach[1], reach[1] + 1):
            b = bins[i, 1] + db
            image_b = b // n_bins[1]
            if image_b != 0 and not periodic[1]:
                continue
            b -= image_b * n_bins[1]
            for dc in range(-reach[2], reach[2] + 1):
                c = bins[i, 2] + dc
                image_c = c // n_bins[2]
                if image_c != 0 and not periodic[2]:
                    continue
                c -= image_c * n_bins[2]
                home = image_a == 0 and image_b == 0 and image_c == 0
                x0 = image_a * cell[0, 0] + image_b * cell[1, 0] + image_c * cell[2, 0] - positions[i, 0]
                y0 = image_a * cell[0, 1] + image_b * cell[1, 1] + image_c * cell[2, 1] - positions[i, 1]
                z0 = image_a * cell[0, 2] + image_b * cell[1, 2] + image_c * cell[2, 2] - positions[i, 2]
                box = (a * n_bins[1] + b) * n_bins[2] + c
                for j in range(bin_start[box], bin_start[box + 1]):
                    dx = positions[j, 0] + x0
                    dy = positions[j, 1] + y0
                    dz = positions[j, 2] + z0
                    squared = dx * dx + dy * dy + dz * dz
                    if squared >= cutoff * cutoff or (home and j == i):
                        continue
                    if squared < COINCIDENCE * COINCIDENCE:
                        return False
                    kind = kinds[j]
                    if found[kind] < near.shape[2]:
                        near[kind, 0, found[kind]] = dx
                        near[kind, 1, found[kind]] = dy
                        near[kind, 2, found[kind]] = dz
                    found[kind] += 1
    return True
