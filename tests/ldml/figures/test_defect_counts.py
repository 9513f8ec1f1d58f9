"""Fig. 4: the counts by brute force, what they must obey, and what the map shows."""

import numpy as np
import pytest
from ase.geometry import find_mic

from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.figures.defect_counts import defect_counts, draw_defect_counts, report
from ldml.structures import interstitial_cluster, vacancy_cluster


def _counts_by_brute_force(atoms, bulk):
    """Every atom against every site, over all shifts that bring the crystal nearest to the atoms."""
    arms = (atoms.positions[:, None] - bulk.positions[None]).reshape(-1, 3)
    vectors = find_mic(arms, bulk.cell, pbc=True)[0].reshape(len(atoms), len(bulk), 3)
    drift = np.zeros(3)
    for _ in range(6):
        moved = vectors - drift
        nearest = np.linalg.norm(moved, axis=2).argmin(axis=1)
        drift = drift + np.median(moved[np.arange(len(atoms)), nearest], axis=0)
    occupancy = np.bincount(nearest, minlength=len(bulk))
    return int((occupancy == 0).sum()), int(np.maximum(occupancy - 1, 0).sum())


def test_counts_are_those_of_brute_force(disordered, crystal4):
    counts = defect_counts(disordered)
    expected = [_counts_by_brute_force(atoms, crystal4) for atoms in disordered]
    assert list(zip(counts.vacancies, counts.interstitials, strict=True)) == expected
    assert counts.vacancies.max() > 2, "the structures are disordered"


def test_interstitials_less_vacancies_are_atoms_less_sites(disordered, crystal4):
    counts = defect_counts(disordered)
    np.testing.assert_array_equal(counts.interstitials - counts.vacancies, disordered.n_atoms - len(crystal4))
    assert counts.differences == {0: 2, -1: 2, -2: 2}


def test_unrelaxed_seeds_have_the_defects_put_in(crystal4):
    seeds = [vacancy_cluster(crystal4, 3), interstitial_cluster(crystal4, 2), crystal4]
    data = Dataset.from_entries("seeds", [crystal4], [Entry(a, "x", str(k)) for k, a in enumerate(seeds)])
    counts = defect_counts(data)
    assert counts.vacancies.tolist() == [3, 0, 0]
    assert counts.interstitials.tolist() == [0, 2, 0]
    assert counts.occurrences.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_the_map_shows_each_structure_once(disordered):
    counts = defect_counts(disordered)
    axes = draw_defect_counts(counts).axes[0]
    (mesh,) = axes.collections
    shown = mesh.get_array()
    assert shown.sum() == len(disordered)
    assert shown.shape == counts.occurrences.T.shape
    assert shown.mask.sum() == (counts.occurrences == 0).sum()
    v, i = counts.vacancies[0], counts.interstitials[0]
    assert shown[i, v] == counts.occurrences[v, i] >= 1
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("vacancies in a cell", "self-interstitials in a cell")


def test_report(disordered):
    text = "\n".join(report(defect_counts(disordered)))
    assert "6 structures" in text
    assert "2 with -2, 2 with -1, 2 with +0" in text


def test_counts_cannot_be_changed(disordered):
    with pytest.raises(ValueError, match="read-only"):
        defect_counts(disordered).vacancies[0] = 0


def test_clusters_are_refused(crystal4):
    cluster = crystal4.copy()
    cluster.pbc = False
    with pytest.raises(InputError, match="periodic"):
        defect_counts(Dataset.from_entries("c", [cluster], [Entry(cluster, "x", "x")]))
