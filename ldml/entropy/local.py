"""Entropies of single atoms without eigenvectors.

    S_i = sum_alpha <i alpha| s(D) |i alpha>,     s(lambda) = s(1) - 1/2 ln lambda  (classical)        (paper, Eqs 9-12)

D dynamical matrix without its rigid motions, s(lambda) entropy of one oscillator. Two routes to that diagonal:

"shifts", for all atoms at once. ln is replaced by a rational function with real poles,

    ln lambda ~ p(lambda) + c_0/lambda + sum_k c_k/(lambda + t_k),     p of second degree,

of which each term's diagonal is cheap: row norms of D for p, column norms of the inverse Cholesky factor of D + t for a
pole, L^-T L^-1 = (D + t)^-1. Poles t_k > 0 and coefficients are fitted to ln on the interval that holds the spectrum;
the largest misfit there bounds the error of every S_i. The factorisation at t = 0 also gives ln det D exactly, so the
sum of the diagonal is known: what it lacks is shared out equally, and must not exceed the bound.

"lanczos", for chosen atoms of structures too large to factorise: Gauss and Gauss-Radau rules (`ldml.entropy.lanczos`) from
the three unit vectors of each atom bracket S_i. The derivatives of s alternate in sign, for quantum statistics too: with
x = hbar omega/k_B T, lambda = x^2, theta(u) = sum_n exp(-4 pi^2 n^2 u)/2 over all integers n,

    ds/dlambda = -integral_0^inf exp(-lambda u) [theta + 2 u theta'](u) du,

and Poisson's sum, theta = (4 pi u)^(-1/2) sum_k exp(-k^2/4u)/2, turns the bracket into a sum of positive terms. Starting
from the three vectors of an atom as one block would gain little: in a cubic environment they do not couple.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize
from numba import njit
from threadpoolctl import threadpool_info, threadpool_limits

from ldml.entropy.dynamical_matrix import DynamicalMatrix
from ldml.entropy.lanczos import LanczosRecursion, spectral_bounds
from ldml.errors import ConvergenceError
from ldml.progress import NULL_PROGRESS, Progress

TOLERANCE = 1e-7
"""k_B; default bound on the error of an atom's entropy."""
MAX_POLES = 24
ATOMS_AT_ONCE = 16
"""Atoms in one batch of Lanczos recursions: 48 columns keep the multiplication busy and stay in the cache."""
MAX_STEPS = 600
"""Lanczos steps after which a batch gives up; the bracket closes by a factor e in about sqrt(condition number)/4 steps."""


@dataclass(frozen=True)
class LocalEntropies:
    """Entropies of atoms, with a bound on their errors.

    Attributes
    ----------
    values : (n,) float, k_B
    error : float, k_B
        Bound on the error of each value, beside rounding.
    n_steps : int
        Factorisations, or Lanczos steps, that it took.
    """

    values: np.ndarray
    error: float
    n_steps: int


@dataclass(frozen=True)
class RationalLogarithm:
    """ln lambda ~ p0 + p1 lambda + p2 lambda^2 + c_0/lambda + sum_k c_k/(lambda + t_k) on an interval.

    Attributes
    ----------
    polynomial : (3,) float
        p0, p1, p2.
    residues : (m + 1,) float
        c_0, c_1 ... c_m.
    shifts : (m,) float
        t_1 ... t_m, positive, ascending, in the unit of lambda.
    error : float
        Largest |ln lambda - approximation| on the interval.
    """

    polynomial: np.ndarray
    residues: np.ndarray
    shifts: np.ndarray
    error: float

    def __call__(self, eigenvalues) -> np.ndarray:
        x = np.asarray(eigenvalues, dtype=np.float64)
        terms = self.residues / (x[..., None] + np.concatenate([[0.0], self.shifts]))
        return self.polynomial[0] + x * (self.polynomial[1] + x * self.polynomial[2]) + terms.sum(axis=-1)


def rational_logarithm(lowest: float, highest: float, *, tolerance: float) -> RationalLogarithm:
    """Rational approximation of ln on [`lowest`, `highest`] with as few poles as `tolerance` allows.

    The poles minimise the sum of squared misfits on Chebyshev points in ln lambda, which is close to the smallest
    largest misfit; each pole beyond the first gains a factor exp(2 pi^2/ln(16 highest/lowest)), 12 at a ratio of 150.

    Raises
    ------
    ConvergenceError
        If `MAX_POLES` poles do not reach the tolerance.
    """
    ratio = lowest / highest
    points = _between(ratio, 0.5 - 0.5 * np.cos(np.pi * (np.arange(240) + 0.5) / 240))
    check = _between(ratio, np.linspace(0.0, 1.0, 4001))
    best = np.inf
    for n_poles in range(2, MAX_POLES + 1):
        # spread over the spectrum, the last one above it
        start = np.linspace(np.log(ratio) - 1.0, 0.5, n_poles + 2)[1:-1]
        fit = scipy.optimize.least_squares(
            _misfit, start, _misfit_slopes, method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-15, args=(points,)
        )
        shifts = np.sort(np.exp(fit.x))
        coefficients = _coefficients(points, shifts)
        error = float(np.abs(_terms(check, shifts) @ coefficients - np.log(check)).max())
        # poles that meet have huge residues of opposite signs, which would cost digits; those of a sound fit are negative
        if (coefficients[3:] > 0).any():
            continue
        best = min(best, error)
        if error <= tolerance:
            polynomial = coefficients[:3] / highest ** np.arange(3)
            polynomial[0] += np.log(highest)
            return RationalLogarithm(polynomial, coefficients[3:] * highest, shifts * highest, error)
    raise ConvergenceError(
        f"no rational approximation of the logarithm on [{lowest:.2g}, {highest:.2g}] eV/(Å² amu) reaches {tolerance:.1g} "
        f"(best {best:.1g}); allow a larger local_tolerance or use method='eigenvectors'"
    )


def local_logarithms(
    dynamics: DynamicalMatrix,
    log_determinant: float,
    inverse_diagonal: np.ndarray,
    *,
    tolerance: float = TOLERANCE,
    progress: Progress = NULL_PROGRESS,
) -> LocalEntropies:
    """-1/2 sum_alpha [ln D]_(i alpha, i alpha) of every atom, rigid motions left out, by shifted factorisations.

    Parameters
    ----------
    dynamics : DynamicalMatrix
        Of a minimum.
    log_determinant : float
        ln det' D.
    inverse_diagonal : (3N,) float
        Diagonal of the inverse of ``dynamics.lifted(dynamics.scale)``, as `harmonic.log_determinant_and_inverse` gives it.
    tolerance : float, k_B

    Raises
    ------
    ConvergenceError
        If the tolerance cannot be reached, or the spectrum turns out to leave the interval it was found in.
    """
    # tr A^-1 > 1/lambda_min: a bound that is coarse unless one mode is very soft, and there the only one quickly found
    lowest, highest = spectral_bounds(dynamics, floor=1.0 / inverse_diagonal.sum(), progress=progress)
    scale = dynamics.scale
    # three directions, each half a logarithm; half the tolerance is kept for the shared-out defect
    logarithm = rational_logarithm(min(lowest, scale), max(highest, scale), tolerance=tolerance / 3.0)
    rigid = np.einsum("ij,ij->i", dynamics.rigid_motions, dynamics.rigid_motions)
    diagonal = _polynomial_diagonal(dynamics.matrix, scale * rigid, scale**2 * rigid, logarithm.polynomial)
    diagonal += logarithm.residues[0] * inverse_diagonal
    n_shifts = len(logarithm.shifts)
    for k, (residue, shift) in enumerate(zip(logarithm.residues[1:], logarithm.shifts, strict=True)):
        progress.check()
        progress.update(k + 1, n_shifts + 1, "local entropies")
        diagonal += residue * _resolvent_diagonal(dynamics, shift)
    # the lifted motions sit at the eigenvalue `scale`
    diagonal -= logarithm(scale) * rigid
    n_atoms = len(dynamics.masses)
    values = -0.5 * diagonal.reshape(-1, 3).sum(axis=1)
    defect = (-0.5 * log_determinant - values.sum()) / n_atoms
    bound = 1.5 * logarithm.error
    if abs(defect) > bound + 1e-11:
        raise ConvergenceError(
            f"the local entropies miss their sum by {abs(defect):.2g} k_B an atom, more than the bound {bound:.2g}: an eigenvalue "
            f"lies outside [{lowest:.2g}, {highest:.2g}] eV/(Å² amu); use method='eigenvectors'"
        )
    return LocalEntropies(values=values + defect, error=bound + abs(defect), n_steps=n_shifts + 1)


def diagonal_of_inverse(factor: np.ndarray) -> np.ndarray:
    """Diagonal of A^-1 from the lower Cholesky factor of A, which is overwritten by its inverse."""
    inverse, _ = scipy.linalg.lapack.dtrtri(factor, lower=1, overwrite_c=1)
    return _lower_column_norms(inverse.T)


def local_entropies_by_lanczos(
    dynamics: DynamicalMatrix,
    atoms: np.ndarray,
    entropy: Callable,
    lowest: float,
    *,
    tolerance: float = TOLERANCE,
    progress: Progress = NULL_PROGRESS,
) -> LocalEntropies:
    """Entropies of chosen atoms by Lanczos quadrature, bracketed from both sides.

    Parameters
    ----------
    dynamics : DynamicalMatrix
        Of a minimum.
    atoms : (n,) int
    entropy : callable
        Entropy of oscillators (k_B) of given eigenvalues; its derivatives alternate in sign, beginning with a fall.
    lowest : float, eV/(Å² amu)
        A bound below all eigenvalues but the rigid motions.
    tolerance : float, k_B
        Recursions grow until half the width of every bracket is below it.

    Raises
    ------
    ConvergenceError
        If a bracket does not close in `MAX_STEPS` steps.
    """
    batches = [atoms[k : k + ATOMS_AT_ONCE] for k in range(0, len(atoms), ATOMS_AT_ONCE)]

    def bracket(batch):
        progress.check()
        return _bracketed(dynamics, batch, entropy, lowest, tolerance, progress)

    n_threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    results = []
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads) as pool:
        try:
            for result in pool.map(bracket, batches):
                results.append(result)
                progress.update(sum(len(r.values) for r in results), len(atoms), "local entropies")
        finally:
            pool.shutdown(cancel_futures=True)
    return LocalEntropies(
        values=np.concatenate([r.values for r in results]),
        error=max(r.error for r in results),
        n_steps=max(r.n_steps for r in results),
    )


def _bracketed(dynamics, atoms, entropy, lowest, tolerance, progress):
    size = dynamics.matrix.shape[0]
    starts = np.zeros((size, 3 * len(atoms)))
    starts[(3 * atoms[:, None] + np.arange(3)).ravel(), np.arange(3 * len(atoms))] = 1.0
    recursion = LanczosRecursion(dynamics, starts)
    # beyond as many steps as there are modes the rule is exact
    limit = min(MAX_STEPS, size - dynamics.n_zero_modes)
    while True:
        recursion.advance(min(max(4, recursion.n_steps // 4), limit - recursion.n_steps), progress)
        lower = recursion.gauss(entropy).reshape(-1, 3).sum(axis=1)
        upper = recursion.radau(entropy, lowest).reshape(-1, 3).sum(axis=1)
        error = 0.5 * float(np.abs(upper - lower).max())
        if error <= tolerance:
            return LocalEntropies(0.5 * (lower + upper), error, recursion.n_steps)
        if recursion.n_steps >= limit:
            raise ConvergenceError(
                f"local entropies are known to {error:.2g} k_B after {recursion.n_steps} Lanczos steps, not to {tolerance:.2g}; "
                f"allow a larger local_tolerance or use method='eigenvectors'"
            )


def _resolvent_diagonal(dynamics, shift):
    """Diagonal of (D + shift)^-1 with D lifted; a function of its own, so that one matrix is freed before the next is made."""
    factor, _ = scipy.linalg.lapack.dpotrf(
        dynamics.lifted(dynamics.scale, shift=shift), lower=1, overwrite_a=1, clean=0
    )
    return diagonal_of_inverse(factor)


def _between(ratio, fractions):
    """Points from `ratio` to 1, equally placed in their logarithm."""
    return np.exp(np.log(ratio) * (1.0 - fractions))


def _terms(x, shifts):
    """The functions that the coefficients multiply: 1, x, x^2, 1/x, 1/(x + t_k); shape (len(x), m + 4)."""
    return np.hstack([x[:, None] ** np.arange(3), 1.0 / (x[:, None] + np.concatenate([[0.0], shifts]))])


def _coefficients(x, shifts):
    terms = _terms(x, shifts)
    sizes = np.abs(terms).max(axis=0)
    return np.linalg.lstsq(terms / sizes, np.log(x), rcond=1e-15)[0] / sizes


def _misfit(log_shifts, x):
    """Misfit of the best coefficients for the poles at `log_shifts`."""
    basis, _ = _orthonormal_terms(np.exp(log_shifts), x)
    return basis @ (basis.T @ np.log(x)) - np.log(x)


def _misfit_slopes(log_shifts, x):
    """Its derivatives by the poles, the coefficients following (variable projection: L. Kaufman, BIT 15, 49 (1975))."""
    shifts = np.exp(log_shifts)
    basis, coefficients = _orthonormal_terms(shifts, x)
    slopes = -coefficients[4:] * shifts / (x[:, None] + shifts) ** 2
    return slopes - basis @ (basis.T @ slopes)


def _orthonormal_terms(shifts, x):
    """Orthonormal basis of the terms at the points `x`, and the coefficients of the best fit in the terms themselves."""
    terms = _terms(x, shifts)
    sizes = np.abs(terms).max(axis=0)
    basis, triangle = np.linalg.qr(terms / sizes)
    return basis, scipy.linalg.solve_triangular(triangle, basis.T @ np.log(x)) / sizes


def _polynomial_diagonal(matrix, added, added_square, polynomial):
    """Diagonal of p0 + p1 A + p2 A^2 for A = D lifted: the rigid motions add `added` and `added_square` to those of D, D^2."""
    # D is symmetric: its row norms are the diagonal of its square
    rows = np.repeat(np.arange(matrix.shape[0] // 3), np.diff(matrix.indptr))
    square = np.zeros((matrix.shape[0] // 3, 3))
    np.add.at(square, rows, np.square(matrix.data).sum(axis=2))
    return polynomial[0] + polynomial[1] * (matrix.diagonal() + added) + polynomial[2] * (square.ravel() + added_square)


@njit(cache=True, nogil=True)
def _lower_column_norms(transposed):
    """Sums of squares of the columns of a lower triangle, given as the rows of its transpose."""
    norms = np.zeros(transposed.shape[0])
    for j in range(transposed.shape[0]):
        for i in range(j, transposed.shape[1]):
            norms[j] += transposed[j, i] * transposed[j, i]
    return norms
