"""Harmonic vibrational entropy of one structure.

    S = k_B sum_nu [ ln(k_B T / hbar omega_nu) + 1 ]                                        (paper, Eqs 2 and 7)
      = k_B [ n (ln(k_B T / hbar) + 1) - 1/2 ln det' D ]

D is the mass-weighted Hessian, n its number of modes, and the prime leaves out its zero modes, the rigid motions. They
are found by applying D to them, never assumed. The determinant comes from a Cholesky factorisation of D with the rigid
motions lifted to a known eigenvalue; that factorisation fails for a saddle, and so doubles as the test for a minimum.
Quantum statistics replace the bracket by x/(e^x - 1) - ln(1 - e^-x), with x = hbar omega/k_B T.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np
import scipy.linalg
from ase import Atoms

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix, frequencies, lowest_modes
from ldml.errors import InputError, NotAMinimumError, UnrelaxedError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.units import ANGULAR_FREQUENCY, BOLTZMANN, HBAR

STATISTICS = ("classical", "quantum")
METHODS = ("auto", "cholesky", "eigenvalues", "eigenvectors")
SINGULAR = 1e-9
"""An eigenvalue or pivot below this fraction of the largest is a zero mode that no rigid motion accounts for."""


@dataclass(frozen=True)
class HarmonicEntropy:
    """Vibrational entropy of one structure.

    Attributes
    ----------
    total : float, k_B
    local : (N,) float or None, k_B
        Entropy of each atom (paper, Eq. 11); sums to ``total``.
    n_atoms, n_modes, n_zero_modes : int
        ``n_modes + n_zero_modes = 3 n_atoms``.
    frequencies : (n_modes,) float or None, THz
        Ascending, when a spectrum was computed.
    temperature : float, K
    statistics : {"classical", "quantum"}
    method : {"cholesky", "eigenvalues", "eigenvectors", "k-space"}
        How it was computed.
    max_force : float, eV/Å
        Largest force on an atom of the structure.
    free_mode : float, k_B
        Entropy of one zero mode were it held by a spring of 1 eV/Å² per mean atomic mass (see `formation_entropy`).
    """

    total: float
    local: np.ndarray | None
    n_atoms: int
    n_modes: int
    n_zero_modes: int
    frequencies: np.ndarray | None
    temperature: float
    statistics: str
    method: str
    max_force: float
    free_mode: float


def harmonic_entropy(
    atoms: Atoms,
    potential: str | Potential,
    *,
    local: bool = False,
    spectrum: bool = False,
    temperature: float = 300.0,
    statistics: str = "classical",
    method: str = "auto",
    force_tolerance: float = 1e-3,
    progress: Progress | None = None,
) -> HarmonicEntropy:
    """Exact harmonic entropy of a relaxed structure.

    Parameters
    ----------
    atoms : Atoms
        A minimum of `potential`.
    potential : Potential or its name
    local : bool
        Also share the entropy out over the atoms (paper, Eqs 9-12); needs eigenvectors.
    spectrum : bool
        Also return the frequencies; needs eigenvalues.
    temperature : float, K
    statistics : {"classical", "quantum"}
        Classical is Eq. 2; quantum needs eigenvalues.
    method : {"auto", "cholesky", "eigenvalues", "eigenvectors"}
        "auto" takes the cheapest that yields what is asked for.
    force_tolerance : float, eV/Å
        Largest force accepted; 1e-3 eV/Å bounds the error of S at about 0.01 k_B for clusters in iron.
    progress : Progress, optional

    Raises
    ------
    UnrelaxedError
        If a force exceeds the tolerance.
    NotAMinimumError
        If a mode is imaginary.
    StructureError, InputError
        For input nothing can be computed from.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    method = _choose_method(method, local=local, spectrum=spectrum, statistics=statistics)
    _check_temperature(temperature)
    progress.update(0, 3, "forces")
    max_force = check_relaxed(atoms, potential, force_tolerance)
    progress.check()
    progress.update(1, 3, "Hessian")
    dynamics = dynamical_matrix(potential.hessian(atoms), atoms)
    progress.check()
    progress.update(2, 3, "factorisation" if method == "cholesky" else "diagonalisation")
    result = entropy_of(dynamics, local=local, temperature=temperature, statistics=statistics, method=method)
    progress.update(3, 3, "done")
    return replace(result, max_force=max_force)


def entropy_of(
    dynamics: DynamicalMatrix,
    *,
    local: bool = False,
    temperature: float = 300.0,
    statistics: str = "classical",
    method: str = "cholesky",
) -> HarmonicEntropy:
    """Entropy of a dynamical matrix, however it was obtained; parameters as in `harmonic_entropy`."""
    n_modes = dynamics.matrix.shape[0] - dynamics.n_zero_modes
    spectrum = shares = None
    if method == "cholesky":
        total = n_modes * mode_entropy(1.0, temperature) - 0.5 * log_determinant(dynamics)
    else:
        eigenvalues, vectors = _diagonalise(dynamics, vectors=method == "eigenvectors")
        per_mode = mode_entropy(eigenvalues, temperature, statistics)
        total = float(per_mode.sum())
        spectrum = frequencies(eigenvalues)
        if local:
            shares = local_shares(per_mode, vectors)
    return HarmonicEntropy(
        total=total,
        local=shares,
        n_atoms=len(dynamics.masses),
        n_modes=n_modes,
        n_zero_modes=dynamics.n_zero_modes,
        frequencies=spectrum,
        temperature=temperature,
        statistics=statistics,
        method=method,
        max_force=float("nan"),
        free_mode=float(mode_entropy(1.0 / dynamics.masses.mean(), temperature, statistics)),
    )


def mode_entropy(eigenvalues, temperature: float, statistics: str = "classical"):
    """Entropy (k_B) of oscillators with eigenvalues (eV/(Å² amu)) of the mass-weighted Hessian at `temperature` (K)."""
    x = HBAR * ANGULAR_FREQUENCY * np.sqrt(eigenvalues) / (BOLTZMANN * temperature)
    if statistics == "classical":
        return 1.0 - np.log(x)
    return x / np.expm1(x) - np.log(-np.expm1(-x))


def log_determinant(dynamics: DynamicalMatrix) -> float:
    """ln det' D over all modes but the rigid motions, D in eV/(Å² amu).

    Raises
    ------
    NotAMinimumError
        If D has a negative eigenvalue.
    InputError
        If D has a zero mode that is not a rigid motion.
    """
    scale = dynamics.scale
    factor, info = scipy.linalg.lapack.dpotrf(_lifted(dynamics, scale), lower=1, overwrite_a=1, clean=0)
    if info != 0:
        raise instability(dynamics)
    pivots = np.diagonal(factor)
    if pivots.min() ** 2 < SINGULAR * scale:
        raise _floppy_error(dynamics, pivots.min() ** 2)
    return 2.0 * float(np.log(pivots).sum()) - dynamics.n_zero_modes * log(scale)


def is_minimum(dynamics: DynamicalMatrix) -> bool:
    """Whether every mode but the rigid motions has a positive eigenvalue, by trying to factorise."""
    return scipy.linalg.lapack.dpotrf(_lifted(dynamics, dynamics.scale), lower=1, overwrite_a=1, clean=0)[1] == 0


def local_shares(per_mode: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """S_i = sum_alpha sum_nu s_nu |xi_nu(i alpha)|^2 (paper, Eqs 10 and 11); shape (N,), k_B."""
    return (np.square(vectors) @ per_mode).reshape(-1, 3).sum(axis=1)


def check_relaxed(atoms: Atoms, potential: Potential, tolerance: float) -> float:
    """Largest force (eV/Å); raises `UnrelaxedError` if it exceeds `tolerance`."""
    forces = potential.forces(atoms)
    norms = np.linalg.norm(forces, axis=1)
    worst = int(norms.argmax())
    if not norms[worst] <= tolerance:
        raise UnrelaxedError(
            f"the structure is not relaxed: the force on atom {worst} is {norms[worst]:.3g} eV/Å, above {tolerance:g} eV/Å; "
            f"relax it first (ldml.relax, or --relax on the command line)",
            max_force=float(norms[worst]),
        )
    return float(norms[worst])


def instability(dynamics: DynamicalMatrix) -> InputError:
    """The error for a matrix that is not positive beside its rigid motions: how many modes are imaginary, and how much."""
    values, _ = lowest_modes(dynamics, 8)
    if values[0] >= -SINGULAR * dynamics.scale:
        return _floppy_error(dynamics, values[0])
    n_imaginary = int((values < 0).sum())
    lowest = float(frequencies(values[:1])[0])
    count = f"{n_imaginary}" if n_imaginary < 8 else "at least 8"
    return NotAMinimumError(
        f"the structure is a saddle, not a minimum: {count} imaginary mode{'s' if n_imaginary != 1 else ''} "
        f"(lowest {lowest:.2f} THz); relax it further from a displaced start or exclude it",
        n_imaginary=n_imaginary,
        lowest_frequency=lowest,
    )


def _floppy_error(dynamics, eigenvalue):
    return InputError(
        f"beside its {dynamics.n_zero_modes} rigid motions the structure has a mode of nearly zero frequency "
        f"({eigenvalue:.2g} eV/(Å² amu)), whose harmonic entropy diverges; is an atom without neighbours?"
    )


def _lifted(dynamics, value):
    """D with its rigid motions moved to the eigenvalue `value`; dense, only the lower triangle is right."""
    return scipy.linalg.blas.dsyrk(value, dynamics.rigid_motions, beta=1.0, c=dynamics.dense(), lower=1, overwrite_c=1)


def _diagonalise(dynamics, *, vectors):
    """Eigenvalues (ascending) and eigenvectors of all modes but the rigid motions."""
    # far above every vibration, so that the lifted motions come last
    lifted = _lifted(dynamics, 1e3 * dynamics.scale)
    if vectors:
        values, modes = scipy.linalg.eigh(lifted, driver="evd", overwrite_a=True, check_finite=False)
    else:
        values, modes = scipy.linalg.eigvalsh(lifted, overwrite_a=True, check_finite=False), None
    n_modes = len(values) - dynamics.n_zero_modes
    values = values[:n_modes]
    if values[0] < -SINGULAR * dynamics.scale:
        raise instability(dynamics)
    if values[0] < SINGULAR * dynamics.scale:
        raise _floppy_error(dynamics, values[0])
    return values, None if modes is None else modes[:, :n_modes]


def _choose_method(method, *, local, spectrum, statistics):
    if statistics not in STATISTICS:
        raise InputError(f"statistics {statistics!r} is unknown; choose {' or '.join(STATISTICS)}")
    if method not in METHODS:
        raise InputError(f"method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    needed = "eigenvectors" if local else "eigenvalues" if spectrum or statistics == "quantum" else "cholesky"
    if method == "auto":
        return needed
    if METHODS.index(method) < METHODS.index(needed):
        raise InputError(f"method {method!r} cannot give what is asked for; it needs {needed!r}")
    return method


def _check_temperature(temperature):
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature {temperature} K is not positive")
