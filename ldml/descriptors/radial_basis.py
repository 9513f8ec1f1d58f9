"""Orthonormal radial functions of the angular Fourier series, without the cancellation of their definition.

    phi_a(r) = (rc - r)^(a+2) / sqrt(rc^(2a+5) / (2a+5)),    a = 1 ... n_max
    S_ab     = <phi_a|phi_b> = sqrt((5+2a)(5+2b)) / (5+a+b)
    g_n      = sum_a [S^(-1/2)]_na phi_a                        (Löwdin orthonormalisation)

rc cutoff, <.|.> integral over [0, rc]. Source: Bartók, Kondor, Csányi, Phys. Rev. B 87, 184115 (2013), Sec. II E.

S is nearly singular (condition number 9e31 at n_max = 20), so S^(-1/2) in double precision is rounding noise. With
t = 1 - r/rc and the Jacobi polynomials P_k^(0,6),

    Q_k(r) = sqrt((2k+7)/rc) t^3 P_k^(0,6)(2t-1),               k = 0 ... n_max - 1

is an orthonormal basis of the same space, stable by its three-term recurrence. Gram-Schmidt on phi_1, phi_2, ... gives
it, that is phi = C Q with C the Cholesky factor of S (S = C C^T), hence

    g = U Q,    U = S^(-1/2) C,

where U is orthogonal: a rotation loses nothing. U does not depend on rc; `ldml.descriptors.make_tables` computed it
with 120 digits for every n_max up to 30.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

MAX_RADIAL = 30
ROTATIONS_FILE = Path(__file__).with_name("loewdin_rotations.npz")


@lru_cache(maxsize=MAX_RADIAL)
def loewdin_rotation(n_max: int) -> np.ndarray:
    """Orthogonal matrix U_nk of g = U Q, read-only, shape (n_max, n_max); n = 1 ... n_max, k = 0 ... n_max - 1."""
    with np.load(ROTATIONS_FILE, allow_pickle=False) as tables:
        rotation = tables[table_name(n_max)]
    rotation.flags.writeable = False
    return rotation


def table_name(n_max: int) -> str:
    """Name of the rotation for `n_max` in the file of tables."""
    return f"U_{n_max}"


def jacobi_recurrence(n_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of t Q_k = s_{k+1} Q_{k+1} + c_k Q_k + s_k Q_{k-1}.

    Returns
    -------
    c, s : (n_max,) arrays
        Centres c_k and couplings s_k (s_0 = 0): the Jacobi matrix of the weight t^6 on [0, 1].
    """
    k = np.arange(n_max, dtype=float)
    c = 0.5 + 18.0 / ((2 * k + 6) * (2 * k + 8))
    s = k * (k + 6) / ((2 * k + 6) * np.sqrt((2 * k + 7) * (2 * k + 5)))
    return c, s


def radial_functions(r: np.ndarray, n_max: int, cutoff: float) -> np.ndarray:
    """g_n at distances `r`.

    Parameters
    ----------
    r : (...) array, Å
        Distances in [0, cutoff].
    n_max : int
    cutoff : float, Å

    Returns
    -------
    (..., n_max) array, Å^(-1/2)
    """
    t = (cutoff - np.asarray(r, dtype=float)) / cutoff
    c, s = jacobi_recurrence(n_max)
    q = np.empty((n_max, *t.shape))
    q[0] = np.sqrt(7.0 / cutoff) * t**3
    for k in range(1, n_max):
        previous = s[k - 1] * q[k - 2] if k > 1 else 0.0
        q[k] = ((t - c[k - 1]) * q[k - 1] - previous) / s[k]
    return np.moveaxis(np.tensordot(loewdin_rotation(n_max), q, axes=1), 0, -1)
