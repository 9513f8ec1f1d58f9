"""Lattice Green's functions: the ring of springs in closed form, real crystals against dense inverses."""

import numpy as np
import pytest
import scipy.sparse
from ase import Atoms
from ase.build import bulk as ase_bulk

import ldml
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import InputError, NotAMinimumError, UnrelaxedError
from ldml.potentials import Potential, perfect_crystal
from ldml.potentials.lennard_jones import LennardJones

ROUNDING = 1e-12  # relative, of inverses with condition numbers below 1e3


class Springs(Potential):
    """Unit springs in x, y and z alike between the neighbours of a ring of atoms along x."""

    name, elements, citation = "springs", frozenset({"H"}), "textbook"
    cutoff = hessian_range = 1.1

    def evaluator(self, atoms):
        return self

    def energy_and_forces(self, atoms):
        return 0.0, np.zeros((len(atoms), 3))

    def parameters(self):
        return {}

    def hessian(self, atoms):
        one = np.eye(len(atoms))
        ring = 2 * one - np.roll(one, 1, axis=0) - np.roll(one, -1, axis=0)
        return scipy.sparse.csr_array(np.kron(ring, np.eye(3))).tobsr((3, 3))


@pytest.fixture(scope="module")
def argon():
    return LennardJones(0.0104, 3.4, cutoff=7.5, element="Ar")


@pytest.fixture(params=["bcc", "bcc primitive", "fcc primitive", "hcp"])
def crystal(request, am04, argon):
    """Unit cell, repeats and potential: several atoms a cell, one, skewed cells, cells thinner than the forces reach."""
    a = am04.lattice_constant
    return {
        "bcc": (perfect_crystal(am04, 1), (2, 3, 4), am04),
        "bcc primitive": (
            Atoms(ase_bulk("Fe", "bcc", a=a).numbers, cell=ase_bulk("Fe", "bcc", a=a).cell, pbc=True),
            3,
            am04,
        ),
        "fcc primitive": (ase_bulk("Ar", "fcc", a=5.24), (3, 4, 5), argon),
        "hcp": (ase_bulk("Ar", "hcp", a=3.70, c=6.05), (4, 3, 2), argon),
    }[request.param]


def dense(lattice):
    hessian = lattice.potential.hessian(lattice.crystal()).toarray()
    translations = np.tile(np.eye(3), (lattice.n_sites, 1)) / np.sqrt(lattice.n_sites)
    return hessian, translations @ translations.T


@pytest.mark.parametrize("n", [4, 9])
def test_ring_of_springs_in_closed_form(n):
    """ln det' = 2 ln N; sites d apart resist like d and N - d unit resistors in parallel: 2 (G_00 - G_0d) = d (N - d)/N."""
    lattice = LatticeGreen(Atoms("H", cell=[1, 9, 9], pbc=True), (n, 1, 1), Springs())
    assert lattice.log_determinant == pytest.approx(6 * np.log(n), rel=1e-12)
    green = lattice.green_table()[:, 0, 0, 0, :, 0, :]
    d = np.arange(n)
    for axis in range(3):
        resistance = 2 * (green[0, axis, axis] - green[:, axis, axis])
        np.testing.assert_allclose(resistance, d * (n - d) / n, atol=1e-12)


def test_against_the_dense_inverse(crystal, rng):
    lattice = LatticeGreen(*crystal)
    hessian, shift = dense(lattice)
    green = np.linalg.inv(hessian + lattice.stiffness * shift)
    tolerance = ROUNDING * np.abs(green).max()
    forces = rng.normal(size=(lattice.n_sites, 3, 2))
    expected = (green @ forces.reshape(-1, 2)).reshape(forces.shape)
    np.testing.assert_allclose(lattice.apply(forces), expected, atol=100 * tolerance)
    np.testing.assert_allclose(lattice.apply(forces[..., 0]), expected[..., 0], atol=100 * tolerance)
    columns = 3 * lattice.n_basis
    np.testing.assert_allclose(lattice.green_table().reshape(-1, columns), green[:, :columns], atol=tolerance)
    np.testing.assert_allclose(lattice.hessian_table().reshape(-1, columns), hessian[:, :columns], atol=1e-12)
    assert lattice.log_determinant == pytest.approx(np.log(np.linalg.eigvalsh(hessian)[3:]).sum(), abs=1e-9)


def test_shifted_inverse(crystal):
    lattice = LatticeGreen(*crystal)
    hessian, shift = dense(lattice)
    expected = np.linalg.inv(hessian + 0.7 * shift + 0.2 * np.eye(len(hessian)))
    columns = 3 * lattice.n_basis
    table = lattice.shifted_table(0.2, 0.7).reshape(-1, columns)
    np.testing.assert_allclose(table, expected[:, :columns], atol=ROUNDING * np.abs(expected).max())


def test_couplings_are_the_rows_of_the_hessian(crystal):
    lattice = LatticeGreen(*crystal)
    sites = np.array([0, lattice.n_sites - 1, 5])
    rows, columns, blocks = lattice.couplings(sites)
    found = np.zeros((3, 3, lattice.n_sites, 3))
    np.add.at(found, (rows, slice(None), columns), blocks)
    expected = dense(lattice)[0].reshape(lattice.n_sites, 3, lattice.n_sites, 3)[sites]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_neighbourhood_against_minimum_images(crystal):
    lattice = LatticeGreen(*crystal)
    atoms = lattice.crystal()
    centres = [1, lattice.n_sites - 2]
    sites, distances = lattice.neighbourhood(np.array(centres), 5.0)
    nearest = np.min([atoms.get_distances(i, range(len(atoms)), mic=True) for i in centres], axis=0)
    assert set(sites) == set(np.flatnonzero(nearest <= 5.0))
    np.testing.assert_allclose(distances, nearest[sites], atol=1e-9)
    assert (np.diff(distances) > -1e-6).all()


def test_agrees_with_the_entropy_of_the_bulk(am04):
    unit = perfect_crystal(am04, 1)
    lattice = LatticeGreen(unit, 6, am04)
    modes = 3 * lattice.n_sites - 3
    masses = np.log(unit.get_masses()[0]) * modes
    bulk = ldml.bulk_entropy(unit, 6, am04)
    of_one_mode = bulk.free_mode - 0.5 * np.log(unit.get_masses()[0])  # an oscillator of 1 eV/(Å² amu)
    assert bulk.total == pytest.approx(modes * of_one_mode - 0.5 * (lattice.log_determinant - masses), abs=1e-8)


def test_an_unstable_crystal_is_refused(argon):
    """Lennard-Jones atoms shear out of the simple cubic lattice."""
    unit = ase_bulk("Ar", "sc", a=3.75)
    eigenvalues = np.linalg.eigvalsh(argon.hessian(unit.repeat((2, 3, 4))).toarray())
    with pytest.raises(NotAMinimumError, match="unstable") as caught:
        LatticeGreen(unit, (2, 3, 4), argon)
    assert caught.value.n_imaginary == (eigenvalues < -1e-9).sum() > 0


def test_a_cell_under_force_is_refused(am04):
    unit = perfect_crystal(am04, 1)
    unit.positions[1] += 0.01
    with pytest.raises(UnrelaxedError, match="not relaxed"):
        LatticeGreen(unit, 3, am04)


@pytest.mark.parametrize("repeats", [0, (3, -1, 3), 2.5])
def test_bad_repeats_are_refused(am04, repeats):
    with pytest.raises(InputError, match="repeats"):
        LatticeGreen(perfect_crystal(am04, 1), repeats, am04)
