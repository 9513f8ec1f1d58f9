"""Attempt frequency and migration entropy of a thermally activated jump, in harmonic transition-state theory.

    nu* = prod_k nu_k(minimum) / prod'_k nu_k(saddle)            rate = nu* exp(-E_m / k_B T)

The prime leaves out the unstable mode of the saddle, and both products the rigid motions, so that the minimum counts one
mode more. With nu_0 the frequency of the minimum along the saddle's unstable direction e, 4 pi^2 nu_0^2 = e . D_min e, the
part of nu* that is due to all other modes is the migration entropy

    S_m = k_B ln(nu*/nu_0),

which does not depend on temperature. Written with the universal k_B T/h instead, rate = (k_B T/h) exp(S_a/k_B) exp(-E_m/k_B T)
with the activation entropy S_a(T) = k_B ln(h nu*/k_B T).

Determinants come from an indefinite factorisation L D L^T, whose D has as many negative eigenvalues as the Hessian
(Sylvester): a saddle of another order is recognised, not assumed away.

Source: G. H. Vineyard, J. Phys. Chem. Solids 3, 121 (1957).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms
from ase.geometry import find_mic

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix, frequencies, lowest_modes
from ldml.entropy.harmonic import SINGULAR, check_relaxed, check_temperature, log_determinant
from ldml.errors import InputError
from ldml.neighbours import neighbour_list
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.units import BOLTZMANN, PLANCK, THZ

LONGEST_BOND = 6.0
"""Å; no two neighbours of a solid are farther apart."""


@dataclass(frozen=True)
class Prefactor:
    """Rate of a jump over one saddle.

    Attributes
    ----------
    attempt_frequency : float, THz
        Vineyard's nu*.
    migration_entropy : float, k_B
        ln(nu*/nu_0).
    reaction_frequency : float, THz
        nu_0: of the minimum along the saddle's unstable direction.
    unstable_frequency : float, THz
        Of the saddle; negative for an imaginary mode.
    barrier : float, eV
        Energy of the saddle above the minimum.
    """

    attempt_frequency: float
    migration_entropy: float
    reaction_frequency: float
    unstable_frequency: float
    barrier: float

    def activation_entropy(self, temperature: float) -> float:
        """k_B ln(h nu*/k_B T), k_B, at `temperature` (K)."""
        check_temperature(temperature)
        return float(np.log(PLANCK * 1e12 * self.attempt_frequency / (BOLTZMANN * temperature)))

    def rate(self, temperature: float) -> float:
        """Jumps a second over this saddle at `temperature` (K)."""
        check_temperature(temperature)
        return float(1e12 * self.attempt_frequency * np.exp(-self.barrier / (BOLTZMANN * temperature)))


def vineyard_prefactor(
    minimum: Atoms,
    saddle: Atoms,
    potential: str | Potential,
    *,
    force_tolerance: float = 1e-3,
    progress: Progress | None = None,
) -> Prefactor:
    """Attempt frequency, migration entropy and barrier of the jump from `minimum` over `saddle`.

    Parameters
    ----------
    minimum, saddle : Atoms
        Relaxed structures of the same atoms in the same order and cell.
    potential : Potential or its name
    force_tolerance : float, eV/Å
        Largest force accepted in either.
    progress : Progress, optional

    Raises
    ------
    NotAMinimumError
        If `minimum` has an imaginary mode.
    InputError
        If `saddle` has not exactly one, or the two are not the same system.
    UnrelaxedError
        If a force exceeds the tolerance.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    _check_same_system(minimum, saddle)
    progress.update(0, 4, "forces")
    for atoms in (minimum, saddle):
        check_relaxed(atoms, potential, force_tolerance)
    progress.check()
    progress.update(1, 4, "minimum")
    lower = dynamical_matrix(potential.hessian(minimum), minimum)
    log_minimum = log_determinant(lower)
    progress.check()
    progress.update(2, 4, "saddle")
    upper = dynamical_matrix(potential.hessian(saddle), saddle)
    log_saddle, unstable, direction = _saddle_determinant(upper)
    progress.update(4, 4, "done")
    along = float(direction @ (lower.matrix @ direction))
    nu_star = THZ * np.exp(0.5 * (log_minimum - log_saddle))
    nu_0 = float(frequencies(along))
    return Prefactor(
        attempt_frequency=float(nu_star),
        migration_entropy=float(np.log(nu_star / nu_0)),
        reaction_frequency=nu_0,
        unstable_frequency=float(frequencies(unstable)),
        barrier=potential.energy(saddle) - potential.energy(minimum),
    )


def signed_log_determinant(dynamics: DynamicalMatrix) -> tuple[float, int]:
    """ln |det' D| over all modes but the rigid motions, and how many of those modes have a negative eigenvalue."""
    scale = dynamics.scale
    lifted = dynamics.lifted(scale)
    size = int(scipy.linalg.lapack.dsytrf_lwork(len(lifted), lower=1)[0])
    factor, pivots, info = scipy.linalg.lapack.dsytrf(lifted, lower=1, lwork=size, overwrite_a=1)
    eigenvalues = _pivot_eigenvalues(factor, pivots)
    if info != 0 or np.abs(eigenvalues).min() < SINGULAR * scale:
        raise InputError(
            f"beside its {dynamics.n_zero_modes} rigid motions the structure has a mode of nearly zero frequency; "
            f"its harmonic rate does not exist"
        )
    log_determinant = float(np.log(np.abs(eigenvalues)).sum()) - dynamics.n_zero_modes * np.log(scale)
    return log_determinant, int((eigenvalues < 0).sum())


def _pivot_eigenvalues(factor, pivots):
    """Eigenvalues of the 1 x 1 and 2 x 2 diagonal blocks of the factor; LAPACK marks the latter by negative pivots."""
    diagonal = np.diagonal(factor)
    values = diagonal[pivots > 0].tolist()
    first = np.flatnonzero(pivots < 0)[::2]
    for k in first:
        block = [[diagonal[k], factor[k + 1, k]], [factor[k + 1, k], diagonal[k + 1]]]
        values.extend(np.linalg.eigvalsh(block))
    return np.array(values)


def _saddle_determinant(dynamics):
    """ln |det''| without the unstable mode too, its eigenvalue and its direction."""
    log_total, n_negative = signed_log_determinant(dynamics)
    if n_negative != 1:
        kind = "a minimum" if n_negative == 0 else f"a saddle of order {n_negative}"
        raise InputError(f"the saddle has {n_negative} imaginary modes: it is {kind}; a rate needs exactly one")
    values, vectors = lowest_modes(dynamics, 1)
    return log_total - float(np.log(-values[0])), float(values[0]), vectors[:, 0]


def _check_same_system(minimum, saddle):
    if len(minimum) != len(saddle) or (minimum.numbers != saddle.numbers).any():
        raise InputError(
            f"the minimum ({len(minimum)} atoms) and the saddle ({len(saddle)}) are not the same atoms in the same order"
        )
    if np.abs(minimum.cell.array - saddle.cell.array).max() > 1e-6 or (minimum.pbc != saddle.pbc).any():
        raise InputError("the minimum and the saddle have different cells; Vineyard's rate is for one cell")
    # every atom of a jump stays within about a bond of where it was: one that does not has lost its place in the list
    bond = neighbour_list(minimum.positions, minimum.cell.array, minimum.pbc, LONGEST_BOND).distances.min(
        initial=LONGEST_BOND
    )
    moved = saddle.positions - minimum.positions
    _, distances = find_mic(moved - np.median(moved, axis=0), minimum.cell, minimum.pbc)
    farthest = int(distances.argmax())
    if distances[farthest] > bond:
        raise InputError(
            f"atom {farthest} of the saddle is {distances[farthest]:.2f} Å from where it is in the minimum, more than a bond "
            f"({bond:.2f} Å); give both with their atoms in the same order"
        )
