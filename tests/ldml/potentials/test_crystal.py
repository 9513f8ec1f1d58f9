"""Lattice and elastic constants against closed forms, the literature, and each other."""

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.neighbours import neighbour_list
from ldml.potentials import perfect_crystal
from ldml.potentials.base import Evaluator, Potential
from ldml.potentials.crystal import bulk_modulus, elastic_constants, equilibrium_lattice_constant, pressure
from ldml.potentials.differences import difference_hessian
from ldml.potentials.lennard_jones import LennardJones
from ldml.structures import strained, supercell
from ldml.units import GPA


def test_iron(am04):
    """243.4, 145.1 and 116.2 GPa and 2.8553 Å (Ackland et al. 2004), to the digits published."""
    constants = elastic_constants(am04)
    assert (constants.c11, constants.c12, constants.c44) == pytest.approx((243.4, 145.1, 116.2), abs=0.1)
    assert equilibrium_lattice_constant(am04, "Fe", "bcc", 2.9) == pytest.approx(2.855312455, rel=1e-9)


def test_bulk_modulus_is_the_slope_of_the_pressure(am04):
    crystal = perfect_crystal(am04, 1)
    h = 1e-4
    lower, upper = (pressure(strained(crystal, s), am04) for s in (-h, h))
    # second-order differences at 1e-4 err by about 1e-6 of the modulus
    assert bulk_modulus(am04) == pytest.approx((lower - upper) / (6 * h), rel=1e-5)
    assert pressure(crystal, am04) == pytest.approx(0.0, abs=1e-6)


def test_cauchy_relation_of_pair_forces():
    """C12 = C44 for pair forces without pressure; long-ranged enough, the elastic constants are those of the lattice sums."""
    argon = LennardJones(0.01, 3.4, cutoff=12.0, truncation="shifted", element="Ar")
    constants = elastic_constants(argon)
    assert constants.c12 == pytest.approx(constants.c44, rel=1e-6)
    # B = (2.5 A6^2.5 / A12^1.5) eps / sigma^3 with the sums of the infinite crystal, moved 4 % by the cutoff at 3.5 sigma
    whole = 4 * 14.45392**2.5 / 12.13188**1.5 * 0.01 / 3.4**3 * GPA
    assert constants.bulk_modulus == pytest.approx(whole, rel=0.05)
    assert constants.anisotropy == pytest.approx(2 * constants.c44 / (constants.c11 - constants.c12))


class _Springs(Potential):
    """Diamond with springs between first and second neighbours."""

    name, elements, cutoff, hessian_range, citation = "springs", frozenset({"C"}), 2.7, 2.7, "test"
    lattice, lattice_constant = "diamond", 3.6
    bond, second = 3.6 * np.sqrt(3) / 4, 3.6 / np.sqrt(2)
    alpha, beta = 8.0, 1.5

    def evaluator(self, atoms):
        return _SpringEvaluator(self, atoms)

    def hessian(self, atoms):
        return difference_hessian(self, atoms, step=1e-4, check=False, acoustic_sum="diagonal").matrix

    def parameters(self):
        return {"alpha": self.alpha, "beta": self.beta}


class _SpringEvaluator(Evaluator):
    def __init__(self, springs, atoms):
        self.springs, self.cell, self.pbc = springs, atoms.cell.array, atoms.pbc

    def energy_and_forces(self, positions):
        pairs = neighbour_list(positions, self.cell, self.pbc, self.springs.cutoff)
        near = pairs.distances < 0.5 * (self.springs.bond + self.springs.second)
        stiffness = np.where(near, self.springs.alpha, self.springs.beta)
        stretch = pairs.distances - np.where(near, self.springs.bond, self.springs.second)
        pulls = (stiffness * stretch / pairs.distances)[:, None] * pairs.vectors
        forces = np.add.reduceat(pulls, pairs.offsets[:-1], axis=0)
        return 0.25 * float(stiffness @ stretch**2), forces


def test_diamond_relaxes_inside_its_cell():
    """Springs alpha to first and beta to second neighbours of diamond, side a, by hand from 16 and 48 bonds a cell:

    C11 + 2 C12 = (alpha + 8 beta)/a and C11 - C12 = 2 beta/a; in shear the sublattices glide until the first
    neighbours have their lengths again, and C44 = 2 beta/a. Unrelaxed it would be (alpha + 6 beta)/3a.
    """
    springs = _Springs()
    constants = elastic_constants(springs)
    a = springs.lattice_constant
    unit = GPA / a
    assert constants.c11 + 2 * constants.c12 == pytest.approx((springs.alpha + 8 * springs.beta) * unit, rel=1e-5)
    assert constants.c11 - constants.c12 == pytest.approx(2 * springs.beta * unit, rel=1e-4)
    assert constants.c44 == pytest.approx(2 * springs.beta * unit, rel=1e-4)


def test_refusals(am04):
    with pytest.raises(InputError, match="no bcc Fe at zero pressure within 12% of a = 4 Å"):
        equilibrium_lattice_constant(am04, "Fe", "bcc", 4.0)
    with pytest.raises(InputError, match="positive"):
        equilibrium_lattice_constant(am04, "Fe", "bcc", -1.0)
    with pytest.raises(InputError, match="pressure of"):
        elastic_constants(am04, strained(perfect_crystal(am04, 1), 0.01))
    moved = supercell("Fe", am04.lattice_constant, 2)
    moved.positions[0, 0] += 0.01
    with pytest.raises(InputError, match="not at rest"):
        elastic_constants(am04, moved)
    with pytest.raises(InputError, match="pass the crystal"):
        elastic_constants(LennardJones())
    cluster = supercell("Fe", am04.lattice_constant, 1)
    cluster.pbc = False
    with pytest.raises(InputError, match="periodic"):
        pressure(cluster, am04)
