"""Harmonic thermodynamics of a spectrum: entropy, free energy, internal energy and heat capacity at any temperature.

With x = h nu / k_B T, a mode contributes

            classical        quantum
    S/k_B   1 - ln x         x/(e^x - 1) - ln(1 - e^-x)
    F       k_B T ln x       h nu/2 + k_B T ln(1 - e^-x)
    U       k_B T            h nu/2 + h nu/(e^x - 1)
    C_v/k_B 1                x^2 e^x/(e^x - 1)^2

Classical statistics is the paper's (Eqs 2 and 7); its entropy diverges as T -> 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldml.entropy.spectrum import Spectrum
from ldml.errors import InputError
from ldml.units import BOLTZMANN, PLANCK, THZ

STATISTICS = ("classical", "quantum")


@dataclass(frozen=True)
class Thermodynamics:
    """Harmonic functions of temperature.

    Attributes
    ----------
    temperatures : (T,) float, K
    entropy, heat_capacity : (T,) float, k_B
        The heat capacity at constant volume.
    free_energy, internal_energy : (T,) float, eV
        Vibrational parts, from the bottom of the well; F = U - T S.
    statistics : {"classical", "quantum"}
    """

    temperatures: np.ndarray
    entropy: np.ndarray
    free_energy: np.ndarray
    internal_energy: np.ndarray
    heat_capacity: np.ndarray
    statistics: str


def thermodynamics(frequencies, temperatures, *, statistics: str = "classical", weights=None) -> Thermodynamics:
    """Thermodynamics of independent oscillators.

    Parameters
    ----------
    frequencies : (n_modes,) float, THz
        All positive.
    temperatures : float or (T,) float, K
        Positive; zero is allowed for quantum statistics.
    statistics : {"classical", "quantum"}
    weights : (n_modes,) float, optional
        How often each mode counts; 1 by default. An atom's shares |xi_i|^2 give its local thermodynamics (paper, Eq. 11).

    Raises
    ------
    InputError
        For a frequency or temperature that is not positive.
    """
    frequencies = np.asarray(frequencies, dtype=float)
    temperatures = np.atleast_1d(np.asarray(temperatures, dtype=float))
    weights = np.ones(len(frequencies)) if weights is None else np.asarray(weights, dtype=float)
    _check(frequencies, temperatures, statistics)
    if weights.shape != frequencies.shape:
        raise InputError(f"{weights.shape} weights do not fit {len(frequencies)} frequencies; give one for each")
    functions = _classical if statistics == "classical" else _quantum
    per_mode = (functions(frequencies, temperature) for temperature in temperatures)
    S, U, C = (np.array(column) for column in zip(*((w @ weights for w in row) for row in per_mode), strict=True))
    return Thermodynamics(
        temperatures=temperatures,
        entropy=S,
        free_energy=U - BOLTZMANN * temperatures * S,
        internal_energy=U,
        heat_capacity=C,
        statistics=statistics,
    )


def formation_thermodynamics(
    defect: Spectrum, bulk: Spectrum, temperatures, *, statistics: str = "classical"
) -> Thermodynamics:
    """Formation values X_d - (N_d/N_b) X_b of a defect at constant volume, as functions of temperature.

    Both sides count three modes an atom: the convention "equal" of `ldml.entropy.formation`.

    Parameters
    ----------
    defect, bulk : Spectrum
    temperatures : float or (T,) float, K
    statistics : {"classical", "quantum"}

    Raises
    ------
    NotAMinimumError
        If either has an imaginary mode.
    InputError
        As in `thermodynamics`.
    """
    for spectrum in (defect, bulk):
        spectrum.require_minimum()
    ratio = defect.n_atoms / bulk.n_atoms
    modes = np.concatenate([_held(defect), _held(bulk)])
    weights = np.concatenate([np.ones(3 * defect.n_atoms), np.full(3 * bulk.n_atoms, -ratio)])
    return thermodynamics(modes, temperatures, statistics=statistics, weights=weights)


def _held(spectrum):
    """Frequencies with each rigid motion held by a spring of 1 eV/Å² per mean atomic mass."""
    return np.concatenate([np.full(spectrum.n_zero_modes, THZ / np.sqrt(spectrum.mean_mass)), spectrum.frequencies])


def _classical(frequencies, temperature):
    x = PLANCK * 1e12 * frequencies / (BOLTZMANN * temperature)
    return 1.0 - np.log(x), np.full(len(x), BOLTZMANN * temperature), np.ones(len(x))


def _quantum(frequencies, temperature):
    energy = PLANCK * 1e12 * frequencies
    if temperature == 0:
        return np.zeros(len(energy)), 0.5 * energy, np.zeros(len(energy))
    x = energy / (BOLTZMANN * temperature)
    # written with e^-x, which underflows where e^x would overflow
    decay = np.exp(-x)
    occupation = decay / -np.expm1(-x)
    return x * occupation - np.log(-np.expm1(-x)), energy * (0.5 + occupation), x**2 * occupation / -np.expm1(-x)


def _check(frequencies, temperatures, statistics):
    if statistics not in STATISTICS:
        raise InputError(f"statistics {statistics!r} is unknown; choose {' or '.join(STATISTICS)}")
    if not np.isfinite(frequencies).all():
        raise InputError(
            f"{int((~np.isfinite(frequencies)).sum())} of {len(frequencies)} frequencies are not finite numbers"
        )
    if len(temperatures) == 0:
        raise InputError("no temperature is given; give at least one, in kelvin")
    if len(frequencies) and not frequencies.min() > 0:
        raise InputError(
            f"{int((frequencies <= 0).sum())} of {len(frequencies)} frequencies are not positive (lowest {frequencies.min():.3g} "
            f"THz): not a minimum; harmonic thermodynamics needs every mode stable"
        )
    lowest = 0.0 if statistics == "quantum" else np.nextafter(0.0, 1.0)
    if not (np.isfinite(temperatures).all() and temperatures.min() >= lowest):
        bound = "zero or more" if statistics == "quantum" else "positive (classical entropy diverges at 0 K)"
        raise InputError(f"temperature {temperatures.min():g} K is not allowed; it must be {bound}")
