"""The energy of a site by its density and moments, and by one of its bonds.

    F(rho, X)  = F(rho G(Gamma)/rho_ref),      Gamma = X/rho²,      X = sum_l t_l sum_m Q_lm²
    h_ij(d)    = F_r a_0 + sum_lm 2 t_l F_X Q_lm a_l Y_lm + phi/2,  F_r = dF/drho, F_X = dF/dX

rho and Q_lm are sums over the bonds ij of the site with weights S_ij, and h_ij is the derivative of its energy by S_ij: a
function of the vector d from i to j, at fixed F_r and F_X Q_lm. The sum over l, m is evaluated as a linear, a quadratic and
a cubic form of d; `slopes` (20,) are F_r and the coefficients of these forms (see `moments.site_slopes`).

Source: the chain rule on the energy of the package.
"""

import numpy as np

from ldml.potentials.meam.functions import compiled, embedding_energy, shape_function
from ldml.potentials.meam.moments import N_MOMENTS, radial_functions
from ldml.potentials.meam.pair_potential import pair_potential
from ldml.potentials.meam.screening import NEGLIGIBLE


@compiled
def site_function(density, moments, c):
    """F and its derivatives by rho and X: F, F_r, F_X, F_rr, F_rX, F_XX."""
    if density <= NEGLIGIBLE:
        return 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    x1 = moments[0] ** 2 + moments[1] ** 2 + moments[2] ** 2
    x2 = 0.0
    for m in range(3, 8):
        x2 += moments[m] ** 2
    x3 = 0.0
    for m in range(8, N_MOMENTS):
        x3 += moments[m] ** 2
    gamma = (c.t1 * x1 + c.t2 * x2 + c.t3 * x3) / (density * density)
    g, dg, d2g = shape_function(gamma, c.ibar, c.gsmooth_factor)
    f, df, d2f = embedding_energy(density * g / c.background, c.embedding, c.linear_below_zero)
    q = 1.0 / c.background
    by_r = q * (g - 2.0 * gamma * dg)
    by_x = q * dg / density
    by_rr = q * 2.0 * gamma * (dg + 2.0 * gamma * d2g) / density
    by_rx = -q * (dg + 2.0 * gamma * d2g) / (density * density)
    by_xx = q * d2g / (density * density * density)
    return (
        f,
        df * by_r,
        df * by_x,
        d2f * by_r * by_r + df * by_rr,
        d2f * by_r * by_x + df * by_rx,
        d2f * by_x * by_x + df * by_xx,
    )


@compiled
def moment_weights(by_moments, moments, c, weights):
    """dF/dQ_lm = 2 t_l F_X Q_lm."""
    for m in range(N_MOMENTS):
        t = c.t1 if m < 3 else (c.t2 if m < 8 else c.t3)
        weights[m] = 2.0 * t * by_moments * moments[m]


@compiled
def bond_gradient(x, y, z, r, slopes, phi, dphi, c, gradient):
    """h(d) and its gradient, from dF/drho, dF/dQ as tensors (20,), and phi."""
    a0, g1, g2, g3 = radial_functions(r, c)
    # r Y_1, r² Y_2, r³ Y_3 weighted: linear, quadratic, cubic forms
    p1 = slopes[1] * x + slopes[2] * y + slopes[3] * z
    m0 = slopes[4] * x + slopes[5] * y + slopes[6] * z
    m1 = slopes[5] * x + slopes[7] * y + slopes[8] * z
    m2 = slopes[6] * x + slopes[8] * y + slopes[9] * z
    p2 = 0.5 * (m0 * x + m1 * y + m2 * z)
    xx = slopes[10] * x + slopes[11] * y + slopes[12] * z
    xy = slopes[11] * x + slopes[13] * y + slopes[14] * z
    xz = slopes[12] * x + slopes[14] * y + slopes[15] * z
    yy = slopes[13] * x + slopes[16] * y + slopes[17] * z
    yz = slopes[14] * x + slopes[17] * y + slopes[18] * z
    zz = slopes[15] * x + slopes[18] * y + slopes[19] * z
    t0 = 0.5 * (xx * x + xy * y + xz * z)
    t1 = 0.5 * (xy * x + yy * y + yz * z)
    t2 = 0.5 * (xz * x + yz * y + zz * z)
    p3 = (t0 * x + t1 * y + t2 * z) / 3.0
    q = 1.0 / r
    radial = (
        dphi
        - c.decay0 * slopes[0] * a0
        - (c.decay1 + q) * g1 * p1
        - (c.decay2 + 2.0 * q) * g2 * p2
        - (c.decay3 + 3.0 * q) * g3 * p3
    ) * q
    gradient[0] = radial * x + g1 * slopes[1] + g2 * m0 + g3 * t0
    gradient[1] = radial * y + g1 * slopes[2] + g2 * m1 + g3 * t1
    gradient[2] = radial * z + g1 * slopes[3] + g2 * m2 + g3 * t2
    return phi + slopes[0] * a0 + g1 * p1 + g2 * p2 + g3 * p3


@compiled
def bond_curvature(d, r, slopes, c, table):
    """h(d) of one site with its half of phi, its gradient (3,) and second derivatives (3, 3)."""
    phi, dphi, d2phi = pair_potential(r, c, table)
    phi, dphi, d2phi = 0.5 * phi, 0.5 * dphi, 0.5 * d2phi
    gradient = np.empty(3)
    h = bond_gradient(d[0], d[1], d[2], r, slopes, phi, dphi, c, gradient)
    a0, g1, g2, g3 = radial_functions(r, c)
    m = slopes[4:10]
    t = slopes[10:20]
    q = 1.0 / r
    second = np.empty((3, 3))
    third = np.empty((3, 3))
    second[0, 0], second[0, 1], second[0, 2] = m[0], m[1], m[2]
    second[1, 1], second[1, 2], second[2, 2] = m[3], m[4], m[5]
    third[0, 0] = t[0] * d[0] + t[1] * d[1] + t[2] * d[2]
    third[0, 1] = t[1] * d[0] + t[3] * d[1] + t[4] * d[2]
    third[0, 2] = t[2] * d[0] + t[4] * d[1] + t[5] * d[2]
    third[1, 1] = t[3] * d[0] + t[6] * d[1] + t[7] * d[2]
    third[1, 2] = t[4] * d[0] + t[7] * d[1] + t[8] * d[2]
    third[2, 2] = t[5] * d[0] + t[8] * d[1] + t[9] * d[2]
    for a in range(3):
        for b in range(a):
            second[a, b] = second[b, a]
            third[a, b] = third[b, a]
    d1, d2, d3 = np.empty(3), np.empty(3), np.empty(3)
    p1 = p2 = p3 = 0.0
    for a in range(3):
        d1[a] = slopes[1 + a]
        d2[a] = second[a, 0] * d[0] + second[a, 1] * d[1] + second[a, 2] * d[2]
        d3[a] = 0.5 * (third[a, 0] * d[0] + third[a, 1] * d[1] + third[a, 2] * d[2])
        p1 += d1[a] * d[a]
        p2 += 0.5 * d2[a] * d[a]
        p3 += d3[a] * d[a] / 3.0
    k1, k2, k3 = c.decay1 + q, c.decay2 + 2.0 * q, c.decay3 + 3.0 * q
    radial = dphi - c.decay0 * slopes[0] * a0 - k1 * g1 * p1 - k2 * g2 * p2 - k3 * g3 * p3
    bend = (
        d2phi
        + c.decay0**2 * slopes[0] * a0
        + (k1 * k1 + q * q) * g1 * p1
        + (k2 * k2 + 2.0 * q * q) * g2 * p2
        + (k3 * k3 + 3.0 * q * q) * g3 * p3
    )
    curvature = np.empty((3, 3))
    for a in range(3):
        mixed_a = -q * (k1 * g1 * d1[a] + k2 * g2 * d2[a] + k3 * g3 * d3[a])
        for b in range(3):
            mixed_b = -q * (k1 * g1 * d1[b] + k2 * g2 * d2[b] + k3 * g3 * d3[b])
            curvature[a, b] = (
                (bend - radial * q) * q * q * d[a] * d[b]
                + d[a] * mixed_b
                + mixed_a * d[b]
                + g2 * second[a, b]
                + g3 * third[a, b]
            )
        curvature[a, a] += radial * q
    return h, gradient, curvature
