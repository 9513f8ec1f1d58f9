"""Exact harmonic entropies: of one structure, of its atoms, of a defect, of the perfect crystal; spectra and rates."""

from ldml.entropy.bulk import bulk_entropy
from ldml.entropy.formation import FormationEntropy, formation_energy, formation_entropy
from ldml.entropy.harmonic import HarmonicEntropy, harmonic_entropy
from ldml.entropy.phonopy_files import read_force_constants, write_force_constants
from ldml.entropy.prefactor import Prefactor, vineyard_prefactor
from ldml.entropy.spectrum import Spectrum, density_of_states, local_density_of_states, vibrational_spectrum
from ldml.entropy.stochastic import StochasticFormationEntropy, stochastic_formation_entropy
from ldml.entropy.thermodynamics import Thermodynamics, formation_thermodynamics, thermodynamics

__all__ = [
    "FormationEntropy",
    "HarmonicEntropy",
    "Prefactor",
    "Spectrum",
    "StochasticFormationEntropy",
    "Thermodynamics",
    "bulk_entropy",
    "density_of_states",
    "formation_energy",
    "formation_entropy",
    "formation_thermodynamics",
    "harmonic_entropy",
    "local_density_of_states",
    "read_force_constants",
    "stochastic_formation_entropy",
    "thermodynamics",
    "vibrational_spectrum",
    "vineyard_prefactor",
    "write_force_constants",
]
