"""Finnis-Sinclair (EAM) potentials of one element: energy, forces and sparse analytic Hessian.

    E   = sum_i F(rho_i) + 1/2 sum_ij V(r_ij),        rho_i = sum_j f(r_ij)

With u_ij the unit vector from i to j and G_i = sum_j f'(r_ij) u_ij, so that d rho_i/dx_i = -G_i and
d rho_i/dx_j = f'(r_ij) u_ij, the Hessian is the sum of a pair-like part

    B_ij = k_perp (1 - u u^T) + k_par u u^T,      k_par = V'' + (F'_i + F'_j) f'',  k_perp = [V' + (F'_i + F'_j) f'] / r
    H_ij -= B_ij,   H_ii += B_ij

and of sum_k F''_k (d rho_k/dx_a)(d rho_k/dx_b), which couples atoms up to twice the range of f.

Source of the form: M. W. Finnis and J. E. Sinclair, Phil. Mag. A 50, 45 (1984).
"""

from __future__ import annotations

from abc import abstractmethod
from math import exp, sqrt

import numpy as np
import scipy.sparse
from ase import Atoms
from numba import njit

from ldml.neighbours import neighbour_list
from ldml.potentials.base import Evaluator, Potential

SKIN = 0.6
"""Å added to the cutoff when listing neighbours, so that the list outlives moves of half of it."""


class FinnisSinclair(Potential):
    """Finnis-Sinclair potential given by its three functions; a subclass supplies them and their derivatives."""

    density_cutoff: float

    @abstractmethod
    def pair_functions(self, r: np.ndarray) -> np.ndarray:
        """V, V', V'', f, f', f'' at distances r (M,), Å; shape (M, 6), zero from the cutoff on."""

    @abstractmethod
    def embedding_functions(self, rho: np.ndarray) -> np.ndarray:
        """F, F', F'' at densities rho (N,); shape (N, 3). Zero where rho is zero."""

    def evaluator(self, atoms: Atoms) -> Evaluator:
        self.check(atoms)
        return _EamEvaluator(self, atoms)

    def hessian(self, atoms: Atoms) -> scipy.sparse.bsr_array:
        self.check(atoms)
        pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, self.cutoff)
        table = self.pair_functions(pairs.distances)
        units = pairs.vectors / pairs.distances[:, None]
        rho = _sum_rows(pairs.offsets, table[:, 3].copy())
        embedding = self.embedding_functions(rho)
        gradient = _density_gradients(pairs.offsets, units, table)
        in_density = pairs.distances < self.density_cutoff
        counts = _count_blocks(pairs.offsets, pairs.indices, in_density)
        row_start = np.zeros(len(atoms) + 1, dtype=np.int64)
        np.cumsum(counts, out=row_start[1:])
        columns = np.zeros(row_start[-1], dtype=np.int64)
        blocks = np.zeros((row_start[-1], 3, 3))
        _fill_blocks(
            pairs.offsets, pairs.indices, in_density, pairs.distances, units, table, embedding, gradient,
            row_start, columns, blocks,
        )  # fmt: skip
        n = 3 * len(atoms)
        return scipy.sparse.bsr_array((blocks, columns, row_start), shape=(n, n))


class AcklandMendelev2004(FinnisSinclair):
    """Iron of Ackland, Mendelev, Srolovitz, Han and Barashev (2004), in closed form.

    V'' jumps from 24.572 to 11.383 eV/Å² at r = 2.05 Å, where the published pieces of V join with equal V and V'.
    """

    name = "Fe-AM04"
    elements = frozenset({"Fe"})
    cutoff = 5.3
    density_cutoff = 4.2
    hessian_range = 8.4
    lattice = "bcc"
    lattice_constant = 2.855312455
    citation = "G. J. Ackland, M. I. Mendelev, D. J. Srolovitz, S. Han, A. V. Barashev, J. Phys.: Condens. Matter 16, S2629 (2004)"
    identifier = "MO_884343146310_005"

    def pair_functions(self, r):
        return _am04_pair_functions(np.ascontiguousarray(r, dtype=np.float64))

    def embedding_functions(self, rho):
        return _am04_embedding(np.ascontiguousarray(rho, dtype=np.float64))

    def parameters(self):
        return {
            "pair_knots": PAIR_KNOTS.tolist(),
            "pair_coefficients": PAIR_COEFFICIENTS.tolist(),
            "density_knots": DENSITY_KNOTS.tolist(),
            "density_coefficients": DENSITY_COEFFICIENTS.tolist(),
            "embedding": EMBEDDING.tolist(),
            "core": CORE.tolist(),
            "screened_nuclei": [NUCLEAR_PREFACTOR, SCREENING_WEIGHTS.tolist(), SCREENING_RATES.tolist()],
        }


class _EamEvaluator(Evaluator):
    def __init__(self, potential: FinnisSinclair, atoms: Atoms):
        self.potential = potential
        self.cell = atoms.cell.array.copy()
        self.pbc = atoms.pbc.copy()
        self._list_pairs(atoms.positions)

    def _list_pairs(self, positions):
        self.listed_at = positions.copy()
        self.pairs = neighbour_list(positions, self.cell, self.pbc, self.potential.cutoff + SKIN, half=True)

    def energy_and_forces(self, positions):
        moved = np.sum((positions - self.listed_at) ** 2, axis=1).max(initial=0.0)
        if moved > (0.5 * SKIN) ** 2:
            self._list_pairs(positions)
        pairs = self.pairs
        vectors, distances = _pair_vectors(positions, pairs.offsets, pairs.indices, pairs.shifts)
        table = self.potential.pair_functions(distances)
        rho = _densities(pairs.offsets, pairs.indices, table)
        embedding = self.potential.embedding_functions(rho)
        forces = _forces(pairs.offsets, pairs.indices, vectors, distances, table, embedding)
        return float(table[:, 0].sum() + embedding[:, 0].sum()), forces


@njit(cache=True)
def _pair_vectors(positions, offsets, indices, shifts):
    vectors = np.empty((indices.shape[0], 3))
    distances = np.empty(indices.shape[0])
    for i in range(offsets.shape[0] - 1):
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            squared = 0.0
            for a in range(3):
                vectors[k, a] = positions[j, a] + shifts[k, a] - positions[i, a]
                squared += vectors[k, a] ** 2
            distances[k] = sqrt(squared)
    return vectors, distances


@njit(cache=True)
def _densities(offsets, indices, table):
    rho = np.zeros(offsets.shape[0] - 1)
    for i in range(rho.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            rho[i] += table[k, 3]
            rho[indices[k]] += table[k, 3]
    return rho


@njit(cache=True)
def _forces(offsets, indices, vectors, distances, table, embedding):
    forces = np.zeros((offsets.shape[0] - 1, 3))
    for i in range(forces.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            slope = (table[k, 1] + (embedding[i, 1] + embedding[j, 1]) * table[k, 4]) / distances[k]
            for a in range(3):
                pull = slope * vectors[k, a]
                forces[i, a] += pull
                forces[j, a] -= pull
    return forces


@njit(cache=True)
def _sum_rows(offsets, values):
    sums = np.zeros(offsets.shape[0] - 1)
    for i in range(sums.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            sums[i] += values[k]
    return sums


@njit(cache=True)
def _density_gradients(offsets, units, table):
    gradient = np.zeros((offsets.shape[0] - 1, 3))
    for i in range(gradient.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            for a in range(3):
                gradient[i, a] += table[k, 4] * units[k, a]
    return gradient


@njit(cache=True)
def _count_blocks(offsets, indices, in_density):
    """Atoms that each row of the Hessian couples to: itself, its neighbours, and those sharing a density with it."""
    n_atoms = offsets.shape[0] - 1
    counts = np.zeros(n_atoms, np.int64)
    last_row = np.full(n_atoms, -1, np.int64)
    for i in range(n_atoms):
        last_row[i] = i
        counts[i] = 1
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            if last_row[j] != i:
                last_row[j] = i
                counts[i] += 1
            if not in_density[k]:
                continue
            for m in range(offsets[j], offsets[j + 1]):
                if in_density[m] and last_row[indices[m]] != i:
                    last_row[indices[m]] = i
                    counts[i] += 1
    return counts


@njit(cache=True)
def _fill_blocks(
    offsets, indices, in_density, distances, units, table, embedding, gradient, row_start, columns, blocks
):
    n_atoms = offsets.shape[0] - 1
    block_of = np.full(n_atoms, -1, np.int64)
    used = np.zeros(1, np.int64)
    for i in range(n_atoms):
        first = row_start[i]
        used[0] = first
        ii = _block(i, first, used, block_of, columns)
        curvature_i = embedding[i, 2]
        for a in range(3):
            for b in range(3):
                blocks[ii, a, b] += curvature_i * gradient[i, a] * gradient[i, b]
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            ij = _block(j, first, used, block_of, columns)
            slopes = embedding[i, 1] + embedding[j, 1]
            across = (table[k, 1] + slopes * table[k, 4]) / distances[k]
            along = table[k, 2] + slopes * table[k, 5]
            for a in range(3):
                for b in range(3):
                    bond = (along - across) * units[k, a] * units[k, b]
                    if a == b:
                        bond += across
                    blocks[ij, a, b] -= bond
                    blocks[ii, a, b] += bond
            if not in_density[k]:
                continue
            # rho_i seen from i and j, then rho_j seen from i and each of j's own neighbours
            curvature_j = embedding[j, 2]
            own = -curvature_i * table[k, 4]
            other = -curvature_j * table[k, 4]
            for a in range(3):
                for b in range(3):
                    blocks[ij, a, b] += own * gradient[i, a] * units[k, b] - other * units[k, a] * gradient[j, b]
            for m in range(offsets[j], offsets[j + 1]):
                if not in_density[m]:
                    continue
                il = _block(indices[m], first, used, block_of, columns)
                pull = other * table[m, 4]
                for a in range(3):
                    for b in range(3):
                        blocks[il, a, b] += pull * units[k, a] * units[m, b]


@njit(cache=True, inline="always")
def _block(j, first, used, block_of, columns):
    """Index of the block of column j in the row that begins at `first`; a new one if the row has none yet."""
    if block_of[j] < first:
        block_of[j] = used[0]
        columns[used[0]] = j
        used[0] += 1
    return block_of[j]


# Iron of Ackland et al. (2004): eV and Å; (x)+ = max(x, 0)
PAIR_KNOTS = np.array([2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 3.0, 3.3, 3.7, 4.2, 4.7, 5.3])
PAIR_COEFFICIENTS = np.array(
    [
        -27.444805994228, 15.738054058489, 2.2077118733936, -2.4989799053251, 4.2099676494795, -0.77361294129713,
        0.80656414937789, -2.3194358924605, 2.6577406128280, -1.0260416933564, 0.35018615891957, -0.058531821042271,
        -0.0030458824556234,
    ]
)  # fmt: skip
DENSITY_KNOTS = np.array([2.4, 3.2, 4.2])
DENSITY_COEFFICIENTS = np.array([11.686859407970, -0.014710740098830, 0.47193527075943])
EMBEDDING = np.array([-1.0, -6.7314115586063e-4, 7.6514905604792e-8])
CORE = np.array([7.4122709384068, -0.64180690713367, -2.6043547961722, 0.6262539393123])
CORE_RANGE = 2.05
NUCLEAR_RANGE = 1.0
NUCLEAR_PREFACTOR = 9734.2365892908
SCREENING_WEIGHTS = np.array([0.18180, 0.50990, 0.28020, 0.02817])
SCREENING_RATES = np.array([28.616724320005, 8.4267310396064, 3.6030244464156, 1.8028536321603])


@njit(cache=True)
def _am04_pair_functions(r):
    table = np.zeros((r.shape[0], 6))
    for k in range(r.shape[0]):
        if r[k] > CORE_RANGE:
            table[k, 0], table[k, 1], table[k, 2] = _cubic_knots(r[k], PAIR_KNOTS, PAIR_COEFFICIENTS)
        elif r[k] > NUCLEAR_RANGE:
            table[k, 0], table[k, 1], table[k, 2] = _core(r[k])
        else:
            table[k, 0], table[k, 1], table[k, 2] = _screened_nuclei(r[k])
        table[k, 3], table[k, 4], table[k, 5] = _cubic_knots(r[k], DENSITY_KNOTS, DENSITY_COEFFICIENTS)
    return table


@njit(cache=True, inline="always")
def _cubic_knots(r, knots, coefficients):
    """sum_i a_i (r_i - r)+^3 and its first two derivatives; knots ascend."""
    value = 0.0
    slope = 0.0
    curvature = 0.0
    for i in range(knots.shape[0] - 1, -1, -1):
        x = knots[i] - r
        if x <= 0.0:
            break
        value += coefficients[i] * x * x * x
        slope -= 3.0 * coefficients[i] * x * x
        curvature += 6.0 * coefficients[i] * x
    return value, slope, curvature


@njit(cache=True, inline="always")
def _core(r):
    """exp of a cubic polynomial, 1.0 < r <= 2.05 Å."""
    p = CORE[0] + r * (CORE[1] + r * (CORE[2] + r * CORE[3]))
    dp = CORE[1] + r * (2.0 * CORE[2] + r * 3.0 * CORE[3])
    d2p = 2.0 * CORE[2] + r * 6.0 * CORE[3]
    value = exp(p)
    return value, value * dp, value * (d2p + dp * dp)


@njit(cache=True, inline="always")
def _screened_nuclei(r):
    """Screened Coulomb repulsion of the nuclei, r <= 1.0 Å."""
    s = 0.0
    ds = 0.0
    d2s = 0.0
    for i in range(SCREENING_WEIGHTS.shape[0]):
        term = SCREENING_WEIGHTS[i] * exp(-SCREENING_RATES[i] * r)
        s += term
        ds -= SCREENING_RATES[i] * term
        d2s += SCREENING_RATES[i] ** 2 * term
    c = NUCLEAR_PREFACTOR / r
    return c * s, c * (ds - s / r), c * (d2s - 2.0 * ds / r + 2.0 * s / (r * r))


@njit(cache=True)
def _am04_embedding(rho):
    """F = -sqrt(rho) + b rho^2 + c rho^4; an atom without neighbours has no embedding energy and no slope."""
    table = np.zeros((rho.shape[0], 3))
    root, square, quartic = EMBEDDING
    for i in range(rho.shape[0]):
        x = rho[i]
        if x > 0.0:
            s = sqrt(x)
            table[i, 0] = root * s + square * x * x + quartic * x**4
            table[i, 1] = 0.5 * root / s + 2.0 * square * x + 4.0 * quartic * x**3
            table[i, 2] = -0.25 * root / (s * x) + 2.0 * square + 12.0 * quartic * x * x
    return table
