"""The Hessian of a MEAM potential: the sum over sites of the exact second derivatives of their energies.

    sum_lm 2 t_l F_X J_lm J_lm^T + F_rr u u^T + F_rX (u v^T + v u^T) + F_XX v v^T + sum_j d²[S_ij h_ij]
    d²[S h] = S [ h g g^T + g (dh)^T + dh g^T + h d² ln S + d²h ],      g = d ln S

J_lm = dQ_lm/dx, u = drho/dx, v = dX/dx; F(rho, X) and h_ij as in `sites`. The atoms that take part in a site
(see `coupling`) are numbered, and the matrix `local` of their second derivatives filled: the upper triangle first; then its
mirror image; the row and column of the site's own atom last, by invariance under translation.

Source: the chain rule on the energy of the package.
"""

from math import sqrt

import numpy as np

from ldml.potentials.meam.coupling import find
from ldml.potentials.meam.functions import compiled, smooth_step
from ldml.potentials.meam.moments import (
    N_MOMENTS,
    clear,
    harmonic_gradients,
    harmonics,
    radial_functions,
    site_slopes,
)
from ldml.potentials.meam.screening import gather, log_screening, longest_row, screening_product, square_between
from ldml.potentials.meam.sites import bond_curvature, moment_weights, site_function


@compiled
def add_site_hessians(
    positions, offsets, indices, shifts, c, table, sites, first, last, row_start, columns, blocks
):  # fmt: skip
    """Add the second derivatives of the energies of `sites` to the rows of atoms `first` to `last`."""
    longest = longest_row(offsets) + 1
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    place = np.empty(longest, np.int64)
    members = np.empty(longest, np.int64)
    bonds = np.empty((longest, 3), np.int64)
    products = np.empty(longest)
    bond_screeners = np.empty(longest * longest, np.int64)
    jacobian = np.empty((N_MOMENTS + 2, 3 * longest))
    scaled = np.empty((N_MOMENTS + 2, 3 * longest))
    local = np.empty((3 * longest, 3 * longest))
    moments = np.empty(N_MOMENTS)
    weights = np.empty(N_MOMENTS)
    slopes = np.empty(20)
    p = np.empty(N_MOMENTS)
    dp = np.empty((N_MOMENTS, 3))
    gradients = np.empty((longest, 3))
    for i in sites:
        n = gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        density, n_bonds, n_members = _site_bonds(
            n, vectors, squares, c, screeners, place, members, bonds, products, bond_screeners, p, moments
        )  # fmt: skip
        if n_bonds == 0:
            continue
        size = 3 * n_members
        clear(jacobian, N_MOMENTS + 2, size)
        clear(local, size + 3, size + 3)
        _, by_r, by_x, by_rr, by_rx, by_xx = site_function(density, moments, c)
        moment_weights(by_x, moments, c, weights)
        site_slopes(by_r, weights, slopes)
        for b in range(n_bonds):
            _add_bond(
                b, vectors, squares, c, table, slopes, place, bonds, products, bond_screeners, p, dp, gradients,
                jacobian, local,
            )  # fmt: skip
        _add_moments(size, moments, by_x, by_rr, by_rx, by_xx, c, jacobian, scaled, local)
        _close(n_members, local)
        for q in range(n_members):
            members[q] = indices[listed[members[q]]]
        members[n_members] = i
        _scatter(n_members + 1, members, local, first, last, row_start, columns, blocks)


@compiled
def _site_bonds(n, vectors, squares, c, screeners, place, members, bonds, products, bond_screeners, p, moments):
    """Bonds of a site that are not screened, its density and moments, and the neighbours that take part.

    bonds (., 3) holds the neighbour and the range of its screeners in `bond_screeners`; `place` the position of a
    neighbour among the `members`.
    """
    density = 0.0
    for m in range(N_MOMENTS):
        moments[m] = 0.0
    for k in range(n):
        place[k] = -1
    n_bonds = 0
    n_members = 0
    at = 0
    for j in range(n):
        if squares[j] >= c.squared_cutoff:
            continue
        product, n_screeners = screening_product(j, n, vectors, squares, c, screeners)
        if product == 0.0:
            continue
        bonds[n_bonds, 0] = j
        bonds[n_bonds, 1] = at
        for q in range(n_screeners):
            bond_screeners[at] = screeners[q]
            at += 1
        bonds[n_bonds, 2] = at
        products[n_bonds] = product
        screeners[n_screeners] = j
        for q in range(n_screeners + 1):
            if place[screeners[q]] < 0:
                place[screeners[q]] = n_members
                members[n_members] = screeners[q]
                n_members += 1
        n_bonds += 1
        r = sqrt(squares[j])
        s = product * smooth_step((c.cutoff - r) / c.smoothing)[0]
        a0, g1, g2, g3 = radial_functions(r, c)
        harmonics(vectors[j, 0], vectors[j, 1], vectors[j, 2], p)
        density += s * a0
        for m in range(N_MOMENTS):
            moments[m] += s * (g1 if m < 3 else (g2 if m < 8 else g3)) * p[m]
    return density, n_bonds, n_members


@compiled
def _add_bond(
    b, vectors, squares, c, table, slopes, place, bonds, products, bond_screeners, p, dp, gradients, jacobian, local
):  # fmt: skip
    """Add the bond's part of dQ/dx and drho/dx to `jacobian`, and d²[S h] to the upper triangle of `local`."""
    j = bonds[b, 0]
    d = vectors[j]
    r = sqrt(squares[j])
    step, dstep, d2step = smooth_step((c.cutoff - r) / c.smoothing)
    if step == 0.0:
        return
    s = products[b] * step
    n_screeners = bonds[b, 2] - bonds[b, 1]
    h, gradient, curvature = bond_curvature(d, r, slopes, c, table)

    # g = d ln S: of the cutoff and the screening; of each screening atom in its own row, the bond's own atom last
    q = 1.0 / r
    along = -dstep / (c.smoothing * step)
    bend = d2step / (c.smoothing**2 * step) - along * along
    own = gradients[n_screeners]
    at = 3 * place[j]
    for a in range(3):
        own[a] = along * q * d[a]
    for a in range(3):
        for e in range(3):
            value = (bend - along * q) * q * q * d[a] * d[e]
            if a == e:
                value += along * q
            local[at + a, at + e] += s * (h * value + curvature[a, e])
    for t in range(n_screeners):
        k = bond_screeners[bonds[b, 1] + t]
        _add_screener(j, k, vectors, squares, c, s * h, place, own, gradients[t], local)

    # S [h g g^T + g (dh)^T + dh g^T], dh on the bond's own atom only
    for t in range(n_screeners + 1):
        to = 3 * place[j if t == n_screeners else bond_screeners[bonds[b, 1] + t]]
        for u in range(t, n_screeners + 1):
            tu = 3 * place[j if u == n_screeners else bond_screeners[bonds[b, 1] + u]]
            swap = tu < to
            for a in range(3):
                for e in range(3):
                    value = h * gradients[t, a] * gradients[u, e]
                    if u == n_screeners:
                        value += gradients[t, a] * gradient[e]
                        if t == n_screeners:
                            value += gradient[a] * gradients[u, e]
                    if swap:
                        local[tu + e, to + a] += s * value
                    else:
                        local[to + a, tu + e] += s * value

    # d[S a_l Y_lm] and d[S a_0]
    a0, g1, g2, g3 = radial_functions(r, c)
    harmonics(d[0], d[1], d[2], p)
    harmonic_gradients(d[0], d[1], d[2], dp)
    for m in range(N_MOMENTS):
        g, slope = g1, -(c.decay1 + q) * g1
        if m >= 3:
            g, slope = g2, -(c.decay2 + 2.0 * q) * g2
        if m >= 8:
            g, slope = g3, -(c.decay3 + 3.0 * q) * g3
        for a in range(3):
            jacobian[m, at + a] += s * (slope * q * d[a] * p[m] + g * dp[m, a])
        p[m] *= s * g
    for a in range(3):
        jacobian[N_MOMENTS, at + a] -= s * c.decay0 * a0 * q * d[a]
    for t in range(n_screeners + 1):
        to = 3 * place[j if t == n_screeners else bond_screeners[bonds[b, 1] + t]]
        for a in range(3):
            g = gradients[t, a]
            for m in range(N_MOMENTS):
                jacobian[m, to + a] += p[m] * g
            jacobian[N_MOMENTS, to + a] += s * a0 * g


@compiled
def _add_screener(j, k, vectors, squares, c, weight, place, own, gradient, local):
    """Add the screening of atom k to d ln S of the bond's atom (`own`) and of k, and weight times its curvature."""
    dj = vectors[j]
    dk = vectors[k]
    la, lb, ld, laa, lab, lad, lbb, lbd, ldd = log_screening(squares[j], squares[k], square_between(vectors, j, k), c)
    e = (dj[0] - dk[0], dj[1] - dk[1], dj[2] - dk[2])
    for a in range(3):
        own[a] += 2.0 * (la * dj[a] + ld * e[a])
        gradient[a] = 2.0 * (lb * dk[a] - ld * e[a])
    at = 3 * place[j]
    to = 3 * place[k]
    for a in range(3):
        for b in range(3):
            jj = 4.0 * (laa * dj[a] * dj[b] + lad * (dj[a] * e[b] + e[a] * dj[b]) + ldd * e[a] * e[b])
            kk = 4.0 * (lbb * dk[a] * dk[b] - lbd * (dk[a] * e[b] + e[a] * dk[b]) + ldd * e[a] * e[b])
            jk = 4.0 * (lab * dj[a] * dk[b] - lad * dj[a] * e[b] + lbd * e[a] * dk[b] - ldd * e[a] * e[b])
            if a == b:
                jj += 2.0 * (la + ld)
                kk += 2.0 * (lb + ld)
                jk -= 2.0 * ld
            local[at + a, at + b] += weight * jj
            local[to + a, to + b] += weight * kk
            if at < to:
                local[at + a, to + b] += weight * jk
            else:
                local[to + b, at + a] += weight * jk


@compiled
def _add_moments(size, moments, by_x, by_rr, by_rx, by_xx, c, jacobian, scaled, local):
    """Add J^T (d²F) J to the upper triangle of `local`; the last two rows of J are drho/dx and dX/dx."""
    u = jacobian[N_MOMENTS]
    v = jacobian[N_MOMENTS + 1]
    for m in range(N_MOMENTS):
        t = 2.0 * (c.t1 if m < 3 else (c.t2 if m < 8 else c.t3))
        for a in range(size):
            v[a] += t * moments[m] * jacobian[m, a]
            scaled[m, a] = t * by_x * jacobian[m, a]
    for a in range(size):
        scaled[N_MOMENTS, a] = by_rr * u[a] + by_rx * v[a]
        scaled[N_MOMENTS + 1, a] = by_rx * u[a] + by_xx * v[a]
    for a in range(size):
        row = local[a]
        for m in range(N_MOMENTS + 2):
            left = jacobian[m, a]
            right = scaled[m]
            for b in range(a, size):
                row[b] += left * right[b]


@compiled
def _close(n_members, local):
    """Mirror the upper triangle, and add the row and column of the site's own atom: no change under translation."""
    size = 3 * n_members
    for a in range(size):
        for b in range(a):
            local[a, b] = local[b, a]
    for a in range(size):
        for b in range(size):
            local[size + b % 3, a] -= local[b, a]
    for a in range(size):
        for b in range(3):
            local[a, size + b] = local[size + b, a]
            local[size + b, size + a % 3] -= local[size + b, a]
    # symmetric to the last digit, as the rest is
    for a in range(3):
        for b in range(a):
            local[size + a, size + b] = local[size + b, size + a]


@compiled
def _scatter(n, members, local, first, last, row_start, columns, blocks):
    for p in range(n):
        row = members[p] - first
        if row < 0 or row >= last - first:
            continue
        for q in range(n):
            block = blocks[find(columns, row_start[row], row_start[row + 1], members[q])]
            for a in range(3):
                for b in range(3):
                    block[a, b] += local[3 * p + a, 3 * q + b]
