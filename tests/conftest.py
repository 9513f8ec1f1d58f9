"""Structures shared by many tests: made once a session, by the engine under test, from published potentials."""

import numpy as np
import pytest
from ase import Atoms

import ldml
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, vacancy_cluster


@pytest.fixture(scope="session")
def am04():
    return ldml.get_potential("Fe-AM04")


@pytest.fixture(scope="session")
def crystal4():
    """4a0 crystal, 128 atoms."""
    return perfect_crystal("Fe-AM04", 4)


@pytest.fixture(scope="session")
def crystal8():
    """8a0 crystal, 1024 atoms: the paper's cell."""
    return perfect_crystal("Fe-AM04", 8)


@pytest.fixture(scope="session")
def vacancy4(crystal4, am04):
    return ldml.relax(vacancy_cluster(crystal4, 1), am04).atoms


@pytest.fixture(scope="session")
def vacancy8(crystal8, am04):
    return ldml.relax(vacancy_cluster(crystal8, 1), am04)


@pytest.fixture(scope="session")
def dumbbell8(crystal8, am04):
    return ldml.relax(interstitial_cluster(crystal8, 1, axis="110"), am04)


@pytest.fixture
def rng():
    return np.random.default_rng(20200622)


@pytest.fixture
def triclinic_iron(rng):
    """Six atoms in a skewed cell thinner than the cutoff: every atom sees several images of itself."""
    cell = np.array([[4.9, 0.3, 0.1], [0.7, 4.4, -0.4], [-0.2, 0.9, 4.1]])
    fractions = np.array(
        [[0, 0, 0], [0.5, 0.5, 0.05], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.25, 0.27, 0.3], [0.8, 0.75, 0.73]]
    )
    return Atoms("Fe6", positions=fractions @ cell + rng.normal(scale=0.05, size=(6, 3)), cell=cell, pbc=True)


def pytest_collection_modifyitems(items):
    # the browser driver keeps an event loop running once it has started, under which no other test could start one
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
