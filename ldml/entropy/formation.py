"""Formation entropy of point defects at constant volume; at constant pressure, see `ldml.constant_pressure`.

    S_f = S_d(N_d) - (N_d / N_b) S_b(N_b)                                                    (paper, Eqs 3 and 4)

N_d and N_b are the numbers of atoms of the defective and the perfect cell. The rigid translations are no vibrations, so
the two sides count 3 N_d - 3 and (N_d / N_b)(3 N_b - 3) modes, and Eq. 3 as it stands keeps 3 (N_d - N_b)/N_b times the
entropy of a mode: 0.025 k_B for four defects in 1024 atoms of iron at 300 K, an artefact of the cell that fades as 1/N_b.
Two conventions are offered:

"equal" (default)
    Both sides count three modes an atom: each zero mode is held by a spring of 1 eV/Å². The classical S_f is then
    independent of temperature, and equals -1/2 [ln det' H_d - (N_d/N_b) ln det' H_b] with H in eV/Å².
"paper"
    Eq. 3 to the letter, at the stated temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms

from ldml.entropy.bulk import bulk_entropy as k_space_entropy
from ldml.entropy.defect_green import green_formation_entropy
from ldml.entropy.harmonic import HarmonicEntropy, harmonic_entropy, mode_entropy
from ldml.errors import InputError, UnrelaxedError
from ldml.potentials import Potential, get_potential
from ldml.progress import Progress
from ldml.structures import check_same_cell, unit_cell_of

CONVENTIONS = ("equal", "paper")
GREEN_FROM = 4000
"""Atoms from which "auto" prefers the lattice Green's function: there a dense matrix passes 1 GB."""


@dataclass(frozen=True)
class FormationEntropy:
    """Formation entropy of a defect at constant volume, and what it was made from.

    Attributes
    ----------
    value : float or None, k_B
        None only where shares of chosen atoms were asked for without the total (``method="lanczos"``).
    local : (n,) float or None, k_B
        Each atom's entropy less that of an atom of the perfect crystal; over all atoms it sums to ``value``.
    local_atoms : (n,) int or None
        The atoms ``local`` belongs to; None means all, in order.
    zero_mode_term : float, k_B
        What the convention "equal" adds to Eq. 3 to the letter: 3 (1 - N_d/N_b) times the entropy of a held mode.
    convention : {"equal", "paper"}
    defect, bulk : HarmonicEntropy
        ``defect.method`` says how the value was obtained.
    error : float, k_B
        Estimated error of the method for ``value``: 0 for a dense route. Errors of the Hessian, such as those of
        differences of noisy forces, are not in it.
    """

    value: float | None
    local: np.ndarray | None
    zero_mode_term: float
    convention: str
    defect: HarmonicEntropy
    bulk: HarmonicEntropy
    local_atoms: np.ndarray | None = None
    error: float = 0.0

    @property
    def n_extra_atoms(self) -> int:
        """N_d - N_b: positive for interstitials, negative for vacancies."""
        return self.defect.n_atoms - self.bulk.n_atoms

    @property
    def method(self) -> str:
        """How the entropy of the defect was computed."""
        return self.defect.method


def formation_entropy(
    defect: Atoms,
    bulk: Atoms,
    potential: str | Potential,
    *,
    local: bool = False,
    local_atoms: Sequence[int] | None = None,
    temperature: float = 300.0,
    statistics: str = "classical",
    convention: str = "equal",
    method: str = "auto",
    hessian: str = "auto",
    force_tolerance: float = 1e-3,
    local_tolerance: float = 1e-7,
    bulk_entropy: HarmonicEntropy | None = None,
    progress: Progress | None = None,
) -> FormationEntropy:
    """Formation entropy (k_B) of a relaxed defect in the cell of the perfect crystal, at constant volume.

    Parameters
    ----------
    defect, bulk : Atoms
        Relaxed structures in the same cell.
    potential : Potential or its name
    local : bool
        Also give each atom's share.
    local_atoms : sequence of int, optional
        Give the shares of these atoms only.
    temperature : float, K
        Matters to quantum statistics and to the convention "paper"; the default convention is classical and free of it.
    convention : {"equal", "paper"}
        How the modes of the two cells are counted; see the module.
    method : {"auto", "green"} or one of `ldml.harmonic_entropy`
        "green" is the lattice Green's function, exact to about 1e-3 k_B at any size, for classical statistics and the
        ground-state crystal of a potential with an analytic Hessian; "auto" takes it from 4000 atoms on where it applies.
    bulk_entropy : HarmonicEntropy, optional
        Entropy of `bulk` under the same options, to save computing it again.
    statistics, hessian, force_tolerance, local_tolerance, progress
        As in `ldml.harmonic_entropy`.

    Raises
    ------
    InputError
        If the cells differ or the options do not fit.
    StructureError, UnrelaxedError, NotAMinimumError
        As in `ldml.harmonic_entropy`.
    """
    potential = get_potential(potential)
    potential.check(defect)
    check_same_cell(defect, bulk)
    _check_convention(convention)
    thermal = {"temperature": temperature, "statistics": statistics}
    if bulk_entropy is None:
        bulk_entropy = perfect_crystal_entropy(
            bulk, potential, hessian=hessian, force_tolerance=force_tolerance, progress=progress, **thermal
        )
    if method == "green" or (method == "auto" and _suits_green(defect, bulk, potential, statistics, hessian)):
        _check_green(potential, statistics, hessian)
        return _by_green(
            defect, bulk, potential, bulk_entropy, convention, local=local, local_atoms=local_atoms,
            force_tolerance=force_tolerance, progress=progress,
        )  # fmt: skip
    entropy = harmonic_entropy(
        defect, potential, local=local, local_atoms=local_atoms, method=method, hessian=hessian,
        force_tolerance=force_tolerance, local_tolerance=local_tolerance, progress=progress, **thermal,
    )  # fmt: skip
    return formation_from(entropy, bulk_entropy, convention=convention)


def perfect_crystal_entropy(
    bulk: Atoms,
    potential: Potential,
    *,
    temperature: float = 300.0,
    statistics: str = "classical",
    hessian: str = "auto",
    force_tolerance: float = 1e-3,
    progress: Progress | None = None,
) -> HarmonicEntropy:
    """Entropy of a perfect crystal: from reciprocal space if it repeats the ground-state lattice, else as any structure."""
    found = _unit_cell(bulk, potential)
    options = {"temperature": temperature, "statistics": statistics}
    # differences are taken of both sides, so that their errors cancel
    if found is not None and hessian in ("auto", "analytic"):
        return k_space_entropy(*found, potential, **options)
    try:
        return harmonic_entropy(
            bulk, potential, hessian=hessian, force_tolerance=force_tolerance, progress=progress, **options
        )
    except UnrelaxedError as error:
        raise UnrelaxedError(f"in the perfect crystal: {error}", error.max_force) from error


def crystal_cell(bulk: Atoms, potential: Potential) -> tuple[Atoms, np.ndarray]:
    """Conventional cell of the perfect crystal `bulk`, and how often (3,) it is repeated.

    Raises
    ------
    InputError
        If `bulk` is not the ground-state lattice of the potential.
    """
    found = _unit_cell(bulk, potential)
    if found is None:
        lattice = f"the {potential.lattice} lattice" if potential.lattice else "any lattice known"
        raise InputError(
            f"the crystal of {len(bulk)} atoms in a cell of {bulk.cell.lengths().round(3).tolist()} Å does not repeat {lattice} of "
            f"{potential.name} in conventional cells, which the lattice Green's function and constant pressure need; "
            f"at constant volume dense methods do without"
        )
    return found


def is_ground_state_crystal(bulk: Atoms, potential: Potential) -> bool:
    """Whether `bulk` repeats the conventional cell of the potential's ground-state lattice, strained or not."""
    return _unit_cell(bulk, potential) is not None


def _unit_cell(bulk, potential):
    if potential.lattice is None or potential.lattice_constant is None:
        return None
    return unit_cell_of(bulk, potential.lattice_constant, lattice=potential.lattice)


def _suits_green(defect, bulk, potential, statistics, hessian):
    return (
        len(defect) >= GREEN_FROM
        and statistics == "classical"
        and hessian in ("auto", "analytic")
        and potential.analytic_hessian
        and _unit_cell(bulk, potential) is not None
    )


def _check_green(potential, statistics, hessian):
    if statistics != "classical":
        raise InputError(
            "the lattice Green's function gives classical entropies; choose a dense method for quantum ones"
        )
    if not potential.analytic_hessian or hessian not in ("auto", "analytic"):
        source = f"hessian={hessian!r}" if potential.analytic_hessian else f"{potential.name}, which has none,"
        raise InputError(f"the lattice Green's function needs an analytic Hessian; with {source} choose a dense method")


def _by_green(defect, bulk, potential, bulk_entropy, convention, *, local, local_atoms, force_tolerance, progress):
    if local_atoms is not None:
        raise InputError("the lattice Green's function shares S_f among the atoms near the defect: ask for local=True")
    found = green_formation_entropy(
        defect,
        *crystal_cell(bulk, potential),
        potential,
        local=local,
        force_tolerance=force_tolerance,
        progress=progress,
    )
    n_zero_modes, temperature = 3, bulk_entropy.temperature
    free_mode = float(mode_entropy(1.0 / defect.get_masses().mean(), temperature))
    ratio = found.n_atoms / found.n_sites
    held = n_zero_modes * free_mode - ratio * bulk_entropy.n_zero_modes * bulk_entropy.free_mode
    entropy = HarmonicEntropy(
        total=found.value - held + ratio * bulk_entropy.total,
        local=None,
        n_atoms=found.n_atoms,
        n_modes=3 * found.n_atoms - n_zero_modes,
        n_zero_modes=n_zero_modes,
        frequencies=None,
        temperature=temperature,
        statistics="classical",
        method="green",
        max_force=found.max_force,
        free_mode=free_mode,
        hessian="analytic",
    )
    formation = formation_from(entropy, bulk_entropy, convention=convention)
    return replace(formation, local=found.local, local_atoms=found.local_atoms, error=found.error)


def formation_from(defect: HarmonicEntropy, bulk: HarmonicEntropy, *, convention: str = "equal") -> FormationEntropy:
    """Combine two entropies at the same temperature and statistics into a formation entropy."""
    _check_convention(convention)
    if (defect.temperature, defect.statistics) != (bulk.temperature, bulk.statistics):
        raise InputError(
            f"the defect ({defect.temperature} K, {defect.statistics}) and the crystal ({bulk.temperature} K, "
            f"{bulk.statistics}) must be computed at one temperature with one statistics"
        )
    ratio = defect.n_atoms / bulk.n_atoms
    held = defect.n_zero_modes * defect.free_mode - ratio * bulk.n_zero_modes * bulk.free_mode
    term = held if convention == "equal" else 0.0
    local = None
    if defect.local is not None:
        # the held translations are shared equally: each atom moves alike in them
        local = defect.local - bulk.total / bulk.n_atoms + term / defect.n_atoms
    return FormationEntropy(
        value=None if defect.total is None else defect.total - ratio * bulk.total + term,
        local=local,
        zero_mode_term=held,
        convention=convention,
        defect=defect,
        bulk=bulk,
        local_atoms=defect.local_atoms,
    )


def _check_convention(convention):
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is unknown; choose {' or '.join(CONVENTIONS)}")


def formation_energy(defect_energy: float, n_defect: int, bulk_energy: float, n_bulk: int) -> float:
    """E_f = E_d - (N_d / N_b) E_b, eV."""
    return defect_energy - n_defect / n_bulk * bulk_energy
