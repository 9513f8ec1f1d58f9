"""A descriptor and a data set small enough to fit in milliseconds."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk as crystal

from ldml.dataset import Dataset, Entry

A0 = 2.87


class Shells:
    """Neighbours counted through Gaussian windows: local, additive, of no scientific pretence."""

    name = "Shells"

    def __init__(self, centres=(2.4, 2.8, 3.3, 4.0), cutoff=4.2):
        self.centres = tuple(centres)
        self.cutoff = cutoff

    @property
    def parameters(self):
        return {"centres": list(self.centres), "cutoff": self.cutoff}

    @property
    def n_features(self):
        return len(self.centres)

    @property
    def trivial_features(self):
        return np.zeros(self.n_features, dtype=bool)

    @property
    def fingerprint(self):
        return f"Shells{self.centres}{self.cutoff}"

    def to_dict(self):
        return {"name": self.name, **self.parameters}

    def compute(self, atoms):
        r = atoms.get_all_distances(mic=True)
        np.fill_diagonal(r, np.inf)
        fade = np.where(r < self.cutoff, (1 - np.minimum(r / self.cutoff, 1)) ** 2, 0.0)
        return np.stack([(fade * np.exp(-(((r - c) / 0.3) ** 2))).sum(axis=1) for c in self.centres], axis=1)

    def total(self, atoms):
        return self.compute(atoms).sum(axis=0)


@pytest.fixture(scope="session")
def descriptor():
    return Shells()


@pytest.fixture(scope="session")
def perfect() -> Atoms:
    return crystal("Fe", "bcc", a=A0, cubic=True) * (3, 3, 3)


@pytest.fixture(scope="session")
def data(descriptor, perfect) -> Dataset:
    """Thirty disordered vacancies whose entropy is 0.02 k_B away from linear in the descriptor."""
    rng = np.random.default_rng(5)
    weights = np.array([3.0, -2.0, 1.5, 0.7])
    reference = descriptor.total(perfect) / len(perfect)
    entries = []
    for i in range(30):
        atoms = perfect.copy()
        del atoms[rng.choice(len(atoms), size=rng.integers(1, 4), replace=False)]
        atoms.rattle(0.05, rng=rng)
        entropy = weights @ (descriptor.total(atoms) - len(atoms) * reference) + 0.02 * rng.normal()
        entries.append(Entry(atoms, f"V{len(perfect) - len(atoms)}", f"s{i:02d}", float(entropy)))
    return Dataset.from_entries("vacancies", [perfect], entries, {"potential": "none", "licence": "CC0-1.0"})
