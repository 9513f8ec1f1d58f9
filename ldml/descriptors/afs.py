"""Angular Fourier series (AFS).

    A_nl = sum_{k,k'} g_n(r_k) g_n(r_k') cos(l theta_kk') f(r_k) f(r_k')        (paper, Sec. III A)

k, k' run over all pairs of neighbours within the cutoff rc, k = k' included; theta_kk' is the angle between them seen
from the central atom; g_n (n = 1 ... n_max) are the Löwdin-orthonormalised radial functions (`radial_basis`); and
f(r) = (1 + cos(pi r/rc)) / 2, l = 0 ... l_max. Elements are not told apart.

The addition theorem (`angular_basis`) turns the sum over pairs into squares of sums over neighbours,

    A_nl = sum_k c_lk sum_m rho_nkm^2,      rho_nlm = sum_j g_n(r_j) f(r_j) Y_lm(u_j),

linear in their number. Expanding T_l in P_k cancels some digits: the error is at most about 4e-13 of
(sum_j |g_n f|)^2, which is the scale to compare in.

The kernels find neighbours, expand and contract them chunk by chunk, so that no neighbour list is ever stored. Threads
share out fixed blocks of atoms; what is added in which order does not depend on their number.
"""

from __future__ import annotations

from math import pi, sin, sqrt
from typing import ClassVar

import numpy as np
from ase import Atoms
from numba import njit, prange

from ldml.descriptors.angular_basis import chebyshev_to_legendre, harmonic_recurrence
from ldml.descriptors.base import COINCIDENCE, Descriptor, Parameter, coincidence_error
from ldml.descriptors.radial_basis import MAX_RADIAL, jacobi_recurrence, loewdin_rotation
from ldml.neighbours import cell_grid

ATOMS_PER_BLOCK = 64
NEIGHBOURS_PER_CHUNK = 64


class AFS(Descriptor):
    """Angular Fourier series A_nl of each atom's neighbourhood.

    Features are ordered with n outer and l inner: column (n - 1) (l_max + 1) + l holds A_nl, n_max (l_max + 1) in all.
    They are pure numbers per Å (g_n^2 is an inverse length). An atom without neighbours has A_nl = 0.
    """

    name: ClassVar[str] = "AFS"
    version: ClassVar[int] = 1
    declared_parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "n_max", "n_max", 20, (1, MAX_RADIAL), "Number of radial functions: how finely distances are told apart."
        ),
        Parameter("l_max", "l_max", 10, (0, 20), "Highest angular order: how finely angles are told apart."),
        Parameter(
            "cutoff",
            "r_cut",
            5.0,
            (0.0, 12.0),
            "Neighbours beyond this distance are not seen.",
            unit="Å",
            low_included=False,
        ),
    )

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self._radial = (*jacobi_recurrence(self.n_max), loewdin_rotation(self.n_max))
        self._angular = (*harmonic_recurrence(self.l_max), chebyshev_to_legendre(self.l_max))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """``"A[n=1,l=0]"``, ``"A[n=1,l=1]"``, ..."""
        return tuple(f"A[n={n},l={l}]" for n in range(1, self.n_max + 1) for l in range(self.l_max + 1))

    def _compute(self, atoms: Atoms) -> np.ndarray:
        return self._accumulated(atoms, lambda order: order, len(atoms))

    def _total(self, atoms: Atoms) -> np.ndarray:
        n_blocks = -(-len(atoms) // ATOMS_PER_BLOCK)
        blocks = self._accumulated(atoms, lambda order: np.arange(len(order)) // ATOMS_PER_BLOCK, n_blocks)
        return blocks.sum(axis=0)

    def _accumulated(self, atoms, row_of, n_rows):
        """Features of each atom added to a row of the result; `row_of` maps the grid's order of atoms to rows."""
        grid = cell_grid(atoms.positions, atoms.cell.array, atoms.pbc, self.cutoff)
        rows = row_of(grid.order)
        features = np.zeros((n_rows, self.n_max * (self.l_max + 1)))
        distinct = _describe_blocks(grid.arrays(), self.cutoff, self._radial, self._angular, rows, features)
        if not distinct:
            raise coincidence_error(atoms)
        return features


# The kernels share one file: numba's cache on disk looks for changes only in the file of the function it is asked for.
# Relaxed arithmetic is left to the one sum that cannot be vectorised without it. With more of it, a process that compiles
# and one that loads the compiled code from the cache differ in the last bits: they optimise their copies differently.


@njit(cache=True, nogil=True, parallel=True)
def _describe_blocks(grid, cutoff, radial, angular, rows, features):
    """Add the features of sorted atom i to row ``rows[i]``; False if two atoms coincide.

    No two blocks may share a row.
    """
    n_atoms = rows.shape[0]
    n_blocks = (n_atoms + ATOMS_PER_BLOCK - 1) // ATOMS_PER_BLOCK
    distinct = np.empty(n_blocks, np.bool_)
    for block in prange(n_blocks):
        first = block * ATOMS_PER_BLOCK
        last = min(n_atoms, first + ATOMS_PER_BLOCK)
        distinct[block] = _describe(first, last, grid, cutoff, radial, angular, rows, features)
    return distinct.all()


@njit(cache=True, nogil=True)
def _describe(first, last, grid, cutoff, radial, angular, rows, features):
    n_max = radial[2].shape[0]
    n_l = angular[3].shape[0]
    # padded to the tiles of _contract; the padding of h is and stays zero
    h = np.zeros(((n_max + 3) // 4 * 4, NEIGHBOURS_PER_CHUNK))
    y = np.zeros(((n_l * n_l + 2) // 3 * 3, NEIGHBOURS_PER_CHUNK))
    q = np.empty((n_max, NEIGHBOURS_PER_CHUNK))
    phase = np.empty((2, NEIGHBOURS_PER_CHUNK))
    near = np.empty((4, NEIGHBOURS_PER_CHUNK))
    rho = np.empty((y.shape[0], h.shape[0]))
    power = np.empty((n_l, h.shape[0]))
    cosines = np.empty(h.shape[0])
    for i in range(first, last):
        rho[:] = 0.0
        if not _expand(i, grid, cutoff, radial, angular, near, q, h, phase, y, rho):
            return False
        _power_spectrum(rho, power)
        _to_cosines(angular[3], power, n_max, cosines, features[rows[i]])
    return True


@njit(cache=True, nogil=True)
def _expand(i, grid, cutoff, radial, angular, near, q, h, phase, y, rho):
    """rho_nlm of sorted atom i; False as soon as a neighbour coincides with it."""
    positions, bins, bin_start, n_bins, reach, periodic, cell = grid
    found = 0
    for da in range(-reach[0], reach[0] + 1):
        a = bins[i, 0] + da
        image_a = a // n_bins[0]
        if image_a != 0 and not periodic[0]:
            continue
        a -= image_a * n_bins[0]
        for db in range(-reach[1], reach[1] + 1):
            b = bins[i, 1] + db
            image_b = b // n_bins[1]
            if image_b != 0 and not periodic[1]:
                continue
            b -= image_b * n_bins[1]
            for dc in range(-reach[2], reach[2] + 1):
                c = bins[i, 2] + dc
                image_c = c // n_bins[2]
                if image_c != 0 and not periodic[2]:
                    continue
                c -= image_c * n_bins[2]
                home = image_a == 0 and image_b == 0 and image_c == 0
                x0 = image_a * cell[0, 0] + image_b * cell[1, 0] + image_c * cell[2, 0] - positions[i, 0]
                y0 = image_a * cell[0, 1] + image_b * cell[1, 1] + image_c * cell[2, 1] - positions[i, 1]
                z0 = image_a * cell[0, 2] + image_b * cell[1, 2] + image_c * cell[2, 2] - positions[i, 2]
                box = (a * n_bins[1] + b) * n_bins[2] + c
                for j in range(bin_start[box], bin_start[box + 1]):
                    dx = positions[j, 0] + x0
                    dy = positions[j, 1] + y0
                    dz = positions[j, 2] + z0
                    squared = dx * dx + dy * dy + dz * dz
                    if squared >= cutoff * cutoff or (home and j == i):
                        continue
                    if squared < COINCIDENCE * COINCIDENCE:
                        return False
                    near[0, found] = dx
                    near[1, found] = dy
                    near[2, found] = dz
                    found += 1
                    if found == NEIGHBOURS_PER_CHUNK:
                        _add_neighbours(near, found, cutoff, radial, angular, q, h, phase, y, rho)
                        found = 0
    if found > 0:
        _add_neighbours(near, found, cutoff, radial, angular, q, h, phase, y, rho)
    return True


@njit(cache=True, nogil=True)
def _add_neighbours(near, found, cutoff, radial, angular, q, h, phase, y, rho):
    """Add `found` neighbours at the vectors ``near[:3]`` to rho."""
    # fill up whole vector registers with neighbours on the cutoff sphere, which weigh nothing
    n_near = (found + 7) // 8 * 8
    near[:2, found:n_near] = 0.0
    near[2, found:n_near] = cutoff
    for k in range(n_near):
        r = sqrt(near[0, k] ** 2 + near[1, k] ** 2 + near[2, k] ** 2)
        inverse = 1.0 / r
        near[0, k] *= inverse
        near[1, k] *= inverse
        near[2, k] *= inverse
        near[3, k] = (cutoff - r) / cutoff
    _radial_weights(near[3], n_near, cutoff, radial, q, h)
    _harmonics(near, n_near, angular, phase, y)
    _contract(h, y, n_near, rho)


@njit(cache=True, nogil=True)
def _radial_weights(t, n_near, cutoff, radial, q, h):
    """h_nk = g_n(r_k) f(r_k) at t = 1 - r/rc: the recurrence of Q started from f Q_0, then the rotation g = U Q."""
    c, s, rotation = radial
    n_max = rotation.shape[0]
    q0 = sqrt(7.0 / cutoff)
    for k in range(n_near):
        q[0, k] = q0 * t[k] ** 3 * sin(0.5 * pi * t[k]) ** 2
    for n in range(1, n_max):
        centre, coupling, scale = c[n - 1], s[n - 1], 1.0 / s[n]
        two_below = max(n - 2, 0)  # s[0] = 0 takes it out for n = 1
        for k in range(n_near):
            q[n, k] = ((t[k] - centre) * q[n - 1, k] - coupling * q[two_below, k]) * scale
    h[:n_max, :n_near] = 0.0
    in_fours = n_max // 4 * 4
    for n in range(n_max):
        for p in range(0, in_fours, 4):
            u0, u1, u2, u3 = rotation[n, p], rotation[n, p + 1], rotation[n, p + 2], rotation[n, p + 3]
            for k in range(n_near):
                h[n, k] += u0 * q[p, k] + u1 * q[p + 1, k] + u2 * q[p + 2, k] + u3 * q[p + 3, k]
        for p in range(in_fours, n_max):
            u0 = rotation[n, p]
            for k in range(n_near):
                h[n, k] += u0 * q[p, k]


@njit(cache=True, nogil=True)
def _harmonics(near, n_near, angular, phase, y):
    """Y_lm(u_k) in row l^2 + l + m, by the recurrences of `angular_basis`."""
    a, b, d, _ = angular
    l_max = d.shape[0] - 1
    ux, uy, uz = near[0], near[1], near[2]
    real, imaginary = phase[0], phase[1]
    real[:n_near] = 1.0
    imaginary[:n_near] = 0.0
    for m in range(l_max + 1):
        if m > 0:
            for k in range(n_near):
                turned = real[k] * ux[k] - imaginary[k] * uy[k]
                imaginary[k] = real[k] * uy[k] + imaginary[k] * ux[k]
                real[k] = turned
        for sign in range(1, -2 if m > 0 else 0, -2):
            part = real if sign > 0 else imaginary
            d_m = d[m]
            for k in range(n_near):
                y[m * m + m + sign * m, k] = d_m * part[k]
            for l in range(m + 1, l_max + 1):
                here = l * l + l + sign * m
                below = here - 2 * l
                two_below = max(below - 2 * (l - 1), 0)  # b_lm = 0 takes it out for l = m + 1
                a_lm, b_lm = a[l, m], b[l, m]
                for k in range(n_near):
                    y[here, k] = a_lm * uz[k] * y[below, k] - b_lm * y[two_below, k]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _contract(h, y, n_near, rho):
    """rho_(lm)n += sum_k y_(lm)k h_nk in tiles of 3 x 4 sums, few enough to stay in registers."""
    for m in range(0, y.shape[0], 3):
        for n in range(0, h.shape[0], 4):
            s00 = s01 = s02 = s03 = 0.0
            s10 = s11 = s12 = s13 = 0.0
            s20 = s21 = s22 = s23 = 0.0
            for k in range(n_near):
                h0, h1, h2, h3 = h[n, k], h[n + 1, k], h[n + 2, k], h[n + 3, k]
                y0, y1, y2 = y[m, k], y[m + 1, k], y[m + 2, k]
                s00 += y0 * h0
                s01 += y0 * h1
                s02 += y0 * h2
                s03 += y0 * h3
                s10 += y1 * h0
                s11 += y1 * h1
                s12 += y1 * h2
                s13 += y1 * h3
                s20 += y2 * h0
                s21 += y2 * h1
                s22 += y2 * h2
                s23 += y2 * h3
            rho[m, n] += s00
            rho[m, n + 1] += s01
            rho[m, n + 2] += s02
            rho[m, n + 3] += s03
            rho[m + 1, n] += s10
            rho[m + 1, n + 1] += s11
            rho[m + 1, n + 2] += s12
            rho[m + 1, n + 3] += s13
            rho[m + 2, n] += s20
            rho[m + 2, n + 1] += s21
            rho[m + 2, n + 2] += s22
            rho[m + 2, n + 3] += s23


@njit(cache=True, nogil=True)
def _power_spectrum(rho, power):
    """power_ln = sum_m rho_(lm)n^2."""
    power[:] = 0.0
    for l in range(power.shape[0]):
        for m in range(l * l, (l + 1) * (l + 1)):
            for n in range(power.shape[1]):
                power[l, n] += rho[m, n] ** 2


@njit(cache=True, nogil=True)
def _to_cosines(c, power, n_max, cosines, row):
    """Add A_nl = sum_k c_lk power_kn to a row of features; c_lk vanishes where l - k is odd."""
    n_l = c.shape[0]
    for l in range(n_l):
        cosines[:] = 0.0
        for k in range(l % 2, l + 1, 2):
            c_lk = c[l, k]
            for n in range(cosines.shape[0]):
                cosines[n] += c_lk * power[k, n]
        for n in range(n_max):
            row[n * n_l + l] += cosines[n]
