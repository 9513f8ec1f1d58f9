"""Lattice Green's function of a perfect crystal in a periodic cell.

    G = (H_b + c t t^T)^-1,        G(q) = D(q)^-1,   D(q)_bb' = sum_R Phi(R b, 0 b') exp(-i q . R)

H_b is the Hessian of the crystal of n1 x n2 x n3 unit cells, t its three normalised translations, c its mean diagonal
element. H_b is a convolution over unit cells, so that each of the wave vectors q commensurate with the cell has a small
matrix D(q) of its own, and G acts by fast Fourier transforms. Summed over q,

    ln det' H_b = sum_q ln det D(q) - 3 ln c

Vectors and Hessians count unit cells, not positions, in their phases. Sites are numbered as in
``unit_cell.repeat(repeats)``: site = cell * n_basis + basis.

Source: A. A. Maradudin, E. W. Montroll, G. H. Weiss, I. P. Ipatova, Theory of Lattice Dynamics in the Harmonic
Approximation (1971), chapter VIII.
"""

from __future__ import annotations

from functools import cached_property

import numba
import numpy as np
import scipy.fft
from ase import Atoms
from numba import njit, prange

from ldml.entropy.bulk import force_constants
from ldml.entropy.dynamical_matrix import frequencies
from ldml.entropy.harmonic import SINGULAR, check_relaxed
from ldml.errors import InputError, NotAMinimumError
from ldml.neighbours import cell_heights
from ldml.point_defects import WignerSeitz
from ldml.potentials import Potential, get_potential

AT_REST = 1e-4
"""eV/Å; largest force on an atom of a perfect crystal."""
CHUNK = 16384
"""Wave vectors treated at once, to bound memory."""


class LatticeGreen:
    """Green's function of the crystal ``unit_cell.repeat(repeats)``, held for as many defects as share it.

    Parameters
    ----------
    unit_cell : Atoms
        Cell of a perfect crystal at rest; any number of atoms.
    repeats : int or three ints
    potential : Potential or its name

    Attributes
    ----------
    repeats : (3,) int
    n_basis, n_sites : int
    stiffness : float, eV/Å²
        c: the eigenvalue given to the translations.
    log_determinant : float
        ln det' H_b over all modes but the translations, H_b in eV/Å².

    Raises
    ------
    NotAMinimumError
        If the crystal has an imaginary mode at one of the wave vectors.
    UnrelaxedError
        If forces act on the atoms of the unit cell.
    InputError
        If `repeats` are no positive whole numbers.
    """

    def __init__(self, unit_cell: Atoms, repeats, potential: str | Potential):
        self.potential = get_potential(potential)
        self.potential.check(unit_cell)
        self.unit_cell = Atoms(unit_cell.numbers, positions=unit_cell.positions, cell=unit_cell.cell, pbc=True)
        self.repeats = np.broadcast_to(np.asarray(repeats), (3,)).astype(int)
        if (self.repeats < 1).any() or (self.repeats != np.asarray(repeats)).any():
            raise InputError(f"repeats = {np.asarray(repeats).tolist()} must be positive whole numbers")
        check_relaxed(self.unit_cell, self.potential, AT_REST)
        self.n_basis = len(unit_cell)
        self.n_sites = self.n_basis * int(np.prod(self.repeats))
        vectors, blocks, self._pairs = force_constants(self.unit_cell, self.potential)
        self._steps = self._cell_steps(vectors)
        self._blocks = blocks
        on_site = (self._steps == 0).all(axis=1) & (self._pairs[:, 0] == self._pairs[:, 1])
        self.stiffness = float(np.trace(blocks[on_site].mean(axis=0)) / 3.0)
        self._eigenvalues, self._modes = self._diagonalise()
        self._check_stability()
        self._is_translation = self._translations_among_modes()
        self.log_determinant = float(
            self._weights() @ np.log(self._eigenvalues).sum(axis=1) - 3.0 * np.log(self.stiffness)
        )
        self._inverse = self._function_of(1.0 / self._eigenvalues)
        self._green = None

    def crystal(self) -> Atoms:
        """The perfect crystal itself, sites in order."""
        return self.unit_cell.repeat(self.repeats.tolist())

    @cached_property
    def wigner_seitz(self) -> WignerSeitz:
        """Assigns atoms to the sites of the crystal."""
        return WignerSeitz(self.crystal())

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """G times vectors (N, 3) or (N, 3, k) over the sites; Å for forces in eV/Å."""
        wide = np.ascontiguousarray(vectors, dtype=float).reshape(*self.repeats, 3 * self.n_basis, -1)
        waves = scipy.fft.rfftn(wide, axes=(0, 1, 2), workers=numba.get_num_threads())
        size = waves.shape[3:]
        answers = (self._inverse @ waves.reshape(-1, *size)).reshape(waves.shape)
        return self._to_cells(answers).reshape(vectors.shape)

    def green_table(self) -> np.ndarray:
        """G between sites: (n1, n2, n3, n_basis, 3, n_basis, 3), Å²/eV; cell and atom that answer, then atom pushed at the origin.

        By periodicity the block of sites (cell, b) and (cell', b') is ``table[cell - cell', b, :, b', :]``.
        """
        if self._green is None:
            self._green = self._table(self._inverse)
        return self._green

    def shifted_table(self, shift: float, translations: float) -> np.ndarray:
        """(H_b + translations t t^T + shift)^-1 as in `green_table`; both numbers in eV/Å²."""
        eigenvalues = self._eigenvalues + shift
        # at q = 0, where the translations are modes of their own
        eigenvalues[0, self._is_translation] = translations + shift
        return self._table(self._function_of(1.0 / eigenvalues))

    def hessian_table(self) -> np.ndarray:
        """H_b between sites, as in `green_table`, eV/Å²."""
        shape = (*self.repeats, self.n_basis, 3, self.n_basis, 3)
        table = np.zeros(shape)
        # a block couples b in the home cell to b' in cell `step`: seen from there, b is at -step
        cells = tuple((-self._steps % self.repeats).T)
        targets = (*cells, self._pairs[:, 0], slice(None), self._pairs[:, 1], slice(None))
        np.add.at(table, targets, self._blocks)
        return table

    def couplings(self, sites: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Blocks of H_b in the rows of some sites: row (M,) as position in `sites`, column site (M,), block (M, 3, 3)."""
        cells, basis = self.cells_of(sites), sites % self.n_basis
        rows, columns, blocks = [], [], []
        for b in range(self.n_basis):
            chosen = np.flatnonzero(basis == b)
            mine = self._pairs[:, 0] == b
            reached = (cells[chosen, None] + self._steps[None, mine]) % self.repeats
            partner = np.ravel_multi_index(tuple(np.moveaxis(reached, -1, 0)), tuple(self.repeats))
            rows.append(np.repeat(chosen, mine.sum()))
            columns.append((partner * self.n_basis + self._pairs[mine, 1]).ravel())
            blocks.append(np.tile(self._blocks[mine], (len(chosen), 1, 1)))
        return np.concatenate(rows), np.concatenate(columns), np.concatenate(blocks)

    def neighbourhood(self, sites: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """All sites (n,) within `radius` (Å) of any of `sites`, and their distances (n,) from the nearest, ascending."""
        nearest = np.full(self.n_sites, np.inf)
        for site in np.atleast_1d(sites):
            basis, steps, distances = self._around(site % self.n_basis, radius)
            cells = (self.cells_of(site) + steps) % self.repeats
            reached = np.ravel_multi_index(tuple(cells.T), tuple(self.repeats)) * self.n_basis + basis
            np.minimum.at(nearest, reached, distances)
        found = np.flatnonzero(np.isfinite(nearest))
        order = np.argsort(np.round(nearest[found], 6), kind="stable")
        return found[order], nearest[found[order]]

    def cells_of(self, sites: np.ndarray) -> np.ndarray:
        """Unit cell (n, 3) of each site."""
        return np.stack(np.unravel_index(np.asarray(sites) // self.n_basis, tuple(self.repeats)), axis=-1)

    def _around(self, basis, radius):
        """Atoms of the infinite crystal within `radius` of atom `basis` of the home cell: basis, cell steps, distances."""
        cell, positions = self.unit_cell.cell.array, self.unit_cell.positions
        # atoms of one cell may lie outside it, by as much as the basis is wide
        reach = np.ceil((radius + np.linalg.norm(np.ptp(positions, axis=0))) / cell_heights(cell)).astype(int) + 1
        axes = [np.arange(-n, n + 1) for n in reach]
        steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        vectors = (steps @ cell)[:, None] + positions[None] - positions[basis]
        distances = np.linalg.norm(vectors, axis=2)
        cells, atoms = np.nonzero(distances <= radius + 1e-6)
        return atoms, steps[cells], distances[cells, atoms]

    def _cell_steps(self, vectors):
        """Whole unit cells between the two atoms of each pair."""
        positions = self.unit_cell.positions
        between = vectors - (positions[self._pairs[:, 1]] - positions[self._pairs[:, 0]])
        return np.rint(between @ np.linalg.inv(self.unit_cell.cell.array)).astype(int)

    def _diagonalise(self):
        """Eigenvalues (Q, 3 n_basis) and modes (Q, 3 n_basis, 3 n_basis) of D(q) on the half mesh of real transforms."""
        size = 3 * self.n_basis
        table = self.hessian_table().reshape(*self.repeats, size * size)
        matrices = scipy.fft.rfftn(table, axes=(0, 1, 2), workers=numba.get_num_threads()).reshape(-1, size, size)
        matrices[0] += self.stiffness / self.n_basis * np.tile(np.eye(3), (self.n_basis, self.n_basis))
        eigenvalues = np.empty(matrices.shape[:2])
        for start in range(0, len(matrices), CHUNK):
            some = slice(start, start + CHUNK)
            eigenvalues[some], matrices[some] = np.linalg.eigh(matrices[some])
        return eigenvalues, matrices

    def _translations_among_modes(self):
        """Which modes (3 n_basis,) of q = 0 are the translations."""
        along = self._modes[0].reshape(self.n_basis, 3, -1).sum(axis=0) / np.sqrt(self.n_basis)
        return np.sum(np.abs(along) ** 2, axis=0) > 0.5

    def _weights(self):
        """How many wave vectors of the full mesh each one of the half mesh stands for."""
        last = np.full(self.repeats[2] // 2 + 1, 2.0)
        last[0] = 1.0
        if self.repeats[2] % 2 == 0:
            last[-1] = 1.0
        return np.tile(last, self.repeats[0] * self.repeats[1])

    def _check_stability(self):
        negative = self._eigenvalues < -SINGULAR * self._eigenvalues.max()
        if negative.any():
            mass = self.unit_cell.get_masses().mean()
            lowest = float(frequencies(self._eigenvalues.min() / mass))
            n_imaginary = int(self._weights() @ negative.sum(axis=1))
            raise NotAMinimumError(
                f"the crystal is unstable: {n_imaginary} imaginary modes (lowest {lowest:.2f} THz); "
                f"check lattice and lattice constant",
                n_imaginary=n_imaginary,
                lowest_frequency=lowest,
            )
        if self._eigenvalues.min() < SINGULAR * self._eigenvalues.max():
            raise InputError(
                f"beside its translations the crystal has a mode of nearly zero frequency "
                f"({self._eigenvalues.min():.2g} eV/Å²), so it has no Green's function; check lattice and potential"
            )

    def _function_of(self, values):
        """sum_nu values_nu |nu><nu| at each wave vector; shape (Q, 3 n_basis, 3 n_basis)."""
        return _assemble(self._modes, values)

    def _table(self, matrices):
        table = self._to_cells(matrices.reshape(*self.repeats[:2], self.repeats[2] // 2 + 1, -1))
        return table.reshape(*self.repeats, self.n_basis, 3, self.n_basis, 3)

    def _to_cells(self, waves):
        return scipy.fft.irfftn(
            waves, s=self.repeats.tolist(), axes=(0, 1, 2), workers=numba.get_num_threads(), overwrite_x=True
        )


@njit(parallel=True, cache=True)
def _assemble(modes, values):
    """sum_n values_n |n><n| of modes in columns (Q, m, m)."""
    size = modes.shape[1]
    matrices = np.zeros_like(modes)
    for q in prange(modes.shape[0]):
        for i in range(size):
            for j in range(i + 1):
                total = 0j
                for n in range(size):
                    total += values[q, n] * modes[q, i, n] * np.conj(modes[q, j, n])
                matrices[q, i, j] = total
                matrices[q, j, i] = np.conj(total)
    return matrices
