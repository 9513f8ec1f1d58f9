"""Sums over pairs of directions without pairs.

    cos(l theta) = T_l(cos theta) = sum_k c_lk P_k(cos theta)                (T_l Chebyshev, P_k Legendre)
    P_k(u . u')  = sum_{m=-k..k} Y_km(u) Y_km(u')                            (addition theorem)

Y_km are the real solid harmonics on the unit sphere in Schmidt normalisation. The components of u enter through

    Y_{m,+-m} = d_m (Re, Im)(x + i y)^m,                                     d_m^2 = prod_{i=2..m} (2i-1)/(2i)
    Y_{l,m}   = a_lm z Y_{l-1,m} - b_lm Y_{l-2,m},                           a_lm = (2l-1)/sqrt(l^2 - m^2)
                                                                             b_lm = sqrt(((l-1)^2 - m^2)/(l^2 - m^2))

and index l^2 + l + m orders them.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def chebyshev_to_legendre(l_max: int) -> np.ndarray:
    """c_lk of T_l = sum_k c_lk P_k, shape (l_max + 1, l_max + 1), each the nearest double to the exact fraction.

    T_l follows from T_{l+1} = 2 x T_l - T_{l-1}, and x P_k = ((k+1) P_{k+1} + k P_{k-1}) / (2k+1) moves x onto the P_k.
    """
    rows = [{0: Fraction(1)}, {1: Fraction(1)}]
    while len(rows) <= l_max:
        rows.append(_combined(_times_2x(rows[-1]), rows[-2]))
    table = np.zeros((l_max + 1, l_max + 1))
    for l, row in enumerate(rows[: l_max + 1]):
        for k, value in row.items():
            table[l, k] = float(value)
    return table


def _times_2x(legendre: dict[int, Fraction]) -> dict[int, Fraction]:
    product: dict[int, Fraction] = {}
    for k, value in legendre.items():
        product[k + 1] = product.get(k + 1, Fraction(0)) + 2 * value * Fraction(k + 1, 2 * k + 1)
        if k > 0:
            product[k - 1] = product.get(k - 1, Fraction(0)) + 2 * value * Fraction(k, 2 * k + 1)
    return product


def _combined(first: dict[int, Fraction], second: dict[int, Fraction]) -> dict[int, Fraction]:
    """first - second."""
    return {k: first.get(k, Fraction(0)) - second.get(k, Fraction(0)) for k in {*first, *second}}


def harmonic_recurrence(l_max: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a_lm, b_lm, both (l_max + 1, l_max + 1) and zero where l <= m, and d_m (l_max + 1,)."""
    l, m = np.meshgrid(np.arange(l_max + 1.0), np.arange(l_max + 1.0), indexing="ij")
    above = l > m
    root = np.sqrt(np.where(above, l * l - m * m, 1.0))
    a = np.where(above, (2 * l - 1) / root, 0.0)
    b = np.where(above, np.sqrt(np.maximum((l - 1) ** 2 - m * m, 0.0)) / root, 0.0)
    i = np.arange(2.0, l_max + 1)
    d = np.sqrt(np.concatenate([np.ones(min(2, l_max + 1)), np.cumprod((2 * i - 1) / (2 * i))]))
    return a, b, d
