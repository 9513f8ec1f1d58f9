"""Telling minima apart, copies by symmetry, and seeds worth quenching."""

import numpy as np
import pytest

import ldml
from ldml.errors import InputError
from ldml.landscape import DistinctMinima, Landscape, insertion_seed, is_copy
from ldml.landscape.duplicates import CUBIC_OPERATIONS
from ldml.neighbours import neighbour_list
from ldml.point_defects import WignerSeitz
from ldml.structures import interstitial_cluster, rattled, strained, supercell, vacancy_cluster


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


def plain_judgement(energies, inertias):
    """Each minimum against all before it, as the definition reads."""
    held, strict = [], []
    for energy, inertia in zip(energies, inertias, strict=True):
        same_energy = [abs(e - energy) <= 0.01 for e, _ in held]
        same_inertia = [abs(i - inertia) <= 0.02 * max(1.0, abs(inertia)) for _, i in held]
        both = [a and b for a, b in zip(same_energy, same_inertia, strict=True)]
        yield both.index(True) if any(both) else None
        if not any(both):
            if not any(same_energy[k] or same_inertia[k] for k in strict):
                strict.append(len(held))
            held.append((energy, inertia))
    yield len(strict)


def test_looking_only_at_neighbours_changes_nothing(rng):
    # steps of the tolerances themselves, so that many pairs differ by exactly them
    energies = 0.005 * rng.integers(0, 60, 1500)
    inertias = 0.01 * rng.integers(0, 150, 1500) * rng.choice([1.0, 20.0], 1500)
    minima = DistinctMinima()
    *expected, n_strict = plain_judgement(energies, inertias)
    for energy, inertia, known in zip(energies, inertias, expected, strict=True):
        assert minima.match(energy, inertia) == known
        assert minima.add(energy, inertia) == (known is None)
    assert minima.n_strict == n_strict
    assert len(minima) == expected.count(None) > 300


@pytest.fixture(scope="module")
def interstitials(crystal4, am04):
    """Two parallel dumbbells, relaxed: a minimum of low symmetry."""
    return ldml.relax(interstitial_cluster(crystal4, 2), am04, 1e-4, check_minimum=False).atoms


def mapped(atoms, operation, shift):
    """Rotated or reflected, translated, renumbered and wrapped: the same minimum all the same."""
    copy = atoms[np.random.default_rng(0).permutation(len(atoms))]
    copy.positions = copy.positions @ operation.T + shift
    copy.wrap()
    return copy


def test_energy_and_inertia_are_the_same_for_all_copies(interstitials, crystal4, am04):
    landscape = Landscape(crystal4, "I2", am04)
    minima = DistinctMinima(energy_tolerance=1e-8, inertia_tolerance=1e-8)
    assert minima.add(am04.energy(interstitials), landscape.inertia(interstitials))
    for k, operation in enumerate(CUBIC_OPERATIONS):
        copy = mapped(interstitials, operation, crystal4.positions[k] + 0.3)
        assert not minima.is_new(am04.energy(copy), landscape.inertia(copy))


def test_the_operations_are_the_group_of_the_cube():
    assert len({tuple(np.rint(operation).astype(int).ravel()) for operation in CUBIC_OPERATIONS}) == 48
    for operation in CUBIC_OPERATIONS:
        np.testing.assert_array_equal(operation @ operation.T, np.eye(3))


@pytest.mark.parametrize("number", [0, 7, 21, 46])
def test_a_copy_is_known_whatever_maps_it(interstitials, crystal4, number):
    crystal = WignerSeitz(crystal4)
    copy = mapped(interstitials, CUBIC_OPERATIONS[number], [0.4, -3.0, 7.7])
    assert is_copy(interstitials, copy, crystal)
    assert is_copy(copy, interstitials, crystal)
    shaken = rattled(copy, 0.05, np.random.default_rng(number))
    assert is_copy(interstitials, shaken, crystal)


def test_what_only_looks_alike_is_no_copy(crystal8, am04):
    """Vacancies at the same pair distances, but the third on the other side: four sites that no operation maps."""
    sites = crystal8.positions
    a = sites[:, 0].max() - np.sort(np.unique(sites[:, 0].round(6)))[-3]

    def holes(*steps):
        wanted = np.array(steps) * a + sites[0]
        chosen = [int(np.argmin(np.linalg.norm(sites - point, axis=1))) for point in wanted]
        keep = crystal8.copy()
        del keep[chosen]
        return keep

    crystal = WignerSeitz(crystal8)
    one = holes([0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 2, 0])
    other = holes([0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 2, 0])
    turned = holes([0, 0, 0], [0, 1, 0], [0, 2, 0], [2, 0, 0])
    assert not is_copy(one, other, crystal)
    assert is_copy(one, turned, crystal)
    assert not is_copy(one, crystal8[5:], crystal)
    dumbbells = [interstitial_cluster(crystal8, 1, axis=axis) for axis in ("110", "100")]
    assert not is_copy(*dumbbells, crystal)


def test_the_same_defect_sites_are_not_enough(crystal4):
    """An atom far off its site, but not so far that the site counts as a defect."""
    crystal = WignerSeitz(crystal4)
    one = vacancy_cluster(crystal4, 2)
    other = one.copy()
    other.positions[70] += [0.8, 0.0, 0.0]
    assert crystal(other).n_vacancies == 2
    assert not is_copy(one, other, crystal)


def test_copies_in_a_cell_with_fewer_operations(crystal4):
    """A cell longer along z has the sixteen operations that keep z."""
    crystal = crystal4.repeat((1, 1, 2))
    analyse = WignerSeitz(crystal)
    hole = interstitial_cluster(crystal, 1, axis="110")
    keeps_z, mixes_z = np.diag([1.0, -1.0, -1.0]), np.eye(3)[[1, 2, 0]]
    assert is_copy(hole, mapped(hole, keeps_z, [0.2, 0, 0]), analyse)
    other = interstitial_cluster(crystal, 1, axis="100")
    tilted = other.copy()
    moved = np.flatnonzero(analyse(other).occupancy[analyse(other).site_of_atom] > 1)
    centre = other.positions[moved].mean(axis=0)
    tilted.positions[moved] = centre + (other.positions[moved] - centre) @ mixes_z.T
    assert not is_copy(other, tilted, analyse)


def test_no_defects_nothing_to_compare(crystal4):
    with pytest.raises(InputError, match="without defects"):
        is_copy(crystal4, crystal4, WignerSeitz(crystal4))


def test_copies_in_other_crystals_and_under_strain():
    crystal = strained(supercell("Si", 5.43, 2, lattice="diamond"), 0.01)
    analyse = WignerSeitz(crystal)
    pair = vacancy_cluster(crystal, 2)
    assert is_copy(pair, mapped(pair, CUBIC_OPERATIONS[30], [1.0, 2.0, 3.0]), analyse)


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
