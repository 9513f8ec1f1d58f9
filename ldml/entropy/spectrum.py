"""Vibrational spectrum of one structure, and its density of states, in total and atom by atom.

    (D - omega_nu^2) |nu> = 0                                                                  (paper, Eq. 1)
    Omega(omega) = (2 omega/pi) Im Tr G(omega) = sum_nu delta(omega - omega_nu)                (paper, Eqs 5 and 6)
    rho_i(omega) = sum_alpha sum_nu |xi_nu(i alpha)|^2 delta(omega - omega_nu)                 (paper, Eqs 9 and 10)
    Omega = sum_i rho_i                                                                        (paper, Eq. 12)

xi are the orthonormal eigenvectors of the mass-weighted Hessian D. Densities are given over nu = omega/2 pi in THz, and each
delta function has a finite width: a Gaussian, or the Lorentzian in omega^2 that a finite imaginary part gives the Green's
function. A mode with negative omega^2 is listed with a negative frequency and with the atoms that take part in it: it
belongs to the structure as found, and no density or entropy is computed from the rest as if it were not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix, frequencies
from ldml.errors import InputError, NotAMinimumError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress

BROADENINGS = ("gaussian", "green")
BROADENING = 0.15
"""THz; about the spacing of the modes of a few hundred atoms."""
BINNED = 1000
"""Above this many modes they are gathered in bins of a tenth of the width, which widens them by 0.04 %."""


@dataclass(frozen=True)
class ImaginaryMode:
    """A direction in which the structure is not at a minimum.

    Attributes
    ----------
    frequency : float, THz
        Negative.
    participation_ratio : float
        (sum_i p_i)^2 / (N sum_i p_i^2) with p_i the share of atom i: 1 for a mode all atoms share alike, 1/N for one atom.
    atoms : (n,) int
        The atoms with the largest shares, in falling order, that hold nine tenths of the mode together (ten at most).
    shares : (n,) float
        Their shares |xi_i|^2.
    """

    frequency: float
    participation_ratio: float
    atoms: np.ndarray
    shares: np.ndarray

    def __str__(self):
        listed = ", ".join(f"{i} ({share:.0%})" for i, share in zip(self.atoms[:3], self.shares[:3], strict=True))
        return f"{self.frequency:.2f} THz, participation ratio {self.participation_ratio:.2g}, mostly atoms {listed}"


@dataclass(frozen=True)
class Spectrum:
    """All vibrations of one structure beside its rigid motions.

    Attributes
    ----------
    frequencies : (n_modes,) float, THz
        Ascending; imaginary modes are negative.
    vectors : (3N, n_modes) float or None
        Orthonormal mass-weighted eigenvectors; row 3 i + alpha.
    n_atoms, n_zero_modes : int
    mean_mass : float, amu
    imaginary : tuple of ImaginaryMode
        One for each negative frequency.
    """

    frequencies: np.ndarray
    vectors: np.ndarray | None
    n_atoms: int
    n_zero_modes: int
    mean_mass: float
    imaginary: tuple[ImaginaryMode, ...]

    @property
    def n_modes(self) -> int:
        return len(self.frequencies)

    def require_minimum(self) -> None:
        """Raise `NotAMinimumError` if a mode is imaginary, naming the modes."""
        if self.imaginary:
            n = len(self.imaginary)
            listed = "; ".join(str(mode) for mode in self.imaginary[:3])
            raise NotAMinimumError(
                f"{n} imaginary mode{'s' if n > 1 else ''} ({listed}); relax the structure further from a displaced start",
                n_imaginary=n,
                lowest_frequency=self.imaginary[0].frequency,
            )


def vibrational_spectrum(
    atoms: Atoms, potential: str | Potential, *, vectors: bool = False, progress: Progress | None = None
) -> Spectrum:
    """Frequencies, and if asked for eigenvectors, of a structure: a minimum, a saddle or anything between.

    Parameters
    ----------
    atoms : Atoms
    potential : Potential or its name
    vectors : bool
        Also return the eigenvectors (9 N^2 numbers).
    progress : Progress, optional

    Raises
    ------
    StructureError, InputError
        For input nothing can be computed from.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    potential.check(atoms)
    progress.update(0, 2, "Hessian")
    dynamics = dynamical_matrix(potential.hessian(atoms), atoms)
    progress.check()
    progress.update(1, 2, "diagonalisation")
    spectrum = spectrum_of(dynamics, vectors=vectors)
    progress.update(2, 2, "done")
    return spectrum


def spectrum_of(dynamics: DynamicalMatrix, *, vectors: bool = False) -> Spectrum:
    """Spectrum of a dynamical matrix, however it was obtained.

    Eigenvectors are computed, even when not asked for, if there are imaginary modes to describe.
    """
    values, modes = _eigen(dynamics, vectors=vectors)
    if modes is None and values[0] < 0:
        values, modes = _eigen(dynamics, vectors=True)
    imaginary = tuple(
        _describe(float(frequencies(value)), modes[:, k]) for k, value in enumerate(values[: int((values < 0).sum())])
    )
    return Spectrum(
        frequencies=frequencies(values),
        vectors=modes if vectors else None,
        n_atoms=len(dynamics.masses),
        n_zero_modes=dynamics.n_zero_modes,
        mean_mass=float(dynamics.masses.mean()),
        imaginary=imaginary,
    )


def participation_ratio(vectors: np.ndarray) -> np.ndarray:
    """(sum_i p_i)^2 / (N sum_i p_i^2) of each mode; p_i = sum_alpha |xi(i alpha)|^2.

    Parameters
    ----------
    vectors : (3N, n) float

    Returns
    -------
    (n,) float
        Between 1/N (one atom) and 1 (all atoms alike).
    """
    shares = _atomic_shares(vectors)
    return shares.sum(axis=0) ** 2 / (len(shares) * np.sum(shares**2, axis=0))


def density_of_states(
    frequencies: np.ndarray,
    grid: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    width: float = BROADENING,
    broadening: str = "gaussian",
) -> np.ndarray:
    """Omega(nu), modes per THz, on a grid.

    Parameters
    ----------
    frequencies : (n_modes,) float, THz
        All positive.
    grid : (K,) float, THz
    weights : (..., n_modes) float, optional
        Weight of each mode; 1 by default. |xi|^2 gives local densities.
    width : float, THz
        Standard deviation of the Gaussian; for "green", half the width at half maximum.
    broadening : {"gaussian", "green"}
        "green" is Eq. 6 with G taken at omega^2 + 2 i omega width, a Lorentzian.

    Returns
    -------
    (..., K) float
        Its integral is the sum of the weights (of the Lorentzian, up to its long tails).
    """
    if not width > 0:
        raise InputError(f"width = {width} THz must be positive")
    if broadening not in BROADENINGS:
        raise InputError(f"broadening {broadening!r} is unknown; choose {' or '.join(BROADENINGS)}")
    frequencies, grid = np.asarray(frequencies, dtype=float), np.asarray(grid, dtype=float)
    if len(frequencies) and frequencies.min() < 0:
        raise InputError(
            f"{int((frequencies < 0).sum())} imaginary modes (lowest {frequencies.min():.2f} THz) have no density of states; "
            f"relax the structure to a minimum"
        )
    weights = np.ones(len(frequencies)) if weights is None else np.asarray(weights, dtype=float)
    kernel = _gaussian if broadening == "gaussian" else _green
    if broadening == "gaussian" and weights.ndim == 1 and len(frequencies) > BINNED:
        frequencies, weights = _binned(frequencies, weights, 0.1 * width)
    return weights @ kernel(frequencies[:, None], grid[None, :], width)


def local_density_of_states(
    spectrum: Spectrum,
    atoms: Sequence[int],
    grid: np.ndarray,
    *,
    width: float = BROADENING,
    broadening: str = "gaussian",
) -> np.ndarray:
    """rho_i(nu), modes per THz, of chosen atoms; (n, K), integrating to 3 less the atom's part in the rigid motions.

    Raises
    ------
    InputError
        If the spectrum was computed without eigenvectors or an atom does not exist.
    """
    if spectrum.vectors is None:
        raise InputError("local densities of states need eigenvectors; compute the spectrum with vectors=True")
    spectrum.require_minimum()
    atoms = np.atleast_1d(np.asarray(atoms, dtype=int))
    if len(atoms) and not (atoms.min() >= 0 and atoms.max() < spectrum.n_atoms):
        raise InputError(
            f"atoms {atoms.tolist()} do not all exist; the structure has atoms 0 to {spectrum.n_atoms - 1}"
        )
    rows = (3 * atoms[:, None] + np.arange(3)).ravel()
    shares = np.square(spectrum.vectors[rows]).reshape(len(atoms), 3, -1).sum(axis=1)
    return density_of_states(spectrum.frequencies, grid, weights=shares, width=width, broadening=broadening)


def _eigen(dynamics, *, vectors):
    """Eigenvalues, ascending, and eigenvectors of all modes but the rigid motions, whatever their sign."""
    lifted = dynamics.lifted(1e3 * dynamics.scale)
    n_modes = len(lifted) - dynamics.n_zero_modes
    if not vectors:
        return scipy.linalg.eigvalsh(lifted, overwrite_a=True, check_finite=False)[:n_modes], None
    values, modes = scipy.linalg.eigh(lifted, driver="evd", overwrite_a=True, check_finite=False)
    return values[:n_modes], modes[:, :n_modes]


def _describe(frequency, mode):
    shares = _atomic_shares(mode[:, None])[:, 0]
    order = np.argsort(-shares)
    n = min(int(np.searchsorted(np.cumsum(shares[order]), 0.9)) + 1, 10)
    return ImaginaryMode(frequency, float(participation_ratio(mode[:, None])[0]), order[:n], shares[order[:n]])


def _atomic_shares(vectors):
    return np.square(vectors).reshape(len(vectors) // 3, 3, -1).sum(axis=1)


def _binned(frequencies, weights, bin_width):
    """Modes gathered in fine bins: a hundred thousand then cost as little as a thousand."""
    edges = np.arange(frequencies.min() - bin_width, frequencies.max() + 2 * bin_width, bin_width)
    totals, _ = np.histogram(frequencies, bins=edges, weights=weights)
    return 0.5 * (edges[1:] + edges[:-1]), totals


def _gaussian(frequencies, grid, width):
    return np.exp(-0.5 * ((grid - frequencies) / width) ** 2) / (width * np.sqrt(2.0 * np.pi))


def _green(frequencies, grid, width):
    eta = 2.0 * grid * width
    return 2.0 * grid / np.pi * eta / ((frequencies**2 - grid**2) ** 2 + eta**2)
