"""Vibrational entropy of crystal defects: exact, learned by a linear model on atomic descriptors, explored by eye.

The method is that of C. Lapointe et al., Phys. Rev. Materials 4, 063802 (2020), here "the paper". Lengths in Å, energies
in eV, masses in amu, entropies in k_B, frequencies in THz; structures are `ase.Atoms`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ldml.dataset import Dataset, load_dataset
    from ldml.descriptors import get_descriptor
    from ldml.entropy import bulk_entropy, formation_entropy, harmonic_entropy
    from ldml.errors import InputError
    from ldml.evaluation.splits import SplitCurve, split_curve
    from ldml.jupyter import pages, view
    from ldml.potentials import get_potential
    from ldml.regression import LDML, load_model
    from ldml.relaxation import relax

__version__ = "0.1.0"

# Names are imported when first used: numba and scikit-learn together take seconds that `ldml --help` need not wait for.
_HOME = {
    "LDML": "ldml.regression",
    "Dataset": "ldml.dataset",
    "InputError": "ldml.errors",
    "SplitCurve": "ldml.evaluation.splits",
    "bulk_entropy": "ldml.entropy",
    "formation_entropy": "ldml.entropy",
    "get_descriptor": "ldml.descriptors",
    "get_potential": "ldml.potentials",
    "harmonic_entropy": "ldml.entropy",
    "load_dataset": "ldml.dataset",
    "load_model": "ldml.regression",
    "pages": "ldml.jupyter",
    "relax": "ldml.relaxation",
    "split_curve": "ldml.evaluation.splits",
    "view": "ldml.jupyter",
}
_MODULES = {"dataset", "descriptors", "entropy", "evaluation", "potentials", "regression", "structures"}

__all__ = [
    "LDML",
    "Dataset",
    "InputError",
    "SplitCurve",
    "bulk_entropy",
    "formation_entropy",
    "get_descriptor",
    "get_potential",
    "harmonic_entropy",
    "load_dataset",
    "load_model",
    "pages",
    "relax",
    "split_curve",
    "view",
]


def __getattr__(name):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"ldml.{name}")
    raise AttributeError(f"module 'ldml' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, *_MODULES, "__version__"])
