"""Features of soft and stiff modes: their formula on the modes themselves, in crystals at rest and strained."""

import numpy as np
import pytest
from ase.geometry import find_mic

import ldml
from ldml.descriptors import SoftModes
from ldml.entropy.lattice_green import LatticeGreen
from ldml.entropy.relative_modes import relative_modes
from ldml.errors import InputError
from ldml.structures import interstitial_cluster, strained

LEVELS = (0.3, 0.6, 1.5)


def by_hand(values):
    soft = [0.5 * sum(np.log(s / mu) for mu in values if mu < s) for s in LEVELS[:2]]
    return [*soft, 0.5 * sum(np.log(mu / LEVELS[2]) for mu in values if mu > LEVELS[2])]


@pytest.mark.parametrize("strain", [0.0, 0.01])
def test_features_are_the_logarithms_beyond_each_level(strain, am04, crystal4, unit):
    defect = ldml.relax(strained(interstitial_cluster(crystal4, 1), strain), am04).atoms
    modes = relative_modes(defect, LatticeGreen(strained(unit, strain), 4, am04), below=0.6, above=1.5)
    expected = by_hand(modes.values)
    assert all(value > 0.1 for value in expected[1:])
    descriptor = SoftModes(potential="Fe-AM04", levels=LEVELS)
    np.testing.assert_allclose(descriptor.total(defect), expected, rtol=1e-9)
    np.testing.assert_allclose(descriptor.compute(defect).sum(axis=0), expected, rtol=1e-9)


def test_shares_lie_on_the_defect(am04, crystal8, dumbbell8):
    """The atoms within 5 Å of a dumbbell, one in ten of the cell, hold most of its soft modes."""
    atoms = dumbbell8.atoms
    centre = atoms.positions[[0, 1024]].mean(axis=0)
    near = np.linalg.norm(displacements_from(atoms, centre), axis=1) < 5.0
    shares = SoftModes(potential="Fe-AM04", levels=(0.5,)).compute(atoms)[:, 0]
    assert near.mean() < 0.1
    assert shares[near].sum() > 0.6 * shares.sum()


def displacements_from(atoms, centre):
    return find_mic(atoms.positions - centre, atoms.cell, atoms.pbc)[0]


def test_cells_of_another_crystal_are_refused(am04, crystal4):
    slab = crystal4.copy()
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match=r"periodic supercell of the crystal of Fe-AM04"):
        SoftModes(potential="Fe-AM04").total(slab)
    with pytest.raises(InputError, match="out of range"):
        SoftModes(levels=(0.0,))
