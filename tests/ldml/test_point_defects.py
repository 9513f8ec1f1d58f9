"""Wigner-Seitz counts, drift and inertia."""

import numpy as np
import pytest

import ldml
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz, distance_to_defects, inertia
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
