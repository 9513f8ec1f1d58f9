"""Lanczos quadrature: v^T f(D) v of a sparse symmetric matrix, without factorising or diagonalising it.

    v^T f(D) v = |v|^2 integral f(lambda) dmu_v(lambda) ~ |v|^2 sum_k (s_k . e_1)^2 f(theta_k)

D dynamical matrix, mu_v its spectral measure seen from v, theta_k and s_k eigenvalues and eigenvectors of the tridiagonal
matrix T_K that K steps of the Lanczos recursion D v_k = beta_{k-1} v_{k-1} + alpha_k v_k + beta_k v_{k+1} leave behind.
This is the Gauss rule of mu_v, exact for polynomials of degree 2K - 1. Prescribing one more node a below the spectrum
gives the Gauss-Radau rule. Their errors are f^(2K)(xi) and f^(2K+1)(xi) times positive numbers, so the two rules bracket
the integral whenever the derivatives of f alternate in sign, as those of ln and of harmonic entropies do: the truth lies
between them.

Sources: G. H. Golub and G. Meurant, Matrices, Moments and Quadrature with Applications (Princeton, 2010), ch. 6;
C. C. Paige, J. Inst. Math. Appl. 10, 373 (1972) for the order of operations that keeps the recursion stable.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
from numba import njit

from ldml.entropy.dynamical_matrix import DynamicalMatrix
from ldml.errors import ConvergenceError
from ldml.progress import NULL_PROGRESS, Progress

EXHAUSTED = 1e-13
"""A recursion ends where its coupling falls below this fraction of the largest element of D: the rule is then exact."""
BOUND_STEPS = 5000
"""Steps after which the search for the edges of a spectrum gives up,"""
FLOOR_STEPS = 400
"""or settles for the bound it was given."""


class LanczosRecursion:
    """Lanczos recursions from several start vectors at once, kept clear of the rigid motions.

    Parameters
    ----------
    dynamics : DynamicalMatrix
    starts : (3N, n) float
        Start vectors; their parts along the rigid motions are taken off.

    Attributes
    ----------
    weights : (n,) float
        Squared norms of the start vectors without their rigid parts.
    diagonals, couplings : (K, n) float, eV/(Å² amu)
        alpha_k and beta_k of the steps done so far.
    """

    def __init__(self, dynamics: DynamicalMatrix, starts: np.ndarray):
        self._matrix, self._rigid = dynamics.matrix, dynamics.rigid_motions
        self._scale = dynamics.scale
        current = np.array(starts, dtype=np.float64, order="C")
        self._project(current)
        self.weights = np.einsum("ij,ij->j", current, current)
        norms = np.sqrt(self.weights)
        current /= np.where(norms > 0, norms, 1.0)
        self._current, self._previous = current, np.zeros_like(current)
        self._active = norms > 0
        self.diagonals = np.empty((0, current.shape[1]))
        self.couplings = np.empty((0, current.shape[1]))

    @property
    def n_steps(self) -> int:
        return len(self.diagonals)

    def advance(self, n_steps: int, progress: Progress = NULL_PROGRESS) -> None:
        """Do `n_steps` more steps."""
        diagonals = np.empty((n_steps, len(self.weights)))
        couplings = np.empty_like(diagonals)
        last = self.couplings[-1] if self.n_steps else np.zeros(len(self.weights))
        for k in range(n_steps):
            progress.check()
            diagonals[k], couplings[k] = self._step(last)
            last = couplings[k]
        self.diagonals = np.concatenate([self.diagonals, diagonals])
        self.couplings = np.concatenate([self.couplings, couplings])

    def gauss(self, function: Callable, n_steps: int | None = None) -> np.ndarray:
        """Gauss rule for v^T f(D) v of each start vector, (n,); of the first `n_steps` steps where given."""
        k = self.n_steps if n_steps is None else n_steps
        return self._quadrature(function, self.diagonals[:k], self.couplings[: k - 1])

    def radau(self, function: Callable, node: float) -> np.ndarray:
        """Gauss-Radau rule with one node prescribed, which must lie below the spectrum (or above all of it)."""
        pivots = self.diagonals[0] - node
        for k in range(1, self.n_steps):
            pivots = self.diagonals[k] - node - self.couplings[k - 1] ** 2 / pivots
        last = node + self.couplings[-1] ** 2 / pivots
        return self._quadrature(function, np.vstack([self.diagonals, last]), self.couplings)

    def extremes(self, column: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest Ritz value (2,) of one recursion and their residuals (2,), eV/(Å² amu)."""
        values, vectors = scipy.linalg.eigh_tridiagonal(self.diagonals[:, column], self.couplings[:-1, column])
        ends = [0, -1]
        return values[ends], self.couplings[-1, column] * np.abs(vectors[-1, ends])

    def _step(self, last):
        couplings, self._previous, current = last, self._current, self._previous
        # the new vector takes the place of the one before the last
        diagonal = three_terms(
            self._matrix.indptr, self._matrix.indices, self._matrix.data, self._previous, couplings, current
        )
        current -= diagonal * self._previous
        self._project(current)
        norms = np.sqrt(np.einsum("ij,ij->j", current, current))
        self._active &= norms > EXHAUSTED * self._scale
        current *= np.where(self._active, 1.0 / np.where(self._active, norms, 1.0), 0.0)
        self._current = current
        # an exhausted recursion goes on with zero weight, at a value where the functions are defined
        return np.where(diagonal == 0.0, self._scale, diagonal), np.where(self._active, norms, 0.0)

    def _project(self, vectors):
        vectors -= self._rigid @ (self._rigid.T @ vectors)

    def _quadrature(self, function, diagonals, couplings):
        n = len(diagonals)
        tridiagonal = np.zeros((diagonals.shape[1], n, n))
        k = np.arange(n)
        tridiagonal[:, k, k] = diagonals.T
        # eigh reads the lower triangle only
        tridiagonal[:, k[1:], k[:-1]] = couplings.T
        nodes, vectors = np.linalg.eigh(tridiagonal)
        return self.weights * np.einsum("ck,ck->c", vectors[:, 0, :] ** 2, function(nodes))


def spectral_bounds(
    dynamics: DynamicalMatrix, *, floor: float | None = None, progress: Progress = NULL_PROGRESS
) -> tuple[float, float]:
    """An interval that holds all eigenvalues but those of the rigid motions.

    Both ends are Ritz values of one recursion from a random vector, converged to 1 % and moved outwards by their
    residuals and another 5 %. A negative lower end is a negative Ritz value, and so proves a negative eigenvalue.

    Parameters
    ----------
    dynamics : DynamicalMatrix
    floor : float, eV/(Å² amu), optional
        A bound below the spectrum that is known already, and taken if the lower end is not found in `FLOOR_STEPS` steps.
    progress : Progress

    Returns
    -------
    lowest, highest : float, eV/(Å² amu)

    Raises
    ------
    ConvergenceError
        If the lowest eigenvalue is so small that it is not found in `BOUND_STEPS` steps.
    """
    start = np.random.default_rng(0).normal(size=(dynamics.matrix.shape[0], 1))
    recursion = LanczosRecursion(dynamics, start)
    step = min(20, max(dynamics.matrix.shape[0] - dynamics.n_zero_modes, 1))
    while recursion.n_steps < (BOUND_STEPS if floor is None else FLOOR_STEPS):
        recursion.advance(step, progress)
        values, residuals = recursion.extremes()
        if values[0] < 0:
            return float(values[0]), float(values[1] + residuals[1])
        if (residuals <= 0.01 * values).all():
            return 0.95 * float(values[0] - residuals[0]), 1.05 * float(values[1] + residuals[1])
        step = max(20, recursion.n_steps // 5)
    if floor is not None:
        return floor, 1.05 * float(values[1] + residuals[1])
    raise ConvergenceError(
        f"the lowest eigenvalue of the dynamical matrix is not found in {BOUND_STEPS} Lanczos steps (so far {values[0]:.2g} "
        f"eV/(Å² amu)); the structure has a very soft mode: use method='eigenvectors'"
    )


@njit(cache=True, nogil=True)
def three_terms(offsets, columns, blocks, vectors, couplings, previous):
    """previous <- D vectors - couplings previous, for D in 3 x 3 blocks; returns vectors . previous."""
    n = vectors.shape[1]
    dots = np.zeros(n)
    row_x = np.empty(n)
    row_y = np.empty(n)
    row_z = np.empty(n)
    for i in range(offsets.shape[0] - 1):
        x, y, z = 3 * i, 3 * i + 1, 3 * i + 2
        for c in range(n):
            row_x[c] = -couplings[c] * previous[x, c]
            row_y[c] = -couplings[c] * previous[y, c]
            row_z[c] = -couplings[c] * previous[z, c]
        for k in range(offsets[i], offsets[i + 1]):
            j = 3 * columns[k]
            xx, xy, xz = blocks[k, 0, 0], blocks[k, 0, 1], blocks[k, 0, 2]
            yx, yy, yz = blocks[k, 1, 0], blocks[k, 1, 1], blocks[k, 1, 2]
            zx, zy, zz = blocks[k, 2, 0], blocks[k, 2, 1], blocks[k, 2, 2]
            for c in range(n):
                vx, vy, vz = vectors[j, c], vectors[j + 1, c], vectors[j + 2, c]
                row_x[c] += xx * vx + xy * vy + xz * vz
                row_y[c] += yx * vx + yy * vy + yz * vz
                row_z[c] += zx * vx + zy * vy + zz * vz
        for c in range(n):
            previous[x, c] = row_x[c]
            previous[y, c] = row_y[c]
            previous[z, c] = row_z[c]
            dots[c] += vectors[x, c] * row_x[c] + vectors[y, c] * row_y[c] + vectors[z, c] * row_z[c]
    return dots
