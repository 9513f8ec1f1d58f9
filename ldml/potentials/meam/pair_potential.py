"""The pair potential phi of a MEAM potential, from the energy of its reference crystal.

    phi(r) = psi(r) + sum_{n=1}^{10} (-Z_2 S/Z_1)^n psi(a^n r),        psi = (2/Z_1) [E_R - F(rhobar of the crystal)]
    E_R    = -E_c (1 + x + q x³) e^-x,                                 x = alpha (r/r_e - 1)

E_R is Rose's universal equation of state with its cubic term q; Z_1, Z_2 are the numbers of first and second neighbours, a
the ratio of their distances and S the screening of the second. At short distance phi goes over, by f_c, into the repulsion
of screened nuclei (Ziegler, Biersack and Littmark).

phi is evaluated exactly, with two derivatives, on a fine grid joined by quintics: twice continuously differentiable, where
the cubics through 1000 points that other codes use have jumps in phi''. A function stands here for its value, slope and
curvature, three numbers that are multiplied and chained as such.

Sources: J. H. Rose et al., Phys. Rev. B 29, 2963 (1984); B.-J. Lee and M. I. Baskes, Phys. Rev. B 62, 8564 (2000).
"""

from math import exp

import numpy as np

from ldml.potentials.meam.functions import compiled, embedding_energy, shape_function, smooth_step


@compiled
def pair_table(c):
    """phi, phi', phi'' on the grid."""
    table = np.empty((c.table_size, 3))
    for k in range(c.table_size):
        table[k, 0], table[k, 1], table[k, 2] = exact_pair_potential(c.table_start + k * c.table_step, c)
    return table


@compiled
def exact_pair_potential(r, c):
    phi = _bare_pair_potential(r, c)
    ratio = -c.screened_z2 / c.z1
    if ratio != 0.0:
        weight = 1.0
        scale = 1.0
        for _ in range(c.n_series):
            weight *= ratio
            scale *= c.ratio
            term = _bare_pair_potential(scale * r, c)
            phi = _sum(1.0, phi, weight, (term[0], scale * term[1], scale * scale * term[2]))
    a = c.alpha * (r / c.r_e - 1.0)
    if c.nuclear_repulsion and a < -1.0:
        nuclear = screened_nuclei(r, c.atomic_number)
        # one-sided where a = -3, which the table reaches from above
        y = -0.5 * (a + 1.0)
        slope = -0.5 * c.alpha / c.r_e
        step = smooth_step(max(1.0 - y, 1e-300))
        part = _chain((step[0], -step[1], step[2]), (y, slope, 0.0))
        phi = _sum(1.0, nuclear, 1.0, _product(part, _sum(1.0, phi, -1.0, nuclear)))
    return phi


@compiled
def _bare_pair_potential(r, c):
    """psi(r) = (2/Z_1) (E_R - F)."""
    rose = _rose_energy(r, c)
    density = _sum(c.z1, _atomic_density(r, c.decay0, c), 0.0, rose)
    if c.screened_z2 > 0.0:
        second = _atomic_density(c.ratio * r, c.decay0, c)
        density = _sum(1.0, density, c.screened_z2, (second[0], c.ratio * second[1], c.ratio * c.ratio * second[2]))
    if density[0] <= 1e-14:
        return 0.0, 0.0, 0.0
    angular = (0.0, 0.0, 0.0)
    for weight, decay in (
        (c.t1 * c.shape1, c.decay1),
        (c.t2 * c.shape2, c.decay2),
        (c.t3 * c.shape3, c.decay3),
    ):
        partial = _atomic_density(r, decay, c)
        angular = _sum(1.0, angular, weight, _product(partial, partial))
    inverse_square = _chain(_inverse_power(density[0], 2), density)
    gamma = _product(angular, inverse_square)
    shape = _chain(shape_function(gamma[0], c.ibar, c.gsmooth_factor), gamma)
    total = _product(density, shape)
    x = _sum(1.0 / c.background, total, 0.0, total)
    embedding = _chain(embedding_energy(x[0], c.embedding, c.linear_below_zero), x)
    return _sum(2.0 / c.z1, rose, -2.0 / c.z1, embedding)


@compiled
def _atomic_density(r, decay, c):
    """a_l(r)."""
    value = c.density_scale * exp(-decay * (r - c.r_e))
    return value, -decay * value, decay * decay * value


@compiled
def _rose_energy(r, c):
    """E_R = -E_c (1 + a + q a³) e^-a with a = alpha (r/r_e - 1); q is a constant, or one over r, by the form."""
    slope = c.alpha / c.r_e
    a = (slope * (r - c.r_e), slope, 0.0)
    third = c.attrac if a[0] >= 0.0 else c.repuls
    inverse = _inverse_power(r, 1)
    if c.rose_form == 1:
        q = _sum(c.repuls, inverse, 0.0, inverse)
        q = (q[0] - c.attrac, q[1], q[2])
    elif c.rose_form == 2:
        q = (third, 0.0, 0.0)
    else:
        q = _sum(third * c.r_e, inverse, 0.0, inverse)
    cubic = _product(q, _product(a, _product(a, a)))
    bracket = (1.0 + a[0] + cubic[0], a[1] + cubic[1], cubic[2])
    decay = exp(-a[0])
    return _sum(-c.cohesive_energy, _product(bracket, (decay, -slope * decay, slope * slope * decay)), 0.0, a)


@compiled
def screened_nuclei(r, z):
    """Repulsion of Ziegler, Biersack and Littmark, with the constants of LAMMPS."""
    length = 0.4685 / (2.0 * z**0.23)
    value = 0.0
    slope = 0.0
    curvature = 0.0
    for weight, rate in ((0.028171, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.1998)):
        k = rate / length
        term = weight * exp(-k * r)
        value += term
        slope -= k * term
        curvature += k * k * term
    coulomb = _inverse_power(r, 1)
    return _product((14.3997 * z * z * value, 14.3997 * z * z * slope, 14.3997 * z * z * curvature), coulomb)


@compiled
def pair_potential(r, c, table):
    """phi, phi', phi'' from the quintics through the table; r below the cutoff."""
    if r < c.nuclear_range:
        return screened_nuclei(r, c.atomic_number)
    h = c.table_step
    u = (r - c.table_start) / h
    if u < 0.0:
        x = u * h
        return table[0, 0] + x * (table[0, 1] + 0.5 * x * table[0, 2]), table[0, 1] + x * table[0, 2], table[0, 2]
    k = min(int(u), table.shape[0] - 2)
    u -= k
    g0 = h * table[k, 1]
    g1 = h * table[k + 1, 1]
    c0 = h * h * table[k, 2]
    c1 = h * h * table[k + 1, 2]
    rise = table[k + 1, 0] - table[k, 0]
    a3 = 10.0 * rise - 6.0 * g0 - 4.0 * g1 - 1.5 * c0 + 0.5 * c1
    a4 = -15.0 * rise + 8.0 * g0 + 7.0 * g1 + 1.5 * c0 - c1
    a5 = 6.0 * rise - 3.0 * g0 - 3.0 * g1 - 0.5 * c0 + 0.5 * c1
    value = table[k, 0] + u * (g0 + u * (0.5 * c0 + u * (a3 + u * (a4 + u * a5))))
    slope = g0 + u * (c0 + u * (3.0 * a3 + u * (4.0 * a4 + u * 5.0 * a5)))
    curvature = c0 + u * (6.0 * a3 + u * (12.0 * a4 + u * 20.0 * a5))
    return value, slope / h, curvature / (h * h)


@compiled
def pair_functions(r, c, table):
    values = np.empty((r.shape[0], 3))
    for k in range(r.shape[0]):
        values[k, 0], values[k, 1], values[k, 2] = pair_potential(r[k], c, table)
    return values


# --- value, slope, curvature of compound functions ----------------------------------------------------------------------


@compiled
def _product(f, g):
    return f[0] * g[0], f[1] * g[0] + f[0] * g[1], f[2] * g[0] + 2.0 * f[1] * g[1] + f[0] * g[2]


@compiled
def _chain(f, x):
    """f(x(r)) from f, f', f'' at x(r)."""
    return f[0], f[1] * x[1], f[2] * x[1] * x[1] + f[1] * x[2]


@compiled
def _sum(a, f, b, g):
    return a * f[0] + b * g[0], a * f[1] + b * g[1], a * f[2] + b * g[2]


@compiled
def _inverse_power(x, n):
    value = 1.0 / x**n
    return value, -n * value / x, n * (n + 1) * value / (x * x)
