"""Names, parameters, records and refusals."""

import copy
import json
import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldml.descriptors import AFS, check_cutoff_fits, descriptor_from_dict, get_descriptor
from ldml.descriptors.base import species_of
from ldml.errors import InputError, StructureError


def test_get_descriptor_takes_the_parameters():
    descriptor = get_descriptor("AFS", n_max=4, l_max=2, cutoff=4.5)
    assert isinstance(descriptor, AFS)
    assert descriptor.to_dict()["parameters"] == {"n_max": 4, "l_max": 2, "cutoff": 4.5}
    assert (descriptor.n_max, descriptor.l_max, descriptor.cutoff) == (4, 2, 4.5)
    assert repr(descriptor).startswith("AFS(n_max=4, l_max=2, cutoff=4.5")


def test_defaults_are_the_papers():
    descriptor = get_descriptor("AFS")
    assert (descriptor.n_max, descriptor.l_max, descriptor.cutoff) == (20, 10, 5.0)
    assert descriptor.species == ()


def test_parameters_that_joined_later_are_recorded_only_when_they_differ():
    """So that what was written before they came keeps its fingerprint."""
    plain, named = get_descriptor("AFS"), get_descriptor("AFS", species=["Fe"])
    assert set(plain.to_dict()["parameters"]) == {"n_max", "l_max", "cutoff"}
    assert named.to_dict()["parameters"]["species"] == ["Fe"]
    assert named.fingerprint != plain.fingerprint
    assert descriptor_from_dict(json.loads(json.dumps(named.to_dict()))) == named


def test_symbols_of_the_species_are_checked():
    with pytest.raises(InputError, match="species holds 'Xy', which is no chemical symbol"):
        get_descriptor("AFS", species=["Fe", "Xy"])


def test_species_of_the_atoms():
    atoms = Atoms("FeCuFe", positions=[(0, 0, 0), (0, 0, 2), (0, 0, 4)])
    np.testing.assert_array_equal(species_of(atoms, ("Cu", "Fe")), [1, 0, 1])
    np.testing.assert_array_equal(species_of(atoms, ()), [0, 0, 0])
    with pytest.raises(StructureError, match="atom 1 is Cu, but the descriptor was made for species = Fe,Ni; add"):
        species_of(atoms, ("Fe", "Ni"))


@pytest.mark.parametrize("name", ["afs", "AFSS", "ASF"])
def test_misspelt_name_is_answered_with_the_nearest(name):
    with pytest.raises(InputError, match="did you mean 'AFS'"):
        get_descriptor(name)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_max": 0}, "n_max = 0 is out of range; use a value from 1 up to 30"),
        ({"n_max": 31}, "n_max = 31 is out of range"),
        ({"n_max": 3.5}, "n_max = 3.5 is not a whole number"),
        ({"n_max": True}, "n_max = True is not a whole number"),
        ({"l_max": -1}, "l_max = -1 is out of range; use a value from 0 up to 20"),
        ({"l_max": 21}, "l_max = 21 is out of range"),
        ({"l_max": "10"}, "l_max = '10' is not a whole number"),
        ({"l_max": None}, "l_max = None is not a whole number"),
        ({"cutoff": 0.0}, "cutoff = 0.0 is out of range; use a value above 0 up to 12 Å"),
        ({"cutoff": -5.0}, "cutoff = -5.0 is out of range"),
        ({"cutoff": 12.1}, "cutoff = 12.1 is out of range"),
        ({"cutoff": float("nan")}, "cutoff = nan is not finite"),
        ({"cutoff": float("inf")}, "cutoff = inf is not finite"),
        ({"cutoff": "5"}, "cutoff = '5' is not a number"),
        ({"r_cut": 5.0}, "AFS has no parameter 'r_cut'; it has n_max, l_max, cutoff"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(InputError) as refusal:
        get_descriptor("AFS", **parameters)
    assert str(refusal.value).startswith(message)


def test_numpy_numbers_become_plain_ones():
    descriptor = get_descriptor("AFS", n_max=np.int64(4), cutoff=np.float32(4.5))
    assert [type(descriptor.parameters[name]) for name in ("n_max", "l_max", "cutoff")] == [int, int, float]
    assert descriptor == get_descriptor("AFS", n_max=4, cutoff=4.5)


def test_a_descriptor_cannot_be_changed():
    descriptor = get_descriptor("AFS")
    with pytest.raises(AttributeError):
        descriptor.cutoff = 3.0
    descriptor.parameters["cutoff"] = 3.0
    assert descriptor.cutoff == 5.0


def test_fingerprint_is_stable():
    """Stored files name it: SHA-256 of the sorted JSON record."""
    expected = "88414dcacddd169d150f878f1c9e41decdfbce5326709dabb6f07074bd89ae00"
    assert get_descriptor("AFS").fingerprint == expected
    assert get_descriptor("AFS", cutoff=5).fingerprint == expected
    assert get_descriptor("AFS", cutoff=5.1).fingerprint != expected


def test_equality_and_copies():
    descriptor = get_descriptor("AFS", n_max=3)
    for twin in (copy.deepcopy(descriptor), pickle.loads(pickle.dumps(descriptor)), AFS(n_max=3)):
        assert twin == descriptor
        assert hash(twin) == hash(descriptor)
    assert descriptor != AFS(n_max=4)
    assert descriptor != "AFS"


def test_record_survives_json():
    descriptor = get_descriptor("AFS", n_max=3, l_max=1, cutoff=4.25)
    assert descriptor_from_dict(json.loads(json.dumps(descriptor.to_dict()))) == descriptor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 99 of AFS, this release has version 1"),
        ({"name": "AFT"}, "unknown descriptor 'AFT'"),
        ({"parameters": {"n_max": 3, "colour": 1}}, "no parameter 'colour'"),
        ({"parameters": {"n_max": 99}}, "n_max = 99 is out of range"),
    ],
)
def test_bad_records_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        descriptor_from_dict({**AFS().to_dict(), **change})


def test_incomplete_record_is_refused():
    with pytest.raises(InputError, match="lacks 'parameters'"):
        descriptor_from_dict({"name": "AFS", "version": 1})


def crystal(repeats=3):
    return bulk("Fe", a=2.8553, cubic=True).repeat(repeats)


def test_cutoff_that_fits():
    check_cutoff_fits(4.28, crystal())
    check_cutoff_fits(3 * 2.8553 / 2, crystal())
    check_cutoff_fits(50.0, Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 2.0)]))


def test_cutoff_that_does_not_fit_names_what_would():
    with pytest.raises(InputError) as refusal:
        check_cutoff_fits(5.0, crystal(), "vac_017")
    message = str(refusal.value)
    for part in ("cutoff 5 Å", "'vac_017'", "8.5659 Å", "at most 4.2829 Å"):
        assert part in message
    check_cutoff_fits(4.2829, crystal())


def test_only_periodic_directions_limit_the_cutoff():
    slab = crystal()
    slab.pbc = (True, True, False)
    slab.cell[2] = 0.0
    check_cutoff_fits(4.28, slab)
    with pytest.raises(InputError):
        check_cutoff_fits(4.3, slab)


def test_height_is_perpendicular():
    """A cell sheared to 30 degrees is half as high as its vector is long."""
    cell = np.diag([20.0, 20.0, 20.0])
    cell[1] = 20.0 * np.cos(np.pi / 6), 20.0 * np.sin(np.pi / 6), 0.0
    atoms = Atoms("Fe", cell=cell, pbc=True)
    check_cutoff_fits(4.99, atoms)
    with pytest.raises(InputError, match=r"at most 5\.0000 Å"):
        check_cutoff_fits(5.01, atoms)


def test_cutoff_check_refuses_a_singular_cell():
    with pytest.raises(StructureError):
        check_cutoff_fits(3.0, Atoms("Fe", cell=[5.0, 5.0, 0.0], pbc=True))
