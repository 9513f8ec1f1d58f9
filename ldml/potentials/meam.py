"""Second-nearest-neighbour modified embedded-atom (2NN-MEAM) potentials of one element: energy, forces, exact Hessian.

    E     = sum_i [ F(rhobar_i) + 1/2 sum_j S_ij phi(r_ij) ],          F(x) = A E_c x ln x
    rhobar_i = rho_i G(Gamma_i) / rho_ref,                             Gamma_i = X_i / rho_i²
    rho_i = sum_j S_ij a_0(r_ij),   X_i = sum_l t_l sum_m Q_lm²,       Q_lm = sum_j S_ij a_l(r_ij) Y_lm(n_ij)
    a_l   = rho_0 exp[-beta_l (r/r_e - 1)],                            l = 1, 2, 3
    S_ij  = f_c((r_c - r)/Delta_r) prod_k f_c((C_ikj - C_min)/(C_max - C_min)),   f_c(x) = [1 - (1-x)^4]² on [0, 1]
    C     = 1 + 2 (x + y - 1)/(1 - (x - y)²),  x = r_ik²/r_ij²,  y = r_jk²/r_ij²

n_ij is the unit vector from i to j. Y_lm are real spherical harmonics with sum_m Y_lm(n) Y_lm(n') = P_l(n·n') times 1,
2/3, 2/5 for l = 1, 2, 3. The partial densities are usually written with Cartesian tensors less their traces; the
harmonics are the same numbers without the redundancy, and turn Gamma into a plain sum of squares. The pair potential
phi follows from the energy of the reference crystal, Rose's universal equation of state E_R, by

    phi(r) = psi(r) + sum_{n=1}^{10} (-Z_2 S/Z_1)^n psi(a^n r),        psi = (2/Z_1) [E_R - F(rhobar of the crystal)]

with Z_1, Z_2 the numbers of first and second neighbours, a the ratio of their distances and S the screening of the
second. It is evaluated exactly, with two derivatives, on a fine grid joined by quintics: twice continuously
differentiable, where the cubics through 1000 points that other codes use have jumps in phi''.

The Hessian is the sum over sites i of the second derivative of the bracket above, with J_lm = dQ_lm/dx and u = drho/dx:

    sum_lm 2 t_l E_X J_lm J_lm^T + E_rr u u^T + E_rX (u v^T + v u^T) + E_XX v v^T + sum_j d²[S_ij h_ij],   v = dX/dx

E(rho, X) = F, and h_ij = E_r a_0 + sum_lm 2 t_l E_X Q_lm a_l Y_lm + phi/2 at fixed Q. Only the neighbours that are not
screened, and those that screen them, take part.

Sources: M. I. Baskes, Phys. Rev. B 46, 2727 (1992); B.-J. Lee and M. I. Baskes, Phys. Rev. B 62, 8564 (2000); the
conventions are those of the file format of LAMMPS `pair_style meam`, whose forces are reproduced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from math import ceil, exp, log, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numba import njit

from ldml.errors import InputError
from ldml.neighbours import NeighbourList, neighbour_list
from ldml.potentials.base import Evaluator, Potential
from ldml.potentials.crystal import equilibrium_lattice_constant
from ldml.potentials.meam_files import REFERENCE_LATTICES, MeamParameters, read_meam_files

CUBIC_LATTICES = {"bcc": "bcc", "fcc": "fcc", "sc": "sc", "dia": "diamond", "dia3": "diamond"}
SKIN = 0.6
"""Å added to the range when listing neighbours, so that the list outlives moves of half of it."""
TABLE_STEP = 0.0025
"""Å between the points of phi; the quintics then err by about 1e-9 eV/Å² in phi''."""
INNERMOST = 0.2
"""Å where the table of a phi without nuclear repulsion begins; nearer atoms are a mistake."""
ROWS_AT_A_TIME = 4096
"""Atoms whose rows of the Hessian are made together when it is asked for in stacks."""
NEGLIGIBLE = 1e-20
"""A screening factor below this is zero."""


# divisions by zero give infinities, which are looked for in the results, instead of a branch each
_compiled = njit(cache=True, error_model="numpy")


class Meam(Potential):
    """2NN-MEAM potential of one element.

    Parameters
    ----------
    settings : MeamParameters
    name, citation : str
    identifier : str, optional
    """

    def __init__(self, settings: MeamParameters, *, name: str, citation: str, identifier: str = ""):
        self.settings = settings
        self.name = name
        self.citation = citation
        self.identifier = identifier
        self.elements = frozenset({_chemical_symbol(settings)})
        self.lattice = CUBIC_LATTICES.get(settings.lattice)
        self._constants = _constants(settings)
        self._phi = _pair_table(self._constants)
        self.cutoff = sqrt(self._constants.squared_range)
        # an atom that takes part in a site lies within its range, on whichever side
        self.hessian_range = 2.0 * self.cutoff

    @classmethod
    def from_files(
        cls,
        library: str | Path,
        parameters: str | Path | None,
        element: str,
        *,
        name: str | None = None,
        citation: str | None = None,
    ) -> Meam:
        """Read a potential in the format of LAMMPS: `pair_coeff * * library element parameters element`.

        Parameters
        ----------
        library, parameters : path
            The library of elements and the file of settings; None for the settings' defaults.
        element : str
            Name of the entry in the library, e.g. ``"Cu"`` or ``"CuS"``.
        name, citation : str, optional
            By default made of the files' names and of the citation in their first lines.

        Raises
        ------
        InputError
            If a file cannot be read or asks for something that is not supported; with file and line.
        """
        settings, found = read_meam_files(library, parameters, element)
        files = " + ".join(Path(path).name for path in (library, parameters) if path is not None)
        return cls(
            settings,
            name=name if name is not None else f"{files} ({element})",
            citation=citation if citation is not None else found,
        )

    @cached_property
    def lattice_constant(self) -> float | None:
        """Of the reference crystal at zero pressure, Å; None if it is not cubic."""
        if self.lattice is None:
            return None
        (element,) = self.elements
        guess = self.settings.neighbour_distance / REFERENCE_LATTICES[self.settings.lattice].first_distance
        return equilibrium_lattice_constant(self, element, self.lattice, guess)

    def evaluator(self, atoms: Atoms) -> Evaluator:
        self.check(atoms)
        return _MeamEvaluator(self, atoms)

    def site_energies(self, atoms: Atoms) -> np.ndarray:
        """The energies of the atoms (N,), eV, which sum to the energy of the cell."""
        self.check(atoms)
        pairs = _pairs(self, atoms)
        return _site_energies(*_arrays(atoms, pairs), _listed_once(pairs), self._constants, self._phi)

    def hessian(self, atoms: Atoms) -> scipy.sparse.bsr_array:
        self.check(atoms)
        return next(self._row_blocks(atoms, len(atoms)))[1]

    def hessian_row_blocks(self, atoms: Atoms) -> Iterator[tuple[int, scipy.sparse.bsr_array]]:
        self.check(atoms)
        yield from self._row_blocks(atoms, ROWS_AT_A_TIME)

    def parameters(self) -> dict:
        numbers = asdict(self.settings)
        return numbers | {name: list(numbers[name]) for name in ("beta", "t")}

    def pair_potential(self, r: np.ndarray) -> np.ndarray:
        """phi, phi', phi'' at distances r (M,), Å, without screening and the cutoff function; shape (M, 3).

        Raises
        ------
        InputError
            If a distance is not positive or is beyond the cutoff r_c, where phi is not needed and not known.
        """
        r = np.ascontiguousarray(r, dtype=np.float64)
        if not np.all((r > 0.0) & (r <= self.settings.cutoff)):
            raise InputError(
                f"distances from {r.min():.4g} to {r.max():.4g} Å asked for; phi is known from 0 to {self.settings.cutoff} Å"
            )
        return _pair_functions(r, self._constants, self._phi)

    def _row_blocks(self, atoms, n_rows):
        """Pairs (first atom, rows of the Hessian), `n_rows` atoms at a time."""
        listed = _arrays(atoms, _pairs(self, atoms))
        n_atoms = len(atoms)
        involved = _involved_atoms(*listed, self._constants)
        sites = _transposed(*involved, n_atoms)
        for first in range(0, n_atoms, n_rows):
            last = min(first + n_rows, n_atoms)
            row_start, columns = _coupled_atoms(*involved, *sites, first, last)
            blocks = np.zeros((len(columns), 3, 3))
            needed = np.unique(sites[1][sites[0][first] : sites[0][last]])
            _add_site_hessians(*listed, self._constants, self._phi, needed, first, last, row_start, columns, blocks)
            _check_finite(self, blocks)
            shape = (3 * (last - first), 3 * n_atoms)
            yield first, scipy.sparse.bsr_array((blocks, columns, row_start), shape=shape)


class EtesamiAsadi2018(Meam):
    """Iron of Etesami and Asadi (2018), a 2NN-MEAM potential for temperatures up to melting.

    Its pair potential is evaluated exactly. The table of 1000 cubics by which LAMMPS replaces it errs by up to
    1.5e-4 eV/Å² in phi'', which moves the formation entropy of a vacancy in 1024 atoms from 4.365 to 4.360 k_B.
    """

    name = "Fe-EtesamiAsadi2018"
    elements = frozenset({"Fe"})
    lattice = "bcc"
    citation = "S. A. Etesami and E. Asadi, J. Phys. Chem. Solids 112, 61 (2018)"
    identifier = "SM_267016608755_000"
    lattice_constant = 2.851

    def __init__(self):
        settings = MeamParameters(
            element="Fe",
            lattice="bcc",
            atomic_number=26,
            alpha=5.13,
            beta=(4.01, 1.0, 1.0, 1.0),
            neighbour_distance=0.5 * sqrt(3.0) * 2.851,
            cohesive_energy=4.29,
            embedding=0.555,
            t=(2.77, 1.0, -10.81),
            density_scale=1.0,
            ibar=-5,
            cutoff=4.0,
            smoothing=0.25658351,
            c_min=0.533,
            c_max=2.8,
            second_neighbours=True,
            nuclear_repulsion=True,
            augmented_t1=False,
            linear_below_zero=True,
            alloy_rule=1,
        )
        super().__init__(settings, name=self.name, citation=self.citation, identifier=self.identifier)


class _MeamEvaluator(Evaluator):
    def __init__(self, potential: Meam, atoms: Atoms):
        self.potential = potential
        self.cell = atoms.cell.array.copy()
        self.pbc = atoms.pbc.copy()
        self._list_neighbours(atoms.positions)

    def _list_neighbours(self, positions):
        self.listed_at = positions.copy()
        self.pairs = _nearest_first(neighbour_list(positions, self.cell, self.pbc, self.potential.cutoff + SKIN))
        self.once = _listed_once(self.pairs)

    def energy_and_forces(self, positions):
        moved = np.sum((positions - self.listed_at) ** 2, axis=1).max(initial=0.0)
        if moved > (0.5 * SKIN) ** 2:
            self._list_neighbours(positions)
        pairs = self.pairs
        energy, forces = _energy_and_forces(
            np.ascontiguousarray(positions, dtype=np.float64), pairs.offsets, pairs.indices, pairs.shifts, self.once,
            self.potential._constants, self.potential._phi,
        )  # fmt: skip
        _check_finite(self.potential, forces)
        return energy, forces


def _check_finite(potential, derivatives):
    if not np.isfinite(derivatives).all():
        raise InputError(
            f"{potential.name} has no finite derivatives here: Gamma of an atom is at the branch point -1 of the shape "
            f"function, or atoms coincide; displace the atoms"
        )


def _pairs(potential, atoms):
    """Neighbours within the range of a site."""
    return neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, potential.cutoff)


def _arrays(atoms, pairs):
    """Positions and neighbours as the kernels take them."""
    return np.ascontiguousarray(atoms.positions), pairs.offsets, pairs.indices, pairs.shifts


def _nearest_first(pairs):
    """Neighbours of each atom by distance: the tests of the screening are then predictable, twice as fast in all."""
    order = _order_by_distance(pairs.offsets, pairs.distances)
    return NeighbourList(
        pairs.offsets, pairs.indices[order], pairs.shifts[order], pairs.vectors[order], pairs.distances[order]
    )


def _listed_once(pairs):
    """Of the two directions of each pair, True for one."""
    i = np.repeat(np.arange(len(pairs.offsets) - 1), np.diff(pairs.offsets))
    # of an atom and its own images: those on one side of a plane; components that are zero may hold rounding errors
    x, y, z = np.where(np.abs(pairs.shifts) > 1e-9, pairs.shifts, 0.0).T
    image = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return np.where(i == pairs.indices, image, i < pairs.indices)


def _chemical_symbol(settings):
    """The library may call its entries 'CuS' or 'Ni4'; their atomic number then tells the element."""
    return settings.element if settings.element in atomic_numbers else chemical_symbols[settings.atomic_number]


# --- settings as the kernels want them ---------------------------------------------------------------------------------


class _Constants(NamedTuple):
    """Lengths in Å, energies in eV; `decay` are beta_l/r_e in 1/Å."""

    cutoff: float
    squared_cutoff: float
    squared_range: float
    smoothing: float
    reach: float
    c_min: float
    c_max: float
    decay0: float
    decay1: float
    decay2: float
    decay3: float
    density_scale: float
    r_e: float
    t1: float
    t2: float
    t3: float
    ibar: int
    gsmooth_factor: float
    background: float
    embedding: float
    linear_below_zero: bool
    cohesive_energy: float
    alpha: float
    attrac: float
    repuls: float
    rose_form: int
    z1: float
    screened_z2: float
    ratio: float
    shape1: float
    shape2: float
    shape3: float
    n_series: int
    atomic_number: float
    nuclear_repulsion: bool
    nuclear_range: float
    table_start: float
    table_step: float
    table_size: int


def _constants(p: MeamParameters) -> _Constants:
    lattice = REFERENCE_LATTICES[p.lattice]
    # a third atom farther than this from either end, in units of the bond, is outside every ellipse (LAMMPS: ebound)
    reach = 1.0 if p.c_max <= 2.0 else p.c_max**2 / (4.0 * (p.c_max - 1.0))
    t1, t2, t3 = p.t
    if p.augmented_t1:
        t1 += 0.6 * t3
    shapes = lattice.shapes
    screened_z2 = 0.0
    if p.second_neighbours and lattice.n_second:
        screening = _smooth_step((lattice.second_c - p.c_min) / (p.c_max - p.c_min))[0]
        screened_z2 = lattice.n_second * screening**lattice.n_screening
    gamma = (t1 * shapes[0] + t2 * shapes[1] + t3 * shapes[2]) / lattice.n_first**2
    shape = _shape_function(gamma, p.ibar, p.gsmooth_factor)[0] if p.ibar > 0 else 1.0
    background = float(lattice.n_first)
    if p.mixed_reference:
        background *= shape
    elif not p.dynamo_background:
        background = (background + screened_z2 * exp(-p.beta[0] * (lattice.ratio - 1.0))) * shape
    r_e = p.neighbour_distance
    nuclear_range = max(r_e * (1.0 - 3.0 / p.alpha), 0.0) if p.nuclear_repulsion else 0.0
    start = max(nuclear_range, INNERMOST)
    intervals = ceil((p.cutoff - start) / TABLE_STEP)
    return _Constants(
        cutoff=p.cutoff,
        squared_cutoff=p.cutoff**2,
        squared_range=p.cutoff**2 * reach,
        smoothing=p.smoothing,
        reach=reach,
        c_min=p.c_min,
        c_max=p.c_max,
        decay0=p.beta[0] / r_e,
        decay1=p.beta[1] / r_e,
        decay2=p.beta[2] / r_e,
        decay3=p.beta[3] / r_e,
        density_scale=p.density_scale,
        r_e=r_e,
        t1=t1,
        t2=t2,
        t3=t3,
        ibar=p.ibar,
        gsmooth_factor=p.gsmooth_factor,
        background=p.density_scale * background,
        embedding=p.embedding * p.cohesive_energy,
        linear_below_zero=p.linear_below_zero,
        cohesive_energy=p.cohesive_energy,
        alpha=p.alpha,
        attrac=p.attrac,
        repuls=p.repuls,
        rose_form=p.rose_form,
        z1=float(lattice.n_first),
        screened_z2=screened_z2,
        ratio=lattice.ratio,
        shape1=shapes[0],
        shape2=shapes[1],
        shape3=shapes[2],
        # LAMMPS adds ten terms, and for diamond ten to the first
        n_series=11 if p.lattice == "dia" else 10,
        atomic_number=float(p.atomic_number),
        nuclear_repulsion=p.nuclear_repulsion,
        nuclear_range=nuclear_range,
        table_start=start,
        table_step=(p.cutoff - start) / intervals,
        table_size=intervals + 1,
    )


# --- functions of one variable: value, slope, curvature -----------------------------------------------------------------


@_compiled
def _smooth_step(x):
    """f_c(x) = [1 - (1-x)^4]², 0 below 0 and 1 above 1."""
    if x >= 1.0:
        return 1.0, 0.0, 0.0
    if x <= 0.0:
        return 0.0, 0.0, 0.0
    y = 1.0 - x
    y2 = y * y
    z = 1.0 - y2 * y2
    return z * z, 8.0 * z * y2 * y, 32.0 * y2 * y2 * y2 - 24.0 * z * y2


@_compiled
def _shape_function(gamma, ibar, gsmooth_factor):
    """G(Gamma) of the kind `ibar`."""
    if ibar == 1:
        g = exp(0.5 * gamma)
        return g, 0.5 * g, 0.25 * g
    if ibar == 3:
        g = 2.0 / (1.0 + exp(-gamma))
        slope = 0.5 * g * (2.0 - g)
        return g, slope, slope * (1.0 - g)
    if ibar == -5:
        x = 1.0 + gamma
        sign = 1.0 if x >= 0.0 else -1.0
        g = sqrt(abs(x))
        return sign * g, 0.5 / g, -0.25 * sign / (g * abs(x))
    switch = -gsmooth_factor / (gsmooth_factor + 1.0)
    if gamma < switch:
        g = sqrt((switch / gamma) ** gsmooth_factor / (gsmooth_factor + 1.0))
        half = 0.5 * gsmooth_factor
        return g, -half * g / gamma, half * (half + 1.0) * g / (gamma * gamma)
    g = sqrt(1.0 + gamma)
    return g, 0.5 / g, -0.25 / (g * g * g)


@_compiled
def _embedding(x, strength, linear_below_zero):
    """F(x) = A E_c x ln x; at negative densities -A E_c x, or nothing."""
    if x > 0.0:
        return strength * x * log(x), strength * (1.0 + log(x)), strength / x
    if linear_below_zero:
        return -strength * x, -strength, 0.0
    return 0.0, 0.0, 0.0


@_compiled
def _product(f, g):
    return f[0] * g[0], f[1] * g[0] + f[0] * g[1], f[2] * g[0] + 2.0 * f[1] * g[1] + f[0] * g[2]


@_compiled
def _chain(f, x):
    """f(x(r)) from f, f', f'' at x(r)."""
    return f[0], f[1] * x[1], f[2] * x[1] * x[1] + f[1] * x[2]


@_compiled
def _sum(a, f, b, g):
    return a * f[0] + b * g[0], a * f[1] + b * g[1], a * f[2] + b * g[2]


@_compiled
def _inverse_power(x, n):
    value = 1.0 / x**n
    return value, -n * value / x, n * (n + 1) * value / (x * x)


# --- the pair potential ---------------------------------------------------------------------------------------------------


@_compiled
def _pair_table(c):
    """phi, phi', phi'' on the grid."""
    table = np.empty((c.table_size, 3))
    for k in range(c.table_size):
        table[k, 0], table[k, 1], table[k, 2] = _exact_pair_potential(c.table_start + k * c.table_step, c)
    return table


@_compiled
def _exact_pair_potential(r, c):
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
        nuclear = _screened_nuclei(r, c.atomic_number)
        # one-sided where a = -3, which the table reaches from above
        y = -0.5 * (a + 1.0)
        slope = -0.5 * c.alpha / c.r_e
        step = _smooth_step(max(1.0 - y, 1e-300))
        part = _chain((step[0], -step[1], step[2]), (y, slope, 0.0))
        phi = _sum(1.0, nuclear, 1.0, _product(part, _sum(1.0, phi, -1.0, nuclear)))
    return phi


@_compiled
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
    shape = _chain(_shape_function(gamma[0], c.ibar, c.gsmooth_factor), gamma)
    total = _product(density, shape)
    x = _sum(1.0 / c.background, total, 0.0, total)
    embedding = _chain(_embedding(x[0], c.embedding, c.linear_below_zero), x)
    return _sum(2.0 / c.z1, rose, -2.0 / c.z1, embedding)


@_compiled
def _atomic_density(r, decay, c):
    """a_l(r)."""
    value = c.density_scale * exp(-decay * (r - c.r_e))
    return value, -decay * value, decay * decay * value


@_compiled
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


@_compiled
def _screened_nuclei(r, z):
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


@_compiled
def _pair_potential(r, c, table):
    """phi, phi', phi'' from the quintics through the table; r below the cutoff."""
    if r < c.nuclear_range:
        return _screened_nuclei(r, c.atomic_number)
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


@_compiled
def _pair_functions(r, c, table):
    values = np.empty((r.shape[0], 3))
    for k in range(r.shape[0]):
        values[k, 0], values[k, 1], values[k, 2] = _pair_potential(r[k], c, table)
    return values


# --- screening --------------------------------------------------------------------------------------------------------------


@_compiled
def _order_by_distance(offsets, distances):
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


@_compiled
def _gather(i, positions, offsets, indices, shifts, squared_range, vectors, squares, listed):
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


@_compiled
def _square_between(vectors, j, k):
    dx = vectors[k, 0] - vectors[j, 0]
    dy = vectors[k, 1] - vectors[j, 1]
    dz = vectors[k, 2] - vectors[j, 2]
    return dx * dx + dy * dy + dz * dz


@_compiled
def _ellipse(ij, ik, jk):
    """Squared axis ratio C of the ellipse through k whose other axis is the bond; infinite where k is beside an end."""
    x = ik / ij
    y = jk / ij
    width = 1.0 - (x - y) * (x - y)
    if width <= 0.0:
        return np.inf
    return 1.0 + 2.0 * (x + y - 1.0) / width


@_compiled
def _screening(j, n, vectors, squares, c, screeners):
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
        jk = _square_between(vectors, j, k)
        if jk >= farthest:
            continue
        ellipse = _ellipse(bond, squares[k], jk)
        if ellipse >= c.c_max:
            continue
        if ellipse <= c.c_min:
            return 0.0, 0
        product *= _smooth_step((ellipse - c.c_min) / (c.c_max - c.c_min))[0]
        screeners[found] = k
        found += 1
    if product < NEGLIGIBLE:
        return 0.0, 0
    return product, found


@_compiled
def _log_screening(ij, ik, jk, c):
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
    s, ds, d2s = _smooth_step((1.0 + 2.0 * u * inverse - c.c_min) / width)
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


# --- angular moments ----------------------------------------------------------------------------------------------------------

N_MOMENTS = 15
L2_AXES = sqrt(2.0)
L2_POLAR = 1.0 / sqrt(6.0)
L3_POLAR = 0.5 * sqrt(0.4)
L3_TILTED = sqrt(0.4 * 3.0 / 8.0)
L3_CROSS = sqrt(0.4 * 15.0)
L3_PLANE = sqrt(0.4 * 5.0 / 8.0)


@_compiled
def _harmonics(x, y, z, p):
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


@_compiled
def _harmonic_gradients(x, y, z, dp):
    """Gradients (15, 3) of the functions of `_harmonics`."""
    _clear(dp, N_MOMENTS, 3)
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


@_compiled
def _site_slopes(by_density, w, slopes):
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


@_compiled
def _radial(r, c):
    """a_0 and a_l/r^l."""
    x = r - c.r_e
    q = 1.0 / r
    a1 = c.density_scale * exp(-c.decay1 * x)
    # many potentials have equal decays, and exponentials are dear
    a2 = a1 if c.decay2 == c.decay1 else c.density_scale * exp(-c.decay2 * x)
    a3 = a1 if c.decay3 == c.decay1 else c.density_scale * exp(-c.decay3 * x)
    return c.density_scale * exp(-c.decay0 * x), a1 * q, a2 * q * q, a3 * q * q * q


@_compiled
def _site_function(density, moments, c):
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
    g, dg, d2g = _shape_function(gamma, c.ibar, c.gsmooth_factor)
    f, df, d2f = _embedding(density * g / c.background, c.embedding, c.linear_below_zero)
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


# --- energy and forces ----------------------------------------------------------------------------------------------------------


@_compiled
def _longest_row(offsets):
    longest = 1
    for i in range(offsets.shape[0] - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


@_compiled
def _energy_and_forces(positions, offsets, indices, shifts, once, c, table):
    n_atoms = positions.shape[0]
    densities, moments, bonds = _densities(positions, offsets, indices, shifts, once, c)
    energy = 0.0
    slopes = np.zeros((n_atoms, 20))
    weights = np.empty(N_MOMENTS)
    for i in range(n_atoms):
        f, by_density, by_moments, _, _, _ = _site_function(densities[i], moments[i], c)
        energy += f
        _moment_weights(by_moments, moments[i], c, weights)
        _site_slopes(by_density, weights, slopes[i])
    forces = np.zeros((n_atoms, 3))
    energy += _pull(positions, offsets, indices, shifts, once, c, table, bonds, slopes, forces)
    return energy, forces


@_compiled
def _moment_weights(by_moments, moments, c, weights):
    """dF/dQ_lm = 2 t_l F_X Q_lm."""
    for m in range(N_MOMENTS):
        t = c.t1 if m < 3 else (c.t2 if m < 8 else c.t3)
        weights[m] = 2.0 * t * by_moments * moments[m]


@_compiled
def _densities(positions, offsets, indices, shifts, once, c):
    """rho (N,), Q (N, 15), and prod_k of the screening of each listed pair (zero where a pair is listed the other way)."""
    n_atoms = positions.shape[0]
    longest = _longest_row(offsets)
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    densities = np.zeros(n_atoms)
    moments = np.zeros((n_atoms, N_MOMENTS))
    bonds = np.zeros(indices.shape[0])
    p = np.empty(N_MOMENTS)
    for i in range(n_atoms):
        n = _gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        for j in range(n):
            if not once[listed[j]] or squares[j] >= c.squared_cutoff:
                continue
            product, n_screeners = _screening(j, n, vectors, squares, c, screeners)
            if product == 0.0:
                continue
            # the sign says whether there is anything to differentiate
            bonds[listed[j]] = product if n_screeners == 0 else -product
            r = sqrt(squares[j])
            s = product * _smooth_step((c.cutoff - r) / c.smoothing)[0]
            a0, g1, g2, g3 = _radial(r, c)
            _harmonics(vectors[j, 0], vectors[j, 1], vectors[j, 2], p)
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


@_compiled
def _pull(positions, offsets, indices, shifts, once, c, table, bonds, slopes, forces):
    """Add the forces of all bonds; return sum S phi over the bonds."""
    longest = _longest_row(offsets)
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    both = np.empty(20)
    gradient = np.empty(3)
    energy = 0.0
    for i in range(positions.shape[0]):
        n = _gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
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
            phi, dphi, _ = _pair_potential(r, c, table)
            h = _bond_gradient(vectors[j, 0], vectors[j, 1], vectors[j, 2], r, both, phi, dphi, c, gradient)
            step, dstep, _ = _smooth_step((c.cutoff - r) / c.smoothing)
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


@_compiled
def _pull_screeners(i, other, j, n, vectors, squares, listed, indices, weight, c, screeners, forces):
    """Add the forces by which a bond S h pulls on the atoms that screen it; weight = S h."""
    _, n_screeners = _screening(j, n, vectors, squares, c, screeners)
    for q in range(n_screeners):
        k = screeners[q]
        by = _log_screening(squares[j], squares[k], _square_between(vectors, j, k), c)
        third = indices[listed[k]]
        for a in range(3):
            e = vectors[j, a] - vectors[k, a]
            on_j = 2.0 * weight * (by[0] * vectors[j, a] + by[2] * e)
            on_k = 2.0 * weight * (by[1] * vectors[k, a] - by[2] * e)
            forces[other, a] -= on_j
            forces[third, a] -= on_k
            forces[i, a] += on_j + on_k


@_compiled
def _bond_gradient(x, y, z, r, slopes, phi, dphi, c, gradient):
    """h(d) and its gradient, from dF/drho, dF/dQ as tensors (20,), and phi."""
    a0, g1, g2, g3 = _radial(r, c)
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


@_compiled
def _site_energies(positions, offsets, indices, shifts, once, c, table):
    densities, moments, bonds = _densities(positions, offsets, indices, shifts, once, c)
    energies = np.empty(positions.shape[0])
    for i in range(positions.shape[0]):
        energies[i] = _site_function(densities[i], moments[i], c)[0]
    for i in range(positions.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            if bonds[k] == 0.0:
                continue
            j = indices[k]
            square = 0.0
            for a in range(3):
                square += (positions[j, a] + shifts[k, a] - positions[i, a]) ** 2
            r = sqrt(square)
            step = _smooth_step((c.cutoff - r) / c.smoothing)[0]
            half = 0.5 * abs(bonds[k]) * step * _pair_potential(r, c, table)[0]
            energies[i] += half
            energies[j] += half
    return energies


# --- Hessian --------------------------------------------------------------------------------------------------------------------


@_compiled
def _involved_atoms(positions, offsets, indices, shifts, c):
    """The atoms each site's energy depends on, itself first, each once: offsets (N + 1,) and indices."""
    n_atoms = positions.shape[0]
    longest = _longest_row(offsets)
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    involved = np.empty(indices.shape[0] + n_atoms, np.int32)
    start = np.zeros(n_atoms + 1, np.int64)
    last_site = np.full(n_atoms, -1, np.int64)
    at = 0
    for i in range(n_atoms):
        last_site[i] = i
        involved[at] = i
        at += 1
        n = _gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        for j in range(n):
            if squares[j] >= c.squared_cutoff:
                continue
            product, n_screeners = _screening(j, n, vectors, squares, c, screeners)
            if product == 0.0:
                continue
            screeners[n_screeners] = j
            for q in range(n_screeners + 1):
                atom = indices[listed[screeners[q]]]
                if last_site[atom] != i:
                    last_site[atom] = i
                    involved[at] = atom
                    at += 1
        start[i + 1] = at
    return start, involved[:at].copy()


@_compiled
def _transposed(start, indices, n_columns):
    """Rows and columns of a pattern exchanged."""
    turned = np.zeros(n_columns + 1, np.int64)
    for k in range(indices.shape[0]):
        turned[indices[k] + 1] += 1
    for j in range(n_columns):
        turned[j + 1] += turned[j]
    rows = np.empty(indices.shape[0], np.int32)
    at = turned[:-1].copy()
    for i in range(start.shape[0] - 1):
        for k in range(start[i], start[i + 1]):
            j = indices[k]
            rows[at[j]] = i
            at[j] += 1
    return turned, rows


@_compiled
def _insert(columns, begin, end, atom):
    """Put an atom into the ascending range from `begin` to `end`; return its new end."""
    at = end
    while at > begin and columns[at - 1] > atom:
        columns[at] = columns[at - 1]
        at -= 1
    columns[at] = atom
    return end + 1


@_compiled
def _find(columns, begin, end, atom):
    """Where an atom stands in the ascending range from `begin` to `end`."""
    while end - begin > 1:
        middle = (begin + end) // 2
        if columns[middle] > atom:
            end = middle
        else:
            begin = middle
    return begin


@_compiled
def _coupled_atoms(start, involved, site_start, sites, first, last):
    """Atoms that share a site with each of the atoms `first` to `last`: row offsets, and columns in ascending order."""
    row_start = np.zeros(last - first + 1, np.int64)
    last_row = np.full(start.shape[0] - 1, -1, np.int64)
    for row in range(first, last):
        count = 0
        for s in range(site_start[row], site_start[row + 1]):
            for k in range(start[sites[s]], start[sites[s] + 1]):
                if last_row[involved[k]] != row:
                    last_row[involved[k]] = row
                    count += 1
        row_start[row - first + 1] = row_start[row - first] + count
    columns = np.empty(row_start[-1], np.int32)
    last_row[:] = -1
    for row in range(first, last):
        begin = row_start[row - first]
        end = begin
        for s in range(site_start[row], site_start[row + 1]):
            for k in range(start[sites[s]], start[sites[s] + 1]):
                if last_row[involved[k]] != row:
                    last_row[involved[k]] = row
                    end = _insert(columns, begin, end, involved[k])
    return row_start, columns


@_compiled
def _add_site_hessians(
    positions, offsets, indices, shifts, c, table, sites, first, last, row_start, columns, blocks
):  # fmt: skip
    """Add the second derivatives of the energies of `sites` to the rows of atoms `first` to `last`."""
    longest = _longest_row(offsets) + 1
    vectors = np.empty((longest, 3))
    squares = np.empty(longest)
    listed = np.empty(longest, np.int64)
    screeners = np.empty(longest, np.int64)
    place = np.empty(longest, np.int64)
    members = np.empty(longest, np.int64)
    bonds = np.empty((longest, 3), np.int64)
    products = np.empty(longest)
    bond_screeners = np.empty(longest * longest, np.int64)
    jacobian = np.empty((N_MOMENTS + 2, 3 * longest))
    scaled = np.empty((N_MOMENTS + 2, 3 * longest))
    local = np.empty((3 * longest, 3 * longest))
    moments = np.empty(N_MOMENTS)
    weights = np.empty(N_MOMENTS)
    slopes = np.empty(20)
    p = np.empty(N_MOMENTS)
    dp = np.empty((N_MOMENTS, 3))
    gradients = np.empty((longest, 3))
    for i in sites:
        n = _gather(i, positions, offsets, indices, shifts, c.squared_range, vectors, squares, listed)
        density, n_bonds, n_members = _site_bonds(
            n, vectors, squares, c, screeners, place, members, bonds, products, bond_screeners, p, moments
        )  # fmt: skip
        if n_bonds == 0:
            continue
        size = 3 * n_members
        _clear(jacobian, N_MOMENTS + 2, size)
        _clear(local, size + 3, size + 3)
        _, by_r, by_x, by_rr, by_rx, by_xx = _site_function(density, moments, c)
        _moment_weights(by_x, moments, c, weights)
        _site_slopes(by_r, weights, slopes)
        for b in range(n_bonds):
            _add_bond(
                b, vectors, squares, c, table, slopes, place, bonds, products, bond_screeners, p, dp, gradients,
                jacobian, local,
            )  # fmt: skip
        _add_moments(size, moments, by_x, by_rr, by_rx, by_xx, c, jacobian, scaled, local)
        _close(n_members, local)
        for q in range(n_members):
            members[q] = indices[listed[members[q]]]
        members[n_members] = i
        _scatter(n_members + 1, members, local, first, last, row_start, columns, blocks)


@_compiled
def _site_bonds(n, vectors, squares, c, screeners, place, members, bonds, products, bond_screeners, p, moments):
    """Bonds of a site that are not screened, its density and moments, and the neighbours that take part.

    bonds (., 3) holds the neighbour and the range of its screeners in `bond_screeners`; `place` the position of a
    neighbour among the `members`.
    """
    density = 0.0
    for m in range(N_MOMENTS):
        moments[m] = 0.0
    for k in range(n):
        place[k] = -1
    n_bonds = 0
    n_members = 0
    at = 0
    for j in range(n):
        if squares[j] >= c.squared_cutoff:
            continue
        product, n_screeners = _screening(j, n, vectors, squares, c, screeners)
        if product == 0.0:
            continue
        bonds[n_bonds, 0] = j
        bonds[n_bonds, 1] = at
        for q in range(n_screeners):
            bond_screeners[at] = screeners[q]
            at += 1
        bonds[n_bonds, 2] = at
        products[n_bonds] = product
        screeners[n_screeners] = j
        for q in range(n_screeners + 1):
            if place[screeners[q]] < 0:
                place[screeners[q]] = n_members
                members[n_members] = screeners[q]
                n_members += 1
        n_bonds += 1
        r = sqrt(squares[j])
        s = product * _smooth_step((c.cutoff - r) / c.smoothing)[0]
        a0, g1, g2, g3 = _radial(r, c)
        _harmonics(vectors[j, 0], vectors[j, 1], vectors[j, 2], p)
        density += s * a0
        for m in range(N_MOMENTS):
            moments[m] += s * (g1 if m < 3 else (g2 if m < 8 else g3)) * p[m]
    return density, n_bonds, n_members


@_compiled
def _add_bond(
    b, vectors, squares, c, table, slopes, place, bonds, products, bond_screeners, p, dp, gradients, jacobian, local
):  # fmt: skip
    """Add the bond's part of dQ/dx and drho/dx to `jacobian`, and d²[S h] to the upper triangle of `local`."""
    j = bonds[b, 0]
    d = vectors[j]
    r = sqrt(squares[j])
    step, dstep, d2step = _smooth_step((c.cutoff - r) / c.smoothing)
    if step == 0.0:
        return
    s = products[b] * step
    n_screeners = bonds[b, 2] - bonds[b, 1]
    h, gradient, curvature = _bond_curvature(d, r, slopes, c, table)

    # g = d ln S: of the cutoff and the screening; of each screening atom in its own row, the bond's own atom last
    q = 1.0 / r
    along = -dstep / (c.smoothing * step)
    bend = d2step / (c.smoothing**2 * step) - along * along
    own = gradients[n_screeners]
    at = 3 * place[j]
    for a in range(3):
        own[a] = along * q * d[a]
    for a in range(3):
        for e in range(3):
            value = (bend - along * q) * q * q * d[a] * d[e]
            if a == e:
                value += along * q
            local[at + a, at + e] += s * (h * value + curvature[a, e])
    for t in range(n_screeners):
        k = bond_screeners[bonds[b, 1] + t]
        _add_screener(j, k, vectors, squares, c, s * h, place, own, gradients[t], local)

    # S [h g g^T + g (dh)^T + dh g^T], dh on the bond's own atom only
    for t in range(n_screeners + 1):
        to = 3 * place[j if t == n_screeners else bond_screeners[bonds[b, 1] + t]]
        for u in range(t, n_screeners + 1):
            tu = 3 * place[j if u == n_screeners else bond_screeners[bonds[b, 1] + u]]
            swap = tu < to
            for a in range(3):
                for e in range(3):
                    value = h * gradients[t, a] * gradients[u, e]
                    if u == n_screeners:
                        value += gradients[t, a] * gradient[e]
                        if t == n_screeners:
                            value += gradient[a] * gradients[u, e]
                    if swap:
                        local[tu + e, to + a] += s * value
                    else:
                        local[to + a, tu + e] += s * value

    # d[S a_l Y_lm] and d[S a_0]
    a0, g1, g2, g3 = _radial(r, c)
    _harmonics(d[0], d[1], d[2], p)
    _harmonic_gradients(d[0], d[1], d[2], dp)
    for m in range(N_MOMENTS):
        g, slope = g1, -(c.decay1 + q) * g1
        if m >= 3:
            g, slope = g2, -(c.decay2 + 2.0 * q) * g2
        if m >= 8:
            g, slope = g3, -(c.decay3 + 3.0 * q) * g3
        for a in range(3):
            jacobian[m, at + a] += s * (slope * q * d[a] * p[m] + g * dp[m, a])
        p[m] *= s * g
    for a in range(3):
        jacobian[N_MOMENTS, at + a] -= s * c.decay0 * a0 * q * d[a]
    for t in range(n_screeners + 1):
        to = 3 * place[j if t == n_screeners else bond_screeners[bonds[b, 1] + t]]
        for a in range(3):
            g = gradients[t, a]
            for m in range(N_MOMENTS):
                jacobian[m, to + a] += p[m] * g
            jacobian[N_MOMENTS, to + a] += s * a0 * g


@_compiled
def _add_screener(j, k, vectors, squares, c, weight, place, own, gradient, local):
    """Add the screening of atom k to d ln S of the bond's atom (`own`) and of k, and weight times its curvature."""
    dj = vectors[j]
    dk = vectors[k]
    la, lb, ld, laa, lab, lad, lbb, lbd, ldd = _log_screening(squares[j], squares[k], _square_between(vectors, j, k), c)
    e = (dj[0] - dk[0], dj[1] - dk[1], dj[2] - dk[2])
    for a in range(3):
        own[a] += 2.0 * (la * dj[a] + ld * e[a])
        gradient[a] = 2.0 * (lb * dk[a] - ld * e[a])
    at = 3 * place[j]
    to = 3 * place[k]
    for a in range(3):
        for b in range(3):
            jj = 4.0 * (laa * dj[a] * dj[b] + lad * (dj[a] * e[b] + e[a] * dj[b]) + ldd * e[a] * e[b])
            kk = 4.0 * (lbb * dk[a] * dk[b] - lbd * (dk[a] * e[b] + e[a] * dk[b]) + ldd * e[a] * e[b])
            jk = 4.0 * (lab * dj[a] * dk[b] - lad * dj[a] * e[b] + lbd * e[a] * dk[b] - ldd * e[a] * e[b])
            if a == b:
                jj += 2.0 * (la + ld)
                kk += 2.0 * (lb + ld)
                jk -= 2.0 * ld
            local[at + a, at + b] += weight * jj
            local[to + a, to + b] += weight * kk
            if at < to:
                local[at + a, to + b] += weight * jk
            else:
                local[to + b, at + a] += weight * jk


@_compiled
def _bond_curvature(d, r, slopes, c, table):
    """h(d) of one site with its half of phi, its gradient (3,) and second derivatives (3, 3)."""
    phi, dphi, d2phi = _pair_potential(r, c, table)
    phi, dphi, d2phi = 0.5 * phi, 0.5 * dphi, 0.5 * d2phi
    gradient = np.empty(3)
    h = _bond_gradient(d[0], d[1], d[2], r, slopes, phi, dphi, c, gradient)
    a0, g1, g2, g3 = _radial(r, c)
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


@_compiled
def _add_moments(size, moments, by_x, by_rr, by_rx, by_xx, c, jacobian, scaled, local):
    """Add J^T (d²F) J to the upper triangle of `local`; the last two rows of J are drho/dx and dX/dx."""
    u = jacobian[N_MOMENTS]
    v = jacobian[N_MOMENTS + 1]
    for m in range(N_MOMENTS):
        t = 2.0 * (c.t1 if m < 3 else (c.t2 if m < 8 else c.t3))
        for a in range(size):
            v[a] += t * moments[m] * jacobian[m, a]
            scaled[m, a] = t * by_x * jacobian[m, a]
    for a in range(size):
        scaled[N_MOMENTS, a] = by_rr * u[a] + by_rx * v[a]
        scaled[N_MOMENTS + 1, a] = by_rx * u[a] + by_xx * v[a]
    for a in range(size):
        row = local[a]
        for m in range(N_MOMENTS + 2):
            left = jacobian[m, a]
            right = scaled[m]
            for b in range(a, size):
                row[b] += left * right[b]


@_compiled
def _close(n_members, local):
    """Mirror the upper triangle, and add the row and column of the site's own atom: no change under translation."""
    size = 3 * n_members
    for a in range(size):
        for b in range(a):
            local[a, b] = local[b, a]
    for a in range(size):
        for b in range(size):
            local[size + b % 3, a] -= local[b, a]
    for a in range(size):
        for b in range(3):
            local[a, size + b] = local[size + b, a]
            local[size + b, size + a % 3] -= local[size + b, a]
    # symmetric to the last digit, as the rest is
    for a in range(3):
        for b in range(a):
            local[size + a, size + b] = local[size + b, size + a]


@_compiled
def _clear(matrix, n_rows, n_columns):
    for a in range(n_rows):
        for b in range(n_columns):
            matrix[a, b] = 0.0


@_compiled
def _scatter(n, members, local, first, last, row_start, columns, blocks):
    for p in range(n):
        row = members[p] - first
        if row < 0 or row >= last - first:
            continue
        for q in range(n):
            block = blocks[_find(columns, row_start[row], row_start[row + 1], members[q])]
            for a in range(3):
                for b in range(3):
                    block[a, b] += local[3 * p + a, 3 * q + b]
