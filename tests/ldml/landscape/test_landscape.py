"""Telling minima apart, and seeds worth quenching."""

import numpy as np
import pytest

from ldml.landscape import DistinctMinima, insertion_seed
from ldml.neighbours import neighbour_list


def test_energy_or_inertia_makes_a_minimum_distinct():
    minima = DistinctMinima()
    assert minima.add(3.0, 10.0)
    assert not minima.add(3.005, 10.1)  # both alike
    assert minima.add(3.005, 12.0)  # inertia differs
    assert minima.add(3.5, 10.0)  # energy differs
    assert not minima.is_new(3.505, 10.0)
    assert len(minima) == 3
    # under "and", the second and third share an energy or an inertia with the first
    assert minima.n_strict == 1
    assert minima.add(4.5, 50.0)
    assert minima.n_strict == 2


@pytest.mark.parametrize(("label", "change"), [("V4", -4), ("I3", 3), ("I1", 1), ("V1", -1)])
def test_seeds_have_the_right_count_and_are_reproducible(crystal4, label, change):
    first, again, other = (insertion_seed(crystal4, label, np.random.default_rng(s)) for s in (1, 1, 2))
    assert len(first) == len(crystal4) + change
    assert np.array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)
    close = neighbour_list(first.positions, first.cell.array, True, 0.5, half=True)
    assert len(close.indices) == 0


def test_spread_separates_the_defects(crystal8):
    def mean_distance(spread):
        distances = []
        for seed in range(20):
            atoms = insertion_seed(crystal8, "V2", np.random.default_rng(seed), spread=spread)
            sites = neighbour_list(
                np.vstack([crystal8.positions, atoms.positions]), crystal8.cell.array, True, 0.3, half=True
            )
            kept = np.repeat(np.arange(len(sites.offsets) - 1), np.diff(sites.offsets))
            empty = np.setdiff1d(np.arange(1024), kept)
            distances.append(crystal8.get_distance(*empty, mic=True))
        return np.mean(distances)

    assert mean_distance(3.0) > 1.5 * mean_distance(1.0)
