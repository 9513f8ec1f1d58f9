"""Dynamical matrix, its rigid motions and its lowest modes.

    (H - M omega^2) |nu> = 0                                   (paper, Eq. 1)

H is the Hessian of the potential energy, M the masses. Everything here works on D = M^-1/2 H M^-1/2, whose eigenvalues
are lambda = omega^2 in eV/(Å² amu), and whose exact zero modes are the rigid motions of the whole system.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from ase import Atoms
from numba import njit

from ldml.errors import InputError
from ldml.units import THZ

ZERO_TOLERANCE = 1e-7
"""A rigid motion counts as a zero mode if D moves it by less than this fraction of the largest element of D."""

ROUNDING = 1e-12
"""eV/(Å² amu); smaller elements are taken for zero."""


@dataclass(frozen=True)
class DynamicalMatrix:
    """Mass-weighted Hessian of one structure.

    Attributes
    ----------
    matrix : sparse (3N, 3N), eV/(Å² amu)
    rigid_motions : (3N, n_zero_modes) float
        Orthonormal basis of its zero modes: three translations, and the rotations of a free cluster.
    masses : (N,) float, amu
    """

    matrix: scipy.sparse.sparray
    rigid_motions: np.ndarray
    masses: np.ndarray

    @property
    def n_zero_modes(self) -> int:
        return self.rigid_motions.shape[1]

    @property
    def scale(self) -> float:
        """Largest diagonal element, eV/(Å² amu)."""
        return float(self.matrix.diagonal().max())

    def dense(self) -> np.ndarray:
        """The matrix as a Fortran-ordered array, ready to be overwritten by LAPACK."""
        n_atoms = len(self.masses)
        matrix = np.zeros((n_atoms, 3, n_atoms, 3))
        rows = np.repeat(np.arange(n_atoms), np.diff(self.matrix.indptr))
        # block by block: scipy's own conversion first lists every element with its row and column
        matrix[rows, :, self.matrix.indices, :] = self.matrix.data
        # its transpose is itself, so the C-ordered array read as Fortran order costs nothing
        return matrix.reshape(3 * n_atoms, 3 * n_atoms).T

    def lifted(self, value: float, *, shift: float = 0.0) -> np.ndarray:
        """D + `shift` with its rigid motions moved to the eigenvalue `value` + `shift`, eV/(Å² amu).

        Dense, Fortran-ordered, ready to be overwritten by LAPACK; only the lower triangle is right.
        """
        matrix = self.dense()
        if shift:
            matrix[np.diag_indices(len(matrix))] += shift
        return scipy.linalg.blas.dsyrk(value, self.rigid_motions, beta=1.0, c=matrix, lower=1, overwrite_c=1)


def dynamical_matrix(hessian, atoms: Atoms) -> DynamicalMatrix:
    """Mass-weight a Hessian and count its rigid motions.

    Parameters
    ----------
    hessian : sparse or dense (3N, 3N), eV/Å²
    atoms : Atoms
        Supplies masses, positions and periodicity.

    Raises
    ------
    InputError
        If the Hessian is not finite or does not leave translations free.
    """
    n = 3 * len(atoms)
    if hessian.shape != (n, n):
        raise InputError(
            f"a Hessian of shape {hessian.shape} does not belong to {len(atoms)} atoms; expected ({n}, {n})"
        )
    matrix = _mass_weighted(scipy.sparse.bsr_array(hessian), 1.0 / np.sqrt(atoms.get_masses()))
    if not np.isfinite(matrix.data).all():
        raise InputError("the Hessian has elements that are not finite; check the structure for overlapping atoms")
    return DynamicalMatrix(matrix, _zero_modes(matrix, atoms), atoms.get_masses())


def _mass_weighted(hessian, weights):
    if hessian.blocksize != (3, 3):
        hessian = hessian.tobsr(blocksize=(3, 3))
    rows = np.repeat(np.arange(hessian.shape[0] // 3), np.diff(hessian.indptr))
    factor = weights[rows] * weights[hessian.indices]
    data = hessian.data * factor[:, None, None]
    matrix = scipy.sparse.bsr_array((data, hessian.indices, hessian.indptr), shape=hessian.shape)
    if _lists_a_block_twice(hessian.indptr, hessian.indices):
        # contributions to one block listed apart: everything later takes blocks as final
        merged = matrix.tocsr()
        merged.sum_duplicates()
        matrix = merged.tobsr(blocksize=(3, 3))
    return matrix


@njit(cache=True)
def _lists_a_block_twice(row_start, columns):
    last_row = np.full(len(row_start) - 1, -1)
    for i in range(len(row_start) - 1):
        for k in range(row_start[i], row_start[i + 1]):
            if last_row[columns[k]] == i:
                return True
            last_row[columns[k]] = i
    return False


def _zero_modes(matrix, atoms):
    """Orthonormal rigid motions that the matrix really leaves free: tested, not assumed."""
    # a single atom's Hessian is rounding alone
    tolerance = max(ZERO_TOLERANCE * abs(matrix.diagonal()).max(), ROUNDING)
    translations = _translations(atoms.get_masses())
    residual = np.abs(matrix @ translations).max()
    if residual > tolerance:
        raise InputError(
            f"the Hessian resists a rigid translation by {residual:.2g} eV/(Å² amu); "
            f"it is not that of an isolated or periodic system"
        )
    if atoms.pbc.any():
        return translations
    rotations = _rotations(atoms, translations)
    free = np.abs(matrix @ rotations).max(axis=0) <= tolerance
    return np.hstack([translations, rotations[:, free]])


def _translations(masses):
    roots = np.sqrt(masses / masses.sum())
    return np.kron(roots[:, None], np.eye(3))


def _rotations(atoms, translations):
    arms = atoms.positions - atoms.get_center_of_mass()
    roots = np.sqrt(atoms.get_masses())[:, None]
    motions = np.stack([(np.cross(axis, arms) * roots).ravel() for axis in np.eye(3)], axis=1)
    left, sizes, _ = np.linalg.svd(motions, full_matrices=False)
    kept = left[:, sizes > 1e-8 * max(sizes.max(), 1e-300)]
    return kept - translations @ (translations.T @ kept)


def lowest_modes(dynamics: DynamicalMatrix, n_modes: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest modes beside the rigid motions.

    Parameters
    ----------
    dynamics : DynamicalMatrix
    n_modes : int

    Returns
    -------
    eigenvalues : (n_modes,) float, eV/(Å² amu), ascending
    vectors : (3N, n_modes) float
        Mass-weighted, orthonormal.
    """
    size = dynamics.matrix.shape[0]
    n_modes = min(n_modes, size - dynamics.n_zero_modes)
    lift = 2.0 * dynamics.scale
    rigid = dynamics.rigid_motions
    if size <= 600:
        values, vectors = scipy.linalg.eigh(dynamics.matrix.toarray() + lift * rigid @ rigid.T)
        return values[:n_modes], vectors[:, :n_modes]
    lifted = scipy.sparse.linalg.LinearOperator(
        (size, size), matvec=lambda x: dynamics.matrix @ x + lift * (rigid @ (rigid.T @ x)), dtype=np.float64
    )
    start = np.random.default_rng(0).normal(size=size)
    values, vectors = scipy.sparse.linalg.eigsh(lifted, k=n_modes, which="SA", v0=start, tol=1e-6)
    order = np.argsort(values)
    return values[order], vectors[:, order]


def frequencies(eigenvalues: np.ndarray) -> np.ndarray:
    """Frequencies in THz of eigenvalues in eV/(Å² amu); imaginary modes come out negative."""
    eigenvalues = np.asarray(eigenvalues)
    return THZ * np.sign(eigenvalues) * np.sqrt(np.abs(eigenvalues))
