"""Wigner-Seitz counts, drift, distances and inertia, against brute force over all images in cells of any shape."""

import numpy as np
import pytest
from ase import Atoms

import ldml
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz, defect_distances, distance_to_defects, inertia
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, rattled, strained, supercell, vacancy_cluster


@pytest.mark.parametrize("n", [1, 3])
def test_counts_survive_drift_rattle_and_strain(rng, n):
    crystal = strained(supercell("Fe", 2.86, 4), 0.01)
    analyse = WignerSeitz(crystal)
    for seed, vacancies, interstitials in (
        (vacancy_cluster(crystal, n), n, 0),
        (interstitial_cluster(crystal, n), 0, n),
    ):
        moved = rattled(seed, 0.05, rng)
        moved.positions += [0.6, -0.4, 0.5]
        defects = analyse(moved)
        assert (defects.n_vacancies, defects.n_interstitials) == (vacancies, interstitials)
        assert len(defects.interstitial_atoms) == 2 * interstitials
        np.testing.assert_allclose(defects.drift, [0.6, -0.4, 0.5], atol=0.03)
        assert defects.occupancy.sum() == len(moved)


def test_a_frenkel_pair():
    crystal = supercell("Fe", 2.86, 5)
    pair = crystal.copy()
    pair.positions[0] = crystal.positions[120] + [0.9, 0.9, 0.0]
    defects = WignerSeitz(crystal)(pair)
    assert (defects.n_vacancies, defects.n_interstitials) == (1, 1)
    assert set(defects.interstitial_atoms) == {0, 120}
    np.testing.assert_allclose(defects.vacancies, [crystal.positions[0]], atol=1e-9)


def test_vacancy_position_in_relaxed_structure(vacancy8, crystal8):
    defects = WignerSeitz(crystal8)(vacancy8.atoms)
    assert defects.n_vacancies == 1
    nearest = np.sort(distance_to_defects(vacancy8.atoms, defects))
    # eight first neighbours, all alike by symmetry, pulled in or out by less than 0.2 Å
    assert np.ptp(nearest[:8]) < 1e-4
    assert nearest[0] == pytest.approx(crystal8.cell[0, 0] / 8 * np.sqrt(3) / 2, abs=0.2)


def test_a_perfect_crystal_has_no_defects(crystal4):
    defects = WignerSeitz(crystal4)(crystal4)
    assert (defects.n_vacancies, defects.n_interstitials) == (0, 0)
    assert np.isinf(distance_to_defects(crystal4, defects)).all()


def test_inertia_in_closed_form():
    """Two unit masses at distance d: moments 0, d^2/2, d^2/2."""
    assert inertia(np.array([[0, 0, 0], [3.0, 0, 0]]), np.eye(3) * 20) == pytest.approx(2 * (9 / 2) ** 2)
    assert inertia(np.zeros((0, 3)), np.eye(3)) == 0.0


def test_inertia_is_whole_across_faces_and_turns_with_nothing(rng):
    cell = np.eye(3) * 12
    cluster = rng.normal(size=(5, 3))
    whole = inertia(cluster + 6, cell)
    assert inertia((cluster + np.array([0.1, 11.9, 6])) % 12, cell) == pytest.approx(whole)
    turned = cluster @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert inertia(turned, cell) == pytest.approx(whole)
    assert inertia(cluster[::-1], cell) == pytest.approx(whole)


def test_another_cell_is_refused(crystal4):
    with pytest.raises(InputError, match="different cells"):
        WignerSeitz(crystal4)(perfect_crystal("Fe-AM04", 3))
    slab = crystal4.copy()
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic"):
        WignerSeitz(slab)


def test_triclinic_crystal(rng):
    primitive = ldml.potentials.perfect_crystal("Fe-AM04", 1)
    skewed = primitive.repeat(4)
    skewed.set_cell(skewed.cell.array @ np.array([[1, 0.2, 0], [0, 1, 0.1], [0.1, 0, 1]]), scale_atoms=True)
    hole = rattled(vacancy_cluster(skewed, 2), 0.03, rng)
    assert WignerSeitz(skewed)(hole).n_vacancies == 2


SHEAR = np.array([[1, 0.35, 0], [0, 1, 0.2], [0.15, 0, 1]])


def sheared(crystal, shear=SHEAR):
    copy = crystal.copy()
    copy.set_cell(crystal.cell.array @ shear, scale_atoms=True)
    return copy


def sparse(lattice_constant):
    """One site in a large, skewed cell: the nearest site can be an image several cells away."""
    cell = lattice_constant * np.array([[1, 0, 0], [0.9, 0.3, 0], [0.7, 0.1, 0.35]])
    return Atoms("Fe", cell=cell, pbc=True).repeat((2, 1, 1))


CRYSTALS = {
    "bcc 10a0": lambda: supercell("Fe", 2.8553, 10),
    "bcc 4 x 5 x 6": lambda: supercell("Fe", 2.8553, 1).repeat((4, 5, 6)),
    "bcc of one cell": lambda: supercell("Fe", 2.8553, 1),
    "fcc, triclinic": lambda: sheared(supercell("Al", 4.05, 3, lattice="fcc")),
    "diamond, strained": lambda: strained(supercell("Si", 5.43, 2, lattice="diamond"), 0.03),
    "hexagonal": lambda: Atoms(
        "Ti2", scaled_positions=[[0, 0, 0], [1 / 3, 2 / 3, 0.5]], cell=[2.95, 2.95, 4.68, 90, 90, 120], pbc=True
    ).repeat((4, 4, 3)),
    "sparse, skewed": lambda: sparse(30.0),
}


def images(cell, reach=2):
    steps = np.array(list(np.ndindex(*3 * (2 * reach + 1,)))) - reach
    return steps @ cell


@pytest.mark.parametrize("name", CRYSTALS)
def test_the_nearest_site_is_the_nearest_of_all_images(name, rng):
    crystal = CRYSTALS[name]()
    cell = crystal.cell.array
    positions = rng.uniform(-1, 2, size=(15 if len(crystal) > 100 else 150, 3)) @ cell
    sites, displacement = WignerSeitz(crystal).nearest_sites(positions)
    shifts = images(cell, 2 if len(crystal) > 100 else 6)
    for position, site, away in zip(positions, sites, displacement, strict=True):
        apart = position - crystal.positions[:, None] - shifts[None]
        lengths = np.linalg.norm(apart, axis=2)
        k, image = np.unravel_index(lengths.argmin(), lengths.shape)
        assert np.linalg.norm(away) == pytest.approx(lengths.min(), abs=1e-9)
        np.testing.assert_allclose(away, apart[k, image], atol=1e-9)
        assert site == k


@pytest.mark.parametrize("name", ["bcc 10a0", "bcc 4 x 5 x 6", "fcc, triclinic", "diamond, strained", "hexagonal"])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.49, 0.5, 0.51, 0.7, 1.0])
def test_counts_survive_any_drift(name, fraction):
    """Along a bond: half of it is where the nearest site changes, and all of it is a lattice vector in Bravais lattices."""
    rng = np.random.default_rng(int(100 * fraction))
    crystal = CRYSTALS[name]()
    bond = crystal.get_distance(0, 1, mic=True, vector=True)
    defective = vacancy_cluster(crystal, 2)
    far = int(np.argmax(crystal.get_distances(0, np.arange(len(crystal)), mic=True)))
    defective += Atoms(crystal.symbols[0], positions=[crystal.positions[far] + [0.6, 0.5, 0.1]])
    moved = rattled(defective, 0.08, rng)
    moved.positions += fraction * bond
    moved.wrap()
    defects = WignerSeitz(crystal)(moved)
    assert (defects.n_vacancies, defects.n_interstitials) == (2, 1)
    assert len(defects.interstitial_atoms) == 2
    # the vacancies stay a bond apart, wherever the drift has taken them
    apart = Atoms("X2", positions=defects.vacancies, cell=crystal.cell, pbc=True).get_distance(0, 1, mic=True)
    bonds = crystal.get_distances(0, np.arange(1, len(crystal)), mic=True)
    assert apart == pytest.approx(bonds.min(), abs=1e-6)


def test_a_drift_in_a_random_direction_of_any_length(crystal8):
    analyse = WignerSeitz(crystal8)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        moved = rattled(interstitial_cluster(crystal8, 3), 0.06, rng)
        moved.positions += rng.uniform(-30, 30, 3)
        defects = analyse(moved)
        assert (defects.n_vacancies, defects.n_interstitials) == (0, 3)


def test_distances_between_defects_are_the_shortest_of_all_images(rng):
    crystal = sheared(supercell("Fe", 2.8553, 4))
    sites = np.array([3, 31, 77, 100])
    defective = crystal.copy()
    del defective[sites[:3]]
    defective += Atoms("Fe", positions=[crystal.positions[100] + [0.7, 0.6, 0.1]])
    found = defect_distances(defective, WignerSeitz(crystal)(defective))
    expected = []
    for k, one in enumerate(sites):
        for other in sites[:k]:
            apart = crystal.positions[one] - crystal.positions[other] + images(crystal.cell.array)
            expected.append(np.linalg.norm(apart, axis=1).min())
    np.testing.assert_allclose(found, np.sort(expected), atol=1e-6)


def test_a_dumbbell_counts_once(crystal8, dumbbell8):
    analyse = WignerSeitz(crystal8)
    assert len(defect_distances(dumbbell8.atoms, analyse(dumbbell8.atoms))) == 0
    assert len(defect_distances(crystal8, analyse(crystal8))) == 0
    defects = analyse(dumbbell8.atoms)
    # the site that the two atoms share lies between them
    middle = dumbbell8.atoms.positions[defects.interstitial_atoms].mean(axis=0)
    np.testing.assert_allclose(defects.interstitial_sites[0], middle, atol=0.1)


def test_inertia_across_the_faces_of_a_triclinic_cell(rng):
    cell = 14 * SHEAR
    cluster = rng.normal(size=(6, 3))
    arms = cluster - cluster.mean(axis=0)
    moments = np.linalg.eigvalsh(np.sum(arms**2) * np.eye(3) - arms.T @ arms)
    for _ in range(5):
        scattered = cluster + rng.uniform(-20, 20, 3) + rng.integers(-2, 3, (6, 3)) @ cell
        assert inertia(scattered, cell) == pytest.approx(np.sum(moments**2))
