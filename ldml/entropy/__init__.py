"""Exact harmonic entropies: of one structure, of its atoms, of a defect, of the perfect crystal."""

from ldml.entropy.bulk import bulk_entropy
from ldml.entropy.formation import FormationEntropy, formation_energy, formation_entropy
from ldml.entropy.harmonic import HarmonicEntropy, harmonic_entropy

__all__ = [
    "FormationEntropy",
    "HarmonicEntropy",
    "bulk_entropy",
    "formation_energy",
    "formation_entropy",
    "harmonic_entropy",
]
