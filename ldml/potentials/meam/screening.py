"""Neighbours of a site, and the screening of its bonds.

    S_ij = f_c((r_c - r_ij)/Delta_r) prod_k f_c((C_ikj - C_min)/(C_max - C_min))
    C    = 1 + 2 (x + y - 1)/(1 - (x - y)²),      x = r_ik²/r_ij²,  y = r_jk²/r_ij²

C is the squared ratio of the axes of the ellipse through atom k one of whose axes is the bond ij. Atoms outside of the
ellipse of C_max do not screen, and one inside of that of C_min screens completely. Atoms k are neighbours of i: the
vectors from i, `vectors` (n, 3) with `squares` (n,), are all that is needed.

Source: B.-J. Lee and M. I. Baskes, Phys. Rev. B 62, 8564 (2000).
"""

import numpy as np

from ldml.potentials.meam.functions import compiled, smooth_step

NEGLIGIBLE = 1e-20
"""A screening factor below this is zero."""


@compiled
def order_by_distance(offsets, distances):
    """The permutation of listed pairs that sorts the neighbours of each atom."""
    order = np.arange(distances.shape[0])
    for i in range(offsets.shape[0] - 1):
        for k in range(offsets[i] + 1, offsets[i + 1]):
            at = k
            while at > offsets[i] and distances[order[at - 1]] > distances[k]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = k
    return order


@compiled
def longest_row(offsets):
    longest = 1
    for i in range(offsets.shape[0] - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


@compiled
def gather(i, positions, offsets, indices, shifts, squared_range, vectors, squares, listed):
    """Vectors from i to its neighbours within the range of a site, their squares, and where they are listed."""
    n = 0
    x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
    for k in range(offsets[i], offsets[i + 1]):
        j = indices[k]
        dx = positions[j, 0] + shifts[k, 0] - x
        dy = positions[j, 1] + shifts[k, 1] - y
        dz = positions[j, 2] + shifts[k, 2] - z
        square = dx * dx + dy * dy + dz * dz
        if square < squared_range:
            vectors[n, 0] = dx
            vectors[n, 1] = dy
            vectors[n, 2] = dz
            squares[n] = square
            listed[n] = k
            n += 1
    return n


@compiled
def square_between(vectors, j, k):
    dx = vectors[k, 0] - vectors[j, 0]
    dy = vectors[k, 1] - vectors[j, 1]
    dz = vectors[k, 2] - vectors[j, 2]
    return dx * dx + dy * dy + dz * dz


@compiled
def _ellipse(ij, ik, jk):
    """Squared axis ratio C of the ellipse through k whose other axis is the bond; infinite where k is beside an end."""
    x = ik / ij
    y = jk / ij
    width = 1.0 - (x - y) * (x - y)
    if width <= 0.0:
        return np.inf
    return 1.0 + 2.0 * (x + y - 1.0) / width


@compiled
def screening_product(j, n, vectors, squares, c, screeners):
    """Product of the screening factors of the bond to neighbour j, and the number of atoms with a factor below one.

    Those atoms go to `screeners`. A bond that is screened completely gives 0.0, 0.
    """
    bond = squares[j]
    farthest = c.reach * bond
    product = 1.0
    found = 0
    for k in range(n):
        if k == j or squares[k] >= farthest:
            continue
        jk = square_between(vectors, j, k)
        if jk >= farthest:
            continue
        ellipse = _ellipse(bond, squares[k], jk)
        if ellipse >= c.c_max:
            continue
        if ellipse <= c.c_min:
            return 0.0, 0
        product *= smooth_step((ellipse - c.c_min) / (c.c_max - c.c_min))[0]
        screeners[found] = k
        found += 1
    if product < NEGLIGIBLE:
        return 0.0, 0
    return product, found


@compiled
def log_screening(ij, ik, jk, c):
    """ln of the factor of atom k as a function of the squared sides A = r_ij², B = r_ik², D = r_jk².

    Returns the derivatives A, B, D, AA, AB, AD, BB, BD, DD. C depends on x = B/A and y = D/A only.
    """
    x = ik / ij
    y = jk / ij
    e = x - y
    u = x + y - 1.0
    inverse = 1.0 / (1.0 - e * e)
    # C = 1 + 2 u/w, w = 1 - e²: w_x = -2e, w_y = 2e, w_xx = w_yy = -2, w_xy = 2
    cx = 2.0 * inverse + 4.0 * u * e * inverse**2
    cy = 2.0 * inverse - 4.0 * u * e * inverse**2
    common = 16.0 * u * e * e * inverse**3 + 4.0 * u * inverse**2
    cxx = common + 8.0 * e * inverse**2
    cyy = common - 8.0 * e * inverse**2
    cxy = -common
    width = c.c_max - c.c_min
    s, ds, d2s = smooth_step((1.0 + 2.0 * u * inverse - c.c_min) / width)
    slope = ds / (s * width)
    curvature = d2s / (s * width * width) - slope * slope
    lx = slope * cx
    ly = slope * cy
    lxx = curvature * cx * cx + slope * cxx
    lxy = curvature * cx * cy + slope * cxy
    lyy = curvature * cy * cy + slope * cyy
    q = 1.0 / ij
    q2 = q * q
    return (
        -q * (x * lx + y * ly),
        q * lx,
        q * ly,
        q2 * (2.0 * (x * lx + y * ly) + x * x * lxx + 2.0 * x * y * lxy + y * y * lyy),
        -q2 * (lx + x * lxx + y * lxy),
        -q2 * (ly + x * lxy + y * lyy),
        q2 * lxx,
        q2 * lxy,
        q2 * lyy,
    )
