"""The neighbour list against ASE's, for every kind of cell."""

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from ldml.errors import StructureError
from ldml.neighbours import cell_heights, coordination_numbers, neighbour_list


def _rows(i, j, vectors):
    # rounded so that sorting ties does not depend on the last bit; + 0.0 turns -0.0 into 0.0
    rows = np.column_stack([i, j, np.round(vectors, 6) + 0.0])
    return rows[np.lexsort(rows.T)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_same_pairs_as_ase(seed, pbc):
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * rng.uniform(2, 9)
    if abs(np.linalg.det(cell)) < 0.05 * np.prod(np.linalg.norm(cell, axis=1)):
        return
    n, cutoff = int(rng.integers(1, 30)), float(rng.uniform(1, 6))
    atoms = Atoms(f"H{n}", positions=rng.uniform(-1.5, 2.5, (n, 3)) @ cell, cell=cell, pbc=pbc)
    pairs = neighbour_list(atoms.positions, cell, pbc, cutoff)
    centres = np.repeat(np.arange(n), np.diff(pairs.offsets))
    i, j, vectors = neighbor_list("ijD", atoms, cutoff)
    np.testing.assert_allclose(_rows(centres, pairs.indices, pairs.vectors), _rows(i, j, vectors), atol=2e-6)
    np.testing.assert_allclose(
        pairs.vectors, atoms.positions[pairs.indices] + pairs.shifts - atoms.positions[centres], atol=1e-9
    )
    half = neighbour_list(atoms.positions, cell, pbc, cutoff, half=True)
    assert 2 * len(half.indices) == len(pairs.indices)


def test_an_atom_alone_has_no_neighbours_but_its_images():
    assert len(neighbour_list([[0, 0, 0]], np.zeros((3, 3)), False, 5.0).indices) == 0
    simple_cubic = neighbour_list([[0, 0, 0]], np.eye(3), True, 1.01)
    np.testing.assert_allclose(np.abs(simple_cubic.vectors).sum(axis=1), 1.0)
    assert len(simple_cubic.indices) == 6


def test_a_vast_box_costs_no_vast_grid():
    pairs = neighbour_list([[0, 0, 0], [1e7, 0, 1e7]], np.eye(3) * 1e8, True, 3.0)
    assert len(pairs.indices) == 0


def test_heights_of_a_sheared_cell():
    np.testing.assert_allclose(
        cell_heights(np.array([[2.0, 0, 0], [5.0, 3.0, 0], [0, 0, 4.0]])), [2 * 3 / np.hypot(5, 3), 3, 4]
    )


@pytest.mark.parametrize(
    ("cell", "word"),
    [(np.zeros((3, 3)), "no extent"), ([[1, 0, 0], [2, 0, 0], [0, 0, 1]], "singular"), (np.eye(3) * 1e-3, "thick")],
)
def test_a_cell_without_volume_is_refused(cell, word):
    with pytest.raises(StructureError, match=word):
        neighbour_list([[0, 0, 0]], np.array(cell, dtype=float), True, 1.0)


def test_coordination_numbers_are_the_lengths_of_the_lists(triclinic_iron):
    atoms = triclinic_iron
    counted = coordination_numbers(atoms.positions, atoms.cell.array, atoms.pbc, 4.3)
    listed = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, 4.3)
    assert counted.tolist() == np.diff(listed.offsets).tolist()
