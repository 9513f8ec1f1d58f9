"""Angular moments: the functions of one bond from which the partial densities are made.

    Q_lm = sum_j S_ij a_l(r_ij) Y_lm(n_ij),      a_l = rho_0 exp[-beta_l (r/r_e - 1)],      l = 1, 2, 3

Y_lm are real spherical harmonics with sum_m Y_lm(n) Y_lm(n') = P_l(n·n') times 1, 2/3, 2/5 for l = 1, 2, 3. The partial
densities are usually written with Cartesian tensors less their traces; the harmonics are the same numbers without the
redundancy, and turn Gamma into a plain sum of squares. The kernels use the polynomials r^l Y_lm and a_l/r^l.

Source: M. I. Baskes, Phys. Rev. B 46, 2727 (1992).
"""

from math import exp, sqrt

from ldml.potentials.meam.functions import compiled

N_MOMENTS = 15
"""Three of l = 1, five of l = 2, seven of l = 3."""
L2_AXES = sqrt(2.0)
L2_POLAR = 1.0 / sqrt(6.0)
L3_POLAR = 0.5 * sqrt(0.4)
L3_TILTED = sqrt(0.4 * 3.0 / 8.0)
L3_CROSS = sqrt(0.4 * 15.0)
L3_PLANE = sqrt(0.4 * 5.0 / 8.0)


@compiled
def harmonics(x, y, z, p):
    """r^l Y_lm: three of l = 1, five of l = 2, seven of l = 3."""
    xx, yy, zz = x * x, y * y, z * z
    p[0] = x
    p[1] = y
    p[2] = z
    p[3] = L2_AXES * x * y
    p[4] = L2_AXES * y * z
    p[5] = L2_AXES * x * z
    p[6] = 0.5 * L2_AXES * (xx - yy)
    p[7] = L2_POLAR * (2.0 * zz - xx - yy)
    p[8] = L3_POLAR * z * (2.0 * zz - 3.0 * (xx + yy))
    p[9] = L3_TILTED * x * (4.0 * zz - xx - yy)
    p[10] = L3_TILTED * y * (4.0 * zz - xx - yy)
    p[11] = 0.5 * L3_CROSS * z * (xx - yy)
    p[12] = L3_CROSS * x * y * z
    p[13] = L3_PLANE * x * (xx - 3.0 * yy)
    p[14] = L3_PLANE * y * (3.0 * xx - yy)


@compiled
def harmonic_gradients(x, y, z, dp):
    """Gradients (15, 3) of the functions of `harmonics`."""
    clear(dp, N_MOMENTS, 3)
    xx, yy, zz = x * x, y * y, z * z
    xy, yz, xz = x * y, y * z, x * z
    for a in range(3):
        dp[a, a] = 1.0
    dp[3, 0], dp[3, 1] = L2_AXES * y, L2_AXES * x
    dp[4, 1], dp[4, 2] = L2_AXES * z, L2_AXES * y
    dp[5, 0], dp[5, 2] = L2_AXES * z, L2_AXES * x
    dp[6, 0], dp[6, 1] = L2_AXES * x, -L2_AXES * y
    dp[7, 0], dp[7, 1], dp[7, 2] = -2.0 * L2_POLAR * x, -2.0 * L2_POLAR * y, 4.0 * L2_POLAR * z
    dp[8, 0], dp[8, 1] = -6.0 * L3_POLAR * xz, -6.0 * L3_POLAR * yz
    dp[8, 2] = 3.0 * L3_POLAR * (2.0 * zz - xx - yy)
    dp[9, 0], dp[9, 1], dp[9, 2] = L3_TILTED * (4.0 * zz - 3.0 * xx - yy), -2.0 * L3_TILTED * xy, 8.0 * L3_TILTED * xz
    dp[10, 0], dp[10, 1], dp[10, 2] = dp[9, 1], L3_TILTED * (4.0 * zz - xx - 3.0 * yy), 8.0 * L3_TILTED * yz
    dp[11, 0], dp[11, 1], dp[11, 2] = L3_CROSS * xz, -L3_CROSS * yz, 0.5 * L3_CROSS * (xx - yy)
    dp[12, 0], dp[12, 1], dp[12, 2] = L3_CROSS * yz, L3_CROSS * xz, L3_CROSS * xy
    dp[13, 0], dp[13, 1] = 3.0 * L3_PLANE * (xx - yy), -6.0 * L3_PLANE * xy
    dp[14, 0], dp[14, 1] = 6.0 * L3_PLANE * xy, 3.0 * L3_PLANE * (xx - yy)


@compiled
def site_slopes(by_density, w, slopes):
    """dF/drho, then the derivatives of sum_lm w_lm r^l Y_lm, w = dF/dQ: 1 + 3 + 6 + 10 numbers.

    The first derivatives of l = 1, the second of l = 2 (xx xy xz yy yz zz), the third of l = 3 (xxx xxy xxz xyy xyz
    xzz yyy yyz yzz zzz).
    """
    slopes[0] = by_density
    for a in range(3):
        slopes[1 + a] = w[a]
    slopes[4] = L2_AXES * w[6] - 2.0 * L2_POLAR * w[7]
    slopes[5] = L2_AXES * w[3]
    slopes[6] = L2_AXES * w[5]
    slopes[7] = -L2_AXES * w[6] - 2.0 * L2_POLAR * w[7]
    slopes[8] = L2_AXES * w[4]
    slopes[9] = 4.0 * L2_POLAR * w[7]
    slopes[10] = -6.0 * L3_TILTED * w[9] + 6.0 * L3_PLANE * w[13]
    slopes[11] = -2.0 * L3_TILTED * w[10] + 6.0 * L3_PLANE * w[14]
    slopes[12] = -6.0 * L3_POLAR * w[8] + L3_CROSS * w[11]
    slopes[13] = -2.0 * L3_TILTED * w[9] - 6.0 * L3_PLANE * w[13]
    slopes[14] = L3_CROSS * w[12]
    slopes[15] = 8.0 * L3_TILTED * w[9]
    slopes[16] = -6.0 * L3_TILTED * w[10] - 6.0 * L3_PLANE * w[14]
    slopes[17] = -6.0 * L3_POLAR * w[8] - L3_CROSS * w[11]
    slopes[18] = 8.0 * L3_TILTED * w[10]
    slopes[19] = 12.0 * L3_POLAR * w[8]


@compiled
def radial_functions(r, c):
    """a_0 and a_l/r^l."""
    x = r - c.r_e
    q = 1.0 / r
    a1 = c.density_scale * exp(-c.decay1 * x)
    # many potentials have equal decays, and exponentials are dear
    a2 = a1 if c.decay2 == c.decay1 else c.density_scale * exp(-c.decay2 * x)
    a3 = a1 if c.decay3 == c.decay1 else c.density_scale * exp(-c.decay3 * x)
    return c.density_scale * exp(-c.decay0 * x), a1 * q, a2 * q * q, a3 * q * q * q


@compiled
def clear(matrix, n_rows, n_columns):
    for a in range(n_rows):
        for b in range(n_columns):
            matrix[a, b] = 0.0
