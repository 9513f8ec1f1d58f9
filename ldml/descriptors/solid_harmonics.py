"""Solid harmonic wavelets and their Fourier transforms.

    psi_l^m(x)  = (2 pi)^(-3/2) exp(-x^2/2) |x|^l Y_lm(x/|x|)                    (paper, Eq. 21, x = r/2^j)
    psihat      = (-i)^l exp(-q^2/2) |q|^l Y_lm(q/|q|)                           (its own transform, up to factors)

Convolution with a Gaussian keeps the form. For a Gaussian g of unit integral and width sigma, and a wavelet of width s,

    g * psi_l^m(r/s) = (s/a)^(l+3) psi_l^m(r/a),         a^2 = s^2 + sigma^2,

so one atom alone has sum_m |rho * psi|^2 = [(s/a)^(l+3) p_l(r/a)]^2 with the profile

    p_l(x) = (2 pi)^(-3/2) sqrt((2l+1)/4 pi) x^l exp(-x^2/2)

and the integral of p_l over space is I_l = sqrt((2l+1)/2) 2^(l/2+1/2) Gamma((l+3)/2) / pi, in closed form.
"""

from __future__ import annotations

from math import gamma, log, pi, sqrt

import numpy as np
from numba import njit

from ldml.descriptors.angular_basis import harmonic_recurrence

NEGLIGIBLE = 1e-8
"""Where a profile has fallen to this part of its maximum it is cut, in space as in k-space, unless told otherwise."""


def profile(x: np.ndarray, l: int) -> np.ndarray:
    """p_l(x) = (sum_m |psi_l^m|^2)^(1/2) at the distance x (in widths)."""
    return np.sqrt((2 * l + 1) / (4 * pi)) * x**l * np.exp(-0.5 * x * x) / (2 * pi) ** 1.5


def profile_integral(l: int) -> float:
    """I_l, the integral of p_l over space, in cubed widths."""
    return sqrt(0.5 * (2 * l + 1)) * 2 ** (0.5 * (l + 1)) * gamma(0.5 * (l + 3)) / pi


def reach(l: int, level: float = NEGLIGIBLE) -> float:
    """x beyond the maximum where x^l exp(-x^2/2) has fallen to `level` of it."""
    level = -2.0 * log(level) + (l - l * log(l) if l else 0.0)
    x = sqrt(level + l)
    for _ in range(60):  # x^2 = level + 2 l ln x, a contraction for x^2 > l
        x = sqrt(level + 2.0 * l * log(x))
    return x


class SolidHarmonics:
    """Spectra of a density convolved with psi_l^m, m = 0 ... l one after the other.

    For a real density the fields of -m are the conjugates of those of m: with Y_l0 and sqrt(2) Y_lm (m > 0), the sum of
    |field|^2 over m = 0 ... l is that over all 2l + 1.

    Parameters
    ----------
    structure_factor : (2 c_0 + 1, 2 c_1 + 1, 2 c_2 + 1) complex array
        At the integer frequencies -c ... c along each reciprocal vector.
    reciprocal : (3, 3) array
        Reciprocal vectors (rows) times the width a.
    l : int
    level : float
        Part of their maximum below which waves are left out.
    """

    def __init__(self, structure_factor: np.ndarray, reciprocal: np.ndarray, l: int, level: float = NEGLIGIBLE):
        self._reciprocal, self._l, self._reach = reciprocal, l, reach(l, level)
        a, b, d = harmonic_recurrence(l)
        self._recurrence = (np.ascontiguousarray(a.T), np.ascontiguousarray(b.T), d * sqrt((2 * l + 1) / (4 * pi)))
        self._raised = _damped(structure_factor, reciprocal, self._reach)

    def spectrum(self, m: int, out: np.ndarray) -> None:
        """Write the spectrum of order m, up to a phase common to all frequencies, to `out`; ask for m = 0, 1, ... l in turn."""
        a, b, d = self._recurrence
        _spectrum(self._raised, self._reciprocal, self._reach, self._l, m, a[m], b[m], d[m], out)


# Nothing here may reorder its arithmetic: with fastmath, a process that compiles and one that loads the compiled code
# from the cache differ in the last bits.


@njit(cache=True, nogil=True)
def _line(reciprocal, i, j, n, radius):
    """Frequencies k of line (i, j) of the box with |q| <= radius: first and last + 1."""
    x = i * reciprocal[0, 0] + j * reciprocal[1, 0]
    y = i * reciprocal[0, 1] + j * reciprocal[1, 1]
    z = i * reciprocal[0, 2] + j * reciprocal[1, 2]
    u, v, w = reciprocal[2, 0], reciprocal[2, 1], reciprocal[2, 2]
    along = u * u + v * v + w * w
    centre = -(x * u + y * v + z * w) / along
    spread = (radius * radius - x * x - y * y - z * z) / along + centre * centre
    if spread < 0.0:
        return 0, 0
    c = (n - 1) // 2
    first = max(-c, int(np.ceil(centre - sqrt(spread))))
    last = min(c, int(np.floor(centre + sqrt(spread))))
    return first + c, last + c + 1


@njit(cache=True, nogil=True)
def _damped(structure_factor, reciprocal, radius):
    """S(q) exp(-q^2/2) inside the sphere of frequencies, zero outside."""
    n0, n1, n2 = structure_factor.shape
    damped = np.zeros(structure_factor.shape, np.complex128)
    for i in range(n0):
        for j in range(n1):
            first, last = _line(reciprocal, i - n0 // 2, j - n1 // 2, n2, radius)
            for k in range(first, last):
                squared = 0.0
                for d in range(3):
                    q = (
                        (i - n0 // 2) * reciprocal[0, d]
                        + (j - n1 // 2) * reciprocal[1, d]
                        + (k - n2 // 2) * reciprocal[2, d]
                    )
                    squared += q * q
                damped[i, j, k] = structure_factor[i, j, k] * np.exp(-0.5 * squared)
    return damped


@njit(cache=True, nogil=True)
def _spectrum(raised, reciprocal, radius, l, m, a, b, d, out):
    """out = raised (q_x + i q_y)^m P_lm(q_z, q^2), where `raised` already holds the power m - 1 and gets m."""
    n0, n1, n2 = raised.shape
    z = np.empty(n2)
    squared = np.empty(n2)
    p = np.empty(n2)
    below = np.empty(n2)
    for i in range(n0):
        for j in range(n1):
            first, last = _line(reciprocal, i - n0 // 2, j - n1 // 2, n2, radius)
            out[i, j, :first] = 0.0
            out[i, j, last:] = 0.0
            x0 = (i - n0 // 2) * reciprocal[0, 0] + (j - n1 // 2) * reciprocal[1, 0]
            y0 = (i - n0 // 2) * reciprocal[0, 1] + (j - n1 // 2) * reciprocal[1, 1]
            z0 = (i - n0 // 2) * reciprocal[0, 2] + (j - n1 // 2) * reciprocal[1, 2]
            for k in range(first, last):
                x = x0 + (k - n2 // 2) * reciprocal[2, 0]
                y = y0 + (k - n2 // 2) * reciprocal[2, 1]
                z[k] = z0 + (k - n2 // 2) * reciprocal[2, 2]
                squared[k] = x * x + y * y + z[k] * z[k]
                p[k] = d
                below[k] = 0.0
                if m > 0:
                    raised[i, j, k] *= complex(x, y)
            for t in range(m + 1, l + 1):
                for k in range(first, last):
                    above = a[t] * z[k] * p[k] - b[t] * squared[k] * below[k]
                    below[k] = p[k]
                    p[k] = above
            for k in range(first, last):
                out[i, j, k] = raised[i, j, k] * p[k]
