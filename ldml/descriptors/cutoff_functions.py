"""Functions f(r) that take a neighbour out smoothly at the cutoff rc, by name; t = 1 - r/rc is 1 at the atom, 0 at the cutoff.

cosine        f = (1 + cos(pi r/rc)) / 2 = sin^2(pi t/2)              smooth to first order, the field's usual choice
polynomial    f = t^3 (10 - 15 t + 6 t^2)                             smooth to second order
none          f = 1 inside, 0 outside                                 only where other factors vanish at the cutoff
"""

from __future__ import annotations

from math import pi, sin

import numpy as np
from numba import njit

from ldml.descriptors.parameters import Choice

COSINE, POLYNOMIAL, NONE = range(3)
NAMES = ("cosine", "polynomial", "none")

CUTOFF_FUNCTION = Choice(
    name="cutoff_function",
    symbol="f",
    default="cosine",
    choices=NAMES,
    doc="How the weight of a neighbour falls to zero at the cutoff.",
)


def cutoff_kind(name: str) -> int:
    """Number of the function `name`, for compiled kernels."""
    return NAMES.index(name)


@njit(cache=True, nogil=True, inline="always")
def cutoff_weight(kind, t):
    """f at t = 1 - r/rc in [0, 1] for the number of a function."""
    if kind == COSINE:
        return sin(0.5 * pi * t) ** 2
    if kind == POLYNOMIAL:
        return t**3 * (10.0 - 15.0 * t + 6.0 * t * t)
    return 1.0


def cutoff_function(name: str, r: np.ndarray, cutoff: float) -> np.ndarray:
    """f(r) of the function `name`, zero from the cutoff on; r and cutoff in Å."""
    r = np.asarray(r, dtype=float)
    t = np.clip((cutoff - r) / cutoff, 0.0, 1.0)
    kind = cutoff_kind(name)
    if kind == COSINE:
        inside = np.sin(0.5 * np.pi * t) ** 2
    elif kind == POLYNOMIAL:
        inside = t**3 * (10.0 - 15.0 * t + 6.0 * t**2)
    else:
        inside = np.ones_like(t)
    return np.where(r < cutoff, inside, 0.0)
