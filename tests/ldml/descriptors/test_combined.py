"""Descriptors side by side: each part's own numbers, one set of parameters, totals shared with the parts."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from ase.build import bulk

from ldml.dataset import Dataset, Entry
from ldml.descriptors import AFS, BSO4, DESCRIPTORS, get_descriptor
from ldml.errors import InputError


@pytest.fixture(scope="module")
def atoms():
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(3)
    atoms.rattle(0.1, seed=7)
    return atoms


@pytest.fixture(scope="module")
def both():
    return get_descriptor("AFS+BSO4", n_max=3, l_max=2, j_max=1.5, cutoff=4.2)


def test_features_are_those_of_the_parts(both, atoms):
    parts = AFS(n_max=3, l_max=2, cutoff=4.2), BSO4(j_max=1.5, cutoff=4.2)
    assert both.parts == parts
    assert np.array_equal(both.compute(atoms), np.hstack([part.compute(atoms) for part in parts]))
    assert np.array_equal(both.total(atoms), np.concatenate([part.total(atoms) for part in parts]))
    assert both.feature_names == parts[0].feature_names + parts[1].feature_names
    assert [index["part"] for index in both.feature_indices] == ["AFS"] * parts[0].n_features + ["BSO4"] * parts[
        1
    ].n_features
    assert np.array_equal(both.trivial_features, np.concatenate([part.trivial_features for part in parts]))


def test_names_of_the_parts_decide(both):
    assert both.name == "AFS+BSO4"
    assert DESCRIPTORS["AFS + BSO4"] is type(both)
    with pytest.raises(InputError, match=r"unknown descriptor 'BSO5'; did you mean 'BSO4'"):
        get_descriptor("AFS+BSO5")
    with pytest.raises(InputError, match="named twice"):
        get_descriptor("AFS+AFS")
    with pytest.raises(InputError, match="no parameter 'sharpness'"):
        get_descriptor("AFS+BSO4", sharpness=1)


def test_a_dataset_computes_each_part_once(both, atoms, monkeypatch):
    crystal = bulk("Fe", a=2.8553, cubic=True).repeat(3)
    data = Dataset.from_entries("one", [crystal], [Entry(atoms=atoms, label="V1", name="a", formation_entropy=1.0)])
    expected = both.total(atoms) - both.total(crystal)
    assert not data.has_descriptor(both)
    np.testing.assert_allclose(
        data.descriptor_differences(both)[0], expected, rtol=1e-12, atol=1e-12 * abs(expected).max()
    )
    assert data.has_descriptor(both)
    assert data.has_descriptor(both.parts[1])
    np.testing.assert_array_equal(data.bulk_descriptor(both), both.total(crystal) / len(crystal))
    monkeypatch.setattr(type(both), "total", None)
    copy = Dataset.from_entries("one", [crystal], [Entry(atoms=atoms, label="V1", name="a", formation_entropy=1.0)])
    copy.with_features(both, np.ones((1, both.n_features)), np.zeros((1, both.n_features)))
    assert (copy.descriptor_differences(both) == 1.0).all()
    assert copy.has_descriptor(both.parts[0])


def test_it_travels_to_other_processes(both, atoms):
    there = ForkingPickler.loads(ForkingPickler.dumps(both))
    assert there == both
    assert there.total(atoms) == pytest.approx(both.total(atoms), abs=0)
