"""Formation entropies from random vectors: an independent check that factorises and diagonalises nothing.

    ln det' D = tr' ln D = E[ z^T ln(D) z ],     z_k = +1 or -1 with equal chance                       (Hutchinson)

D dynamical matrix, ' without its rigid motions, which are projected out of z. Each z^T ln(D) z takes K multiplications by D:

"lanczos"    the Gauss rule of K Lanczos steps (`ldml.entropy.lanczos`): S. Ubaru, J. Chen, Y. Saad, SIAM J. Matrix
             Anal. Appl. 38, 1075 (2017)
"chebyshev"  the expansion in Chebyshev polynomials: C. Huang, A. F. Voter, D. Perez, Phys. Rev. B 87, 214106 (2013), the
             O(N) method that the paper cites. On lambda = (b + a)/2 + x (b - a)/2, q = (sqrt b - sqrt a)/(sqrt b + sqrt a),

                 ln lambda = 2 ln((sqrt a + sqrt b)/2) - 2 sum_k (-q)^k/k T_k(x),

             with moments z^T T_k z up to k = 2K from T_2k = 2 T_k^2 - 1 and T_2k+1 = 2 T_k T_k+1 - T_1.

The scatter of ln det' D over z grows with N, but defect and crystal share most of it: an atom of the defect takes the random
numbers of its site, and the standard deviation of S_f is 1.5 to 4 k_B a vector at any size. A vector costs little, but an
error of 0.01 k_B needs some 10^5 of them: check with this, produce with the exact routes.

    S_f = -1/2 [ln det' H_d - (N_d/N_b) ln det' H_b]                    (classical, convention "equal" of `formation_entropy`)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from ase import Atoms

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix
from ldml.entropy.harmonic import SINGULAR, check_relaxed, instability
from ldml.entropy.lanczos import LanczosRecursion, spectral_bounds, three_terms
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.structures import check_same_cell

ESTIMATORS = ("lanczos", "chebyshev")
VECTORS_AT_ONCE = 32


@dataclass(frozen=True)
class StochasticFormationEntropy:
    """Formation entropy of a defect estimated from random vectors.

    Attributes
    ----------
    value : float, k_B
        Mean of the samples.
    standard_error : float, k_B
        Standard deviation of the samples over the square root of their number; it knows nothing of `bias`.
    bias : float, k_B
        By how much the mean moved when the steps were doubled to `n_steps`: an estimate from above of the error that is
        left, which is systematic and the same for every vector.
    samples : (n_vectors,) float, k_B
        One estimate for each vector.
    n_steps : int
        Multiplications by each dynamical matrix for one vector.
    estimator : {"lanczos", "chebyshev"}
    """

    value: float
    standard_error: float
    bias: float
    samples: np.ndarray
    n_steps: int
    estimator: str

    @property
    def n_vectors(self) -> int:
        return len(self.samples)


def stochastic_formation_entropy(
    defect: Atoms,
    bulk: Atoms,
    potential: str | Potential,
    *,
    rng: np.random.Generator,
    n_vectors: int = 64,
    n_steps: int = 60,
    estimator: str = "lanczos",
    force_tolerance: float = 1e-3,
    progress: Progress | None = None,
) -> StochasticFormationEntropy:
    """Classical formation entropy (k_B) at constant volume from random vectors common to defect and crystal.

    Parameters
    ----------
    defect, bulk : Atoms
        Relaxed structures in the same cell, periodic in three directions.
    potential : Potential or its name
    rng : numpy.random.Generator
        Source of the random vectors: the same generator gives the same result.
    n_vectors : int
        At least two, so that there is a standard error.
    n_steps : int
        Multiplications for each vector, at least 4. The Lanczos error falls by e in sqrt(condition number)/4 steps.
    estimator : {"lanczos", "chebyshev"}
    force_tolerance : float, eV/Å
        As in `ldml.harmonic_entropy`.
    progress : Progress, optional

    Raises
    ------
    InputError
        If the cells differ or a number is out of range.
    StructureError, UnrelaxedError, NotAMinimumError
        As in `ldml.harmonic_entropy`.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    if n_vectors < 2:
        raise InputError(f"{n_vectors} random vectors give no standard error; take at least 2")
    potential.check(defect)
    check_same_cell(defect, bulk)
    matrices = []
    for atoms in (defect, bulk):
        check_relaxed(atoms, potential, force_tolerance)
        matrices.append(dynamical_matrix(potential.hessian(atoms), atoms))
    interval = _common_interval(matrices, progress)
    owner = _site_vectors(defect, bulk)
    fine, coarse = np.empty((2, n_vectors)), np.empty((2, n_vectors))
    for start in range(0, n_vectors, VECTORS_AT_ONCE):
        batch = slice(start, min(start + VECTORS_AT_ONCE, n_vectors))
        for k, vectors in enumerate(_common_vectors(owner, len(bulk), batch.stop - batch.start, rng)):
            fine[k, batch], coarse[k, batch] = log_determinant_samples(
                matrices[k], vectors, n_steps=n_steps, estimator=estimator, interval=interval, progress=progress
            )
        progress.update(batch.stop, n_vectors, "random vectors")
    samples, halved = (formation_samples(log_dets, matrices) for log_dets in (fine, coarse))
    return StochasticFormationEntropy(
        value=float(samples.mean()),
        standard_error=float(samples.std(ddof=1) / sqrt(n_vectors)),
        bias=float(samples.mean() - halved.mean()),
        samples=samples,
        n_steps=n_steps,
        estimator=estimator,
    )


def log_determinant_samples(
    dynamics: DynamicalMatrix,
    vectors: np.ndarray,
    *,
    n_steps: int,
    estimator: str = "lanczos",
    interval: tuple[float, float] | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """z^T ln(D) z of several vectors, the rigid motions taken off; its mean over random vectors is ln det' D.

    Over all unit vectors it sums to ln det' D exactly, up to the error of `n_steps`.

    Parameters
    ----------
    dynamics : DynamicalMatrix
        Of a minimum.
    vectors : (3N, n) float
    n_steps : int
        Multiplications by D, at least 4.
    estimator : {"lanczos", "chebyshev"}
    interval : two floats, eV/(Å² amu), optional
        Holds the spectrum, for the Chebyshev expansion; found by Lanczos steps where not given.
    progress : Progress, optional

    Returns
    -------
    samples, halved : (n,) float
        With all steps, and with half of them.
    """
    progress = progress or NULL_PROGRESS
    if estimator not in ESTIMATORS:
        raise InputError(f"estimator {estimator!r} is unknown; choose {' or '.join(ESTIMATORS)}")
    if n_steps < 4:
        raise InputError(f"n_steps = {n_steps} is too few to estimate the error by halving it; take at least 4")
    if estimator == "lanczos":
        recursion = LanczosRecursion(dynamics, vectors)
        recursion.advance(n_steps, progress)
        return recursion.gauss(np.log), recursion.gauss(np.log, n_steps // 2)
    interval = interval or _common_interval([dynamics], progress)
    moments = _chebyshev_moments(dynamics, vectors, n_steps, interval, progress)
    coefficients = logarithm_coefficients(*interval, 2 * n_steps)
    half = 2 * (n_steps // 2) + 1
    return coefficients @ moments, coefficients[:half] @ moments[:half]


def formation_samples(log_determinants, matrices: tuple[DynamicalMatrix, DynamicalMatrix]) -> np.ndarray:
    """S_f (n,), k_B, from ln det' D of defect and crystal, (2, n), D in eV/(Å² amu)."""
    # the zero modes are held by 1 eV/Å² per mean mass, as in `formation_entropy`
    held = [
        values - dynamics.n_zero_modes * log(dynamics.masses.mean())
        for values, dynamics in zip(log_determinants, matrices, strict=True)
    ]
    ratio = len(matrices[0].masses) / len(matrices[1].masses)
    return -0.5 * (held[0] - ratio * held[1])


def logarithm_coefficients(lowest: float, highest: float, degree: int) -> np.ndarray:
    """Coefficients (degree + 1,) of ln lambda in Chebyshev polynomials of [`lowest`, `highest`]."""
    a, b = sqrt(lowest), sqrt(highest)
    k = np.arange(1, degree + 1)
    return np.concatenate([[2.0 * log(0.5 * (a + b))], -2.0 * (-(b - a) / (a + b)) ** k / k])


def _chebyshev_moments(dynamics, vectors, n_steps, interval, progress):
    """z^T T_k(X) z for k = 0 ... 2 n_steps, X the matrix with the interval mapped to [-1, 1]; (2 n_steps + 1, n)."""
    centre, half_width = 0.5 * (interval[1] + interval[0]), 0.5 * (interval[1] - interval[0])
    rigid = dynamics.rigid_motions
    matrix = dynamics.matrix

    def project(x):
        x -= rigid @ (rigid.T @ x)
        return x

    def apply(x, previous, factor):
        """factor X x - previous, written over `previous`."""
        previous += (factor * centre / half_width) * x
        previous *= half_width / factor
        three_terms(matrix.indptr, matrix.indices, matrix.data, x, ones, previous)
        previous *= factor / half_width
        # the rigid motions lie outside [-1, 1], where T_k grows as q^-k: rounding must not feed them until they overflow
        return project(previous)

    current = project(np.array(vectors, dtype=np.float64, order="C"))
    ones = np.ones(current.shape[1])
    moments = np.empty((2 * n_steps + 1, current.shape[1]))
    moments[0] = np.einsum("ij,ij->j", current, current)
    current, previous = apply(current, np.zeros_like(current), 1.0), current
    moments[1] = np.einsum("ij,ij->j", current, previous)
    moments[2] = 2.0 * np.einsum("ij,ij->j", current, current) - moments[0]
    for k in range(1, n_steps):
        progress.check()
        current, previous = apply(current, previous, 2.0), current
        moments[2 * k + 1] = 2.0 * np.einsum("ij,ij->j", current, previous) - moments[1]
        moments[2 * k + 2] = 2.0 * np.einsum("ij,ij->j", current, current) - moments[0]
    return moments


def _common_interval(matrices, progress):
    bounds = []
    for dynamics in matrices:
        bounds.append(spectral_bounds(dynamics, progress=progress))
        if bounds[-1][0] < SINGULAR * dynamics.scale:
            raise instability(dynamics)
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def _site_vectors(defect, bulk):
    """For each atom of the defect the site (of the crystal) whose random numbers it takes, or -1 for numbers of its own."""
    sites = WignerSeitz(bulk)(defect).site_of_atom
    owner = np.full(len(defect), -1)
    # of several atoms on one site the first takes the numbers of the site
    taken, first = np.unique(sites, return_index=True)
    owner[first] = taken
    return owner


def _common_vectors(owner, n_sites, n_vectors, rng):
    """Random signs for the defect (3 N_d, n) and the crystal (3 N_b, n), equal where an atom stands for a site."""
    crystal = rng.choice([-1.0, 1.0], size=(n_sites, 3, n_vectors))
    extra = rng.choice([-1.0, 1.0], size=(int((owner < 0).sum()), 3, n_vectors))
    defect = np.empty((len(owner), 3, n_vectors))
    defect[owner >= 0] = crystal[owner[owner >= 0]]
    defect[owner < 0] = extra
    return defect.reshape(-1, n_vectors), crystal.reshape(-1, n_vectors)
