"""AFS with several cutoffs: the numbers of each, names that tell them apart, totals shared with plain AFS."""

import numpy as np
import pytest
from ase.build import bulk

from ldml.dataset import Dataset, Entry
from ldml.descriptors import AFS, MultiscaleAFS, descriptor_from_dict, get_descriptor
from ldml.errors import InputError
from ldml.regression.ldml import check_cutoff

SMALL = {"n_max": 3, "l_max": 2}


@pytest.fixture(scope="module")
def atoms():
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(3)
    atoms.rattle(0.1, seed=7)
    return atoms


def test_features_are_those_of_each_cutoff(atoms):
    both = MultiscaleAFS(cutoffs=(4.2, 3.1), pairs="distinct", **SMALL)
    parts = [AFS(cutoff=cutoff, pairs="distinct", **SMALL) for cutoff in (4.2, 3.1)]
    assert np.array_equal(both.compute(atoms), np.hstack([part.compute(atoms) for part in parts]))
    assert np.array_equal(both.total(atoms), np.concatenate([part.total(atoms) for part in parts]))
    assert both.feature_names[0] == "A[r_cut=4.2,n=1,l=0]"
    assert both.feature_names[9] == "A[r_cut=3.1,n=1,l=0]"
    assert descriptor_from_dict(both.to_dict()) == both


def test_a_dataset_shares_the_totals_with_plain_afs(atoms):
    crystal = bulk("Fe", a=2.8553, cubic=True).repeat(3)
    data = Dataset.from_entries("one", [crystal], [Entry(atoms=atoms, label="V1", name="a", formation_entropy=1.0)])
    both = get_descriptor("MultiscaleAFS+BSO4", cutoffs=(4.2, 3.1), cutoff=3.0, j_max=1.0, **SMALL)
    rows = np.arange(both.n_features, dtype=float)[None]
    data.with_features(both, rows, np.zeros_like(rows))
    for part in (AFS(cutoff=4.2, **SMALL), AFS(cutoff=3.1, **SMALL), get_descriptor("BSO4", cutoff=3.0, j_max=1.0)):
        assert data.has_descriptor(part)
    assert np.array_equal(data.descriptor_differences(AFS(cutoff=3.1, **SMALL)), rows[:, 9:18])
    assert np.array_equal(data.descriptor_differences(both), rows)


def test_the_longest_cutoff_must_fit_the_cell(atoms):
    half = atoms.cell[0, 0] / 2
    fits, too_long = (
        get_descriptor("MultiscaleAFS+BSO4", cutoffs=(3.1, half + extra), cutoff=3.0, **SMALL) for extra in (0.0, 0.01)
    )
    check_cutoff(fits, [atoms])
    with pytest.raises(InputError, match="more than half the smallest cell height"):
        check_cutoff(too_long, [atoms])


def test_what_is_refused():
    with pytest.raises(InputError, match="repeats a number"):
        MultiscaleAFS(cutoffs=(3.0, 3.0))
    with pytest.raises(InputError, match="cutoffs"):
        MultiscaleAFS(cutoffs=())
    with pytest.raises(InputError, match="no parameter 'cutoff'"):
        MultiscaleAFS(cutoff=5.0)
