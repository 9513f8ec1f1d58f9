"""Angular Fourier series (AFS).

    A_nl = sum_{k,k'} g_n(r_k) g_n(r_k') cos(l theta_kk') f(r_k) f(r_k')        (paper, Sec. III A)

k, k' run over pairs of neighbours within the cutoff rc; theta_kk' is the angle between them seen from the central atom;
g_n (n = 1 ... n_max) are the Löwdin-orthonormalised radial functions (`radial_basis`), f(r) is the cutoff function
(`cutoff_functions`), and l = 0 ... l_max.

Which pairs is a matter of definition, in the parameter `pairs`:

    all             every k and k', k = k' included, as printed in the paper
    without_self    k != k', so that a lone neighbour counts nothing
    distinct        k < k': half of that. With f = 1 it is what MiLaDy, the program of the paper, sums at small n_max

Given `species`, each kind of centre and each kind of pair of neighbours has features of its own; pairs a, b of different
elements count twice where both orders are summed, so that the channels add up to the descriptor that ignores elements.

The addition theorem (`angular_basis`) turns the sum over pairs into products of sums over neighbours,

    A_nl = sum_k c_lk sum_m rho_nkm^2,      rho_nlm = sum_j g_n(r_j) f(r_j) Y_lm(u_j),

linear in their number; self pairs are sum_j (g_n f)^2, subtracted. Expanding T_l in P_k cancels some digits: the error is
at most about 4e-13 of (sum_j |g_n f|)^2, which is the scale to compare in, for every choice of pairs.

The kernels find neighbours, expand and contract them chunk by chunk, so that no neighbour list is ever stored. Threads
share out fixed blocks of atoms; what is added in which order does not depend on their number.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Any, ClassVar

import numpy as np
from numba import njit

from ldml.descriptors.angular_basis import chebyshev_to_legendre, harmonic_recurrence
from ldml.descriptors.base import CUTOFF, SPECIES
from ldml.descriptors.cutoff_functions import CUTOFF_FUNCTION, cutoff_kind, cutoff_weight
from ldml.descriptors.lanes import LANES, TILE_ROWS, add_product, fused, load, padded, spread, store
from ldml.descriptors.local import NEIGHBOURS_PER_CHUNK, LocalDescriptor, gather
from ldml.descriptors.parameters import Choice, Number, Parameter
from ldml.descriptors.radial_basis import MAX_RADIAL, jacobi_recurrence, loewdin_rotation

FILL = max(LANES, TILE_ROWS)

ALL, WITHOUT_SELF, DISTINCT = range(3)
PAIRS = ("all", "without_self", "distinct")


class AFS(LocalDescriptor):
    """Angular Fourier series A_nl of each atom's neighbourhood.

    Features are ordered with n outer and l inner: column (n - 1) (l_max + 1) + l holds A_nl, n_max (l_max + 1) in all.
    They are pure numbers per Å (g_n^2 is an inverse length). An atom without neighbours has A_nl = 0.

    With S > 1 `species` there are S^2 (S + 1) / 2 such sets: one for each element of the centre (outer) and each unordered
    pair of elements of the neighbours (inner), in the order of `species`; an atom has zeros in the sets of other centres.
    """

    name: ClassVar[str] = "AFS"
    version: ClassVar[int] = 1
    declared_parameters: ClassVar[tuple[Parameter, ...]] = (
        Number(
            name="n_max",
            symbol="n_max",
            default=20,
            bounds=(1, MAX_RADIAL),
            doc="Number of radial functions: how finely distances are told apart.",
        ),
        Number(
            name="l_max",
            symbol="l_max",
            default=10,
            bounds=(0, 20),
            doc="Highest angular order: how finely angles are told apart.",
        ),
        CUTOFF,
        replace(CUTOFF_FUNCTION, joined_later=True),
        Choice(
            name="pairs",
            symbol="k,k'",
            default="all",
            choices=PAIRS,
            joined_later=True,
            doc="Pairs of neighbours summed over: all, without self pairs (k != k'), or distinct ones (k < k').",
        ),
        SPECIES,
    )
    letter: ClassVar[str] = "A"

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self._check_size(self.n_features, "lower n_max or l_max")
        rotation = np.zeros((self.n_max, padded(self.n_max, LANES)))
        rotation[:, : self.n_max] = loewdin_rotation(self.n_max).T
        to_cosines = np.zeros((padded(self.l_max + 1, TILE_ROWS), self.l_max + 1))
        to_cosines[: self.l_max + 1] = chebyshev_to_legendre(self.l_max)
        self._radial = (*jacobi_recurrence(self.n_max), rotation)
        self._angular = (*harmonic_recurrence(self.l_max), to_cosines)
        self._choices = (self.cutoff, cutoff_kind(self.cutoff_function), PAIRS.index(self.pairs))

    @property
    def n_features(self) -> int:
        """n_max (l_max + 1) for each kind of centre and of pair."""
        n_species = max(1, len(self.species))
        return n_species * (n_species * (n_species + 1) // 2) * self.n_max * (self.l_max + 1)

    @property
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """centre, pair (with more than one species), n = 1 ... n_max, l = 0 ... l_max, the last innermost."""
        orders = [{"n": n, "l": l} for n in range(1, self.n_max + 1) for l in range(self.l_max + 1)]
        if len(self.species) < 2:
            return tuple(orders)
        pairs = [f"{a}-{b}" for i, a in enumerate(self.species) for b in self.species[i:]]
        return tuple({"centre": c, "pair": pair} | order for c in self.species for pair in pairs for order in orders)

    def _describe(self, grid, kinds, first, rows, features):
        n_species = max(1, len(self.species))
        return _describe(grid, kinds, n_species, self._choices, self._radial, self._angular, first, rows, features)


# numba's cache on disk looks for changes only in the file of the function it is asked for: after a change to `lanes`,
# `local` or `cutoff_functions`, delete __pycache__. No kernel may reorder its arithmetic: with fastmath, a process that compiles
# and one that loads the compiled code differ in the last bits, because they optimise their copies differently.


@njit(cache=True, nogil=True)
def _aligned(n_rows, n_columns):
    """Zeros (n_rows, n_columns) that start where a vector register does."""
    line = np.zeros(n_rows * n_columns + LANES)
    start = -(np.int64(line.ctypes.data) // 8) % LANES
    return line[start : start + n_rows * n_columns].reshape(n_rows, n_columns)


@njit(cache=True, nogil=True)
def _describe(grid, kinds, n_species, choices, radial, angular, first, rows, features):
    """Add the features of sorted atom first + i to row ``rows[i]``; False if two atoms coincide."""
    n_max, n_columns = radial[2].shape
    n_l = angular[2].shape[0]
    # rows and columns of products are padded, and padding never reaches the features; the rows of Y are longer than a
    # power of two, which would put all of them in the same few cache lines
    n_harmonics = (n_l * n_l + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    workspace = (
        _aligned(4, NEIGHBOURS_PER_CHUNK),
        _aligned(n_max, NEIGHBOURS_PER_CHUNK),
        _aligned(NEIGHBOURS_PER_CHUNK, n_columns),
        _aligned(n_harmonics, NEIGHBOURS_PER_CHUNK + 8),
    )
    near = np.empty((n_species, 3, NEIGHBOURS_PER_CHUNK))
    found = np.empty(n_species, np.int64)
    rho = _aligned(n_species * n_harmonics, n_columns).reshape(n_species, n_harmonics, n_columns)
    squares = np.empty((n_species, n_columns))
    power = np.empty((n_l, n_columns))
    series = np.empty((angular[3].shape[0], n_columns))
    for i in range(rows.shape[0]):
        near, apart = gather(first + i, grid, kinds, choices[0], near, found)
        if not apart:
            return False
        rho[:] = 0.0
        squares[:] = 0.0
        for kind in range(n_species):
            for start in range(0, found[kind], NEIGHBOURS_PER_CHUNK):
                n_near = min(NEIGHBOURS_PER_CHUNK, found[kind] - start)
                _add_neighbours(
                    near[kind], start, n_near, choices, radial, angular, workspace, rho[kind], squares[kind]
                )
        _add_features(kinds[first + i], choices[2], angular[3], found, rho, squares, power, series, features[rows[i]])
    return True


@njit(cache=True, nogil=True)
def _add_neighbours(near, start, n_near, choices, radial, angular, workspace, rho, squares):
    """Add `n_near` neighbours at the vectors ``near[:, start:]`` to rho and squares."""
    cutoff, cutoff_function, pairs = choices
    u, q, h, y = workspace
    # fill up whole vectors and tiles with neighbours on the cutoff sphere, which weigh nothing
    n_filled = (n_near + FILL - 1) // FILL * FILL
    near[:2, start + n_near : start + n_filled] = 0.0
    near[2, start + n_near : start + n_filled] = cutoff
    for k in range(n_filled):
        dx, dy, dz = near[0, start + k], near[1, start + k], near[2, start + k]
        r = sqrt(dx**2 + dy**2 + dz**2)
        inverse = 1.0 / r
        u[0, k] = dx * inverse
        u[1, k] = dy * inverse
        u[2, k] = dz * inverse
        u[3, k] = (cutoff - r) / cutoff
    _radial_weights(u[3:], n_filled, cutoff, cutoff_function, radial, q, h)
    _harmonics(u, n_filled, angular, y)
    add_product(y, h, rho, n_near)
    if pairs != ALL:
        for k in range(n_near):
            for n in range(squares.shape[0]):
                squares[n] += h[k, n] ** 2


@njit(cache=True, nogil=True)
def _radial_weights(t, n_near, cutoff, cutoff_function, radial, q, h):
    """h_kn = g_n(r_k) f(r_k) at t = 1 - r/rc: the recurrence of Q started from f Q_0, then the rotation g = U Q."""
    c, s, rotation = radial
    n_max = rotation.shape[0]
    q0 = sqrt(7.0 / cutoff)
    for k in range(n_near):
        q[0, k] = q0 * t[0, k] ** 3 * cutoff_weight(cutoff_function, t[0, k])
    for k in range(0, n_near, LANES):
        t_k = load(t, 0, k)
        below, here = spread(0.0), load(q, 0, k)
        for n in range(1, n_max):
            scale = spread(1.0 / s[n])
            below, here = here, fused(t_k - spread(c[n - 1]), here, spread(-s[n - 1]) * below) * scale
            store(q, n, k, here)
    h[:n_near] = 0.0
    add_product(q.T, rotation, h[:n_near], n_max)


@njit(cache=True, nogil=True)
def _harmonics(u, n_near, angular, harmonics):
    """Y_lm(u_k) in row l^2 + l + m, by the recurrences of `angular_basis`."""
    a, b, d, _ = angular
    l_max = d.shape[0] - 1
    for k in range(0, n_near, LANES):
        x, y, z = load(u, 0, k), load(u, 1, k), load(u, 2, k)
        real, imaginary = spread(1.0), spread(0.0)
        for m in range(l_max + 1):
            if m > 0:
                real, imaginary = real * x - imaginary * y, real * y + imaginary * x
            scale = spread(d[m])
            here, here_sine = scale * real, scale * imaginary
            below, below_sine = spread(0.0), spread(0.0)
            store(harmonics, m * m + 2 * m, k, here)
            if m > 0:
                store(harmonics, m * m, k, here_sine)
            for l in range(m + 1, l_max + 1):
                a_z, b_lm = spread(a[l, m]) * z, spread(-b[l, m])
                below, here = here, fused(a_z, here, b_lm * below)
                below_sine, here_sine = here_sine, fused(a_z, here_sine, b_lm * below_sine)
                store(harmonics, l * l + l + m, k, here)
                if m > 0:
                    store(harmonics, l * l + l - m, k, here_sine)


@njit(cache=True, nogil=True)
def _add_features(centre, pairs, to_cosines, found, rho, squares, power, series, row):
    """Add A_nl of every pair of species, the sets of the centre's species, to a row of features."""
    n_species = found.shape[0]
    n_l = power.shape[0]
    n_max = row.shape[0] // (n_species * (n_species * (n_species + 1) // 2) * n_l)
    at = centre * (row.shape[0] // n_species)
    for a in range(n_species):
        for b in range(a, n_species):
            if found[a] > 0 and found[b] > 0:
                _power_spectrum(rho[a], rho[b], power)
                series[:] = 0.0
                add_product(to_cosines, power, series, n_l)
                both_orders = 2.0 if a != b else 1.0
                weight = 0.5 * both_orders if pairs == DISTINCT else both_orders
                for l in range(n_l):
                    for n in range(n_max):
                        self_pairs = squares[a, n] if a == b else 0.0
                        row[at + n * n_l + l] += weight * (series[l, n] - self_pairs)
            at += n_max * n_l


@njit(cache=True, nogil=True)
def _power_spectrum(rho, other, power):
    """power_ln = sum_m rho_(lm)n other_(lm)n."""
    power[:] = 0.0
    for l in range(power.shape[0]):
        for m in range(l * l, (l + 1) * (l + 1)):
            for n in range(power.shape[1]):
                power[l, n] += rho[m, n] * other[m, n]
