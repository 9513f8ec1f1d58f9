"""Formation entropies by the Green's function: equal to the dense route when the core is the cell, close to it when not."""

import numpy as np
import pytest
from ase.build import bulk as ase_bulk

import ldml
from ldml.entropy.defect_green import ExtendedCrystal, green_formation_entropy, n_negative, softest_modes
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import Cancelled, InputError, NotAMinimumError, UnrelaxedError
from ldml.newton import relax_newton
from ldml.potentials import perfect_crystal
from ldml.potentials.lennard_jones import LennardJones
from ldml.structures import interstitial_cluster, rattled, vacancy_cluster

ROUNDING = 1e-9  # k_B, of log-determinants of some hundred modes
QUADRATURE = 4e-6  # k_B, of 25 trapezoids in the logarithm of the shift


@pytest.fixture(scope="module")
def lattice6(am04, unit):
    return LatticeGreen(unit, 6, am04)


@pytest.fixture(scope="module")
def argon():
    return LennardJones(0.0104, 3.4, cutoff=7.5, element="Ar")


@pytest.fixture(scope="module")
def dumbbell6(lattice6):
    return relax_newton(interstitial_cluster(lattice6.crystal(), 1), lattice6).atoms


def frenkel_pair(crystal):
    """A vacancy and a dumbbell far apart: as many atoms as sites."""
    far = int(np.argmax(crystal.get_distances(0, range(len(crystal)), mic=True)))
    return vacancy_cluster(interstitial_cluster(crystal, 1, centre=far), 1, centre=0)


def seeds(crystal):
    return {
        "V1": vacancy_cluster(crystal, 1),
        "V4": vacancy_cluster(crystal, 4),
        "V15, whose centre has no neighbours": vacancy_cluster(crystal, 15),
        "I1": interstitial_cluster(crystal, 1),
        "I3": interstitial_cluster(crystal, 3),
        "V1 + I1": frenkel_pair(crystal),
    }


@pytest.mark.parametrize("name", ["V1", "V4", "V15, whose centre has no neighbours", "I1", "I3", "V1 + I1"])
def test_a_core_that_fills_the_cell_is_exact(am04, unit, crystal4, lattice4, name):
    """Ghosts, extra atoms and their springs drop out of S_f whatever their number."""
    relaxed = relax_newton(seeds(crystal4)[name], lattice4).atoms
    dense = ldml.formation_entropy(relaxed, crystal4, am04).value
    found = green_formation_entropy(relaxed, unit, 4, am04, lattice=lattice4)
    assert found.value == pytest.approx(dense, abs=ROUNDING)
    assert found.error == 0.0
    assert found.n_core == 128 + found.n_interstitials
    assert found.n_atoms == len(relaxed) == 128 + found.n_interstitials - found.n_vacancies


def test_order_image_and_drift_of_the_atoms_do_not_matter(am04, unit, crystal4, lattice4, vacancy4, rng):
    """Atoms in another order, folded elsewhere, and the whole crystal moved by more than a bond."""
    moved = vacancy4[rng.permutation(len(vacancy4))]
    moved.positions += [3.1, -0.7, 1.9]
    moved.positions += rng.integers(-1, 2, size=(len(moved), 3)) @ moved.cell.array
    expected = ldml.formation_entropy(vacancy4, crystal4, am04).value
    assert green_formation_entropy(moved, unit, 4, am04, lattice=lattice4).value == pytest.approx(
        expected, abs=ROUNDING
    )


@pytest.mark.parametrize("kind", ["fcc", "fcc primitive", "hcp"])
def test_other_crystals_and_unit_cells(argon, kind):
    """Close-packed Lennard-Jones crystals, one to four atoms a unit cell, skewed cells."""
    unit, repeats = {
        "fcc": (ase_bulk("Ar", "fcc", a=5.24, cubic=True), 3),
        "fcc primitive": (ase_bulk("Ar", "fcc", a=5.24), (4, 4, 5)),
        "hcp": (ase_bulk("Ar", "hcp", a=3.70, c=6.05), (4, 4, 3)),
    }[kind]
    lattice = LatticeGreen(unit, repeats, argon)
    crystal = lattice.crystal()
    for seed in (vacancy_cluster(crystal, 1), interstitial_cluster(crystal, 1, axis="100", spacing=3.0)):
        relaxed = relax_newton(seed, lattice, fmax=1e-10).atoms
        dense = ldml.formation_entropy(relaxed, crystal, argon).value
        found = green_formation_entropy(relaxed, unit, repeats, argon, lattice=lattice)
        assert found.value == pytest.approx(dense, abs=ROUNDING)


def test_published_vacancy_and_dumbbell_from_small_cores(am04, unit, vacancy8, dumbbell8):
    """The dense 2.61600 and 1.72190 k_B in the 8a0 cell, from half the sites and a tenth of the work."""
    for relaxed, expected in ((vacancy8, 2.61600), (dumbbell8, 1.72190)):
        found = green_formation_entropy(relaxed.atoms, unit, 8, am04, radius=[8.6, 10.1, 11.5])
        assert found.n_core < 540
        assert found.value == pytest.approx(expected, abs=2e-3)
        assert abs(found.value - expected) < found.error + 2e-5  # the published digits
        assert abs(found.value - expected) < abs(found.values[-1] - expected) + 2e-4  # the extrapolation helps


def test_error_falls_with_the_radius(am04, unit, lattice6, dumbbell6):
    exact = green_formation_entropy(dumbbell6, unit, 6, am04, lattice=lattice6).value
    found = green_formation_entropy(dumbbell6, unit, 6, am04, lattice=lattice6, radius=[6.0, 7.5, 9.0, 11.0])
    errors = np.abs(found.values - exact)
    assert (np.diff(errors) < 0).all()
    assert errors[-1] < 0.01
    assert abs(found.value - exact) < min(found.error, errors[-1] / 2)
    alone = green_formation_entropy(dumbbell6, unit, 6, am04, lattice=lattice6, radius=9.0)
    assert alone.value == pytest.approx(found.values[2], abs=1e-12)
    assert np.isinf(alone.error)


@pytest.mark.parametrize("name", ["V1", "I1", "V1 + I1"])
def test_local_entropies_of_a_whole_cell(am04, unit, crystal4, lattice4, name):
    relaxed = relax_newton(seeds(crystal4)[name], lattice4).atoms
    dense = ldml.formation_entropy(relaxed, crystal4, am04, local=True, method="eigenvectors")
    found = green_formation_entropy(relaxed, unit, 4, am04, lattice=lattice4, local=True)
    np.testing.assert_array_equal(found.local_atoms, np.arange(len(relaxed)))
    np.testing.assert_allclose(found.local, dense.local, atol=QUADRATURE)


def test_local_entropies_near_the_defect(am04, unit, lattice6, dumbbell6):
    """Atoms a cutoff inside a core of 11 Å."""
    found = green_formation_entropy(dumbbell6, unit, 6, am04, lattice=lattice6, radius=[9.0, 11.0], local=True)
    whole = ldml.formation_entropy(dumbbell6, lattice6.crystal(), am04, local=True)
    assert 20 < len(found.local_atoms) < 100
    np.testing.assert_allclose(found.local, whole.local[found.local_atoms], atol=1e-4)  # the far field
    assert found.local.max() > 0.2  # the atoms of the dumbbell vibrate softly


def test_a_saddle_is_named_as_such(am04, unit, crystal4, lattice4):
    saddle = relax_newton(interstitial_cluster(crystal4, 1, axis="111"), lattice4, check_minimum=False).atoms
    eigenvalues = np.linalg.eigvalsh(am04.hessian(saddle).toarray())
    for radius in (None, 6.5):
        with pytest.raises(NotAMinimumError, match="saddle") as caught:
            green_formation_entropy(saddle, unit, 4, am04, lattice=lattice4, radius=radius)
        assert caught.value.n_imaginary == (eigenvalues < -1e-6).sum()
        expected = -ldml.units.THZ * np.sqrt(-eigenvalues[0] / saddle.get_masses()[0])
        assert caught.value.lowest_frequency == pytest.approx(expected, rel=1e-2)  # of LOBPCG


def test_softest_modes_against_the_spectrum(am04, lattice6, dumbbell6):
    found, vectors = softest_modes(dumbbell6, ExtendedCrystal(dumbbell6, lattice6), 4, tolerance=1e-6)
    spectrum = np.linalg.eigvalsh(am04.hessian(dumbbell6).toarray())[3:]
    np.testing.assert_allclose(found, spectrum[:4], rtol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(4), atol=1e-8)


def test_inertia_of_a_matrix(rng):
    for n in (1, 2, 7, 40):
        matrix = rng.normal(size=(n, n))
        matrix = matrix + matrix.T
        assert n_negative(matrix) == (np.linalg.eigvalsh(matrix) < 0).sum()


def test_structures_that_do_not_fit_are_refused(am04, unit, lattice4, crystal4, vacancy4, rng):
    def refused(atoms, match, error=InputError, **options):
        with pytest.raises(error, match=match):
            green_formation_entropy(atoms, unit, 4, am04, lattice=lattice4, **options)

    refused(rattled(vacancy4, 0.02, rng), "not relaxed", UnrelaxedError)
    refused(crystal4, "no vacancy and no interstitial")
    refused(vacancy_cluster(perfect_crystal(am04, 5), 1), "cells .* differ")
    refused(vacancy4[:60], "does not match the crystal")
    refused(vacancy4, "lacks the neighbours", radius=1.0)
    refused(vacancy4, "positive", radius=-3.0)
    refused(vacancy4, "positive", radius=[3.0, np.nan])
    with pytest.raises(InputError, match="another crystal"):
        green_formation_entropy(vacancy4, unit, 5, am04, lattice=lattice4)
    stranger = LennardJones(0.0104, 3.4, cutoff=7.5, element="Ar")
    cell = ase_bulk("Ar", "fcc", a=5.24, cubic=True)
    foreign = vacancy_cluster(cell.repeat(2), 1)
    foreign.symbols[0] = "Fe"
    with pytest.raises(InputError, match="knows only Ar"):
        green_formation_entropy(foreign, cell, 2, stranger)


def test_progress_is_told_and_can_cancel(am04, unit, lattice4, vacancy4):
    class Watcher:
        def __init__(self, stop_at):
            self.stages, self.stop_at = [], stop_at

        def update(self, done, total, stage=""):
            self.stages.append(stage)

        def check(self):
            if self.stages[-1].startswith(self.stop_at):
                raise Cancelled

    watcher = Watcher("never")
    green_formation_entropy(vacancy4, unit, 4, am04, local=True, progress=watcher)
    assert watcher.stages[0] == "Green's function"
    assert watcher.stages[-1] == "done"
    for stage in ("matching", "forces", "Hessian", "core", "local"):
        with pytest.raises(Cancelled):
            green_formation_entropy(vacancy4, unit, 4, am04, local=True, progress=Watcher(stage))
