"""Crystals simple enough to be solved by hand."""

import numpy as np
import scipy.sparse
from ase import Atoms

from ldml.entropy.dynamical_matrix import dynamical_matrix


def ring_of_springs(n, *, mass=1.0, stiffness=1.0, weak_bond=None):
    """N masses on a ring, coupled to their neighbours by springs in x, y and z alike: three rings at once.

    `weak_bond` is the stiffness of the bond between atoms 0 and 1, if it differs.
    """
    laplacian = stiffness * (2 * np.eye(n) - np.roll(np.eye(n), 1, axis=0) - np.roll(np.eye(n), -1, axis=0))
    if weak_bond is not None:
        laplacian[:2, :2] += (weak_bond - stiffness) * np.array([[1, -1], [-1, 1]])
    atoms = Atoms(f"H{n}", positions=np.arange(n)[:, None] * [1.0, 0, 0], cell=[n, 9, 9], pbc=True, masses=[mass] * n)
    return dynamical_matrix(scipy.sparse.bsr_array(np.kron(laplacian, np.eye(3)), blocksize=(3, 3)), atoms)
