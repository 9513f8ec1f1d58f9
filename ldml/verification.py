"""Labels of a dataset recomputed from its stored positions.

    E_f = E_d - (N_d / N_b) E_b,    S_f = S_d - (N_d / N_b) S_b,    S_i,    F_max = max_i |F_i|

by the potential that the dataset names, each structure against its own crystal; for clusters, against their lowest minimum.
Positions are stored in steps, so forces come back at about 1e-4 eV/Å, energies and entropies to a fraction of their tolerances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ldml.dataset import Dataset, Entry
from ldml.entropy import HarmonicEntropy, formation_energy, formation_entropy
from ldml.entropy.formation import CONVENTIONS, perfect_crystal_entropy
from ldml.errors import ConvergenceError, InputError
from ldml.potentials import Potential

ENTROPY_TOLERANCE = 1e-3
"""k_B"""
ENERGY_TOLERANCE = 1e-4
"""eV"""


@dataclass(frozen=True)
class Recomputed:
    """Labels of one structure, as stored and as found from its positions; NaN where there is none to compare.

    Attributes
    ----------
    name, label : str
    stored_entropy, entropy : float, k_B
    stored_energy, energy : float, eV
    stored_force, max_force : float, eV/Å
    local_difference : float, k_B
        Largest difference of an atom's share of the entropy; NaN where shares were not compared.
    failure : str
        Why the labels could not be computed; empty if they could.
    """

    name: str
    label: str
    stored_entropy: float
    entropy: float
    stored_energy: float
    energy: float
    stored_force: float
    max_force: float
    local_difference: float = float("nan")
    failure: str = ""

    @property
    def entropy_difference(self) -> float:
        """Recomputed less stored, k_B."""
        return self.entropy - self.stored_entropy

    @property
    def energy_difference(self) -> float:
        """Recomputed less stored, eV."""
        return self.energy - self.stored_energy

    def agrees(self, tolerance: float = ENTROPY_TOLERANCE) -> bool:
        """Whether nothing that was compared differs by more than `tolerance` (k_B) or `ENERGY_TOLERANCE`."""
        worst = np.abs([self.entropy_difference, self.local_difference])
        # what was not compared is NaN, and larger than nothing
        return not self.failure and not (worst > tolerance).any() and not abs(self.energy_difference) > ENERGY_TOLERANCE


@dataclass(frozen=True)
class LabelCheck:
    """Recomputes the labels of structures; made by `label_check`.

    Attributes
    ----------
    potential : Potential
    convention : str
        See `ldml.entropy.formation`.
    bulks : tuple of Atoms
    energies : tuple of float, eV
        Of the crystals.
    entropies : tuple of HarmonicEntropy
        Of the crystals.
    """

    potential: Potential
    convention: str
    bulks: tuple[Atoms, ...]
    energies: tuple[float, ...]
    entropies: tuple[HarmonicEntropy, ...]

    def __call__(self, entry: Entry, *, local: bool = False) -> Recomputed:
        """Labels of one structure, with the shares of its atoms where asked for and stored."""
        stored = {
            "name": entry.name,
            "label": entry.label,
            "stored_entropy": entry.formation_entropy,
            "stored_energy": entry.formation_energy,
            "stored_force": entry.max_force,
        }
        nothing = float("nan")
        try:
            energy, force = self._energy_and_force(entry)
            entropy, local_difference = self._entropy(entry, local and entry.local_entropy is not None)
        except (InputError, ConvergenceError) as error:
            return Recomputed(**stored, entropy=nothing, energy=nothing, max_force=nothing, failure=str(error))
        return Recomputed(**stored, entropy=entropy, energy=energy, max_force=force, local_difference=local_difference)

    def _energy_and_force(self, entry):
        energy, forces = self.potential.energy_and_forces(entry.atoms)
        crystal = self.energies[entry.bulk], len(self.bulks[entry.bulk])
        return formation_energy(energy, len(entry.atoms), *crystal), float(np.linalg.norm(forces, axis=1).max())

    def _entropy(self, entry, local):
        """S_f, and the largest difference of a share of it; NaN for structures that have none stored, such as saddles."""
        if np.isnan(entry.formation_entropy):
            return float("nan"), float("nan")
        found = formation_entropy(
            entry.atoms,
            self.bulks[entry.bulk],
            self.potential,
            local=local,
            convention=self.convention,
            bulk_entropy=self.entropies[entry.bulk],
        )
        difference = float(np.abs(found.local - entry.local_entropy).max()) if local else float("nan")
        return float(found.value), difference


def label_check(data: Dataset, potential: Potential) -> LabelCheck:
    """What recomputes the labels of a dataset by this potential, its crystals done.

    Raises
    ------
    InputError
        If the dataset was made with another potential, or with another version of it.
    """
    known = data.metadata.get("potential_fingerprint", potential.fingerprint)
    if known != potential.fingerprint:
        raise InputError(
            f"dataset {data.name!r} was made with {data.metadata.get('potential')} of fingerprint {known}, and "
            f"{potential.name} here has {potential.fingerprint}; its labels are those of another potential"
        )
    words = str(data.metadata.get("convention", "")).split()
    return LabelCheck(
        potential=potential,
        convention=words[0] if words and words[0] in CONVENTIONS else CONVENTIONS[0],
        bulks=data.bulks,
        energies=tuple(potential.energy(bulk) for bulk in data.bulks),
        entropies=tuple(perfect_crystal_entropy(bulk, potential) for bulk in data.bulks),
    )


def random_sample(data: Dataset, n: int, rng: np.random.Generator) -> Sequence[int]:
    """Structures to look at, by number: `n` at random, and among them one with local entropies if any has them."""
    order = rng.permutation(len(data))
    chosen = order[:n]
    if len(chosen) and data.has_local.any() and not data.has_local[chosen].any():
        chosen[-1] = next(i for i in order if data.has_local[i])
    return sorted(int(i) for i in chosen)
