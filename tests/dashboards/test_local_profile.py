"""The profile shows the numbers it was given, and which atom was meant."""

import numpy as np
import pytest

from dashboards.figures.local_profile import MOST_POINTS, LocalProfile, running_sum

DISTANCES = np.array([3.0, 0.0, np.inf, 1.5])
EXACT = np.array([0.1, 0.7, 9.0, -0.3])
LEARNED = np.array([0.2, 0.9, 9.0, -0.4])


@pytest.fixture
def profile():
    profile = LocalProfile()
    profile.show(DISTANCES, EXACT, LEARNED)
    return profile


def test_every_atom_at_a_finite_distance_is_a_point(profile):
    points = profile.points.data
    assert list(points["atom"]) == [0, 1, 3]
    assert list(points["distance"]) == [3.0, 0.0, 1.5]
    assert list(points["exact"]) == [0.1, 0.7, -0.3]
    assert list(points["learned"]) == [0.2, 0.9, -0.4]


def test_the_sums_run_outwards_and_end_at_the_total(profile):
    sums = profile.sums.data
    assert list(sums["distance"]) == [0.0, 1.5, 3.0]
    assert sums["exact"] == pytest.approx([0.7, 0.4, 0.5])
    assert sums["learned"] == pytest.approx([0.9, 0.5, 0.7])


def test_the_running_sum_is_the_sum_of_all_that_is_as_near(rng):
    distances, values = rng.random(50), rng.normal(size=50)
    expected = [values[distances <= r].sum() for r in np.sort(distances)]
    assert running_sum(distances, values) == pytest.approx(expected)


def test_what_is_not_known_is_not_drawn(profile):
    profile.show(DISTANCES, None, LEARNED)
    assert np.isnan(profile.points.data["exact"]).all()
    assert np.isnan(profile.sums.data["exact"]).all()
    profile.select(1)
    assert profile.ring.data == {"distance": [0.0], "value": [0.9]}


def test_both_points_of_the_selected_atom_have_a_ring(profile):
    profile.select(3)
    assert profile.ring.data == {"distance": [1.5, 1.5], "value": [-0.3, -0.4]}
    profile.select(-1)
    assert profile.ring.data["value"] == []


def test_a_tap_names_the_atom_not_the_row(profile):
    tapped = []
    profile.on_tap(tapped.append)
    profile.points.selected.indices = [2]
    profile.points.selected.indices = []
    assert tapped == [3, -1]


def test_a_perfect_crystal_has_no_profile(profile):
    profile.show(np.full(4, np.inf), EXACT, LEARNED)
    assert len(profile.points.data["atom"]) == 0
    assert len(profile.sums.data["distance"]) == 0


def test_of_very_many_atoms_the_nearest_are_drawn(profile, rng):
    distances = rng.permutation(np.linspace(1.0, 9.0, MOST_POINTS + 5))
    profile.show(distances, np.ones(len(distances)))
    drawn = profile.points.data["atom"]
    assert len(drawn) == MOST_POINTS
    assert distances[drawn].max() < np.delete(distances, drawn).min()
    assert profile.sums.data["exact"][-1] == MOST_POINTS
