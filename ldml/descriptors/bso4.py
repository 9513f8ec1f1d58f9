"""Bispectrum of the neighbour density on the sphere of four dimensions, bSO(4).

    c^j_mm' = w_self delta_mm' + sum_k f(r_k) D^j_mm'(u_k)                                        (paper, Eqs. 16, 17)
    B_{j1 j2 j} = sum_mm' conj(c^j_mm') sum_{m1 m1'} <j1 m1 j2 m2|j m> <j1 m1' j2 m2'|j m'> c^{j1}_{m1 m1'} c^{j2}_{m2 m2'}

                                                                        m2 = m - m1, m2' = m' - m1'       (paper, Eq. 18)

k runs over the neighbours within the cutoff rc; u_k is the rotation that stands for neighbour k and D^j its matrix of
spin j (`hyperspherical`); f the cutoff function (`cutoff_functions`); <..|..> Clebsch-Gordan coefficients
(`clebsch_gordan`). The spins are 0, 1/2, 1 ... j_max. B is real and does not change under rotations and reflections.

Kept are either the diagonal components j1 = j2, j = 0, 1 ... min(2 j1, j_max) (26 of them for j_max = 7/2), or the set
j >= j1 >= j2, which holds every component up to a factor:

    B_{j1 j2 j} = B_{j2 j1 j},     B_{j1 j2 j}/(2j+1) = B_{j j2 j1}/(2 j1+1).

Given several `species`, each has coefficients c^{j,s} of its own, w_self in those of the centre's species, and components
B_{j1 s1, j2 s2, j s} = c^{j,s} . (c^{j1,s1} x c^{j2,s2}) are formed for every triple of species. Those that are equal by the
relations above (spins j1 = j2, or j = j1, with their species exchanged) are added to one feature, so that the sum over triples
is the component of all neighbours alike.

The matrices are summed as what they are made of: chi^j_l(r_k) Y_lM(n_k), as many numbers as there are independent elements,
but a product each; only the sums are turned into matrices. Batches of as many atoms as a register holds then go through
the same list of products c c. Neighbours are found, expanded and forgotten chunk by chunk. Threads share out fixed blocks of
atoms; what is added in which order does not depend on their number.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import cos, pi, sin, sqrt
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit

from ldml.descriptors.angular_basis import harmonic_recurrence
from ldml.descriptors.base import CUTOFF, SPECIES
from ldml.descriptors.clebsch_gordan import clebsch_gordan, couples
from ldml.descriptors.cutoff_functions import CUTOFF_FUNCTION, cutoff_kind, cutoff_weight
from ldml.descriptors.hyperspherical import character_recurrence, harmonic_terms, matrix_elements
from ldml.descriptors.lanes import LANES, fused, load, padded, spread, store
from ldml.descriptors.local import NEIGHBOURS_PER_CHUNK, LocalDescriptor, gather
from ldml.descriptors.parameters import Flag, Number, Parameter


class BSO4(LocalDescriptor):
    """Bispectrum components B_{j1 j2 j} of each atom's neighbourhood.

    Diagonal features are ordered with j1 outer and j inner, full ones with j1 outer, j2, j inner: the order of LAMMPS.
    They are pure numbers. An atom without neighbours has B_{j1 j2 j} = w_self^3 (2j + 1).

    With S > 1 `species` there are S such sets for each triple of species, one for each element of the centre (outermost, then
    triples, then components); an atom has zeros in the sets of other centres. A triple that is merged with an earlier
    one lacks those components.
    """

    name: ClassVar[str] = "BSO4"
    version: ClassVar[int] = 1
    letter: ClassVar[str] = "B"
    declared_parameters: ClassVar[tuple[Parameter, ...]] = (
        Number(
            name="j_max",
            symbol="j_max",
            default=3.5,
            bounds=(0.0, 6.0),
            multiple_of=0.5,
            doc="Highest spin: how finely distances and angles are told apart.",
        ),
        Flag(
            name="diagonal",
            symbol="j1=j2",
            default=True,
            doc="Only the components with j1 = j2; without, all that are independent.",
        ),
        CUTOFF,
        CUTOFF_FUNCTION,
        Number(
            name="self_weight",
            symbol="w_self",
            default=1.0,
            bounds=(0.0, 100.0),
            doc="Weight of the central atom itself; a neighbour close by weighs 1.",
        ),
        Number(
            name="rfac0",
            symbol="rfac0",
            default=1.0 - 0.02 / pi,
            bounds=(0.0, 1.0),
            low_included=False,
            doc="Part of the sphere that neighbours fill: at 1, those at the cutoff all meet at the pole.",
        ),
        SPECIES,
    )

    def __init__(self, **parameters):
        super().__init__(**parameters)
        two_j_max = round(2 * self.j_max)
        self._components = _components(two_j_max, self.diagonal)
        n_species = max(1, len(self.species))
        n_features = n_species * sum(_n_triples(component, n_species) for component in self._components)
        self._check_size(n_features, "lower j_max, or keep only the diagonal components")
        self._triples, self._columns = _channels(self._components, n_species)
        self._expansion = _expansion(two_j_max)
        self._coupling = _coupling(self._components)
        self._choices = (
            self.cutoff,
            cutoff_kind(self.cutoff_function),
            self.rfac0 * pi / self.cutoff,
            self.self_weight,
        )

    @property
    def n_features(self) -> int:
        """Number of components, for each kind of centre and of triple."""
        return max(1, len(self.species)) * len(self._triples)

    @property
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """centre, triple of species for j1, j2, j (with more than one species), and the spins j1, j2, j."""
        one_centre = []
        for triple, component in self._triples:
            spins = dict(zip(("j1", "j2", "j"), (_halved(two_j) for two_j in component), strict=True))
            kinds = {"triple": "-".join(self.species[kind] for kind in triple)} if len(self.species) > 1 else {}
            one_centre.append(kinds | spins)
        if len(self.species) < 2:
            return tuple(one_centre)
        return tuple({"centre": centre} | indices for centre in self.species for indices in one_centre)

    def _describe(self, grid, kinds, first, rows, features):
        return _describe(
            grid, kinds, self._choices, self._expansion, self._coupling, self._columns, first, rows, features
        )


def _halved(two_j):
    return two_j // 2 if two_j % 2 == 0 else two_j / 2


def _components(two_j_max, diagonal):
    """(2 j1, 2 j2, 2 j) of the features, in their order."""
    spins = range(two_j_max + 1)
    if diagonal:
        return tuple((J1, J1, J) for J1 in spins for J in range(0, min(2 * J1, two_j_max) + 1, 2))
    return tuple(
        (J1, J2, J) for J1 in spins for J2 in range(J1 + 1) for J in range(J1, two_j_max + 1) if couples(J1, J2, J)
    )


def _n_triples(component, n_species):
    """Triples of species that differ by more than places of equal spins."""
    n_pairs = n_species * (n_species + 1) // 2
    return {3: n_species**3, 2: n_species * n_pairs, 1: n_pairs * (n_species + 2) // 3}[len(set(component))]


def _channels(components, n_species):
    """What the features of one kind of centre are, and where they are.

    Returns
    -------
    triples : tuple of ((s1, s2, s), (2 j1, 2 j2, 2 j))
        Of each feature; the triple is the first of those merged.
    columns : (n_components, n_species, n_species, n_species) int array
        Feature of a component and a triple.
    """
    triples = tuple(
        (triple, component)
        for triple in product(range(n_species), repeat=3)
        for component in components
        if triple == _first_equal(triple, component)
    )
    places = {feature: place for place, feature in enumerate(triples)}
    columns = np.empty((len(components), n_species, n_species, n_species), dtype=np.int64)
    for c, component in enumerate(components):
        for triple in product(range(n_species), repeat=3):
            columns[c, *triple] = places[_first_equal(triple, component), component]
    return triples, columns


def _first_equal(triple, spins):
    """The first of the triples of species that give the same number: those of equal spins may change places."""
    kinds = {spin: iter(sorted(k for k, s in zip(triple, spins, strict=True) if s == spin)) for spin in spins}
    return tuple(next(kinds[spin]) for spin in spins)


class _Expansion(NamedTuple):
    """How neighbours become matrices.

    Moments are sum_k f chi_Jl Y_lM (J = 2j), M outer and J inner for each l, the number of J rounded up to even.
    Elements c^j_mm' are stored for j, m, m', the last innermost.
    """

    steps: np.ndarray
    """s_l of the characters"""
    couplings: np.ndarray
    """a_Jl of the characters"""
    harmonic_steps: np.ndarray
    """a_lm of the spherical harmonics"""
    harmonic_couplings: np.ndarray
    """b_lm"""
    harmonic_scales: np.ndarray
    """d_m"""
    radial_start: np.ndarray
    """(2 j_max + 2,) first radial function of each l"""
    moment_start: np.ndarray
    """(2 j_max + 2,) first moment of each l"""
    elements: np.ndarray
    """(n, 3) places of an element and of its mirror image, and the sign between them"""
    term_start: np.ndarray
    """(2 n + 1,) first term of the real and the imaginary part of each element"""
    moment: np.ndarray
    """moment of each term"""
    coefficient: np.ndarray
    """of each term"""
    diagonal: np.ndarray
    """places of the elements m = m'"""


def _read_only(tables):
    for table in tables:
        table.flags.writeable = False
    return tables


def _first_elements(two_j_max):
    """Place of the first element of each spin, and after the last the number of elements."""
    return np.cumsum([0] + [(J + 1) ** 2 for J in range(two_j_max + 1)])


@lru_cache(maxsize=16)
def _expansion(two_j_max):
    n_radial = np.array([padded(two_j_max + 1 - l, 2) for l in range(two_j_max + 1)])
    n_harmonics = 2 * np.arange(two_j_max + 1) + 1
    moment_start = np.concatenate([[0], np.cumsum(n_radial * n_harmonics)])
    first = _first_elements(two_j_max)
    elements, term_start, moments, coefficients = [], [0], [], []
    for J in range(two_j_max + 1):
        for up, up2 in matrix_elements(J):
            here = first[J] + up * (J + 1) + up2
            mirror = first[J] + (J - up) * (J + 1) + J - up2
            elements.append((here, mirror, (-1) ** (up - up2)))
            for terms in harmonic_terms(J, up, up2):
                moments += [moment_start[l] + (l + M) * n_radial[l] + J - l for l, M, _ in terms]
                coefficients += [coefficient for _, _, coefficient in terms]
                term_start.append(len(moments))
    return _read_only(
        _Expansion(
            *character_recurrence(two_j_max),
            *harmonic_recurrence(two_j_max),
            radial_start=np.concatenate([[0], np.cumsum(n_radial)]),
            moment_start=moment_start,
            elements=np.array(elements),
            term_start=np.array(term_start),
            moment=np.array(moments),
            coefficient=np.array(coefficients),
            diagonal=np.array([first[J] + up * (J + 2) for J in range(two_j_max + 1) for up in range(J + 1)]),
        )
    )


class _Coupling(NamedTuple):
    """How matrices become components: B = sum over elements of Re(conj(c_element) sum over terms of coefficient c_left c_right)."""

    element_start: np.ndarray
    """(n_components + 1,) first element of each component"""
    exchange: np.ndarray
    """(n_components,) whether j1 = j2: then each term stands for c_left c_right and c_right c_left"""
    element: np.ndarray
    """place of each element"""
    term_start: np.ndarray
    """(n_elements + 1,) first term of each element"""
    left: np.ndarray
    """place of the first factor of each term"""
    right: np.ndarray
    """place of the second"""
    coefficient: np.ndarray
    """of each term"""


@lru_cache(maxsize=16)
def _coupling(components):
    first = _first_elements(max(J for _, _, J in components))
    element_start, elements, term_start, terms = [0], [], [0], []
    n_terms = 0
    for J1, J2, J in components:
        for up, up2 in matrix_elements(J):
            # an element and its mirror image give the same; only m = m' = 0 is its own
            weight = 1.0 if up == up2 and 2 * up == J else 2.0
            elements.append(first[J] + up * (J + 1) + up2)
            terms.append(_products(J1, J2, J, up, up2, first, weight))
            n_terms += len(terms[-1][0])
            term_start.append(n_terms)
        element_start.append(len(elements))
    left, right, coefficient = (np.concatenate(parts) for parts in zip(*terms, strict=True))
    return _read_only(
        _Coupling(
            np.array(element_start),
            np.array([J1 == J2 for J1, J2, _ in components]),
            np.array(elements),
            np.array(term_start),
            left.astype(np.int32),
            right.astype(np.int32),
            coefficient,
        )
    )


def _products(J1, J2, J, up, up2, first, weight):
    """left, right, coefficient of one element; products that differ only in their order are one if j1 = j2."""
    table = clebsch_gordan(J1, J2, J)
    p = (J1 + J2 - J) // 2
    rows1 = np.arange(max(0, up + p - J2), min(J1, up + p) + 1)
    columns1 = np.arange(max(0, up2 + p - J2), min(J1, up2 + p) + 1)
    rows2, columns2 = up + p - rows1, up2 + p - columns1
    left = (first[J1] + rows1[:, None] * (J1 + 1) + columns1).ravel()
    right = (first[J2] + rows2[:, None] * (J2 + 1) + columns2).ravel()
    coefficient = weight * np.outer(table[rows1, rows2], table[columns1, columns2]).ravel()
    kept = coefficient != 0.0
    if J1 == J2:
        coefficient = np.where(left < right, 2.0, 1.0) * coefficient
        kept &= left <= right
    return left[kept], right[kept], coefficient[kept]


# The kernels share one file: numba's cache on disk looks for changes only in the file of the function it is asked for.
# They release the interpreter and are shared out by Python: numba's own parallel loop takes twice as long to compile.
# Nothing here may reorder its arithmetic: with fastmath, a process that compiles and one that loads the compiled code
# from the cache differ in the last bits, because they optimise their copies differently.


@njit(cache=True, nogil=True)
def _describe(grid, kinds, choices, expansion, coupling, columns, first, rows, features):
    """Add the features of sorted atom first + i to row ``rows[i]``; False if two atoms coincide."""
    n_species = columns.shape[1]
    n_columns = features.shape[1] // n_species
    n_l = expansion.steps.shape[0]
    n_moments = expansion.moment_start[n_l]
    n_elements = expansion.diagonal[-1] + 1
    # rows added to make their number even stay zero
    workspace = (
        np.empty((6, NEIGHBOURS_PER_CHUNK)),
        np.zeros((expansion.radial_start[n_l], NEIGHBOURS_PER_CHUNK)),
        np.empty((n_l * n_l, NEIGHBOURS_PER_CHUNK)),
    )
    near = np.empty((n_species, 3, NEIGHBOURS_PER_CHUNK))
    found = np.empty(n_species, np.int64)
    partial = np.empty((n_species, n_moments, LANES))
    moments = np.zeros((n_species, n_moments, LANES))
    real = np.empty((n_species, n_elements, LANES))
    imaginary = np.empty((n_species, n_elements, LANES))
    values = np.empty((n_columns, LANES))
    for start in range(0, rows.shape[0], LANES):
        n_lanes = min(LANES, rows.shape[0] - start)
        for lane in range(n_lanes):
            near, apart = gather(first + start + lane, grid, kinds, choices[0], near, found)
            if not apart:
                return False
            partial[:] = 0.0
            for kind in range(n_species):
                for at in range(0, found[kind], NEIGHBOURS_PER_CHUNK):
                    n_near = min(NEIGHBOURS_PER_CHUNK, found[kind] - at)
                    _add_neighbours(near[kind], at, n_near, choices, expansion, workspace, partial[kind])
            _add_up(partial, lane, moments)
        for kind in range(n_species):
            _to_matrices(moments[kind], expansion, real[kind], imaginary[kind])
        for lane in range(n_lanes):
            for element in expansion.diagonal:
                real[kinds[first + start + lane], element, lane] += choices[3]
        _couple(real, imaginary, coupling, columns, values)
        for lane in range(n_lanes):
            at = np.int64(kinds[first + start + lane]) * n_columns
            for column in range(n_columns):
                features[rows[start + lane], at + column] += values[column, lane]
    return True


@njit(cache=True, nogil=True)
def _add_neighbours(near, start, n_near, choices, expansion, workspace, partial):
    """Add `n_near` neighbours at the vectors ``near[:, start:]`` to the moments, each in the lane of its place."""
    cutoff, cutoff_function, angle, _ = choices
    u, radial, harmonics = workspace
    n_filled = (n_near + LANES - 1) // LANES * LANES
    # fill up whole registers with neighbours that weigh nothing
    near[:2, start + n_near : start + n_filled] = 0.0
    near[2, start + n_near : start + n_filled] = cutoff
    for k in range(n_filled):
        dx, dy, dz = near[0, start + k], near[1, start + k], near[2, start + k]
        r = sqrt(dx**2 + dy**2 + dz**2)
        inverse = 1.0 / r
        u[0, k] = dx * inverse
        u[1, k] = dy * inverse
        u[2, k] = dz * inverse
        u[3, k] = sin(angle * r)
        u[4, k] = cos(angle * r)
        u[5, k] = cutoff_weight(cutoff_function, (cutoff - r) / cutoff)
    u[5, n_near:n_filled] = 0.0
    _radial_functions(u, n_filled, expansion, radial)
    _harmonics(u, n_filled, expansion, harmonics)
    _add_moments(radial, harmonics, n_filled, expansion, partial)


@njit(cache=True, nogil=True)
def _radial_functions(u, n_near, expansion, radial):
    """f chi_Jl, by the recurrences of `hyperspherical` started from f."""
    steps, couplings = expansion.steps, expansion.couplings
    n_l = steps.shape[0]
    for k in range(0, n_near, LANES):
        sine, cosine, lowest = load(u, 3, k), load(u, 4, k), load(u, 5, k)
        for l in range(n_l):
            at = expansion.radial_start[l] - l
            if l > 0:
                lowest = lowest * (spread(steps[l]) * sine)
            below, here = spread(0.0), lowest
            store(radial, at + l, k, here)
            for J in range(l + 1, n_l):
                above = cosine * here - spread(couplings[J - 1, l]) * below
                below, here = here, above * spread(1.0 / couplings[J, l])
                store(radial, at + J, k, here)


@njit(cache=True, nogil=True)
def _harmonics(u, n_near, expansion, harmonics):
    """Y_lm(u_k) in row l^2 + l + m, by the recurrences of `angular_basis`."""
    a, b, d = expansion.harmonic_steps, expansion.harmonic_couplings, expansion.harmonic_scales
    n_l = d.shape[0]
    for k in range(0, n_near, LANES):
        x, y, z = load(u, 0, k), load(u, 1, k), load(u, 2, k)
        real, imaginary = spread(1.0), spread(0.0)
        for m in range(n_l):
            if m > 0:
                real, imaginary = real * x - imaginary * y, real * y + imaginary * x
            scale = spread(d[m])
            here, here_sine = scale * real, scale * imaginary
            below, below_sine = spread(0.0), spread(0.0)
            store(harmonics, m * m + 2 * m, k, here)
            if m > 0:
                store(harmonics, m * m, k, here_sine)
            for l in range(m + 1, n_l):
                a_z, b_lm = spread(a[l, m]) * z, spread(b[l, m])
                below, here = here, a_z * here - b_lm * below
                below_sine, here_sine = here_sine, a_z * here_sine - b_lm * below_sine
                store(harmonics, l * l + l + m, k, here)
                if m > 0:
                    store(harmonics, l * l + l - m, k, here_sine)


@njit(cache=True, nogil=True)
def _add_moments(radial, harmonics, n_near, expansion, partial):
    """sum_k f chi_Jl Y_lM, two J at a time."""
    for l in range(expansion.steps.shape[0]):
        place = expansion.moment_start[l]
        for lm in range(l * l, (l + 1) * (l + 1)):
            for row in range(expansion.radial_start[l], expansion.radial_start[l + 1], 2):
                first, second = load(partial, place, 0), load(partial, place + 1, 0)
                for k in range(0, n_near, LANES):
                    y = load(harmonics, lm, k)
                    first = fused(load(radial, row, k), y, first)
                    second = fused(load(radial, row + 1, k), y, second)
                store(partial, place, 0, first)
                store(partial, place + 1, 0, second)
                place += 2


@njit(cache=True, nogil=True)
def _add_up(partial, lane, moments):
    """Sum the lanes of one atom's moments into its lane of the batch."""
    for kind in range(partial.shape[0]):
        for place in range(partial.shape[1]):
            total = 0.0
            for part in range(LANES):
                total += partial[kind, place, part]
            moments[kind, place, lane] = total


@njit(cache=True, nogil=True)
def _to_matrices(moments, expansion, real, imaginary):
    """c^j_mm' without the central atom, from the moments."""
    for n in range(expansion.elements.shape[0]):
        here, mirror, sign = expansion.elements[n]
        middle, end = expansion.term_start[2 * n + 1], expansion.term_start[2 * n + 2]
        re, im = spread(0.0), spread(0.0)
        for term in range(expansion.term_start[2 * n], middle):
            re = fused(spread(expansion.coefficient[term]), load(moments, expansion.moment[term], 0), re)
        for term in range(middle, end):
            im = fused(spread(expansion.coefficient[term]), load(moments, expansion.moment[term], 0), im)
        # the mirror image first: an element that is its own keeps its sign
        store(real, mirror, 0, spread(1.0 * sign) * re)
        store(imaginary, mirror, 0, spread(-1.0 * sign) * im)
        store(real, here, 0, re)
        store(imaginary, here, 0, im)


@njit(cache=True, nogil=True)
def _couple(real, imaginary, coupling, columns, values):
    """Components of every triple of species, added to their columns."""
    n_components, n_species = columns.shape[:2]
    values[:] = 0.0
    for component in range(n_components):
        exchange = coupling.exchange[component]
        for n in range(coupling.element_start[component], coupling.element_start[component + 1]):
            terms = coupling.term_start[n], coupling.term_start[n + 1]
            for s1 in range(n_species):
                for s2 in range(s1 if exchange else 0, n_species):
                    re, im = _products_of(real[s1], imaginary[s1], real[s2], imaginary[s2], coupling, terms)
                    if exchange and s1 != s2:
                        re2, im2 = _products_of(real[s2], imaginary[s2], real[s1], imaginary[s1], coupling, terms)
                        re, im = re + re2, im + im2
                    for s in range(n_species):
                        element, column = coupling.element[n], columns[component, s1, s2, s]
                        value = fused(load(real[s], element, 0), re, load(values, column, 0))
                        store(values, column, 0, fused(load(imaginary[s], element, 0), im, value))


@njit(cache=True, nogil=True, inline="always")
def _products_of(real, imaginary, real2, imaginary2, coupling, terms):
    """Real and imaginary part of the sum of coefficient c_left c_right over the terms."""
    re, im = spread(0.0), spread(0.0)
    minus = spread(-1.0)
    for term in range(terms[0], terms[1]):
        left, right = coupling.left[term], coupling.right[term]
        factor = spread(coupling.coefficient[term])
        x, y = factor * load(real, left, 0), factor * load(imaginary, left, 0)
        x2, y2 = load(real2, right, 0), load(imaginary2, right, 0)
        re = fused(x, x2, fused(minus * y, y2, re))
        im = fused(x, y2, fused(y, x2, im))
    return re, im
