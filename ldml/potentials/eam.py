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
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import exp, sqrt

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from ase import Atoms
from numba import njit, prange

from ldml.neighbours import neighbour_list
from ldml.potentials.base import Evaluator, ListedEvaluator, Potential

SKIN = 0.6
"""Å added to the cutoff when listing neighbours, so that the list outlives moves of half of it."""

CHUNK = 1 << 21
"""Pairs whose functions are tabulated at once, to bound memory."""
STACK = 4096
"""Rows of the Hessian made at once when it is too large to store."""
BATCH = 512
"""Rows of the Hessian that one thread fills in one go."""


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
        return _EamEvaluator(self, atoms, SKIN)

    def hessian(self, atoms: Atoms) -> scipy.sparse.bsr_array:
        self.check(atoms)
        return _bonds(self, atoms).rows(0, len(atoms))

    def hessian_operator(self, atoms: Atoms) -> scipy.sparse.linalg.LinearOperator:
        self.check(atoms)
        bonds = _bonds(self, atoms)
        n = 3 * len(atoms)
        return scipy.sparse.linalg.LinearOperator(
            (n, n), matvec=bonds.apply, matmat=bonds.apply, rmatvec=bonds.apply, rmatmat=bonds.apply, dtype=np.float64
        )

    def hessian_row_blocks(self, atoms: Atoms) -> Iterator[tuple[int, scipy.sparse.bsr_array]]:
        self.check(atoms)
        bonds = _bonds(self, atoms)
        for first in range(0, len(atoms), STACK):
            yield first, bonds.rows(first, min(first + STACK, len(atoms)))


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


class _EamEvaluator(ListedEvaluator):
    def _list_neighbours(self, positions):
        pairs = neighbour_list(positions, self.cell, self.pbc, self.potential.cutoff + SKIN, half=True)
        # the vectors change with every step: what is kept of them would be memory lost
        self.offsets, self.indices, self.shifts = pairs.offsets, pairs.indices, pairs.shifts
        self.chunks = _chunks(self.offsets)

    def energy_and_forces(self, positions):
        self._renew_list(positions)
        rho = np.zeros(len(positions))
        pair_energy = 0.0
        for first, last in self.chunks:
            bonds = self._bonds(positions, first, last)
            pair_energy += bonds[2][:, 0].sum()
            _add_densities(first, last, self.offsets, self.indices, bonds[2], rho)
        embedding = self.potential.embedding_functions(rho)
        forces = np.zeros((len(positions), 3))
        for first, last in self.chunks:
            if len(self.chunks) > 1:
                bonds = self._bonds(positions, first, last)
            _add_forces(first, last, self.offsets, self.indices, *bonds, embedding, forces)
        return float(pair_energy + embedding[:, 0].sum()), forces

    def _bonds(self, positions, first, last):
        """Vectors, distances and pair functions of the pairs of the atoms from `first` to before `last`."""
        vectors, distances = _pair_vectors(first, last, positions, self.offsets, self.indices, self.shifts)
        return vectors, distances, self.potential.pair_functions(distances)


def _chunks(offsets):
    """Ranges (first, last) of atoms with about CHUNK pairs each."""
    n_atoms = len(offsets) - 1
    cuts = np.searchsorted(offsets, np.arange(CHUNK, offsets[-1], CHUNK))
    edges = np.unique(np.concatenate([[0], cuts, [n_atoms]]))
    return list(pairwise(edges))


@dataclass(frozen=True)
class _Bonds:
    """All pairs i -> j of a structure with what its Hessian needs of them; N atoms, M pairs.

    Attributes
    ----------
    offsets, indices
        As in `NeighbourList`.
    units : (M, 3)
        u_ij.
    across, along : (M,) eV/Å²
        k_perp and k_par.
    slopes : (M,)
        f'; zero from the range of the density on.
    curvatures : (N,)
        F''.
    gradients : (N, 3)
        G_i.
    """

    offsets: np.ndarray
    indices: np.ndarray
    units: np.ndarray
    across: np.ndarray
    along: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray
    gradients: np.ndarray

    def rows(self, first: int, last: int) -> scipy.sparse.bsr_array:
        """Rows of the Hessian that belong to the atoms from `first` to before `last`."""
        n_atoms = len(self.curvatures)
        counts = _count_blocks(first, last, BATCH, self.offsets, self.indices, self.slopes)
        row_start = np.zeros(last - first + 1, dtype=np.int64)
        np.cumsum(counts, out=row_start[1:])
        columns = np.zeros(row_start[-1], dtype=np.int64)
        blocks = np.zeros((row_start[-1], 3, 3))
        _fill_blocks(
            first, last, BATCH, self.offsets, self.indices, self.units, self.across, self.along, self.slopes,
            self.curvatures, self.gradients, row_start, columns, blocks,
        )  # fmt: skip
        return scipy.sparse.bsr_array((blocks, columns, row_start), shape=(3 * (last - first), 3 * n_atoms))

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """The Hessian times vectors (3N,) or (3N, k)."""
        columns = np.asarray(vectors, dtype=float).reshape(3 * len(self.curvatures), -1)
        products = np.empty(columns.shape)
        for k in range(columns.shape[1]):
            moves = np.ascontiguousarray(columns[:, k]).reshape(-1, 3)
            products[:, k] = _hessian_times(
                self.offsets, self.indices, self.units, self.across, self.along, self.slopes, self.curvatures, moves
            ).ravel()
        return products.reshape(np.shape(vectors))


def _bonds(potential, atoms) -> _Bonds:
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, potential.cutoff)
    offsets, indices, distances, units = pairs.offsets, pairs.indices, pairs.distances, pairs.vectors
    del pairs  # its shifts are as large as its vectors
    units /= distances[:, None]
    rho = np.zeros(len(atoms))
    chunks = _chunks(offsets)
    tables = (potential.pair_functions(distances[offsets[first] : offsets[last]]) for first, last in chunks)
    for (first, last), table in zip(chunks, tables, strict=True):
        _sum_densities(first, last, offsets, table, rho)
    embedding = potential.embedding_functions(rho)
    gradients = np.zeros((len(atoms), 3))
    across, along, slopes = (np.empty(len(distances)) for _ in range(3))
    for first, last in chunks:
        if len(chunks) > 1:
            table = potential.pair_functions(distances[offsets[first] : offsets[last]])
        _stiffen_bonds(
            first, last, offsets, indices, distances, units, table, embedding, across, along, slopes, gradients
        )
    return _Bonds(offsets, indices, units, across, along, slopes, np.ascontiguousarray(embedding[:, 2]), gradients)


@njit(cache=True)
def _pair_vectors(first, last, positions, offsets, indices, shifts):
    start = offsets[first]
    vectors = np.empty((offsets[last] - start, 3))
    distances = np.empty(offsets[last] - start)
    for i in range(first, last):
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            squared = 0.0
            for a in range(3):
                vectors[k - start, a] = positions[j, a] + shifts[k, a] - positions[i, a]
                squared += vectors[k - start, a] ** 2
            distances[k - start] = sqrt(squared)
    return vectors, distances


@njit(cache=True)
def _add_densities(first, last, offsets, indices, table, rho):
    """Densities at both ends of each pair of a half list."""
    start = offsets[first]
    for i in range(first, last):
        for k in range(offsets[i], offsets[i + 1]):
            rho[i] += table[k - start, 3]
            rho[indices[k]] += table[k - start, 3]


@njit(cache=True)
def _add_forces(first, last, offsets, indices, vectors, distances, table, embedding, forces):
    start = offsets[first]
    for i in range(first, last):
        for k in range(offsets[i], offsets[i + 1]):
            j, p = indices[k], k - start
            slope = (table[p, 1] + (embedding[i, 1] + embedding[j, 1]) * table[p, 4]) / distances[p]
            for a in range(3):
                pull = slope * vectors[p, a]
                forces[i, a] += pull
                forces[j, a] -= pull


@njit(cache=True)
def _sum_densities(first, last, offsets, table, rho):
    """Densities from a full list."""
    start = offsets[first]
    for i in range(first, last):
        for k in range(offsets[i], offsets[i + 1]):
            rho[i] += table[k - start, 3]


@njit(cache=True)
def _stiffen_bonds(first, last, offsets, indices, distances, units, table, embedding, across, along, slopes, gradients):
    """k_perp, k_par and f' of each pair, and G of each atom."""
    start = offsets[first]
    for i in range(first, last):
        for k in range(offsets[i], offsets[i + 1]):
            p = k - start
            ends = embedding[i, 1] + embedding[indices[k], 1]
            across[k] = (table[p, 1] + ends * table[p, 4]) / distances[k]
            along[k] = table[p, 2] + ends * table[p, 5]
            slopes[k] = table[p, 4]
            for a in range(3):
                gradients[i, a] += slopes[k] * units[k, a]


@njit(parallel=True, cache=True)
def _hessian_times(offsets, indices, units, across, along, slopes, curvatures, moves):
    """H v of moves v (N, 3): first the change of F' at each atom, then what each bond makes of it."""
    n_atoms = moves.shape[0]
    shift = np.empty(n_atoms)
    for i in prange(n_atoms):
        change = 0.0
        for k in range(offsets[i], offsets[i + 1]):
            if slopes[k] != 0.0:
                j = indices[k]
                stretch = 0.0
                for a in range(3):
                    stretch += units[k, a] * (moves[j, a] - moves[i, a])
                change += slopes[k] * stretch
        shift[i] = curvatures[i] * change
    products = np.zeros((n_atoms, 3))
    for i in prange(n_atoms):
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            compression = 0.0
            for a in range(3):
                compression += units[k, a] * (moves[i, a] - moves[j, a])
            pull = (along[k] - across[k]) * compression - slopes[k] * (shift[i] + shift[j])
            for a in range(3):
                products[i, a] += across[k] * (moves[i, a] - moves[j, a]) + pull * units[k, a]
    return products


@njit(parallel=True, cache=True)
def _count_blocks(first, last, batch, offsets, indices, slopes):
    """Atoms that each row of the Hessian couples to: itself, its neighbours, and those sharing a density with it."""
    counts = np.zeros(last - first, np.int64)
    for part in prange((last - first + batch - 1) // batch):
        last_row = np.full(offsets.shape[0] - 1, -1, np.int32)
        for i in range(first + part * batch, min(first + (part + 1) * batch, last)):
            last_row[i] = i
            counts[i - first] = 1
            for k in range(offsets[i], offsets[i + 1]):
                j = indices[k]
                if last_row[j] != i:
                    last_row[j] = i
                    counts[i - first] += 1
                if slopes[k] == 0.0:
                    continue
                for m in range(offsets[j], offsets[j + 1]):
                    if slopes[m] != 0.0 and last_row[indices[m]] != i:
                        last_row[indices[m]] = i
                        counts[i - first] += 1
    return counts


@njit(parallel=True, cache=True)
def _fill_blocks(
    first, last, batch, offsets, indices, units, across, along, slopes, curvatures, gradients, row_start, columns, blocks
):  # fmt: skip
    for part in prange((last - first + batch - 1) // batch):
        block_of = np.full(offsets.shape[0] - 1, -1, np.int32)
        used = np.zeros(1, np.int64)
        for i in range(first + part * batch, min(first + (part + 1) * batch, last)):
            _fill_row(
                i, row_start[i - first], used, block_of, offsets, indices, units, across, along, slopes,
                curvatures, gradients, columns, blocks,
            )  # fmt: skip


@njit(cache=True)
def _fill_row(
    i, begin, used, block_of, offsets, indices, units, across, along, slopes, curvatures, gradients, columns, blocks
):  # fmt: skip
    used[0] = begin
    ii = _block(i, begin, used, block_of, columns)
    for a in range(3):
        for b in range(3):
            blocks[ii, a, b] += curvatures[i] * gradients[i, a] * gradients[i, b]
    for k in range(offsets[i], offsets[i + 1]):
        j = indices[k]
        ij = _block(j, begin, used, block_of, columns)
        for a in range(3):
            for b in range(3):
                bond = (along[k] - across[k]) * units[k, a] * units[k, b]
                if a == b:
                    bond += across[k]
                blocks[ij, a, b] -= bond
                blocks[ii, a, b] += bond
        if slopes[k] == 0.0:
            continue
        # rho_i seen from i and j, then rho_j seen from i and each of j's own neighbours
        own = -curvatures[i] * slopes[k]
        other = -curvatures[j] * slopes[k]
        for a in range(3):
            for b in range(3):
                blocks[ij, a, b] += own * gradients[i, a] * units[k, b] - other * units[k, a] * gradients[j, b]
        for m in range(offsets[j], offsets[j + 1]):
            if slopes[m] == 0.0:
                continue
            il = _block(indices[m], begin, used, block_of, columns)
            pull = other * slopes[m]
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


def _pieces(knots, coefficients, ends):
    """sum_i a_i (r_i - r)+^3 as polynomials c_0 + c_1 x + c_2 x² + c_3 x³ in x = end - r, one below each end; (n, 4)."""
    beyond = knots[None] - ends[:, None]
    weights = np.where(beyond >= 0.0, coefficients, 0.0)
    return np.stack(
        [(weights * factor * beyond**power).sum(axis=1) for power, factor in ((3, 1), (2, 3), (1, 3), (0, 1))], axis=1
    )


# summing over the knots would take half the time of a force call: between two of them either function is one cubic
ENDS = np.union1d(PAIR_KNOTS, DENSITY_KNOTS)
PAIR_PIECES = _pieces(PAIR_KNOTS, PAIR_COEFFICIENTS, ENDS)
DENSITY_PIECES = _pieces(DENSITY_KNOTS, DENSITY_COEFFICIENTS, ENDS)
SLOTS = 10
"""Slots to an Å of the look-up of pieces; all ends are whole numbers of slots."""
PIECE_OF_SLOT = np.searchsorted(ENDS, (np.arange(round(ENDS[-1] * SLOTS)) + 0.5) / SLOTS)


@njit(cache=True)
def _am04_pair_functions(r):
    table = np.zeros((r.shape[0], 6))
    for k in range(r.shape[0]):
        if r[k] >= ENDS[-1]:
            continue
        # at an end rounding may choose the neighbouring piece, which agrees there to the second derivative
        piece = PIECE_OF_SLOT[min(int(r[k] * SLOTS), PIECE_OF_SLOT.shape[0] - 1)]
        x = ENDS[piece] - r[k]
        if r[k] > CORE_RANGE:
            table[k, 0], table[k, 1], table[k, 2] = _cubic(x, PAIR_PIECES[piece])
        elif r[k] > NUCLEAR_RANGE:
            table[k, 0], table[k, 1], table[k, 2] = _core(r[k])
        else:
            table[k, 0], table[k, 1], table[k, 2] = _screened_nuclei(r[k])
        table[k, 3], table[k, 4], table[k, 5] = _cubic(x, DENSITY_PIECES[piece])
    return table


@njit(cache=True, inline="always")
def _cubic(x, c):
    """A polynomial in x = end - r and its first two derivatives with respect to r."""
    return (
        c[0] + x * (c[1] + x * (c[2] + x * c[3])),
        -(c[1] + x * (2.0 * c[2] + x * 3.0 * c[3])),
        2.0 * c[2] + 6.0 * x * c[3],
    )


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
