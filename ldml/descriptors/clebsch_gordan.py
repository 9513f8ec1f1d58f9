"""Clebsch-Gordan coefficients, exact under the square root.

    <j1 m1 j2 m2|j m> = S sqrt(R),      m = m1 + m2, |j1 - j2| <= j <= j1 + j2,

    R = C(2j1, p) C(2j2, p) / [C(j1+j2+j+1, p) C(2j1, j1-m1) C(2j2, j2-m2) C(2j, j-m)],      p = j1 + j2 - j
    S = sum_k (-1)^k C(p, k) C(j1-j2+j, j1-m1-k) C(j2-j1+j, j2+m2-k)

with binomials C, in the phases of Condon and Shortley. Source: Varshalovich, Moskalev, Khersonskii, Quantum Theory of
Angular Momentum (1988), Sec. 8.2. The sum cancels badly for large spins, so it is done in whole numbers; spins are passed
doubled for the same reason.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, copysign, sqrt

import numpy as np


@lru_cache(maxsize=2048)
def clebsch_gordan(two_j1: int, two_j2: int, two_j: int) -> np.ndarray:
    """Coefficients of one coupling of two spins, read-only.

    Parameters
    ----------
    two_j1, two_j2, two_j : int
        Twice the spins.

    Returns
    -------
    (2 j1 + 1, 2 j2 + 1) array
        <j1 m1 j2 m2|j m1+m2> at [j1 + m1, j2 + m2], each within two units in the last place; zero where |m1 + m2| > j or
        where the spins do not couple.
    """
    table = np.zeros((two_j1 + 1, two_j2 + 1))
    if couples(two_j1, two_j2, two_j):
        for up1 in range(two_j1 + 1):
            for up2 in range(two_j2 + 1):
                table[up1, up2] = _coefficient(two_j1, two_j2, two_j, up1, up2)
    table.flags.writeable = False
    return table


def couples(two_j1: int, two_j2: int, two_j: int) -> bool:
    """Whether two spins can add up to the third (all doubled)."""
    return abs(two_j1 - two_j2) <= two_j <= two_j1 + two_j2 and (two_j1 + two_j2 + two_j) % 2 == 0


def _coefficient(two_j1, two_j2, two_j, up1, up2):
    """<j1 m1 j2 m2|j m> at m1 = up1 - j1, m2 = up2 - j2."""
    p, q1, q2 = (two_j1 + two_j2 - two_j) // 2, (two_j1 - two_j2 + two_j) // 2, (two_j2 - two_j1 + two_j) // 2
    down1, up = two_j1 - up1, up1 + up2 - p
    if not 0 <= up <= two_j:
        return 0.0
    highest = min(p, down1, up2)
    total = sum((-1) ** k * comb(p, k) * comb(q1, down1 - k) * comb(q2, up2 - k) for k in range(highest + 1))
    above = comb(two_j1, p) * comb(two_j2, p) * total * total
    below = comb(p + two_j + 1, p) * comb(two_j1, up1) * comb(two_j2, up2) * comb(two_j, up)
    # dividing whole numbers rounds once, the root once more
    return copysign(sqrt(above / below), total)
