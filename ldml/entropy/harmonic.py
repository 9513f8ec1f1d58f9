"""Harmonic vibrational entropy of one structure.

    S = k_B sum_nu [ ln(k_B T / hbar omega_nu) + 1 ]                                        (paper, Eqs 2 and 7)
      = k_B [ n (ln(k_B T / hbar) + 1) - 1/2 ln det' D ]

D is the mass-weighted Hessian, n its number of modes, and the prime leaves out its zero modes, the rigid motions. They
are found by applying D to them, never assumed. The determinant comes from a Cholesky factorisation of D with the rigid
motions lifted to a known eigenvalue; that factorisation fails for a saddle, and so doubles as the test for a minimum.
Quantum statistics replace the bracket by x/(e^x - 1) - ln(1 - e^-x), with x = hbar omega/k_B T.

Methods, and what each yields:

"cholesky"          total; one factorisation
"eigenvalues"       total and spectrum, either statistics
"eigenvectors"      total, spectrum and local entropies, either statistics
"shifts"            total, and local entropies of all atoms within a stated bound, from some six factorisations
"cholesky+lanczos"  total, and local entropies of chosen atoms within a stated bound
"lanczos"           local entropies within a stated bound, either statistics, no dense matrix at all; their sum is the total,
                    so there is no total where only some atoms are chosen
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from math import log

import numpy as np
import scipy.linalg
from ase import Atoms
from numba import njit

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix, frequencies, lowest_modes
from ldml.entropy.lanczos import spectral_bounds
from ldml.entropy.local import (
    TOLERANCE,
    LocalEntropies,
    diagonal_of_inverse,
    local_entropies_by_lanczos,
    local_logarithms,
)
from ldml.errors import InputError, NotAMinimumError, UnrelaxedError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.units import ANGULAR_FREQUENCY, BOLTZMANN, HBAR

STATISTICS = ("classical", "quantum")
METHODS = ("auto", "cholesky", "eigenvalues", "eigenvectors", "shifts", "cholesky+lanczos", "lanczos")
LOCAL_METHODS = ("shifts", "cholesky+lanczos", "lanczos")
HESSIANS = ("auto", "analytic", "differences", "paper")
SMALL = 200
"""Atoms up to which eigenvectors are as quick as any other way to local entropies."""
LARGE = 3000
"""Atoms beyond which "auto" factorises nothing for the sake of a few chosen atoms, and diagonalises nothing."""
MATRICES = {"cholesky": 0.7, "cholesky+lanczos": 0.7, "shifts": 1.3, "eigenvalues": 1.3, "eigenvectors": 3.3}
"""Memory of the dense methods in units of one dense matrix, 72 N^2 bytes (measured, rounded up)."""
SINGULAR = 1e-9
"""An eigenvalue or pivot below this fraction of the largest is a zero mode that no rigid motion accounts for."""


@dataclass(frozen=True)
class HarmonicEntropy:
    """Vibrational entropy of one structure.

    Attributes
    ----------
    total : float or None, k_B
        None only where "lanczos" was asked for chosen atoms.
    local : (N,) or (n,) float or None, k_B
        Entropy of each atom (paper, Eq. 11), which sum to ``total``, or of the chosen atoms.
    n_atoms, n_modes, n_zero_modes : int
        ``n_modes + n_zero_modes = 3 n_atoms``.
    frequencies : (n_modes,) float or None, THz
        Ascending, when a spectrum was computed.
    temperature : float, K
    statistics : {"classical", "quantum"}
    method : {"cholesky", "eigenvalues", "eigenvectors", "shifts", "cholesky+lanczos", "lanczos", "k-space", "green"}
        How it was computed; see the module.
    max_force : float, eV/Å
        Largest force on an atom of the structure.
    free_mode : float, k_B
        Entropy of one zero mode were it held by a spring of 1 eV/Å² per mean atomic mass (see `formation_entropy`).
    local_atoms : (n,) int or None
        The chosen atoms that ``local`` belongs to; None where it holds all.
    error : float, k_B
        Bound on the error of each local entropy beside rounding; 0 where nothing was approximated. A total that "lanczos"
        sums up errs by N times it at most; all other totals are exact.
    hessian : {"analytic", "differences", "paper", "given"}
        Where the Hessian came from: closed form, coloured differences of forces, the paper's differences, or the caller.
    """

    total: float | None
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
    local_atoms: np.ndarray | None = None
    error: float = 0.0
    hessian: str = "given"


def harmonic_entropy(
    atoms: Atoms,
    potential: str | Potential,
    *,
    local: bool = False,
    local_atoms=None,
    spectrum: bool = False,
    temperature: float = 300.0,
    statistics: str = "classical",
    method: str = "auto",
    hessian: str = "auto",
    local_tolerance: float = TOLERANCE,
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
        Also share the entropy out over the atoms (paper, Eqs 9-12).
    local_atoms : (n,) int, optional
        Compute the shares of these atoms only; implies `local`.
    spectrum : bool
        Also return the frequencies; needs eigenvalues, and eigenvectors together with `local`.
    temperature : float, K
    statistics : {"classical", "quantum"}
        Classical is Eq. 2; quantum needs eigenvalues or "lanczos".
    method : str
        One of `METHODS`, described in the module. "auto" takes the cheapest that yields what is asked for and fits into
        memory, by the number of atoms.
    hessian : {"auto", "analytic", "differences", "paper"}
        "auto" takes what the potential offers; "analytic" insists on a closed form; "differences" takes coloured
        differences of forces; "paper" displaces one coordinate after the other, as the paper does. Differences are
        made symmetric and free of resistance to translations by the smallest change that does so.
    local_tolerance : float, k_B
        Bound on the error of each local entropy where they are approximated ("shifts" and "lanczos").
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
        For input nothing can be computed from, and if the method needs more memory than there is.
    ConvergenceError
        If local entropies cannot be approximated to `local_tolerance`.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    chosen = None if local_atoms is None else check_chosen(local_atoms, len(atoms))
    method = choose_method(method, len(atoms), local=local, chosen=chosen, spectrum=spectrum, statistics=statistics)
    if not (np.isfinite(local_tolerance) and local_tolerance > 0):
        raise InputError(f"local_tolerance {local_tolerance} k_B is not positive")
    check_temperature(temperature)
    hessian_source = _hessian_source(hessian, potential)
    check_memory(len(atoms), method)
    progress.update(0, 3, "forces")
    max_force = check_relaxed(atoms, potential, force_tolerance)
    progress.check()
    progress.update(1, 3, "Hessian")
    dynamics = dynamical_matrix(_hessian(atoms, potential, hessian, progress), atoms)
    progress.check()
    progress.update(2, 3, "diagonalisation" if method.startswith("eigen") else "factorisation")
    result = entropy_of(
        dynamics,
        local=local,
        local_atoms=chosen,
        temperature=temperature,
        statistics=statistics,
        method=method,
        local_tolerance=local_tolerance,
        progress=progress,
    )
    progress.update(3, 3, "done")
    return replace(result, max_force=max_force, hessian=hessian_source)


def entropy_of(
    dynamics: DynamicalMatrix,
    *,
    local: bool = False,
    local_atoms=None,
    temperature: float = 300.0,
    statistics: str = "classical",
    method: str = "cholesky",
    local_tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> HarmonicEntropy:
    """Entropy of a dynamical matrix, however it was obtained; parameters as in `harmonic_entropy`."""
    progress = progress or NULL_PROGRESS
    n_atoms = len(dynamics.masses)
    if dynamics.n_zero_modes == 3 * n_atoms:
        raise InputError(
            f"{n_atoms} atom{'s' * (n_atoms > 1)} with rigid motions only: there are no vibrations to have an entropy"
        )
    chosen = None if local_atoms is None else check_chosen(local_atoms, n_atoms)
    # a spectrum comes with the methods that have one, so there is nothing to ask for
    method = choose_method(method, n_atoms, local=local, chosen=chosen, spectrum=False, statistics=statistics)
    entropy = partial(mode_entropy, temperature=temperature, statistics=statistics)
    if method in ("eigenvalues", "eigenvectors"):
        total, shares, spectrum = _by_modes(dynamics, entropy, vectors=method == "eigenvectors")
    else:
        spectrum = None
        total, shares = _without_modes(dynamics, entropy, method, chosen, local_tolerance, progress)
    if not local and chosen is None:
        shares = None
    elif chosen is not None and len(shares.values) == n_atoms:
        shares = replace(shares, values=shares.values[chosen])
    return HarmonicEntropy(
        total=total,
        local=None if shares is None else shares.values,
        n_atoms=n_atoms,
        n_modes=3 * n_atoms - dynamics.n_zero_modes,
        n_zero_modes=dynamics.n_zero_modes,
        frequencies=spectrum,
        temperature=temperature,
        statistics=statistics,
        method=method,
        max_force=float("nan"),
        free_mode=float(entropy(1.0 / dynamics.masses.mean())),
        local_atoms=chosen,
        error=0.0 if shares is None else shares.error,
    )


def _by_modes(dynamics, entropy, *, vectors):
    """Total, local entropies and frequencies from the modes themselves."""
    eigenvalues, modes = _diagonalise(dynamics, vectors=vectors)
    per_mode = entropy(eigenvalues)
    shares = LocalEntropies(local_shares(per_mode, modes), error=0.0, n_steps=1) if vectors else None
    return float(per_mode.sum()), shares, frequencies(eigenvalues)


def _without_modes(dynamics, entropy, method, chosen, tolerance, progress):
    """Total (or None) and local entropies (or None) from factorisations and Lanczos recursions."""
    n_modes = dynamics.matrix.shape[0] - dynamics.n_zero_modes
    if method == "shifts":
        log_det, inverse = log_determinant_and_inverse(dynamics)
        shares = local_logarithms(dynamics, log_det, inverse, tolerance=tolerance, progress=progress)
        # each atom takes part in three modes, its share of the rigid motions taken off
        rigid = np.square(dynamics.rigid_motions).sum(axis=1).reshape(-1, 3).sum(axis=1)
        shares = replace(shares, values=(3.0 - rigid) * entropy(1.0) + shares.values)
        return n_modes * entropy(1.0) - 0.5 * log_det, shares
    total = None if method == "lanczos" else float(n_modes * entropy(1.0) - 0.5 * log_determinant(dynamics))
    if method == "cholesky":
        return total, None
    shares = _bracketed_entropies(dynamics, entropy, chosen, tolerance, progress)
    if total is None and chosen is None:
        total = float(shares.values.sum())
    return total, shares


def _bracketed_entropies(dynamics, entropy, chosen, tolerance, progress):
    lowest, _ = spectral_bounds(dynamics, progress=progress)
    if lowest < SINGULAR * dynamics.scale:
        raise instability(dynamics)
    atoms = np.arange(len(dynamics.masses)) if chosen is None else chosen
    return local_entropies_by_lanczos(dynamics, atoms, entropy, lowest, tolerance=tolerance, progress=progress)


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
    factor, info = _factor_packed(dynamics)
    if info != 0:
        raise instability(dynamics)
    return _log_determinant(dynamics, factor[_packed_diagonal(dynamics.matrix.shape[0])])


def log_determinant_and_inverse(dynamics: DynamicalMatrix) -> tuple[float, np.ndarray]:
    """ln det' D, and the diagonal (3N,) of the inverse of D with its rigid motions lifted to ``dynamics.scale``."""
    factor, info = scipy.linalg.lapack.dpotrf(dynamics.lifted(dynamics.scale), lower=1, overwrite_a=1, clean=0)
    if info != 0:
        raise instability(dynamics)
    log_det = _log_determinant(dynamics, np.diagonal(factor))
    return log_det, diagonal_of_inverse(factor)


def is_minimum(dynamics: DynamicalMatrix) -> bool:
    """Whether every mode but the rigid motions has a positive eigenvalue, by trying to factorise."""
    if dynamics.n_zero_modes == dynamics.matrix.shape[0]:
        return True
    return _factor_packed(dynamics)[1] == 0


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


def _factor_packed(dynamics):
    """Cholesky factor of D with its rigid motions lifted to its scale, and LAPACK's verdict (0 if D is positive).

    In LAPACK's rectangular full packed format a triangle takes half the memory of a square at the same speed: columns
    from the middle on are folded, transposed, into the empty corner of the columns before it.
    """
    matrix, size = dynamics.matrix, dynamics.matrix.shape[0]
    packed = np.zeros(size * (size + 1) // 2)
    _pack_blocks(matrix.indptr, matrix.indices, matrix.data, packed)
    rigid = dynamics.rigid_motions
    lapack = scipy.linalg.lapack
    packed = lapack.dsfrk(size, rigid.shape[1], dynamics.scale, rigid, 1.0, packed, uplo="L", overwrite_c=1)
    return lapack.dpftrf(size, packed, uplo="L", overwrite_a=1)


@njit(cache=True, nogil=True, inline="always")
def _packed_index(i, j, size):
    """Where element (i, j), i >= j, of a lower triangle lies in rectangular full packed format."""
    even = 1 - size % 2
    half = (size + 1) // 2
    if j < half:
        return i + even + j * (size + even)
    return j - half + (i - half + 1 - even) * (size + even)


@njit(cache=True, nogil=True)
def _packed_diagonal(size):
    indices = np.empty(size, np.int64)
    for i in range(size):
        indices[i] = _packed_index(i, i, size)
    return indices


@njit(cache=True, nogil=True)
def _pack_blocks(offsets, columns, blocks, packed):
    size = 3 * (offsets.shape[0] - 1)
    for row in range(offsets.shape[0] - 1):
        for k in range(offsets[row], offsets[row + 1]):
            for a in range(3):
                for b in range(3):
                    i, j = 3 * row + a, 3 * columns[k] + b
                    if i >= j:
                        packed[_packed_index(i, j, size)] += blocks[k, a, b]


def _log_determinant(dynamics, pivots):
    scale = dynamics.scale
    if pivots.min() ** 2 < SINGULAR * scale:
        raise _floppy_error(dynamics, pivots.min() ** 2)
    return 2.0 * float(np.log(pivots).sum()) - dynamics.n_zero_modes * log(scale)


def _diagonalise(dynamics, *, vectors):
    """Eigenvalues (ascending) and eigenvectors of all modes but the rigid motions."""
    # far above every vibration, so that the lifted motions come last
    lifted = dynamics.lifted(1e3 * dynamics.scale)
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


def choose_method(
    method: str, n_atoms: int, *, local: bool, chosen: np.ndarray | None, spectrum: bool, statistics: str
) -> str:
    """The method that `harmonic_entropy` uses: the one asked for if it can do what is asked, or the cheapest that can."""
    if statistics not in STATISTICS:
        raise InputError(f"statistics {statistics!r} is unknown; choose {' or '.join(STATISTICS)}")
    if method not in METHODS:
        raise InputError(f"method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    local = local or chosen is not None
    if not local and method in LOCAL_METHODS:
        raise InputError(f"method {method!r} yields local entropies: ask for them with local or local_atoms")
    able = ["eigenvectors"] if local else ["eigenvalues", "eigenvectors"]
    if not spectrum:
        if local:
            able.append("lanczos")
        if statistics == "classical":
            able += ["shifts", "cholesky+lanczos"] if local else ["cholesky"]
    if method == "auto":
        return _cheapest(able, n_atoms, n_atoms if chosen is None else len(chosen))
    if method not in able:
        raise InputError(f"method {method!r} cannot give what is asked for; it needs {' or '.join(map(repr, able))}")
    return method


def _cheapest(able, n_atoms, n_chosen):
    if "cholesky" in able:
        return "cholesky"
    if "eigenvalues" in able:
        return "eigenvalues"
    if n_atoms <= SMALL or "lanczos" not in able:
        return "eigenvectors"
    if "shifts" not in able:
        dense = "eigenvectors" if n_atoms <= LARGE else None
    elif 8 * n_chosen > n_atoms:
        # one atom in eight costs Lanczos recursions as much as all atoms cost shifted factorisations
        dense = "shifts"
    else:
        dense = "cholesky+lanczos" if n_atoms <= LARGE else None
    available = available_memory()
    fits = dense is not None and (available is None or memory_needed(n_atoms, dense) <= available)
    return dense if fits else "lanczos"


def memory_needed(n_atoms: int, method: str) -> int:
    """Bytes that the dense matrices of a method take; 0 for one that has none."""
    return int(MATRICES.get(method, 0.0) * 8 * (3 * n_atoms) ** 2)


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, or None where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(n_atoms: int, method: str) -> None:
    """Raise `InputError` if the dense matrices of a method do not fit into memory."""
    needed, available = memory_needed(n_atoms, method), available_memory()
    if available is not None and needed > available:
        raise InputError(
            f"method {method!r} needs {needed / 1e9:.3g} GB for {n_atoms} atoms, but {available / 1e9:.3g} GB are available; "
            f'give local_atoms with method="lanczos" for the entropies of chosen atoms, or take '
            f'ldml.formation_entropy(..., method="green") for a defect in a large crystal'
        )


def check_chosen(local_atoms, n_atoms: int) -> np.ndarray:
    """The chosen atoms as an array of indices (n,); raises `InputError` if they are none."""
    chosen = np.asarray(local_atoms)
    if chosen.ndim != 1 or len(chosen) == 0 or chosen.dtype.kind not in "iu":
        raise InputError(f"local_atoms must be a list of atom numbers, not {local_atoms!r}")
    if chosen.min() < 0 or chosen.max() >= n_atoms or len(np.unique(chosen)) < len(chosen):
        raise InputError(
            f"local_atoms must be different atoms from 0 to {n_atoms - 1}; got {len(chosen)} from {chosen.min()} to {chosen.max()}"
        )
    return chosen.astype(np.int64)


def _hessian_source(hessian, potential):
    if hessian not in HESSIANS:
        raise InputError(f"hessian {hessian!r} is unknown; choose one of {', '.join(HESSIANS)}")
    if hessian == "analytic" and not potential.analytic_hessian:
        raise InputError(f"{potential.name} has no Hessian in closed form; use hessian='differences'")
    if hessian == "auto":
        return "analytic" if potential.analytic_hessian else "differences"
    return hessian


def _hessian(atoms, potential, hessian, progress):
    if hessian in ("auto", "analytic"):
        return potential.watched_hessian(atoms, progress)
    from ldml.potentials.differences import difference_hessian

    scheme = "paper" if hessian == "paper" else "coloured"
    # differences leave translations free only within their error, and zero modes are counted far more sharply
    return difference_hessian(potential, atoms, scheme=scheme, acoustic_sum="nearest", progress=progress).matrix


def check_temperature(temperature: float) -> None:
    """Raise `InputError` unless the temperature (K) is positive."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature {temperature} K is not positive; give kelvin above zero")
