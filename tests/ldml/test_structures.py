"""Crystals, seeds, and what is refused as a structure."""

import numpy as np
import pytest
from ase.build import bulk as ase_bulk

from ldml.errors import InputError, StructureError
from ldml.structures import (
    check_structure,
    interstitial_cluster,
    matching_crystal,
    parse_defect,
    strained,
    supercell,
    unit_cell_of,
    vacancy_cluster,
)


@pytest.mark.parametrize(("lattice", "atoms_a_cell"), [("bcc", 2), ("fcc", 4), ("diamond", 8), ("sc", 1)])
def test_supercells(lattice, atoms_a_cell):
    crystal = supercell("Fe", 3.0, 3, lattice=lattice)
    assert len(crystal) == 27 * atoms_a_cell
    assert crystal.get_volume() == pytest.approx(27 * 27.0)
    assert not crystal.has("initial_magmoms")


def test_clusters_change_the_count_and_keep_the_cell():
    crystal = supercell("Fe", 2.86, 4)
    for n in (1, 2, 3, 4):
        assert len(vacancy_cluster(crystal, n)) == 128 - n
        for axis in ("110", "111", "100"):
            seed = interstitial_cluster(crystal, n, axis=axis)
            assert len(seed) == 128 + n
            assert np.array_equal(seed.cell.array, crystal.cell.array)
    dumbbell = interstitial_cluster(crystal, 1, axis="111", spacing=1.7)
    arm = dumbbell.positions[-1] - dumbbell.positions[-2]
    assert np.linalg.norm(arm) == pytest.approx(1.7)
    assert abs(arm @ [1, 1, 1]) / (1.7 * np.sqrt(3)) == pytest.approx(1.0)


def test_a_divacancy_takes_nearest_neighbours():
    crystal = supercell("Fe", 2.86, 4)
    removed = set(range(128)) - {
        int(np.argmin(np.linalg.norm(crystal.positions - p, axis=1))) for p in vacancy_cluster(crystal, 2).positions
    }
    i, j = removed
    assert crystal.get_distance(i, j, mic=True) == pytest.approx(2.86 * np.sqrt(3) / 2)


def test_strain_scales_cell_and_positions():
    crystal = supercell("Fe", 2.86, 2)
    wider = strained(crystal, 0.02)
    np.testing.assert_allclose(wider.positions, 1.02 * crystal.positions)
    np.testing.assert_allclose(wider.cell.array, 1.02 * crystal.cell.array)


def test_matching_crystal_fills_the_cell_also_under_strain():
    for repeats, strain in (((4, 4, 4), 0.0), ((3, 4, 5), 0.02)):
        crystal = strained(supercell("Fe", 2.86, 1).repeat(repeats), strain)
        found = matching_crystal(vacancy_cluster(crystal, 2), 2.86)
        np.testing.assert_allclose(found.positions, crystal.positions, atol=1e-9)
    assert matching_crystal(strained(supercell("Fe", 2.86, 2), 0.15), 2.86) is None
    assert matching_crystal(ase_bulk("Fe", "bcc", a=2.86), 2.86) is None  # primitive cell, not orthogonal


@pytest.mark.parametrize("label", ["I0", "X2", "", "4V", "I"])
def test_odd_labels_are_refused(label):
    with pytest.raises(InputError, match="defect class"):
        parse_defect(label)


def test_labels():
    assert parse_defect("I12") == ("I", 12)
    assert parse_defect("V4") == ("V", 4)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda c: supercell("Fe", 2.86, 0), "whole number"),
        (lambda c: vacancy_cluster(c, 0), "does not fit"),
        (lambda c: vacancy_cluster(c, 16), "does not fit"),
        (lambda c: interstitial_cluster(c, 1, axis="123"), "axis"),
        (lambda c: strained(c, -0.9), "collapse"),
    ],
)
def test_impossible_requests(call, word):
    with pytest.raises(InputError, match=word):
        call(supercell("Fe", 2.86, 2))


def test_overlap_across_the_boundary_is_seen_and_named():
    crystal = supercell("Fe", 2.86, 2)
    crystal.positions[3] = crystal.positions[0] - [0.01, 0, 0] + crystal.cell[0]
    with pytest.raises(StructureError, match=r"atoms 0 and 3 are 0\.01 Å apart"):
        check_structure(crystal, name="odd one")


def test_an_atom_on_top_of_its_own_image_is_seen():
    thin = supercell("Fe", 2.86, 1)
    thin.set_cell([2.86, 2.86, 0.3])
    with pytest.raises(StructureError, match="thick"):
        check_structure(thin)


@pytest.mark.parametrize("lattice", ["bcc", "fcc", "diamond", "sc"])
def test_the_unit_cell_of_a_crystal_in_any_order_and_place(lattice, rng):
    crystal = strained(supercell("Fe", 3.0, 1, lattice=lattice).repeat((2, 3, 4)), 0.01)
    shuffled = crystal[rng.permutation(len(crystal))]
    shuffled.positions += [0.3, -0.2, 5.0]
    unit, repeats = unit_cell_of(shuffled, 3.0, lattice=lattice)
    assert repeats.tolist() == [2, 3, 4]
    np.testing.assert_allclose(unit.cell.array, 3.03 * np.eye(3))
    moved = shuffled.copy()
    moved.positions[5, 0] += 0.01
    assert unit_cell_of(moved, 3.0, lattice=lattice) is None
    assert unit_cell_of(shuffled[:-1], 3.0, lattice=lattice) is None
    assert unit_cell_of(shuffled, 2.5, lattice=lattice) is None
