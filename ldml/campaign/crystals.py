"""The perfect crystals that campaigns put defects into, and what is computed of each once in a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from ase import Atoms

from ldml.campaign.tasks import Result, VersionError
from ldml.entropy import HarmonicEntropy, bulk_entropy, formation_energy, harmonic_entropy
from ldml.entropy.formation import formation_from
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import NotAMinimumError
from ldml.point_defects import defect_positions, inertia
from ldml.potentials import Potential, get_potential, perfect_crystal
from ldml.relaxation import Relaxed, relax
from ldml.structures import strained

FINAL_FORCE = 1e-6
"""eV/Å"""


@dataclass(frozen=True)
class Crystal:
    """A cubic supercell of the ground state of a potential.

    Attributes
    ----------
    potential_name : str
    repeats : int
        Edge in lattice constants.
    strain : float
        Isotropic, of every length; 0.01 for one per cent.
    """

    potential_name: str
    repeats: int
    strain: float = 0.0

    @cached_property
    def potential(self) -> Potential:
        return get_potential(self.potential_name)

    @cached_property
    def unit_cell(self) -> Atoms:
        return strained(perfect_crystal(self.potential, 1), self.strain)

    @cached_property
    def bulk(self) -> Atoms:
        """The perfect crystal, its sites in the order of ``unit_cell.repeat(repeats)``."""
        return self.unit_cell.repeat(self.repeats)

    @cached_property
    def lattice(self) -> LatticeGreen:
        """Its Green's function, which shortens relaxations, and its Wigner-Seitz cells."""
        return LatticeGreen(self.unit_cell, self.repeats, self.potential)

    @cached_property
    def energy(self) -> float:
        """eV"""
        return self.potential.energy(self.unit_cell) * self.repeats**3

    @cached_property
    def entropy(self) -> HarmonicEntropy:
        """By reciprocal space, k_B."""
        return bulk_entropy(self.unit_cell, self.repeats, self.potential)

    @property
    def parameters(self) -> dict:
        """What a task has to say to get this crystal (see `crystal_of`)."""
        return {
            "potential": self.potential_name,
            "fingerprint": self.potential.fingerprint,
            "repeats": self.repeats,
            "strain": self.strain,
        }

    def inertia(self, atoms: Atoms, label: str) -> float:
        """Inertia (Å⁴) of the point defects that give a class its name; of all for a label that is no I_n or V_n."""
        defects = self.lattice.wigner_seitz(atoms)
        points = {"I": atoms.positions[defects.interstitial_atoms], "V": defects.vacancies}
        return inertia(points.get(label[:1], defect_positions(atoms, defects)), atoms.cell)

    def formation_energy(self, energy: float, n_atoms: int) -> float:
        """Energy (eV) of a structure of this many atoms above the crystal."""
        return formation_energy(energy, n_atoms, self.energy, len(self.bulk))

    def relaxed(self, start: Atoms, fmax: float) -> Relaxed:
        """The structure relaxed until its forces are below `fmax` (eV/Å), not tested to be a minimum."""
        return relax(start, self.potential, fmax, rattle=0.0, check_minimum=False, lattice=self.lattice)

    def minimum(self, start: Atoms, fmax: float) -> tuple[Relaxed, float]:
        """The minimum below a structure and its formation entropy (k_B); saddles are left along their imaginary mode."""
        found = self.relaxed(start, fmax)
        try:
            entropy = harmonic_entropy(found.atoms, self.potential)
        except NotAMinimumError:
            found = relax(found.atoms, self.potential, fmax, rattle=0.0, lattice=self.lattice)
            entropy = harmonic_entropy(found.atoms, self.potential)
        return found, formation_from(entropy, self.entropy).value


def minimum_of(crystal: Crystal, start: Atoms, *, label: str) -> Result:
    """What is stored of the minimum below a structure: where its atoms are, its energy, entropy and point defects."""
    found, entropy = crystal.minimum(start, FINAL_FORCE)
    defects = crystal.lattice.wigner_seitz(found.atoms)
    return {
        "numbers": found.atoms.numbers,
        "positions": found.atoms.positions,
        "cell": crystal.bulk.cell.array,
        "energy": np.array(crystal.formation_energy(found.energy, len(start))),
        "formation_entropy": np.array(entropy),
        "max_force": np.array(found.max_force),
        "inertia": np.array(crystal.inertia(found.atoms, label)),
        "n_vacancies": np.array(defects.n_vacancies),
        "n_interstitials": np.array(defects.n_interstitials),
    }


@cache
def crystal(potential: str, repeats: int, strain: float = 0.0) -> Crystal:
    """The crystal of these parameters, the same object every time."""
    return Crystal(potential, repeats, strain)


def crystal_of(parameters: Mapping) -> Crystal:
    """The crystal of a task's parameters: ``potential``, its ``fingerprint``, ``repeats`` and ``strain``.

    Raises
    ------
    VersionError
        If the potential of that name is not the one the task was made for.
    """
    chosen = crystal(parameters["potential"], parameters["repeats"], parameters.get("strain", 0.0))
    if chosen.potential.fingerprint != parameters["fingerprint"]:
        raise VersionError(
            f"the task was made for {chosen.potential_name} {parameters['fingerprint']}, but here it is "
            f"{chosen.potential.fingerprint}; install the same version of ldml everywhere"
        )
    return chosen
