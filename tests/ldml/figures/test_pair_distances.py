"""Fig. 5: distances by brute force over images, shares of known arrangements, and what the panels show."""

import itertools

import numpy as np
import pytest

from ldml.dataset import Dataset, Entry
from ldml.figures.defect_distances import defect_distances_of, draw_defect_distances, report
from ldml.point_defects import WignerSeitz
from ldml.structures import interstitial_cluster


def _without(bulk, *sites):
    return bulk[np.setdiff1d(np.arange(len(bulk)), sites)]


def _dataset(bulk, structures, **known):
    return Dataset.from_entries("d", [bulk], [Entry(a, "x", str(k), **known) for k, a in enumerate(structures)])


def _nearest_image(bulk, i, j):
    shifts = [np.array(n) @ bulk.cell.array for n in itertools.product((-1, 0, 1), repeat=3)]
    return min(np.linalg.norm(bulk.positions[j] - bulk.positions[i] + shift) for shift in shifts)


def test_distances_of_two_vacancies(crystal4):
    pairs = [(0, 1), (3, 77), (10, 120), (64, 65)]
    expected = [_nearest_image(crystal4, *pair) for pair in pairs]
    result = defect_distances_of(_dataset(crystal4, [_without(crystal4, *pair) for pair in pairs]))
    np.testing.assert_array_equal(result.distance_counts, np.histogram(expected, result.distance_edges)[0])
    assert result.n_pairs == 4


def test_distances_of_disorder_are_those_of_brute_force(disordered, crystal4):
    crystal = WignerSeitz(crystal4)
    expected = []
    for atoms in disordered:
        places = np.flatnonzero(crystal(atoms).occupancy != 1)
        expected += [_nearest_image(crystal4, i, j) for i, j in itertools.combinations(places, 2)]
    cutoff = 5.0
    result = defect_distances_of(disordered, interaction_distance=cutoff)
    assert result.n_pairs == len(expected)
    np.testing.assert_array_equal(result.distance_counts, np.histogram(expected, result.distance_edges)[0])
    assert result.share_below == pytest.approx(np.mean(np.array(expected) < cutoff), abs=1e-12)


def test_every_pair_of_sites_is_the_random_reference(crystal4):
    """Vacancies on every pair that holds site 0 are distributed as on random sites: all sites of a crystal are alike."""
    all_pairs = [_without(crystal4, 0, j) for j in range(1, len(crystal4))]
    result = defect_distances_of(_dataset(crystal4, all_pairs), interaction_distance=4.5)
    np.testing.assert_allclose(result.random_distance_counts, result.distance_counts, atol=1e-9)  # rounding of a mean
    assert result.random_share_below == pytest.approx(result.share_below, abs=1e-12)
    # shells of bcc: 8 + 6 + 12 neighbours up to sqrt(2) a0 = 4.04 Å, the next at 4.73 Å
    assert result.share_below == pytest.approx(26 / 127, abs=1e-12)


def test_cells_of_two_sizes_weigh_by_their_pairs(crystal4, crystal8):
    entries = [
        Entry(_without(crystal4, 0, 1), "V2", "small"),
        Entry(_without(crystal8, 0, 1, 2), "V3", "large", bulk=1),
    ]
    result = defect_distances_of(Dataset.from_entries("two", [crystal4, crystal8], entries), interaction_distance=4.5)
    assert result.n_pairs == 4
    assert result.random_share_below == pytest.approx((1 * 26 / 127 + 3 * 26 / 1023) / 4, abs=1e-12)
    assert result.random_distance_counts.sum() == pytest.approx(4.0, abs=1e-9)


def test_a_dumbbell_is_one_defect(crystal4):
    result = defect_distances_of(_dataset(crystal4, [interstitial_cluster(crystal4, 1)]))
    assert result.n_pairs == 0
    assert np.isnan(result.share_below)
    assert "0 pairs" in report(result)[0]
    draw_defect_distances(result)  # nothing to show is shown as nothing


def test_panels(disordered):
    result = defect_distances_of(disordered)
    upper, lower = draw_defect_distances(result).axes
    assert upper.get_xlabel() == "distance between point defects (Å)"
    assert lower.get_xlabel() == "formation entropy $S_f$ ($k_B$)"
    shares, random_shares = (patch.get_data() for patch in upper.patches)
    assert np.sum(shares.values * np.diff(shares.edges)) == pytest.approx(100.0, abs=1e-9)
    assert np.sum(random_shares.values * np.diff(shares.edges)) == pytest.approx(100.0, abs=1e-9)
    assert sum(patch.get_data().values.sum() for patch in lower.patches) == len(disordered)
    below = f"{100 * result.share_below:.0f} % below"
    assert any(below in text.get_text() for text in upper.texts)


def test_unknown_entropies_are_counted_apart(crystal4):
    result = defect_distances_of(_dataset(crystal4, [_without(crystal4, 0, 1)] * 2))
    assert report(result)[-1] == "  2 structures without S_f"
