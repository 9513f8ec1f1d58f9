"""Clebsch-Gordan coefficients against what defines them."""

from math import sqrt

import numpy as np
import pytest

from ldml.descriptors.clebsch_gordan import clebsch_gordan, couples

LARGEST = 12
"""Twice the highest spin of the bispectrum."""


def couplings(largest):
    spins = range(largest + 1)
    return [(J1, J2, J) for J1 in spins for J2 in spins for J in range(J1 + J2 + 1) if couples(J1, J2, J)]


def states(J1, J2, J):
    """|j m> in the product basis, m = -j ... j, shape (2j+1, 2j1+1, 2j2+1)."""
    table = clebsch_gordan(J1, J2, J)
    up = np.add.outer(np.arange(J1 + 1), np.arange(J2 + 1)) - (J1 + J2 - J) // 2
    return np.where(up == np.arange(J + 1)[:, None, None], table, 0.0)


def test_two_spins_one_half():
    """Triplet and singlet."""
    triplet = [[1.0, sqrt(0.5)], [sqrt(0.5), 1.0]]
    np.testing.assert_allclose(clebsch_gordan(1, 1, 2), triplet, rtol=1e-15)
    np.testing.assert_allclose(clebsch_gordan(1, 1, 0), [[0, -sqrt(0.5)], [sqrt(0.5), 0]], rtol=1e-15)


@pytest.mark.parametrize("J", range(LARGEST + 1))
def test_coupling_to_zero(J):
    """<j m j -m|0 0> = (-1)^(j-m) / sqrt(2j+1)."""
    expected = np.fliplr(np.diag((-1.0) ** np.arange(J, -1, -1))) / sqrt(J + 1)
    np.testing.assert_allclose(clebsch_gordan(J, J, 0), expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize(("J1", "J2"), [(1, 4), (5, 7), (12, 11), (12, 12)])
def test_states_are_orthonormal_and_complete(J1, J2):
    """Rounding of the oracle's products."""
    basis = np.concatenate([states(J1, J2, J) for J in range(abs(J1 - J2), J1 + J2 + 1, 2)]).reshape(
        -1, (J1 + 1) * (J2 + 1)
    )
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), rtol=0, atol=4e-15)
    assert len(basis) == basis.shape[1]


def lowered(state, J1, J2):
    """(J1_- + J2_-) applied to a state of the product basis."""

    def factors(J):
        up = np.arange(1, J + 1)
        return np.sqrt(up * (J + 1.0 - up))

    result = np.zeros_like(state)
    result[:-1] += factors(J1)[:, None] * state[1:]
    result[:, :-1] += factors(J2) * state[:, 1:]
    return result


def test_lowering_connects_all_states_from_the_positive_top():
    """With the norm this is the definition, phases of Condon and Shortley included."""
    for J1, J2, J in couplings(LARGEST):
        ladder = states(J1, J2, J)
        assert ladder[J, J1, (J - J1 + J2) // 2] > 0
        for up in range(J, 0, -1):
            expected = sqrt(up * (J + 1 - up)) * ladder[up - 1]
            np.testing.assert_allclose(lowered(ladder[up], J1, J2), expected, rtol=0, atol=1e-14 * J1 + 1e-14)


def test_exact_to_the_last_digits_where_the_sum_cancels():
    """The largest spins, by Racah's sum in 50 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(50):
        for J1, J2, J in [(12, 12, 12), (12, 24, 12), (11, 12, 11)]:
            table = clebsch_gordan(J1, J2, J)
            for (up1, up2), value in np.ndenumerate(table):
                expected = _racah(mpmath, J1, J2, J, up1, up2)
                assert abs(mpmath.mpf(float(value)) - expected) <= 4.5e-16 * abs(expected) + 1e-45


def _racah(mpmath, J1, J2, J, up1, up2):
    """Racah's sum over factorials."""
    half = mpmath.mpf(1) / 2
    j1, j2, j = J1 * half, J2 * half, J * half
    m1, m2 = up1 - j1, up2 - j2
    m = m1 + m2
    if abs(m) > j:
        return mpmath.mpf(0)
    f = mpmath.factorial
    outer = (2 * j + 1) * f(j1 + j2 - j) * f(j1 - j2 + j) * f(-j1 + j2 + j) / f(j1 + j2 + j + 1)
    outer *= f(j + m) * f(j - m) * f(j1 - m1) * f(j1 + m1) * f(j2 - m2) * f(j2 + m2)
    total = mpmath.mpf(0)
    for k in range(J1 + J2 + 1):
        below = [k, j1 + j2 - j - k, j1 - m1 - k, j2 + m2 - k, j - j2 + m1 + k, j - j1 - m2 + k]
        if min(below) >= 0:
            total += (-1) ** k / mpmath.fprod(f(value) for value in below)
    return mpmath.sqrt(outer) * total


def test_spins_that_do_not_couple_give_zeros():
    for spins in [(2, 2, 5), (2, 2, 6), (1, 2, 0)]:
        assert not couples(*spins)
        assert not clebsch_gordan(*spins).any()
