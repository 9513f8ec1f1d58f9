"""Small databases of real disorder, quenched roughly: counting needs the right sites, not tight minima."""

import numpy as np
import pytest

import ldml
from ldml.dataset import Dataset, Entry
from ldml.landscape.disorder import random_displacements
from ldml.structures import vacancy_cluster

N_STRUCTURES = 6


@pytest.fixture(scope="session")
def disordered(crystal4, am04):
    """4a0 iron with random displacements: Frenkel pairs besides none, one or two vacancies; entropies made up."""
    rng = np.random.default_rng(5)
    entries = []
    for k in range(N_STRUCTURES):
        missing = k % 3
        start = vacancy_cluster(crystal4, missing) if missing else crystal4
        start = random_displacements(start, rng, n_atoms=6, distance=4.0)
        atoms = ldml.relax(start, am04, 0.2, rattle=0.0, check_minimum=False).atoms
        atoms.positions += rng.uniform(-0.4, 0.4, 3)
        entries.append(Entry(atoms, f"V{missing}", f"d{k}", 10.0 * k, 1.0 * k))
    return Dataset.from_entries("disordered", [crystal4], entries, {"potential": "Fe-AM04"})
