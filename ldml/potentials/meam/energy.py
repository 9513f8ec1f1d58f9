"""Energy and forces of a MEAM potential, and the energies of its atoms.

    E    = sum_i [ F(rho_i, X_i) + 1/2 sum_j S_ij phi(r_ij) ]
    f_k  = -sum_{i,j} [ S_ij dh_ij/dx_k + h_ij dS_ij/dx_k ]

h_ij is the function of `sites` and S_ij of `screening`. Bonds are taken once for both directions (`once` says which of the
two listed is taken), first for rho and Q, then for the forces, which also act on the atoms k that screen a bond.

Source: the chain rule on the energy of the package.
"""

from math import sqrt

import numpy as np

from ldml.potentials.meam.functions import compiled, smooth_step
from ldml.potentials.meam.moments import N_MOMENTS, harmonics, radial_functions, site_slopes
from ldml.potentials.meam.pair_potential import pair_potential
from ldml.potentials.meam.screening import gather, log_screening, longest_row, screening_product, square_between
from ldml.potentials.meam.sites import bond_gradient, moment_weights, site_function


@compiled
def energy_and_forces(positions, offsets, indices, shifts, once, c, table):
    n_atoms = positions.shape[0]
    densities, moments, bonds = _densities(positions, offsets, indices, shifts, once, c)
    energy = 0.0
    slopes = np.zeros((n_atoms, 20))
    weights = np.empty(N_MOMENTS)
    for i in range(n_atoms):
        f, by_density, by_moments, _, _, _ = site_function(densities[i], moments[i], c)
        energy += f
        moment_weights(by_moments, moments[i], c, weights)
        site_slopes(by_density, weights, slopes[i])
    forces = np.zeros((n_atoms, 3))
    energy += _pull(positions, offsets, indices, shifts, once, c, table, bonds, slopes, forces)
    return energy, forces


@compiled
def _densities(positions, offsets, indices, shifts, once, c):
    """rho (N,), Q (N, 15), and prod_k of the screening of each listed pair (zero where a pair is listed the other way)."""
    n_atoms = positions.shape[0]
    longest = longest_row(offsets)
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    densities = np.zeros(n_atoms)
    moments = np.zeros((n_atoms, N_MOMENTS))
    bonds = np.zeros(indices.shape[0])
    p = np.empty(N_MOMENTS)
    for i in range(n_atoms):
        n = gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        for j in range(n):
            if not once[listed[j]] or squares[j] >= c.squared_cutoff:
                continue
            product, n_screeners = screening_product(j, n, vectors, squares, c, screeners)
            if product == 0.0:
                continue
            # the sign says whether there is anything to differentiate
            bonds[listed[j]] = product if n_screeners == 0 else -product
            r = sqrt(squares[j])
            s = product * smooth_step((c.cutoff - r) / c.smoothing)[0]
            a0, g1, g2, g3 = radial_functions(r, c)
            harmonics(vectors[j, 0], vectors[j, 1], vectors[j, 2], p)
            other = indices[listed[j]]
            densities[i] += s * a0
            densities[other] += s * a0
            for m in range(3):
                moments[i, m] += s * g1 * p[m]
                moments[other, m] -= s * g1 * p[m]
            for m in range(3, 8):
                moments[i, m] += s * g2 * p[m]
                moments[other, m] += s * g2 * p[m]
            for m in range(8, N_MOMENTS):
                moments[i, m] += s * g3 * p[m]
                moments[other, m] -= s * g3 * p[m]
    return densities, moments, bonds


@compiled
def _pull(positions, offsets, indices, shifts, once, c, table, bonds, slopes, forces):
    """Add the forces of all bonds; return sum S phi over the bonds."""
    longest = longest_row(offsets)
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    both = np.empty(20)
    gradient = np.empty(3)
    energy = 0.0
    for i in range(positions.shape[0]):
        n = gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        for j in range(n):
            k = listed[j]
            if bonds[k] == 0.0:
                continue
            other = indices[k]
            # h_ij + h_ji: harmonics of odd l change sign with the direction of the bond
            both[0] = slopes[i, 0] + slopes[other, 0]
            for m in range(1, 4):
                both[m] = slopes[i, m] - slopes[other, m]
            for m in range(4, 10):
                both[m] = slopes[i, m] + slopes[other, m]
            for m in range(10, 20):
                both[m] = slopes[i, m] - slopes[other, m]
            r = sqrt(squares[j])
            phi, dphi, _ = pair_potential(r, c, table)
            h = bond_gradient(vectors[j, 0], vectors[j, 1], vectors[j, 2], r, both, phi, dphi, c, gradient)
            step, dstep, _ = smooth_step((c.cutoff - r) / c.smoothing)
            product = abs(bonds[k])
            s = product * step
            energy += s * phi
            along = -h * product * dstep / (c.smoothing * r)
            for a in range(3):
                force = s * gradient[a] + along * vectors[j, a]
                forces[i, a] += force
                forces[other, a] -= force
            if bonds[k] < 0.0:
                _pull_screeners(i, other, j, n, vectors, squares, listed, indices, h * s, c, screeners, forces)
    return energy


@compiled
def _pull_screeners(i, other, j, n, vectors, squares, listed, indices, weight, c, screeners, forces):
    """Add the forces by which a bond S h pulls on the atoms that screen it; weight = S h."""
    _, n_screeners = screening_product(j, n, vectors, squares, c, screeners)
    for q in range(n_screeners):
        k = screeners[q]
        by = log_screening(squares[j], squares[k], square_between(vectors, j, k), c)
        third = indices[listed[k]]
        for a in range(3):
            e = vectors[j, a] - vectors[k, a]
            on_j = 2.0 * weight * (by[0] * vectors[j, a] + by[2] * e)
            on_k = 2.0 * weight * (by[1] * vectors[k, a] - by[2] * e)
            forces[other, a] -= on_j
            forces[third, a] -= on_k
            forces[i, a] += on_j + on_k


@compiled
def site_energies(positions, offsets, indices, shifts, once, c, table):
    densities, moments, bonds = _densities(positions, offsets, indices, shifts, once, c)
    energies = np.empty(positions.shape[0])
    for i in range(positions.shape[0]):
        energies[i] = site_function(densities[i], moments[i], c)[0]
    for i in range(positions.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            if bonds[k] == 0.0:
                continue
            j = indices[k]
            square = 0.0
            for a in range(3):
                square += (positions[j, a] + shifts[k, a] - positions[i, a]) ** 2
            r = sqrt(square)
            step = smooth_step((c.cutoff - r) / c.smoothing)[0]
            half = 0.5 * abs(bonds[k]) * step * pair_potential(r, c, table)[0]
            energies[i] += half
            energies[j] += half
    return energies
