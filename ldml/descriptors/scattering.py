"""Solid harmonic wavelet scattering, first order.

    S[j, l] = int ( sum_m |rho * psi_jl^m|^2 )^(1/2) dr                          (paper, Eq. 20)
    rho(r)  = sum_i g(r - r_i)                                                   (Eq. 19)
    psi_jl^m(r) = (2 pi)^(-3/2) exp(-x^2/2) |x|^l Y_lm(x/|x|),   x = r / s_j,   s_j = unit 2^j      (Eq. 21)

g is a Gaussian of width sigma and unit integral, Y_lm are orthonormal, and volumes are in unit^3, so that S is a pure number.

The convolution is a product in k-space, on the reciprocal lattice of the cell itself: with a_j^2 = s_j^2 + sigma^2, the field
of (j, l, m) has the coefficients S(k) exp(-(k a_j)^2/2) (k a_j)^l Y_lm(k), up to factors (`solid_harmonics`), where the
structure factor S(k) is computed to 13 digits (`density_grid`). Waves are left out where they fall below 1e-5 of
the largest, in padded boxes below 1e-8. Along directions that are not periodic the cell is padded, for each scale, until
the fields of images have fallen to 1e-8 before they meet.

Only the integral is approximate. The modulus has cones where all 2l + 1 fields vanish, so the mean over a grid of spacing h
converges as h^4 and not exponentially; l = 1, which has most of them, gets a finer grid. For l = 0 the field has one sign:
S[j, 0] = N s_j^3 / (sqrt(4 pi) unit^3) only counts atoms.

S is a property of the whole structure. The rows that `compute` returns are shares of it,

    S_i = int w_i(r) (...)^(1/2) dr,     w_i = G(r - r_i) / sum_j G(r - r_j),     G of width sqrt(2) a_j,

good for colouring; where no Gaussian reaches, all atoms share alike.

Each coefficient is the work of one thread from beginning to end: the bits do not depend on the number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, ClassVar

import numba
import numpy as np
import scipy.fft
from ase import Atoms
from numba import njit

from ldml.descriptors.base import COINCIDENCE, SPECIES, Descriptor, coincidence_error, species_of
from ldml.descriptors.density_grid import Box, PointTransform, field_on_grid, grid_length, padded_box, waves_of_grid
from ldml.descriptors.parameters import Number, Numbers, Parameter
from ldml.descriptors.solid_harmonics import NEGLIGIBLE, SolidHarmonics, profile_integral, reach
from ldml.errors import InputError
from ldml.neighbours import neighbour_list

SPACING = 0.38
"""Grid spacing in units of a_j."""
SPACING_OF_CONES = 0.25
"""The same for l = 1."""
CRYSTAL_COARSENING = 1.18
"""Both grow by it where all directions are periodic: the errors of many cones average."""
NEGLIGIBLE_WAVE = 1e-5
"""See `_wave_level`."""
FEWEST_POINTS = 45
"""Grid points along any direction: small cells and wide wavelets cost little and have few cones to average over."""
REFINEMENT = (1, 3, 8, 1)
"""Factor on the number of points where 0, 1, 2, 3 periodic directions are short of `FEWEST_POINTS`, along the others. Across a
short direction wide wavelets see nothing change: zeros become lines and planes, whose errors fall as h^3 and h^2 only."""
BACKGROUND = 1e-6
"""Added to the sum of the Gaussians of the partition (each 1 at its atom) as the share that falls to all atoms alike."""
PARTITION_WIDTH = sqrt(2.0)
"""Width of the Gaussians of the partition in units of a_j: they reach as far as the field."""
PLANES = 4
"""Planes of the grid transformed at a time."""
MEMORY_LIMIT = 4e9
"""Bytes."""


class Scattering(Descriptor):
    """First-order solid harmonic scattering coefficients S[j, l] of the whole structure.

    Features are ordered with the scale outer and l inner: column (place of j) (l_max + 1) + l. With more than one of
    `species` this set is repeated for the density of each, and then for that of all together, which alone knows how the
    elements are mixed.

    `total` is exact to the error of the grid (`invariance`), not to rounding. Its rows in `compute` are shares of it.
    """

    name: ClassVar[str] = "Scattering"
    version: ClassVar[int] = 1
    declared_parameters: ClassVar[tuple[Parameter, ...]] = (
        Numbers(
            name="scales",
            symbol="j",
            default=(0.0, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 4.0, 5.0),
            bounds=(-3.0, 8.0),
            doc="Widths of the wavelets as powers of two of the unit.",
        ),
        Number(
            name="l_max",
            symbol="L",
            default=9,
            bounds=(0, 20),
            doc="Highest angular order: how finely angles are told apart.",
        ),
        Number(
            name="unit",
            symbol="s_0",
            default=0.288,
            bounds=(0.01, 10.0),
            unit="Å",
            doc="Width of the wavelet of scale 0.",
        ),
        Number(
            name="sigma",
            symbol="σ",
            default=0.576,
            bounds=(0.05, 10.0),
            unit="Å",
            doc="Width of the Gaussian that stands for an atom in the density.",
        ),
        SPECIES,
    )
    letter: ClassVar[str] = "S"
    is_local: ClassVar[bool] = False
    invariance: ClassVar[float] = 2e-4

    @property
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """species (if more than one), scale, l, the last innermost."""
        scales = [int(scale) if scale.is_integer() else scale for scale in self.scales]
        orders = [{"scale": scale, "l": l} for scale in scales for l in range(self.l_max + 1)]
        if len(self.species) < 2:
            return tuple(orders)
        return tuple({"species": name} | order for name in (*self.species, "+".join(self.species)) for order in orders)

    @property
    def trivial_features(self) -> np.ndarray:
        """True where l = 0."""
        return np.array([indices["l"] == 0 for indices in self.feature_indices])

    def _compute(self, atoms: Atoms) -> np.ndarray:
        kinds = self._checked_kinds(atoms)
        rows = np.zeros((len(atoms), len(self._channels), len(self.scales), self.l_max + 1))
        for place, members, scale, shares in self._scattered(atoms, kinds, with_shares=True):
            rows[members, place, scale] = np.transpose(shares)
        return rows.reshape(len(atoms), -1)

    def _total(self, atoms: Atoms) -> np.ndarray:
        kinds = self._checked_kinds(atoms)
        total = np.zeros((len(self._channels), len(self.scales), self.l_max + 1))
        for place, _, scale, coefficients in self._scattered(atoms, kinds, with_shares=False):
            total[place, scale] = coefficients
        return total.ravel()

    @property
    def _channels(self):
        """Species of each channel; None for all together."""
        return (*range(len(self.species)), None) if len(self.species) > 1 else (None,)

    def _checked_kinds(self, atoms):
        if len(neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, COINCIDENCE).indices):
            raise coincidence_error(atoms)
        return species_of(atoms, self.species)

    def _scattered(self, atoms, kinds, *, with_shares):
        """Channel, its atoms, place of the scale, and S[j, l] or shares of each l, for every channel and scale."""
        plans = [self._plan(atoms, scale, with_shares) for scale in self.scales]
        threads = _affordable_threads(plans)
        with ThreadPoolExecutor(threads) as pool:
            for place, kind in enumerate(self._channels):
                members = np.arange(len(atoms)) if kind is None else np.flatnonzero(kinds == kind)
                if len(members) == 0:
                    continue
                structure_factor = None
                for scale, plan in enumerate(plans):
                    if structure_factor is None or not atoms.pbc.all():
                        structure_factor = self._structure_factor(plans if atoms.pbc.all() else [plan], members)
                    yield place, members, scale, plan.coefficients(structure_factor, members, with_shares, pool)

    def _plan(self, atoms, scale, with_shares):
        width = self.unit * 2.0**scale
        smeared = sqrt(width**2 + self.sigma**2)
        box = padded_box(atoms, 2.0 * reach(self.l_max) * smeared)
        return _Scale(scale, width, smeared, self.unit, box, self.l_max, with_shares)

    @staticmethod
    def _structure_factor(plans, members):
        """S(m) for all scales that share one box."""
        highest = np.max([plan.highest for plan in plans], axis=0)
        points = PointTransform(plans[0].box.fractional[members], highest)
        return points.coefficients(np.ones(len(members)))


@dataclass(frozen=True)
class _Scale:
    """What all l of one scale share; lengths in Å."""

    scale: float
    width: float
    smeared: float
    unit: float
    box: Box
    l_max: int
    with_shares: bool

    @property
    def highest(self):
        return self._highest(self.l_max)

    def _highest(self, l):
        return self.box.highest_frequencies(reach(l, _wave_level(self.box)) / self.smeared)

    def lengths(self, l):
        """(3,) grid points along each vector."""
        spacing = SPACING_OF_CONES if l == 1 else SPACING
        if self.box.periodic.all():
            spacing *= CRYSTAL_COARSENING
        wanted = np.linalg.norm(self.box.cell, axis=1) / (spacing * self.smeared)
        short = self.box.periodic & (wanted < FEWEST_POINTS)
        wanted = np.where(short, wanted, REFINEMENT[short.sum()] * wanted)
        needed = np.maximum(2 * self._highest(l) + 1, FEWEST_POINTS)
        return np.array([grid_length(n) for n in np.maximum(wanted, needed)])

    def bytes(self):
        """Estimate of the memory that the largest coefficient takes."""
        per_l = []
        for l in range(self.l_max + 1):
            n, modes = self.lengths(l).astype(float), 2.0 * self._highest(l) + 1.0
            planes = n[0] * modes[1] * modes[2]
            per_l.append(8 * n.prod() * (4 if self.with_shares else 1) + 16 * (2 * modes.prod() + planes))
        return max(per_l)

    def bytes_shared(self):
        """Estimate of what the structure factor takes while it is made."""
        return 24 * 8.0 * (2.0 * self.highest + 1.0).prod()

    def coefficients(self, structure_factor, members, with_shares, pool):
        """S[j, l] for l = 0 ... l_max, or the shares of the atoms in it."""
        partition = _Partition(self.box, members, PARTITION_WIDTH * self.smeared) if with_shares else None

        def one(l):
            if partition is None:
                return self._total(structure_factor, l, len(members))
            return self._shares(structure_factor, l, partition)

        # the longest first
        return list(pool.map(one, reversed(range(self.l_max + 1))))[::-1]

    def _total(self, structure_factor, l, n_atoms):
        if l == 0:
            return n_atoms * (self.width / self.unit) ** 3 * profile_integral(0)
        return self._amplitude(l) * float(self._modulus(structure_factor, l).mean())

    def _shares(self, structure_factor, l, partition):
        modulus = self._modulus(structure_factor, l) if l else self._smoothed_density(structure_factor)
        return self._amplitude(l) * partition.shares(modulus)

    def _amplitude(self, l):
        """What turns the mean of the modulus into S: V (s/a)^(l+3) and the a^3/V of the Fourier coefficients."""
        return (self.width / self.smeared) ** (l + 3) * (self.smeared / self.unit) ** 3

    def _cropped(self, structure_factor, l):
        inner = [
            slice((n - 1) // 2 - c, (n - 1) // 2 + c + 1)
            for n, c in zip(structure_factor.shape, self._highest(l), strict=True)
        ]
        return structure_factor[tuple(inner)]

    def _modulus(self, structure_factor, l):
        """(sum_m |field|^2)^(1/2) on the grid."""
        inner = self._cropped(structure_factor, l)
        harmonics = SolidHarmonics(inner, self.box.reciprocal * self.smeared, l, _wave_level(self.box))
        lengths = self.lengths(l)
        spectrum = np.empty(inner.shape, dtype=np.complex128)
        squares = np.zeros(lengths)
        for m in range(l + 1):
            harmonics.spectrum(m, spectrum)
            _add_squares(spectrum, squares)
        return np.sqrt(squares, out=squares)

    def _smoothed_density(self, structure_factor):
        """The field of l = 0 on the grid."""
        inner = self._cropped(structure_factor, 0)
        harmonics = SolidHarmonics(inner, self.box.reciprocal * self.smeared, 0, _wave_level(self.box))
        spectrum = np.empty(inner.shape, dtype=np.complex128)
        harmonics.spectrum(0, spectrum)
        return field_on_grid(spectrum, self.lengths(0))


class _Partition:
    """Gaussians around atoms that divide space between them."""

    def __init__(self, box, members, width):
        highest = box.highest_frequencies(reach(0, _wave_level(box)) / width)
        self._points = PointTransform(box.fractional[members], highest)
        self._n_atoms = len(members)
        ones = np.ones([2 * c + 1 for c in highest], dtype=np.complex128)
        gaussian = np.empty_like(ones)
        SolidHarmonics(ones, box.reciprocal * width, 0, _wave_level(box)).spectrum(0, gaussian)
        self._gaussian = gaussian * ((2.0 * pi) ** 1.5 * sqrt(4.0 * pi) * width**3 / box.volume)
        self._sum = self._gaussian * self._points.coefficients(np.ones(len(members)))

    def shares(self, field):
        """Mean over the grid of field times w_i, (n_atoms,)."""
        field = field / (field_on_grid(self._sum, field.shape) + BACKGROUND)
        waves = waves_of_grid(field, self._gaussian.shape)
        background = BACKGROUND / self._n_atoms * float(field.sum())
        return (self._points.values(waves * self._gaussian) + background) / field.size


def _wave_level(box):
    """Part of their maximum below which waves are left out: what is left out is orthogonal to the rest.

    A padded box follows the atoms, and its waves come and go: only very small ones may.
    """
    return NEGLIGIBLE_WAVE if box.periodic.all() else NEGLIGIBLE


def _affordable_threads(plans):
    """Threads that together stay within the memory limit."""
    costs = [plan.bytes() for plan in plans]
    shared = max(plan.bytes_shared() for plan in plans)
    worst = int(np.argmax(costs))
    if max(costs[worst], shared) > MEMORY_LIMIT:
        plan = plans[worst]
        sides = " x ".join(f"{length:.1f}" for length in np.linalg.norm(plan.box.cell, axis=1))
        raise InputError(
            f"scattering at scale {plan.scale:g} in a box of {sides} Å needs about {max(costs[worst], shared) / 1e9:.1f} GB, "
            f"more than {MEMORY_LIMIT / 1e9:g} GB; leave out the smallest scales and raise sigma, or describe a smaller cell"
        )
    return max(1, min(numba.get_num_threads(), int(MEMORY_LIMIT // costs[worst])))


def _add_squares(spectrum, squares):
    """Add |f|^2 on the grid, f having `spectrum`.

    Frequencies start at -c and the transform takes them as starting at 0: a phase, gone in the square.
    """
    lines = scipy.fft.ifft(spectrum, n=squares.shape[0], axis=0, norm="forward", workers=1)
    for first in range(0, len(lines), PLANES):
        some = slice(first, first + PLANES)
        field = scipy.fft.ifft(lines[some], n=squares.shape[1], axis=1, norm="forward", workers=1)
        field = scipy.fft.ifft(field, n=squares.shape[2], axis=2, norm="forward", workers=1)
        _accumulate(field, squares[some])


@njit(cache=True, nogil=True)
def _accumulate(field, squares):
    flat, sums = field.reshape(field.size), squares.reshape(squares.size)
    for i in range(sums.size):
        sums[i] += flat[i].real ** 2 + flat[i].imag ** 2
