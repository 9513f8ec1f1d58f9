"""Crystals in the form that the Green's function routes take them."""

import pytest

from ldml.entropy.lattice_green import LatticeGreen
from ldml.potentials import perfect_crystal


@pytest.fixture(scope="session")
def unit(am04):
    """Conventional cell of Fe-AM04."""
    return perfect_crystal(am04, 1)


@pytest.fixture(scope="session")
def lattice4(am04, unit):
    return LatticeGreen(unit, 4, am04)
