"""The Hessian of a Finnis-Sinclair potential in its three forms: stored, applied, in stacks of rows."""

import numpy as np
import pytest
import scipy.sparse

from ldml.potentials import eam, perfect_crystal
from ldml.structures import rattled


@pytest.fixture
def structures(am04, triclinic_iron, rng):
    return [rattled(perfect_crystal(am04, 3), 0.1, rng), triclinic_iron]


def test_operator_multiplies_like_the_matrix(am04, structures, rng):
    for atoms in structures:
        hessian, operator = am04.hessian(atoms), am04.hessian_operator(atoms)
        vectors = rng.normal(size=(3 * len(atoms), 4))
        tolerance = 1e-13 * np.abs(hessian).max() * len(atoms)
        np.testing.assert_allclose(operator @ vectors, hessian @ vectors, atol=tolerance)
        np.testing.assert_allclose(operator @ vectors[:, 1], hessian @ vectors[:, 1], atol=tolerance)
        np.testing.assert_allclose(operator.T @ vectors[:, 0], hessian @ vectors[:, 0], atol=tolerance)


def test_stacks_and_chunks_change_nothing(am04, structures, monkeypatch):
    """However the rows are stacked, batched among threads and the pairs tabulated: the same bits."""
    for atoms in structures:
        hessian, (energy, forces) = am04.hessian(atoms), am04.energy_and_forces(atoms)
        with monkeypatch.context() as small:
            small.setattr(eam, "STACK", 5)
            small.setattr(eam, "BATCH", 2)
            small.setattr(eam, "CHUNK", 100)
            stacks = list(am04.hessian_row_blocks(atoms))
            assert [first for first, _ in stacks] == list(range(0, len(atoms), 5))
            assert abs(scipy.sparse.vstack([rows for _, rows in stacks]) - hessian).max() == 0.0
            in_chunks = am04.energy_and_forces(atoms)
        assert in_chunks[0] == pytest.approx(energy, rel=1e-14)  # the order of the sum
        np.testing.assert_array_equal(in_chunks[1], forces)
