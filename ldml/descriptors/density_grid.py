"""Fourier coefficients of a sum of points in any cell, and their adjoint.

    S(m) = sum_j w_j exp(-2 pi i m . x_j)                    m integer, |m_d| <= c_d; x_j fractional coordinates

by the non-uniform FFT: each point is spread onto a regular grid of 2 (2c + 1) points a direction with the kernel
exp(b (sqrt(1 - z^2) - 1)), b = 2.3 w, over w = 14 points, and the transform of the grid is divided by that of the
kernel (Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41, C479 (2019)). The error is about 1e-13 of the number of
points, whatever the cell, and the cost is linear in that number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, sqrt

import numpy as np
import scipy.fft
from ase import Atoms
from ase.geometry import complete_cell, minkowski_reduce
from numba import njit

WIDTH = 14
STEEPNESS = 2.3 * WIDTH
FACTORS = (2, 3, 5, 7, 11)


@dataclass(frozen=True)
class Box:
    """A periodic cell around a structure.

    Attributes
    ----------
    cell : (3, 3) float
        Rows are its vectors, Å: the reduced vectors of the structure along its periodic directions, orthonormal ones
        times the padded extent along the others.
    fractional : (N, 3) float
        Positions of the atoms in units of the vectors.
    periodic : (3,) bool
        Whether the structure repeats along a vector, or is padded.
    """

    cell: np.ndarray
    fractional: np.ndarray
    periodic: np.ndarray

    @property
    def volume(self) -> float:
        """Å^3."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def reciprocal(self) -> np.ndarray:
        """(3, 3) rows b_i with b_i . a_j = 2 pi delta_ij, 1/Å."""
        return 2.0 * np.pi * np.linalg.inv(self.cell).T

    def highest_frequencies(self, wave_number: float) -> np.ndarray:
        """(3,) c: no reciprocal lattice vector as short as `wave_number` (1/Å) has |m_d| > c_d."""
        return np.floor(wave_number * np.linalg.norm(self.cell, axis=1) / (2.0 * np.pi) + 1e-9).astype(np.int64)


def padded_box(atoms: Atoms, gap: float) -> Box:
    """Box of a structure with `gap` (Å) between images along the directions that are not periodic."""
    cell = complete_cell(np.where(atoms.pbc[:, None], atoms.cell.array, 0.0))
    if atoms.pbc.any():
        cell, _ = minkowski_reduce(cell, pbc=atoms.pbc)
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    low, extent = fractional.min(axis=0), np.ptp(fractional, axis=0)
    fractional = np.where(atoms.pbc, fractional, fractional - low)
    lengths = np.where(atoms.pbc, 1.0, extent + gap)
    return Box(cell * lengths[:, None], fractional / lengths, atoms.pbc.copy())


def grid_length(at_least: float) -> int:
    """Smallest number of grid points not below `at_least`: a product of 3, 5, 7, 11 and at most one 2.

    Multiples of four are left out because the fields of bcc, fcc and diamond repeat a multiple of four times along a cell of
    an even number of cubes. A grid that repeats with them would make the same error in each cube instead of averaging it.
    """
    length = int(np.ceil(at_least - 1e-6))
    while length % 4 == 0 or not _is_smooth(length):
        length += 1
    return length


def _is_smooth(n):
    for factor in FACTORS:
        while n % factor == 0:
            n //= factor
    return n == 1


class PointTransform:
    """S(m) of points, and the adjoint sum over m, on one grid.

    Parameters
    ----------
    fractional : (N, 3) array
    highest : (3,) int array
        c, the highest frequency along each direction.
    """

    def __init__(self, fractional: np.ndarray, highest: np.ndarray):
        self._highest = tuple(int(c) for c in highest)
        self._lengths = tuple(scipy.fft.next_fast_len(max(2 * (2 * c + 1), WIDTH + 2)) for c in self._highest)
        scaled = (fractional - np.floor(fractional)) * self._lengths
        self._scaled = np.ascontiguousarray(scaled)
        self._weights = [
            1.0 / _kernel_transform(np.arange(-c, c + 1) / n) for c, n in zip(self._highest, self._lengths, strict=True)
        ]

    def coefficients(self, weights: np.ndarray) -> np.ndarray:
        """S(m) of points with real weights (N,), complex array (2 c_0 + 1, 2 c_1 + 1, 2 c_2 + 1), m = 0 in the middle."""
        grid = np.zeros(self._lengths)
        _spread(self._scaled, weights, grid)
        half = scipy.fft.rfftn(grid, workers=1)
        return _centred(half, *self._weights)

    def values(self, coefficients: np.ndarray) -> np.ndarray:
        """Re sum_m conj(S_m(x_j)) F(m), the sum of the waves at each point; (N,) float.

        F must be Hermitian, as the coefficients of real fields are.
        """
        half = np.zeros((*self._lengths[:2], self._lengths[2] // 2 + 1), dtype=np.complex128)
        _halved(coefficients, *self._weights, half)
        grid = scipy.fft.irfftn(half, s=self._lengths, norm="forward", overwrite_x=True, workers=1)
        return _gathered(self._scaled, grid)


def field_on_grid(coefficients: np.ndarray, lengths) -> np.ndarray:
    """The real field sum_m F(m) exp(2 pi i m . x) on a grid of `lengths` points, which must exceed twice the frequencies."""
    half = np.zeros((*lengths[:2], lengths[2] // 2 + 1), dtype=np.complex128)
    _halved(coefficients, *(np.ones(n) for n in coefficients.shape), half)
    return scipy.fft.irfftn(half, s=tuple(lengths), norm="forward", overwrite_x=True, workers=1)


def waves_of_grid(field: np.ndarray, shape) -> np.ndarray:
    """sum_x f(x) exp(-2 pi i m . x) over the points of a grid, m = 0 in the middle of an array of the odd `shape`."""
    return _centred(scipy.fft.rfftn(field, workers=1), *(np.ones(n) for n in shape))


def _kernel_transform(frequency: np.ndarray) -> np.ndarray:
    """Transform of the spreading kernel at `frequency` (cycles per grid point)."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    kernel = np.exp(STEEPNESS * (np.sqrt(1.0 - nodes**2) - 1.0))
    return 0.5 * WIDTH * np.cos(np.pi * WIDTH * np.outer(frequency, nodes)) @ (weights * kernel)


@njit(cache=True, nogil=True)
def _kernel_at(position, length, index, value):
    """Grid points within reach of a position (in grid points), folded, and the kernel there."""
    start = floor(position - 0.5 * WIDTH) + 1
    for t in range(WIDTH):
        z = (start + t - position) * (2.0 / WIDTH)
        inside = 1.0 - z * z
        value[t] = exp(STEEPNESS * (sqrt(inside) - 1.0)) if inside > 0.0 else 0.0
        index[t] = (start + t) % length


@njit(cache=True, nogil=True)
def _spread(scaled, weights, grid):
    index = np.empty((3, WIDTH), np.int64)
    value = np.empty((3, WIDTH))
    for j in range(scaled.shape[0]):
        if weights[j] == 0.0:
            continue
        for d in range(3):
            _kernel_at(scaled[j, d], grid.shape[d], index[d], value[d])
        for a in range(WIDTH):
            for b in range(WIDTH):
                factor = weights[j] * value[0, a] * value[1, b]
                row = grid[index[0, a], index[1, b]]
                for c in range(WIDTH):
                    row[index[2, c]] += factor * value[2, c]


@njit(cache=True, nogil=True)
def _gathered(scaled, grid):
    index = np.empty((3, WIDTH), np.int64)
    value = np.empty((3, WIDTH))
    gathered = np.empty(scaled.shape[0])
    for j in range(scaled.shape[0]):
        for d in range(3):
            _kernel_at(scaled[j, d], grid.shape[d], index[d], value[d])
        total = 0.0
        for a in range(WIDTH):
            for b in range(WIDTH):
                row = grid[index[0, a], index[1, b]]
                along = 0.0
                for c in range(WIDTH):
                    along += row[index[2, c]] * value[2, c]
                total += value[0, a] * value[1, b] * along
        gathered[j] = total
    return gathered


@njit(cache=True, nogil=True)
def _centred(half, weights_0, weights_1, weights_2):
    """Frequencies -c ... c of a real transform that stores those >= 0 along its last axis."""
    n0, n1, n2 = weights_0.size, weights_1.size, weights_2.size
    centred = np.empty((n0, n1, n2), np.complex128)
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                p, q, r = i - n0 // 2, j - n1 // 2, k - n2 // 2
                value = half[p, q, r] if r >= 0 else np.conj(half[-p, -q, -r])
                centred[i, j, k] = value * (weights_0[i] * weights_1[j] * weights_2[k])
    return centred


@njit(cache=True, nogil=True)
def _halved(centred, weights_0, weights_1, weights_2, half):
    """The adjoint of `_centred`, for Hermitian coefficients."""
    n0, n1, n2 = centred.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2 // 2, n2):
                p, q, r = i - n0 // 2, j - n1 // 2, k - n2 // 2
                half[p, q, r] = centred[i, j, k] * (weights_0[i] * weights_1[j] * weights_2[k])
