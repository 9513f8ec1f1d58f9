"""What every registered descriptor of minima must do, alone or beside a geometric one."""

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

import ldml
from ldml.descriptors import DESCRIPTORS, descriptor_from_dict, get_descriptor
from ldml.errors import InputError, StructureError
from ldml.structures import interstitial_cluster

SMALLER = {"AFS+SoftModes": {"n_max": 3, "l_max": 2}}


@pytest.fixture(params=sorted(name for name, kind in DESCRIPTORS.items() if kind.needs_minimum), scope="module")
def descriptor(request):
    return get_descriptor(request.param, potential="Fe-AM04", **SMALLER.get(request.param, {}))


@pytest.fixture(scope="module")
def dumbbell(am04, crystal4):
    return ldml.relax(interstitial_cluster(crystal4, 1), am04).atoms


def assert_same(descriptor, got, expected):
    np.testing.assert_allclose(got, expected, rtol=0, atol=descriptor.invariance * abs(expected).max())


def test_shape_sum_and_finiteness(descriptor, dumbbell):
    rows, total = descriptor.compute(dumbbell), descriptor.total(dumbbell)
    assert rows.shape == (len(dumbbell), descriptor.n_features)
    assert np.isfinite(rows).all()
    assert abs(total[-descriptor.n_features :]).max() > 0
    np.testing.assert_allclose(total, rows.sum(axis=0), rtol=1e-10)
    assert len(set(descriptor.feature_names)) == descriptor.n_features


def test_rotation_reflection_translation_order_and_wrapping(descriptor, dumbbell):
    expected = descriptor.compute(dumbbell)
    turn = Rotation.from_euler("zyz", [0.4, 1.1, -2.0]).as_matrix() @ np.diag([1.0, -1.0, 1.0])
    turned = dumbbell.copy()
    turned.set_cell(dumbbell.cell.array @ turn.T)
    turned.positions = dumbbell.positions @ turn.T
    turned.translate((11.3, -7.9, 0.613))
    turned.positions += np.random.default_rng(2).integers(-2, 3, (len(turned), 3)) @ turned.cell.array
    order = np.random.default_rng(1).permutation(len(turned))
    assert_same(descriptor, descriptor.compute(turned[order]), expected[order])


def test_input_is_left_alone_and_calls_repeat(descriptor, dumbbell):
    before = dumbbell.copy()
    assert descriptor.total(dumbbell).tobytes() == descriptor.total(dumbbell).tobytes()
    assert dumbbell == before


def test_a_perfect_crystal_has_no_modes_of_its_own(descriptor, crystal4):
    assert (descriptor.total(crystal4)[-len(descriptor.levels) :] == 0).all()


def test_what_is_no_minimum_is_refused(descriptor, dumbbell):
    shaken = dumbbell.copy()
    shaken.rattle(0.05, seed=1)
    with pytest.raises(InputError, match="force"):
        descriptor.total(shaken)
    with pytest.raises(InputError, match="periodic supercell"):
        descriptor.total(Atoms("Fe2", positions=[[0.0, 0.0, 0.0], [2.5, 0.0, 0.0]]))
    broken = dumbbell.copy()
    broken.positions[4, 1] = np.nan
    with pytest.raises(StructureError, match=r"atom 4 .* not finite"):
        descriptor.total(broken)


def test_record_gives_the_same_descriptor(descriptor, dumbbell):
    twin = descriptor_from_dict(descriptor.to_dict())
    assert twin == descriptor
    assert twin.fingerprint == descriptor.fingerprint
    assert twin.total(dumbbell).tobytes() == descriptor.total(dumbbell).tobytes()
