"""Hyperspherical harmonics against rotation matrices made from spin operators."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import eval_gegenbauer, factorial, factorial2, sph_harm_y

from ldml.descriptors.hyperspherical import characters, harmonic_terms, matrix_elements

LARGEST = 12


def spin_matrices(J):
    """J_x, J_y, J_z of spin J/2 in the basis m = -j ... j."""
    up = np.arange(1, J + 1)
    raising = np.diag(np.sqrt(up * (J + 1.0 - up)), -1)
    return np.array([(raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(np.arange(J + 1) - J / 2)])


def rotation_matrix(J, theta0, direction):
    """D^j of exp(-i theta0 n . sigma)."""
    return expm(-2j * theta0 * np.tensordot(direction, spin_matrices(J), axes=1))


def real_harmonic(l, M, n):
    """Y_lM with sum over M of Y^2 = 1, from scipy's complex ones."""
    value = sph_harm_y(l, abs(M), np.arccos(n[2]), np.arctan2(n[1], n[0])) * np.sqrt(4 * np.pi / (2 * l + 1))
    if M == 0:
        return value.real
    value *= np.sqrt(2.0) * (-1) ** M
    return value.real if M > 0 else value.imag


@pytest.mark.parametrize("J", range(LARGEST + 1))
def test_matrix_elements_are_characters_times_harmonics(J):
    n = np.array([0.48, -0.6, 0.64])
    theta0 = 2.1
    chi = characters(theta0, LARGEST)[J]
    expected = rotation_matrix(J, theta0, n)
    seen = np.zeros((J + 1, J + 1), dtype=bool)
    for up, up2 in matrix_elements(J):
        real, imaginary = (
            sum(value * chi[l] * real_harmonic(l, M, n) for l, M, value in part) for part in harmonic_terms(J, up, up2)
        )
        # expm and arccos of the oracle
        assert abs(real + 1j * imaginary - expected[up, up2]) < 1e-13
        mirrored = (-1) ** (up - up2) * np.conj(expected[up, up2])
        assert abs(mirrored - expected[J - up, J - up2]) < 1e-13
        seen[up, up2] = seen[J - up, J - up2] = True
    assert seen.all()


def test_characters_equal_gegenbauer_polynomials():
    theta0 = np.linspace(0.0, np.pi, 41)
    chi = characters(theta0, LARGEST)
    for J in range(LARGEST + 1):
        for l in range(J + 1):
            scale = factorial2(2 * l) * np.sqrt((J + 1) * factorial(J - l) / factorial(J + l + 1))
            expected = scale * np.sin(theta0) ** l * eval_gegenbauer(J - l, l + 1, np.cos(theta0))
            np.testing.assert_allclose(chi[J, l], expected, rtol=0, atol=1e-13 * (J + 1))
        assert not chi[J, J + 1 :].any()


def test_characters_are_orthogonal_over_the_sphere():
    """Integral of chi_Jl chi_J'l 2 sin^2 over [0, pi], by a Gauss rule that is exact for it."""
    nodes = np.pi * np.arange(1, 32) / 32
    chi = characters(nodes, LARGEST)
    overlap = np.einsum("Jlk,Klk,k->lJK", chi, chi, 2 * np.sin(nodes) ** 2 * np.pi / 32)
    for l in range(LARGEST + 1):
        expected = np.pi * np.diag(np.arange(LARGEST + 1) >= l)
        np.testing.assert_allclose(overlap[l], expected, rtol=0, atol=1e-13)


def test_unpolarised_character_is_that_of_the_rotation():
    """chi^j_0 = sin((2j+1) theta0) / sin(theta0), the trace of D^j."""
    theta0 = 0.7
    chi = characters(theta0, 7)
    np.testing.assert_allclose(chi[:, 0], np.sin((np.arange(8) + 1) * theta0) / np.sin(theta0), rtol=1e-13)
