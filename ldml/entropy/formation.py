"""Formation entropy of point defects at constant volume.

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

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ldml.entropy.harmonic import HarmonicEntropy, harmonic_entropy
from ldml.errors import InputError
from ldml.potentials import Potential, get_potential
from ldml.progress import Progress

CONVENTIONS = ("equal", "paper")


@dataclass(frozen=True)
class FormationEntropy:
    """Formation entropy of a defect, and what it was made from.

    Attributes
    ----------
    value : float, k_B
    local : (N_d,) float or None, k_B
        Each atom's entropy less that of an atom of the perfect crystal; sums to ``value``.
    zero_mode_term : float, k_B
        What the convention "equal" adds to Eq. 3 to the letter: 3 (1 - N_d/N_b) times the entropy of a held mode.
    convention : {"equal", "paper"}
    defect, bulk : HarmonicEntropy
    """

    value: float
    local: np.ndarray | None
    zero_mode_term: float
    convention: str
    defect: HarmonicEntropy
    bulk: HarmonicEntropy

    @property
    def n_extra_atoms(self) -> int:
        """N_d - N_b: positive for interstitials, negative for vacancies."""
        return self.defect.n_atoms - self.bulk.n_atoms


def formation_entropy(
    defect: Atoms,
    bulk: Atoms,
    potential: str | Potential,
    *,
    local: bool = False,
    temperature: float = 300.0,
    statistics: str = "classical",
    convention: str = "equal",
    method: str = "auto",
    force_tolerance: float = 1e-3,
    bulk_entropy: HarmonicEntropy | None = None,
    progress: Progress | None = None,
) -> FormationEntropy:
    """Formation entropy (k_B) of a relaxed defect in the cell of the perfect crystal.

    Parameters
    ----------
    defect, bulk : Atoms
        Relaxed structures in the same cell.
    potential : Potential or its name
    local : bool
        Also give each atom's share.
    temperature : float, K
        Matters to quantum statistics and to the convention "paper"; the default convention is classical and free of it.
    convention : {"equal", "paper"}
        How the modes of the two cells are counted; see the module.
    bulk_entropy : HarmonicEntropy, optional
        Entropy of `bulk` under the same options, to save computing it again.
    statistics, method, force_tolerance, progress
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
    options = {"temperature": temperature, "statistics": statistics, "force_tolerance": force_tolerance}
    if bulk_entropy is None:
        # the perfect crystal needs no eigenvectors: its atoms share the entropy equally by symmetry
        bulk_method = "eigenvalues" if statistics == "quantum" else "cholesky"
        bulk_entropy = harmonic_entropy(bulk, potential, method=bulk_method, progress=progress, **options)
    entropy = harmonic_entropy(defect, potential, local=local, method=method, progress=progress, **options)
    return formation_from(entropy, bulk_entropy, convention=convention)


def formation_from(defect: HarmonicEntropy, bulk: HarmonicEntropy, *, convention: str = "equal") -> FormationEntropy:
    """Combine two entropies at the same temperature and statistics into a formation entropy."""
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r} is unknown; choose {' or '.join(CONVENTIONS)}")
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
        value=defect.total - ratio * bulk.total + term,
        local=local,
        zero_mode_term=held,
        convention=convention,
        defect=defect,
        bulk=bulk,
    )


def formation_energy(defect_energy: float, n_defect: int, bulk_energy: float, n_bulk: int) -> float:
    """E_f = E_d - (N_d / N_b) E_b, eV."""
    return defect_energy - n_defect / n_bulk * bulk_energy


def check_same_cell(defect: Atoms, bulk: Atoms) -> None:
    """Raise `InputError` unless both structures share one cell (constant volume)."""
    if len(bulk) == 0:
        raise InputError("the perfect crystal has no atoms")
    difference = np.abs(defect.cell.array - bulk.cell.array).max()
    if difference > 1e-6:
        raise InputError(
            f"the cells of the defect and of the perfect crystal differ by {difference:.3g} Å; "
            f"S_f is defined at constant volume, so give both the same cell"
        )
