"""Chebyshev polynomials in Legendre polynomials, and the recurrence of the harmonics."""

import numpy as np
import pytest
from scipy.special import eval_chebyt, eval_legendre, sph_harm_y

from ldml.descriptors.angular_basis import chebyshev_to_legendre, harmonic_recurrence


@pytest.mark.parametrize("l_max", [0, 1, 2, 10, 20])
def test_chebyshev_from_legendre(l_max):
    x = np.linspace(-1.0, 1.0, 41)
    legendre = np.array([eval_legendre(k, x) for k in range(l_max + 1)])
    chebyshev = np.array([eval_chebyt(l, x) for l in range(l_max + 1)])
    # rounding of l_max + 1 terms with coefficients up to 4
    np.testing.assert_allclose(chebyshev_to_legendre(l_max) @ legendre, chebyshev, atol=2e-14)


def test_known_coefficients():
    expected = np.zeros((4, 4))
    expected[0, 0] = expected[1, 1] = 1.0
    expected[2, [0, 2]] = -1 / 3, 4 / 3
    expected[3, [1, 3]] = -3 / 5, 8 / 5
    np.testing.assert_array_equal(chebyshev_to_legendre(3), expected)


def test_recurrence_gives_the_spherical_harmonics():
    """Y_lm of the recurrence = sqrt(4 pi/(2l+1)) x sqrt(2) (Re, Im) of scipy's, up to the Condon-Shortley sign."""
    l_max = 6
    a, b, d = harmonic_recurrence(l_max)
    u = np.random.default_rng(3).normal(size=3)
    x, y, z = u / np.linalg.norm(u)
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    for m in range(l_max + 1):
        below, here = 0.0, d[m] * ((x + 1j * y) ** m)
        for l in range(m, l_max + 1):
            if l > m:
                below, here = here, a[l, m] * z * here - b[l, m] * below
            scale = np.sqrt(4 * np.pi / (2 * l + 1)) * (np.sqrt(2.0) if m else 1.0)
            assert here == pytest.approx((-1) ** m * scale * sph_harm_y(l, m, polar, azimuth), abs=1e-14)
