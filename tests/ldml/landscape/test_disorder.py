"""Random displacements: what moves, how far, and what is kept apart."""

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

import ldml
from ldml.errors import InputError
from ldml.landscape.disorder import random_displacements
from ldml.neighbours import neighbour_list
from ldml.point_defects import WignerSeitz
from ldml.structures import interstitial_cluster, supercell


def moves(before, after):
    vectors, lengths = find_mic(after.positions - before.positions, before.cell, before.pbc)
    return np.flatnonzero(lengths > 1e-12), vectors, lengths


@pytest.mark.parametrize("seed", range(3))
def test_as_many_atoms_move_as_far_as_asked_and_keep_apart(crystal8, seed):
    after = random_displacements(crystal8, np.random.default_rng(seed), n_atoms=40, distance=5.0, shortest=3.0)
    moved, _, lengths = moves(crystal8, after)
    assert len(moved) == 40
    assert lengths[moved].min() >= 3.0 - 1e-9
    assert lengths[moved].max() <= 5.0 + 1e-9
    assert len(neighbour_list(after.positions, after.cell.array, True, 1.39, half=True).distances) == 0


def test_directions_are_uniform():
    crystal = supercell("Fe", 2.86, 5)
    pulls = []
    for seed in range(150):
        after = random_displacements(
            crystal, np.random.default_rng(seed), n_atoms=4, distance=2.0, shortest=2.0, minimum_separation=0.0
        )
        moved, vectors, _ = moves(crystal, after)
        pulls.append(vectors[moved] / 2.0)
    unit = np.concatenate(pulls)
    # of 600 directions each mean is 0 +- 0.024 and each mean square 1/3 +- 0.012
    assert np.abs(unit.mean(axis=0)).max() < 0.1
    np.testing.assert_allclose(unit.T @ unit / len(unit), np.eye(3) / 3, atol=0.05)


def test_a_ball_keeps_the_disorder_together(crystal8):
    after = random_displacements(crystal8, np.random.default_rng(0), n_atoms=20, distance=2.0, radius=6.0)
    moved, _, _ = moves(crystal8, after)
    sites = crystal8.positions[moved]
    _, apart = find_mic((sites[:, None] - sites[None]).reshape(-1, 3), crystal8.cell)
    assert apart.max() < 12.0


def test_where_there_is_no_room_the_best_place_is_taken(crystal4):
    crowded = random_displacements(crystal4, np.random.default_rng(0), n_atoms=1, distance=3.0, minimum_separation=3.0)
    moved, _, _ = moves(crystal4, crowded)
    nearest = crowded.get_distances(int(moved[0]), np.delete(np.arange(128), moved), mic=True).min()
    # the roomiest of 200 draws: close to the 1.6 Å of a tetrahedral site
    assert len(moved) == 1
    assert nearest > 1.4


def test_quenching_leaves_frenkel_pairs_and_keeps_the_balance(crystal4, am04):
    start = interstitial_cluster(crystal4, 1)
    disordered = random_displacements(start, np.random.default_rng(3), n_atoms=6, distance=5.0)
    relaxed = ldml.relax(disordered, am04, 1e-3, rattle=0.0, check_minimum=False)
    defects = WignerSeitz(crystal4)(relaxed.atoms)
    assert defects.n_vacancies > 0
    assert defects.n_interstitials - defects.n_vacancies == 1


def test_same_seed_same_disorder_and_clusters_too(crystal4):
    first, again = (random_displacements(crystal4, np.random.default_rng(5), n_atoms=9, distance=4.0) for _ in "ab")
    assert first.positions.tobytes() == again.positions.tobytes()
    cluster = Atoms("X8", positions=1.1 * np.array(list(np.ndindex(2, 2, 2))))
    options = {"n_atoms": 2, "distance": 1.0, "minimum_separation": 0.8}
    for seed in range(5):
        after = random_displacements(cluster, np.random.default_rng(seed), radius=1.3, **options)
        assert len(moves(cluster, after)[0]) == 2


def test_what_cannot_be_is_said(crystal4):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="200 atoms cannot be moved: there are 128"):
        random_displacements(crystal4, rng, n_atoms=200, distance=3.0)
    with pytest.raises(InputError, match=r"within 1\.5 Å"):
        random_displacements(crystal4, rng, n_atoms=50, distance=3.0, radius=1.5)
    with pytest.raises(InputError, match="shortest"):
        random_displacements(crystal4, rng, n_atoms=1, distance=3.0, shortest=4.0)
    with pytest.raises(InputError, match="separation of 6"):
        random_displacements(crystal4, rng, n_atoms=1, distance=3.0, minimum_separation=6.0)
