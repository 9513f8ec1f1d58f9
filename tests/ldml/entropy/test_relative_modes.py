"""Relative modes: those of the dense generalised eigenproblem, whatever the frame, and nearly those of a larger cell."""

import numpy as np
import pytest

import ldml
from ldml.entropy.defect_green import ExtendedCrystal
from ldml.entropy.lattice_green import LatticeGreen
from ldml.entropy.relative_modes import relative_modes
from ldml.errors import ConvergenceError, NotAMinimumError, UnrelaxedError
from ldml.landscape import insertion_seed
from ldml.newton import relax_newton
from ldml.structures import interstitial_cluster, vacancy_cluster

CONVERGED = 1e-4  # of mu, where sums of logarithms settle to 1e-3
BELOW, ABOVE = 0.5, 1.6


@pytest.fixture(scope="module")
def dumbbell4(am04, crystal4):
    return ldml.relax(interstitial_cluster(crystal4, 1, axis="110"), am04).atoms


def dense_modes(defect, lattice):
    """All mu but those of the translations, from matrices."""
    space, size = ExtendedCrystal(defect, lattice), 3 * len(defect)
    green = space.apply_green(np.eye(size).reshape(len(defect), 3, size)).reshape(size, size)
    factor = np.linalg.cholesky(green)
    hessian = lattice.potential.hessian(defect).toarray()
    values, vectors = np.linalg.eigh(factor.T @ hessian @ factor)
    return values[3:], (factor @ vectors)[:, 3:]


@pytest.mark.parametrize("kind", ["dumbbell", "vacancy"])
def test_modes_outside_the_window_are_those_of_matrices(kind, dumbbell4, vacancy4, lattice4):
    """The vacancy's come in threes, which a search from one vector would not find."""
    defect = dumbbell4 if kind == "dumbbell" else vacancy4
    below = BELOW if kind == "dumbbell" else 0.8
    values, vectors = dense_modes(defect, lattice4)
    outside = (values < below) | (values > ABOVE)
    assert outside.sum() >= 3
    found = relative_modes(defect, lattice4, below=below, above=ABOVE)
    np.testing.assert_allclose(found.values, values[outside], rtol=CONVERGED)
    # the shares of partners of one mode are only defined together
    squares = (vectors.reshape(len(defect), 3, -1) ** 2).sum(axis=1)
    expected = (squares / squares.sum(axis=0))[:, outside]
    np.testing.assert_allclose(found.shares.sum(axis=0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.shares @ np.log(found.values), expected @ np.log(values[outside]), atol=2e-3)


def test_logarithms_sum_to_the_formation_entropy(am04, crystal4, lattice4):
    """Two minima of one class: the constant of the numbers of defects cancels in the difference."""
    pairs = [insertion_seed(crystal4, "I2", np.random.default_rng(seed), spread=1.0) for seed in (0, 1)]
    pairs = [ldml.relax(pair, am04).atoms for pair in pairs]
    values = [dense_modes(pair, lattice4)[0] for pair in pairs]
    entropies = [ldml.harmonic_entropy(pair, am04).total for pair in pairs]
    assert abs(entropies[0] - entropies[1]) > 0.1
    change = -0.5 * (np.log(values[0]).sum() - np.log(values[1]).sum())
    assert change == pytest.approx(entropies[0] - entropies[1], abs=1e-7)


def test_frame_and_order_do_not_matter(dumbbell4, lattice4):
    turned = dumbbell4.copy()
    order = np.random.default_rng(0).permutation(len(turned))
    turned = turned[order]
    turned.translate((0.3, 5.0, -1.1))
    turned.wrap()
    found, same = (relative_modes(atoms, lattice4, below=BELOW, above=ABOVE) for atoms in (dumbbell4, turned))
    np.testing.assert_allclose(same.values, found.values, rtol=CONVERGED)
    np.testing.assert_allclose(same.shares[:, 0], found.shares[order, 0], atol=1e-4)
    assert not np.array_equal(order, np.arange(len(order)))


def test_larger_cells_have_nearly_the_same_modes(am04, unit):
    """In plain eigenvalues the crystal's own waves come down below those of the defect as the cell grows."""
    softest = []
    for repeats in (5, 7):
        lattice = LatticeGreen(unit, repeats, am04)
        defect = relax_newton(interstitial_cluster(lattice.crystal(), 1, axis="110"), lattice).atoms
        softest.append(relative_modes(defect, lattice, below=BELOW, above=ABOVE).values[:3])
    np.testing.assert_allclose(softest[0], softest[1], rtol=0.05)


def test_a_perfect_crystal_has_none(lattice4):
    found = relative_modes(lattice4.crystal(), lattice4, below=BELOW, above=ABOVE)
    assert len(found.values) == 0
    assert found.shares.shape == (128, 0)


def test_saddles_and_unrelaxed_structures_are_refused(am04, crystal4, lattice4):
    saddle = ldml.relax(interstitial_cluster(crystal4, 1, axis="111"), am04, rattle=0.0, check_minimum=False).atoms
    with pytest.raises(NotAMinimumError, match="no minimum") as caught:
        relative_modes(saddle, lattice4, below=BELOW, above=ABOVE)
    assert caught.value.lowest_frequency < 0
    with pytest.raises(UnrelaxedError):
        relative_modes(vacancy_cluster(crystal4, 1), lattice4, below=BELOW, above=ABOVE)


def test_a_search_cut_short_says_so(dumbbell4, lattice4):
    with pytest.raises(ConvergenceError, match="did not settle within 90 vectors"):
        relative_modes(dumbbell4, lattice4, below=0.95, above=1.05, max_vectors=90)
