"""The radial functions against their definition in high precision."""

import mpmath
import numpy as np
import pytest

from ldml.descriptors.make_tables import DIGITS, inverse_square_root, overlap, rotation
from ldml.descriptors.radial_basis import (
    MAX_RADIAL,
    ROTATIONS_FILE,
    jacobi_recurrence,
    loewdin_rotation,
    radial_functions,
)

CUTOFF = 5.0


def defined(r, n_max):
    """g_n = sum_a [S^(-1/2)]_na phi_a summed as it stands, with digits to spare."""
    with mpmath.workdps(DIGITS):
        rc = mpmath.mpf(CUTOFF)
        weights = inverse_square_root(overlap(n_max))
        values = []
        for distance in r:
            phi = [
                (rc - mpmath.mpf(float(distance))) ** (a + 2) / mpmath.sqrt(rc ** (2 * a + 5) / (2 * a + 5))
                for a in range(1, n_max + 1)
            ]
            values.append([float(mpmath.fdot(weights[n, :], phi)) for n in range(n_max)])
    return np.array(values)


@pytest.mark.parametrize("n_max", [1, 2, 8, 20, 30])
def test_equals_the_definition(n_max):
    r = np.linspace(0.05, 4.99, 25)
    expected = defined(r, n_max)
    error = abs(radial_functions(r, n_max, CUTOFF) - expected) / abs(expected).max(axis=0)
    # rounding of a recurrence of n_max steps
    assert error.max() < 2e-14


@pytest.mark.parametrize("n_max", [1, 5, 20, 30])
def test_orthonormal(n_max):
    nodes, weights = np.polynomial.legendre.leggauss(n_max + 4)  # exact for the degree 2 (n_max + 2)
    r = 0.5 * CUTOFF * (nodes + 1.0)
    g = radial_functions(r, n_max, CUTOFF)
    gram = (g.T * (0.5 * CUTOFF * weights)) @ g
    # numpy's nodes carry a few units of rounding, where the highest g_n oscillate fastest
    np.testing.assert_allclose(gram, np.eye(n_max), atol=2e-12)


@pytest.mark.parametrize("n_max", [1, 4, 13, 20, 27, 30])
def test_shipped_table_is_what_the_command_makes(n_max):
    np.testing.assert_array_equal(loewdin_rotation(n_max), rotation(n_max))


def test_every_shipped_rotation_is_orthogonal_and_read_only():
    for n_max in range(1, MAX_RADIAL + 1):
        u = loewdin_rotation(n_max)
        assert u.shape == (n_max, n_max)
        assert not u.flags.writeable
        np.testing.assert_allclose(u @ u.T, np.eye(n_max), atol=1e-15)


def test_tables_are_plain_arrays_and_small():
    with np.load(ROTATIONS_FILE, allow_pickle=False) as tables:
        assert len(tables.files) == MAX_RADIAL
    assert ROTATIONS_FILE.stat().st_size < 100_000


def test_recurrence_is_the_jacobi_matrix_of_its_weight():
    """c_0 is the mean of t under t^6 dt; the eigenvalues of the matrix are Gauss nodes, which integrate t^8."""
    n = 6
    c, s = jacobi_recurrence(n)
    nodes, vectors = np.linalg.eigh(np.diag(c) + np.diag(s[1:], 1) + np.diag(s[1:], -1))
    assert c[0] == pytest.approx(7 / 8, abs=1e-15)
    assert (vectors[0] ** 2) @ nodes**2 == pytest.approx(7 / 9, abs=1e-14)
