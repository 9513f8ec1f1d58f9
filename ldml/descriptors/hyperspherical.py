"""Hyperspherical harmonics: the matrices D^j of a rotation as radial functions times spherical harmonics.

A neighbour at distance r in the direction n is laid on the unit sphere of four dimensions, the space of rotations, as

    u = exp(-i theta0 n . sigma),    theta0 = rfac0 pi r/rc:         a rotation by 2 theta0 about n.

The harmonics there are the elements of its matrices of spin j = 0, 1/2, 1, ..., m, m' = -j ... j,

    D^j_mm'(u) = sum_l (-i)^l (2l+1)/(2j+1) <j m' l M|j m> chi^j_l(theta0) conj C_lM(n),   l = 0 ... 2j,  M = m - m'

with C_lM the spherical harmonics in Racah's normalisation, made of the real Y_lM of `angular_basis` by

    C_l0 = Y_l0,    C_lM = (-1)^M (Y_lM + i Y_l,-M) / sqrt 2  (M > 0),

and chi^j_l the generalised characters, Gegenbauer polynomials times a power of the sine,

    chi^j_l = (2l)!! sqrt((2j+1) (2j-l)!/(2j+l+1)!) sin^l(theta0) C^(l+1)_{2j-l}(cos theta0),

orthogonal in j: the integral of chi^j_l chi^j'_l 2 sin^2(theta0) over [0, pi] is pi delta_jj'. With J = 2j they follow from

    chi_ll = s_l sin(theta0) chi_{l-1,l-1},      chi_00 = 1,       s_l = sqrt((2l+2)/(2l+1))
    cos(theta0) chi_Jl = a_{J+1,l} chi_{J+1,l} + a_Jl chi_{J-1,l},
                                                                   a_Jl = sqrt((J-l)(J+l+1)/(4J(J+1))).

D^j_{-m,-m'} = (-1)^(m-m') conj(D^j_mm') leaves half of the elements to compute: those with m > m' and with m = m' >= 0.

Source: Varshalovich, Moskalev, Khersonskii, Quantum Theory of Angular Momentum (1988), Secs. 4.5 and 4.15.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from ldml.descriptors.clebsch_gordan import clebsch_gordan


def rotation_angle(r: np.ndarray, cutoff: float, rfac0: float) -> np.ndarray:
    """theta0 at distances r, Å; half of the angle by which u turns, radians."""
    return rfac0 * np.pi * np.asarray(r, dtype=float) / cutoff


def character_recurrence(two_j_max: int) -> tuple[np.ndarray, np.ndarray]:
    """s_l, (two_j_max + 1,) with s_0 = 1, and a_Jl, (two_j_max + 2, two_j_max + 1) and zero where J <= l."""
    l = np.arange(two_j_max + 1.0)
    J = np.arange(two_j_max + 2.0)[:, None]
    s = np.where(l > 0, np.sqrt((2 * l + 2) / (2 * l + 1)), 1.0)
    a = np.sqrt(np.maximum((J - l) * (J + l + 1), 0.0) / np.maximum(4 * J * (J + 1), 1.0))
    return s, a


def characters(theta0: np.ndarray, two_j_max: int) -> np.ndarray:
    """chi^j_l at angles theta0 (...), radians; shape (two_j_max + 1, two_j_max + 1, ...) at [2j, l], zero where l > 2j."""
    theta0 = np.asarray(theta0, dtype=float)
    s, a = character_recurrence(two_j_max)
    chi = np.zeros((two_j_max + 1, two_j_max + 1, *theta0.shape))
    chi[0, 0] = 1.0
    for l in range(1, two_j_max + 1):
        chi[l, l] = s[l] * np.sin(theta0) * chi[l - 1, l - 1]
    for l in range(two_j_max + 1):
        for J in range(l, two_j_max):
            below = a[J, l] * chi[J - 1, l] if l < J else 0.0
            chi[J + 1, l] = (np.cos(theta0) * chi[J, l] - below) / a[J + 1, l]
    return chi


def matrix_elements(two_j: int) -> list[tuple[int, int]]:
    """(j + m, j + m') of the elements that are computed; `mirrored` gives the others."""
    size = two_j + 1
    return [(up, up2) for up in range(size) for up2 in range(up + 1) if up > up2 or 2 * up >= two_j]


def harmonic_terms(two_j: int, up: int, up2: int) -> tuple[list, list]:
    """D^j_mm' for M = m - m' >= 0 in the real functions chi^j_l Y_lM.

    Parameters
    ----------
    two_j, up, up2 : int
        2j, j + m, j + m'.

    Returns
    -------
    real, imaginary : lists of (l, M, coefficient)
        Each part of D^j_mm' is the sum of coefficient chi^j_l Y_lM.
    """
    real, imaginary = [], []
    M = up - up2
    for l in range(M, two_j + 1):
        coupling = clebsch_gordan(two_j, 2 * l, two_j)[up2, l + M]
        value = (2 * l + 1) / (two_j + 1) * coupling * (1, -1, -1, 1)[l % 4]
        parts = (real, imaginary) if l % 2 == 0 else (imaginary, real)
        if M == 0:
            parts[0].append((l, 0, value))
        else:
            value *= (-1) ** M / sqrt(2.0)
            parts[0].append((l, M, value))
            # -i Y_l,-M, times i when l is odd
            parts[1].append((l, -M, -value if l % 2 == 0 else value))
    return real, imaginary
