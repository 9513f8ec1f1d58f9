"""Formation entropy of point defects in cells of any size, by the lattice Green's function.

    S_f = -1/2 [ ln det' H_d - (N_d / N) ln det' H_b ]                  (paper, Eq. 3; each zero mode held by 1 eV/Å²)

H_d and H_b are the Hessians of the defective and the perfect crystal, N_d and N their numbers of atoms. Both are extended
to one space, of the N sites and the n_x extra atoms:

* one atom of each occupied site stands for that site; in H_b each extra atom e is tied to its site by a spring kappa;
* each of the n_g vacant sites holds a ghost, which in H_d a spring kappa ties to the mean displacement of the atoms around.

Then Delta = H_d - H_b annihilates translations, and with G = (H_b + c t t^T)^-1 (t: translations of the sites)

    ln det' H_d - ln det' H_b = L + 3 (n_x - n_g) ln kappa + 3 ln(N_d / N),          L = ln det(I + G Delta)

because a ghost gives det' H_d a factor kappa^3, and because det'(M) det(Q^T c t t^T Q) is the determinant of M + c t t^T for
any M whose zero modes Q are the translations of the extended space. Delta is strong near the defects only. With C the core,
all sites within a radius R of a defect,

    L = ln det(I + G_CC Delta_CC) + [ tr(G Delta) - tr(G_CC Delta_CC) ]

is exact inside the core and to first order in the strain outside. What is left is of second order: it fades as R^-3 or, more
precisely, as Q(R) = sum of |Delta_ij|^2 over the rows i outside the core, which is zero once the core fills the cell. Values
at several radii are extrapolated in Q to zero.

Entropies of single atoms come from the same cores, since for matrices A and B

    (ln A - ln B)_ii = integral_0^inf [ (B + x)^-1 - (A + x)^-1 ]_ii dx,        (H_d + x)^-1_CC = [ G(x)_CC^-1 + Delta_CC ]^-1

with ghosts and extra atoms on springs of their own, the translations of either crystal held by 1 eV/Å², whose logarithm is
zero, and the integral done by the trapezoidal rule in ln x.

det(I + G Delta) tells the parity of the number of negative modes only. They are as many as those of G_CC^-1 + Delta_CC,
whose Cholesky factorisation gives the determinant and fails if there are any; the far field, of second order, could only turn
a mode negative that is as soft as the error of S_f is large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from ase import Atoms
from ase.data import chemical_symbols
from ase.geometry import find_mic
from numba import njit

from ldml.entropy.dynamical_matrix import frequencies
from ldml.entropy.harmonic import SINGULAR, check_relaxed
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import InputError, NotAMinimumError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.structures import check_same_cell

FIRST_CORE = 530
"""Sites within the first radius of a single defect; 4 lattice constants in bcc."""
GROWTH = 1.2
"""Ratio of successive radii."""
MAXIMUM_CORE = 4000
"""Sites of the largest core tried unasked: its matrix takes 1.2 GB."""
SMALL_CELL = 1200
"""Places up to which the core is the whole cell from the start."""
SHIFTS = (-13.0, 17.0, 1.2)
"""First and last ln(shift), shift in eV/Å², and their spacing: errors near 1e-6 k_B."""
MOST_DEFECTIVE = 0.25
"""A structure with more defects than this fraction of the sites is no crystal of that kind."""


@dataclass(frozen=True)
class GreenFormationEntropy:
    """Formation entropy of a defect by the lattice Green's function.

    Attributes
    ----------
    value : float, k_B
        S_f in the convention "equal" (see `ldml.formation_entropy`), extrapolated to a core without end.
    error : float, k_B
        Estimate of its error, see `radii`: how much the last one changed the extrapolation; 0 where the core fills the
        cell, infinite where there is one radius only.
    radii : (n,) float, Å
        Radii of the cores computed.
    values : (n,) float, k_B
        S_f with each of them.
    n_core : int
        Sites and extra atoms in the largest core.
    n_sites, n_atoms : int
        Of the perfect and of the defective cell.
    n_vacancies, n_interstitials : int
        Vacant sites, and atoms beyond the first at their site.
    max_force : float, eV/Å
        Largest force on an atom.
    local : (n_local,) float or None, k_B
        Entropy of single atoms less that of an atom of the perfect crystal.
    local_atoms : (n_local,) int or None
        Which atoms those are.
    """

    value: float
    error: float
    radii: np.ndarray
    values: np.ndarray
    n_core: int
    n_sites: int
    n_atoms: int
    n_vacancies: int
    n_interstitials: int
    max_force: float
    local: np.ndarray | None
    local_atoms: np.ndarray | None


class ExtendedCrystal:
    """The sites of a crystal together with the extra atoms of one defective structure.

    Attributes
    ----------
    lattice : LatticeGreen
    label : (N_d,) int
        Place of each atom in the extended space: its site, or ``n_sites + e`` for extra atom e.
    site_of_atom : (N_d,) int
        Site that each atom stands on or is tied to.
    vacant : (n_g,) int
        Sites that hold ghosts.
    extra_sites : (n_x,) int
        Sites the extra atoms are tied to.
    defect_sites : (n,) int
        Sites that hold no atom or several.
    """

    def __init__(self, defect: Atoms, lattice: LatticeGreen):
        self.lattice = lattice
        crystal = lattice.wigner_seitz.bulk
        _check_elements(defect, crystal)
        check_same_cell(defect, crystal)
        matched = lattice.wigner_seitz(defect)
        n_defects = matched.n_vacancies + matched.n_interstitials
        if n_defects > MOST_DEFECTIVE * lattice.n_sites:
            raise InputError(
                f"the structure does not match the crystal: {matched.n_vacancies} of {lattice.n_sites} sites are vacant and "
                f"{matched.n_interstitials} atoms are extra; give the unit cell and the repeats it was made from"
            )
        self.site_of_atom = matched.site_of_atom
        self.vacant = np.flatnonzero(matched.occupancy == 0)
        self.defect_sites = np.flatnonzero(matched.occupancy != 1)
        self.label = self.site_of_atom.copy()
        extra_atoms = _extra_atoms(defect.positions - matched.drift, matched, crystal)
        self.extra_sites = self.site_of_atom[extra_atoms]
        self.label[extra_atoms] = lattice.n_sites + np.arange(len(extra_atoms))
        self.ghost_ties = [self._atoms_around(site, matched.occupancy) for site in self.vacant]

    @property
    def n_atoms(self) -> int:
        return len(self.label)

    @property
    def n_extra(self) -> int:
        return len(self.extra_sites)

    @property
    def size(self) -> int:
        """Sites and extra atoms."""
        return self.lattice.n_sites + self.n_extra

    def sites(self, places: np.ndarray) -> np.ndarray:
        """Site of each place of the extended space: itself, or the one an extra atom is tied to."""
        n_sites = self.lattice.n_sites
        return np.where(places < n_sites, places, np.r_[self.extra_sites, 0][np.maximum(places - n_sites, -1)])

    def apply_green(self, forces: np.ndarray) -> np.ndarray:
        """G on forces on the atoms (N_d, 3) or (N_d, 3, k), ghosts left unforced: displacements of the atoms alike, Å."""
        extra = self.label >= self.lattice.n_sites
        on_sites = np.zeros((self.lattice.n_sites, *forces.shape[1:]))
        on_sites[self.label[~extra]] = forces[~extra]
        np.add.at(on_sites, self.site_of_atom[extra], forces[extra])
        displacements = self.lattice.apply(on_sites)[self.site_of_atom]
        displacements[extra] += forces[extra] / self.lattice.stiffness
        return displacements

    def apply_green_flat(self, forces: np.ndarray) -> np.ndarray:
        """As `apply_green` for vectors (3N_d,)."""
        return self.apply_green(forces.reshape(-1, 3)).ravel()

    def forces_near_defects(self, rng: np.random.Generator) -> np.ndarray:
        """Random forces (3N_d,) on the atoms within the cutoff of the potential of a defect, without resultant."""
        sites, _ = self.lattice.neighbourhood(self.defect_sites, self.lattice.potential.cutoff)
        near = np.flatnonzero(np.isin(self.site_of_atom, sites))
        forces = np.zeros((self.n_atoms, 3))
        forces[near] = rng.normal(size=(len(near), 3))
        forces[near] -= forces[near].mean(axis=0)
        return forces.ravel()

    def core(self, radius: float) -> np.ndarray:
        """Places within `radius` (Å) of a defect: the extra atoms, then sites by distance."""
        sites, _ = self.lattice.neighbourhood(self.defect_sites, radius)
        return np.concatenate([self.lattice.n_sites + np.arange(self.n_extra), sites])

    def least_radius(self) -> float:
        """Radius (Å) of the smallest core that holds all that ghosts are tied to."""
        radius = 0.0
        tied = np.concatenate([self.defect_sites, *self.ghost_ties])
        while not np.isin(tied, self.core(radius)).all():
            radius += 0.25 * self.lattice.potential.cutoff
        return radius

    def _atoms_around(self, site, occupancy):
        """Occupied sites nearest to a vacant one."""
        radius = self.lattice.potential.cutoff
        while True:
            sites, distances = self.lattice.neighbourhood(site, radius)
            occupied = occupancy[sites] > 0
            if occupied.any():
                shell = distances < 1.01 * distances[occupied][0]
                return sites[occupied & shell]
            radius *= 1.5


def green_formation_entropy(
    defect: Atoms,
    unit_cell: Atoms,
    repeats,
    potential: str | Potential,
    *,
    radius=None,
    tolerance: float = 2e-3,
    local: bool = False,
    force_tolerance: float = 1e-3,
    lattice: LatticeGreen | None = None,
    progress: Progress | None = None,
) -> GreenFormationEntropy:
    """Formation entropy (k_B) of a relaxed defect in the crystal ``unit_cell.repeat(repeats)``, one element, constant volume.

    Parameters
    ----------
    defect : Atoms
        A minimum of `potential` in the cell of that crystal; any number of vacancies and interstitials.
    unit_cell : Atoms
        Cell of the perfect crystal at rest.
    repeats : int or three ints
    potential : Potential or its name
    radius : float or sequence of floats, Å, optional
        Radii of the cores; by default they grow until the error falls below `tolerance`.
    tolerance : float, k_B
    local : bool
        Also give the shares of the atoms near the defects.
    force_tolerance : float, eV/Å
        Largest force accepted.
    lattice : LatticeGreen, optional
        Of the same crystal and potential, to save making it again.
    progress : Progress, optional

    Raises
    ------
    UnrelaxedError
        If a force exceeds the tolerance.
    NotAMinimumError
        If a mode is imaginary.
    StructureError, InputError
        For structures that do not belong to the crystal.
    """
    progress = progress or NULL_PROGRESS
    progress.update(0, 5, "Green's function")
    lattice = LatticeGreen(unit_cell, repeats, potential) if lattice is None else lattice
    _check_lattice(lattice, unit_cell, repeats, potential)
    lattice.potential.check(defect)
    progress.check()
    progress.update(1, 5, "matching the crystal")
    space = ExtendedCrystal(defect, lattice)
    radii = _radii(space, radius)
    progress.check()
    progress.update(2, 5, "forces")
    max_force = check_relaxed(defect, lattice.potential, force_tolerance)
    progress.check()
    progress.update(3, 5, "Hessian")
    change = _Perturbation(defect, space, space.core(radii[-1]), progress)
    progress.check()
    progress.update(4, 5, "core")
    used, sizes, values = [], [], []
    for r in radii:
        n_core = len(space.core(r))
        progress.check()
        values.append(_formation_entropy(space, change, n_core, defect))
        used.append(r)
        sizes.append(n_core)
        value, error = _extrapolated(values, [change.outside(n) for n in sizes])
        if n_core == space.size or (radius is None and error < tolerance):
            break
    shares = atoms = None
    if local:
        shares, atoms = _local(space, change, used, progress)
    progress.update(5, 5, "done")
    return GreenFormationEntropy(
        value=float(value),
        error=float(error),
        radii=np.array(used),
        values=np.array(values),
        n_core=sizes[-1],
        n_sites=lattice.n_sites,
        n_atoms=space.n_atoms,
        n_vacancies=len(space.vacant),
        n_interstitials=space.n_extra,
        max_force=max_force,
        local=shares,
        local_atoms=atoms,
    )


def _local(space, change, radii, progress):
    """Entropies of atoms well inside the second core, and which atoms those are."""
    radius = radii[min(1, len(radii) - 1)]
    n_core = len(space.core(radius))
    n_inside = (
        space.size if n_core == space.size else len(space.core(max(radius - space.lattice.potential.cutoff, 0.0)))
    )
    atom_at = np.full(space.size, -1)
    atom_at[space.label] = np.arange(space.n_atoms)
    places = np.flatnonzero(atom_at[change.core[:n_inside]] >= 0)
    atoms = atom_at[change.core[places]]
    order = np.argsort(atoms)
    return _local_entropies(space, change, n_core, places[order], progress), atoms[order]


class _Perturbation:
    """Delta in the core, and what is summed over the whole crystal: tr(G Delta) and the squares of Delta's rows.

    The Hessian is seen once, in stacks of rows.
    """

    def __init__(self, defect: Atoms, space: ExtendedCrystal, core: np.ndarray, progress: Progress):
        self.space, self.core = space, core
        lattice = space.lattice
        self.place_in_core = np.full(space.size, -1)
        self.place_in_core[core] = np.arange(len(core))
        self._green = lattice.green_table().reshape(-1, *lattice.green_table().shape[3:])
        hessian_table = lattice.hessian_table().reshape(self._green.shape)
        cells, basis = lattice.cells_of(space.site_of_atom), space.site_of_atom % lattice.n_basis
        is_extra = space.label >= lattice.n_sites
        trace = np.zeros(1)
        squares = np.zeros(space.n_atoms)
        rows, columns, blocks = [], [], []
        for first, stack in lattice.potential.hessian_row_blocks(defect):
            _add_rows(
                first, stack.indptr, stack.indices, stack.data, cells, basis, is_extra, lattice.repeats,
                self._green, hessian_table, 1.0 / lattice.stiffness, trace, squares,
            )  # fmt: skip
            for found, kept in zip((rows, columns, blocks), self._in_core(first, stack), strict=True):
                found.append(kept)
            progress.update(3, 5, f"Hessian, {100 * (first + stack.shape[0] // 3) // space.n_atoms} %")
            progress.check()
        self.trace = float(trace[0]) + self._ghost_trace() - 3.0 * (space.size - 1)
        self._squares = squares
        self._bare = tuple(
            np.concatenate([*of_defect, of_crystal])
            for of_defect, of_crystal in zip((rows, columns, blocks), self._perfect_crystal(), strict=True)
        )

    def outside(self, n_core: int) -> float:
        """Q: the sum of squares of Delta in the rows outside the first `n_core` places of the core, (eV/Å²)²."""
        place = self.place_in_core[self.space.label]
        return float(self._squares[(place < 0) | (place >= n_core)].sum())

    def green(self, n_core: int) -> np.ndarray:
        """Lower triangle of G between the first `n_core` places of the core; (3 n, 3 n), Fortran order."""
        matrix = self._between_sites(n_core, self._green)
        _add_to_diagonal(matrix, self.space.n_extra, 1.0 / self.space.lattice.stiffness)
        return matrix

    def free_green(self, n_core: int, shift: float) -> np.ndarray:
        """As `green`, of H_b + t t^T + shift with the extra atoms on springs to nothing but their place."""
        lattice = self.space.lattice
        table = lattice.shifted_table(shift, 1.0).reshape(self._green.shape)
        matrix = self._between_sites(n_core, table)
        # the extra atoms come first
        matrix[:, : 3 * self.space.n_extra] = 0.0
        _add_to_diagonal(matrix, self.space.n_extra, 1.0 / (lattice.stiffness + shift))
        return matrix

    def delta(self, n_core: int) -> scipy.sparse.coo_array:
        """Lower triangle of Delta between the first `n_core` places of the core."""
        return _lower_triangle([self._bare, *self._springs()], n_core)

    def free_delta(self, n_core: int) -> scipy.sparse.coo_array:
        """As `delta`, with ghosts in H_d and extra atoms in H_b on springs to nothing but their place.

        Bonds that leave the core are cut as a whole, with their share of the diagonal: resolvents at small shifts notice
        if the atoms at its border are tied to space.
        """
        rows, _, blocks = _within([self._bare, *self._springs()], n_core)
        loose = np.zeros((n_core, 3, 3))
        np.add.at(loose, rows, blocks)
        places = np.arange(n_core)
        cut = places, places, -0.5 * (loose + loose.transpose(0, 2, 1))
        return _lower_triangle([self._bare, cut, *self._free_springs()], n_core)

    def _between_sites(self, n_core, table):
        sites = self.space.sites(self.core[:n_core])
        lattice = self.space.lattice
        # zeros, not empty: whatever lies in the other triangle slows LAPACK down if it happens to be denormal
        matrix = np.zeros((3 * n_core, 3 * n_core), order="F")
        _fill_green(lattice.cells_of(sites), sites % lattice.n_basis, lattice.repeats, table, matrix)
        return matrix

    def _in_core(self, first, stack):
        """Blocks of a stack of rows that couple two places of the core."""
        place = self.place_in_core[self.space.label]
        n_rows = stack.shape[0] // 3
        mine = np.flatnonzero(place[first : first + n_rows] >= 0)
        slots = np.concatenate([np.arange(stack.indptr[i], stack.indptr[i + 1]) for i in mine] or [np.arange(0)])
        rows = np.repeat(place[first + mine], np.diff(stack.indptr)[mine])
        columns = place[stack.indices[slots]]
        inside = columns >= 0
        return rows[inside], columns[inside], stack.data[slots[inside]]

    def _ghost_trace(self):
        """Trace of G with the springs of the ghosts."""
        return sum(
            self.space.lattice.stiffness * np.sum(weights[:, None] * weights[None, :] * self._traces(sites))
            for sites, weights in self._ghosts()
        )

    def _traces(self, sites):
        lattice = self.space.lattice
        cells, basis = lattice.cells_of(sites), sites % lattice.n_basis
        apart = (cells[:, None] - cells[None, :]) % lattice.repeats
        flat = np.ravel_multi_index(tuple(np.moveaxis(apart, -1, 0)), tuple(lattice.repeats))
        return np.trace(self._green[flat, basis[:, None], :, basis[None, :], :], axis1=-2, axis2=-1)

    def _ghosts(self):
        """Sites and weights of each ghost's spring: 1 for itself, and minus the mean of the atoms around."""
        for site, around in zip(self.space.vacant, self.space.ghost_ties, strict=True):
            yield np.r_[site, around], np.r_[1.0, np.full(len(around), -1.0 / len(around))]

    def _springs(self):
        """What ties ghosts to the atoms around them in H_d, less what ties extra atoms to their sites in H_b."""
        stiffness = self.space.lattice.stiffness
        for sites, weights in self._ghosts():
            yield _spring(self.place_in_core[sites], weights, stiffness)
        for e, site in enumerate(self.space.extra_sites):
            places = self.place_in_core[[self.space.lattice.n_sites + e, site]]
            yield _spring(places, np.array([1.0, -1.0]), -stiffness)

    def _free_springs(self):
        stiffness = self.space.lattice.stiffness
        for place in self.place_in_core[self.space.vacant]:
            yield _spring(np.array([place]), np.ones(1), stiffness)
        for e in range(self.space.n_extra):
            yield _spring(np.array([e]), np.ones(1), -stiffness)

    def _perfect_crystal(self):
        sites = self.core[self.space.n_extra :]
        rows, columns, blocks = self.space.lattice.couplings(sites)
        columns = self.place_in_core[columns]
        inside = columns >= 0
        return rows[inside] + self.space.n_extra, columns[inside], -blocks[inside]


def _within(parts, n_core):
    """Rows, columns and blocks of all parts, within the first `n_core` places."""
    rows, columns, blocks = (np.concatenate(part) for part in zip(*parts, strict=True))
    chosen = (rows < n_core) & (columns < n_core)
    return rows[chosen], columns[chosen], blocks[chosen]


def _lower_triangle(parts, n_core):
    rows, columns, blocks = _within(parts, n_core)
    axes = np.arange(3)
    i = np.broadcast_to(3 * rows[:, None, None] + axes[:, None], blocks.shape).ravel()
    j = np.broadcast_to(3 * columns[:, None, None] + axes[None, :], blocks.shape).ravel()
    whole = scipy.sparse.coo_array((blocks.ravel(), (i, j)), shape=(3 * n_core, 3 * n_core))
    whole.sum_duplicates()
    return scipy.sparse.tril(whole, format="coo")


def _spring(places, weights, stiffness):
    """Blocks of the energy (stiffness / 2) |sum_i weights_i u_i|^2."""
    rows, columns = np.repeat(places, len(places)), np.tile(places, len(places))
    factors = stiffness * np.outer(weights, weights).ravel()
    return rows, columns, factors[:, None, None] * np.eye(3)


def _add_to_diagonal(matrix, n_blocks, value):
    rows = np.arange(3 * n_blocks)
    matrix[rows, rows] += value


def _formation_entropy(space, change, n_core, defect):
    """S_f with the first `n_core` places of the core treated exactly."""
    matrix, log_green, trace_in_core = _core_problem(change, n_core)
    scale = matrix.diagonal().max()
    factor, info = scipy.linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        raise _instability(space, change, n_core, defect)
    pivots = np.diagonal(factor)
    if pivots.min() ** 2 < SINGULAR * scale:
        raise InputError(
            f"beside its translations the structure has a mode of nearly zero frequency "
            f"({pivots.min() ** 2:.2g} eV/Å²), whose harmonic entropy diverges; is an atom without neighbours?"
        )
    change_of_log = log_green + 2.0 * np.log(pivots).sum() + change.trace - trace_in_core
    n_sites, surplus = space.lattice.n_sites, space.n_atoms - space.lattice.n_sites
    change_of_log += 3.0 * surplus * np.log(space.lattice.stiffness) + 3.0 * np.log(space.n_atoms / n_sites)
    return -0.5 * (change_of_log - surplus / n_sites * space.lattice.log_determinant)


def _core_problem(change, n_core):
    """Lower triangle of G_CC^-1 + Delta_CC, ln det G_CC and tr(G_CC Delta_CC)."""
    green = change.green(n_core)
    delta = change.delta(n_core)
    # the lower triangle stands for both
    twice = np.where(delta.row == delta.col, 1.0, 2.0)
    trace = float(np.sum(twice * delta.data * green[delta.row, delta.col]))
    factor = _cholesky(green)
    log_green = 2.0 * float(np.log(np.diagonal(factor)).sum())
    return _with_inverse(factor, delta), log_green, trace


def _cholesky(matrix):
    """Lower Cholesky factor of a positive matrix, which is overwritten."""
    factor, info = scipy.linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1, clean=0)
    if info != 0:
        raise NotAMinimumError(
            "the structure is a saddle, not a minimum; relax it from a displaced start or exclude it",
            n_imaginary=1,
            lowest_frequency=float("nan"),
        )
    return factor


def _with_inverse(factor, delta):
    """Lower triangle of A^-1 + Delta from the Cholesky factor of A, which is overwritten."""
    matrix, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    matrix[delta.row, delta.col] += delta.data
    return matrix


def _local_entropies(space, change, n_core, places, progress):
    """S_i - S_b / N of the atoms at some places of a core; see the module."""
    lattice = space.lattice
    delta = change.free_delta(n_core)
    held = _HeldTranslations(space, change.core[:n_core], delta)
    rows = (3 * places[:, None] + np.arange(3)).ravel()
    right_sides = np.zeros((3 * n_core, len(rows) + 6), order="F")
    right_sides[rows, np.arange(len(rows))] = 1.0
    right_sides[:, -6:] = held.right_sides
    logarithms = np.zeros(len(rows))
    exponents = np.arange(*SHIFTS)
    for k, shift in enumerate(np.exp(exponents)):
        progress.update(k, len(exponents), "local entropies")
        progress.check()
        green = change.free_green(n_core, shift)
        perfect = green[rows, rows].copy()
        factor = _cholesky(_with_inverse(_cholesky(green), delta))
        half = scipy.linalg.solve_triangular(factor, right_sides, lower=True, check_finite=False)
        defective = np.sum(half[:, :-6] ** 2, axis=0) - held.correction(half[:, :-6], half[:, -6:], rows, shift)
        # d(shift) = shift d(ln shift), by the trapezoidal rule
        logarithms += SHIFTS[2] * shift * (perfect - defective)
    shares = logarithms.reshape(-1, 3).sum(axis=1)
    # an extra atom is compared with its spring; give it an atom of the crystal to compare with
    shares[places < space.n_extra] += 3.0 * np.log(lattice.stiffness) - lattice.log_determinant / lattice.n_sites
    return -0.5 * shares


class _HeldTranslations:
    """What turns a spring on the translations t_b of the sites, in G, into one on those of the atoms, t_d.

    t_d = (N/N_d)^1/2 t_b + l, where l lives on the extra atoms (+) and the ghosts (-) only, so that t_d t_d^T - t_b t_b^T =
    U W U^T has rank 6, U = [t_b, l], and by Woodbury's formula

        (A + U W U^T)^-1 = A^-1 - A^-1 U (W^-1 + U^T A^-1 U)^-1 U^T A^-1,        A = G^-1 + Delta_CC

    t_b reaches beyond the core, but G t_b = t_b / (1 + shift) gives A^-1 t_b = (t_b - A^-1 Delta_CC t_b) / (1 + shift).
    """

    def __init__(self, space, core, delta):
        axes = np.eye(3)
        is_extra, is_ghost = core >= space.lattice.n_sites, np.isin(core, space.vacant)
        self.on_sites = np.kron(~is_extra[:, None], axes) / np.sqrt(space.lattice.n_sites)
        self.rest = np.kron(is_extra[:, None] * 1.0 - is_ghost[:, None], axes) / np.sqrt(space.n_atoms)
        lower = delta.tocsr()
        self.pulled = lower @ self.on_sites + scipy.sparse.tril(lower, -1).T @ self.on_sites
        root = np.sqrt(space.lattice.n_sites / space.n_atoms)
        self.inverse_weights = np.linalg.inv(np.kron([[root**2 - 1.0, root], [root, 1.0]], axes))
        self.right_sides = np.hstack([self.pulled, self.rest])

    def correction(self, half_rows, half, rows, shift):
        """Diagonal of what Woodbury's formula takes off, from L^-1 times the unit vectors of `rows` and the right sides."""
        scale = 1.0 / (1.0 + shift)
        through = half_rows.T @ half
        through[:, :3] = scale * (self.on_sites[rows] - through[:, :3])
        overlaps = half.T @ half
        overlaps[:3, 3:] = scale * (self.on_sites.T @ self.rest - overlaps[:3, 3:])
        overlaps[3:, :3] = overlaps[:3, 3:].T
        overlaps[:3, :3] = scale * np.eye(3) - scale**2 * (self.on_sites.T @ self.pulled - overlaps[:3, :3])
        return np.sum((through @ np.linalg.inv(self.inverse_weights + overlaps)) * through, axis=1)


def _instability(space, change, n_core, defect):
    """The error for a core problem that is not positive: how many modes are imaginary, and how much."""
    matrix, _, _ = _core_problem(change, n_core)
    n_imaginary = n_negative(matrix)
    eigenvalues, _ = softest_modes(defect, space, n_imaginary + 1)
    lowest = float(frequencies(eigenvalues[0] / defect.get_masses().mean()))
    if lowest >= 0.0:
        return InputError(
            f"with a core of {n_core} sites the far field makes the structure look unstable, but its lowest frequency is "
            f"{lowest:.2f} THz; choose a larger radius"
        )
    return NotAMinimumError(
        f"the structure is a saddle, not a minimum: {n_imaginary} imaginary mode{'s' if n_imaginary != 1 else ''} "
        f"(lowest {lowest:.2f} THz); relax it further from a displaced start or exclude it",
        n_imaginary=n_imaginary,
        lowest_frequency=lowest,
    )


def n_negative(matrix: np.ndarray) -> int:
    """Number of negative eigenvalues of a symmetric matrix of which the lower triangle is given (Sylvester's law of inertia)."""
    factor, pivots, _ = scipy.linalg.lapack.dsytrf(matrix, lower=1)
    # a 2 x 2 pivot of the Bunch-Kaufman factorisation has one negative eigenvalue, and is marked in both its rows
    single = pivots > 0
    return int(np.sum(np.diagonal(factor)[single] < 0)) + int(np.sum(~single)) // 2


def softest_modes(
    defect: Atoms, space: ExtendedCrystal, n_modes: int, *, start: np.ndarray | None = None, tolerance: float = 1e-3
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest eigenvalues of the Hessian beside the translations, by LOBPCG preconditioned with the Green's function.

    Parameters
    ----------
    start : (3N_d, n) float, optional
        First guess; by default the answers of the crystal to random forces near the defects.
    tolerance : float
        Largest residual, as a fraction of the mean stiffness of the crystal.

    Returns
    -------
    eigenvalues : (n_modes,) float, eV/Å², ascending
    vectors : (3N_d, n_modes) float, orthonormal
    """
    hessian = space.lattice.potential.hessian_operator(defect)
    size = hessian.shape[0]
    precondition = scipy.sparse.linalg.LinearOperator((size, size), matvec=space.apply_green_flat, dtype=np.float64)
    if start is None:
        rng = np.random.default_rng(0)
        start = np.stack([space.apply_green_flat(space.forces_near_defects(rng)) for _ in range(n_modes)], axis=1)
    translations = np.tile(np.eye(3), (space.n_atoms, 1)) / np.sqrt(space.n_atoms)
    values, vectors = scipy.sparse.linalg.lobpcg(
        hessian,
        start,
        M=precondition,
        Y=translations,
        largest=False,
        tol=tolerance * space.lattice.stiffness,
        maxiter=200,
    )
    order = np.argsort(values)
    return values[order], vectors[:, order]


def _extrapolated(values, outside):
    """S_f at Q = 0 from the straight line through the last two (Q, S_f), and an estimate of its error.

    The error is what the last value changed in the extrapolation, but no less than a tenth of what it adds; with two
    values only, what it adds.
    """
    if outside[-1] == 0.0:
        return values[-1], 0.0
    if len(values) == 1:
        return values[-1], float("inf")
    lines = [
        (values[k] * outside[k - 1] - values[k - 1] * outside[k]) / (outside[k - 1] - outside[k])
        for k in range(1, len(values))
    ]
    added, last_change = abs(lines[-1] - values[-1]), abs(values[-1] - values[-2])
    if len(lines) == 1:
        return lines[0], max(added, 0.5 * last_change)
    return lines[-1], max(0.1 * added, 0.1 * last_change, abs(lines[-1] - lines[-2]))


def _radii(space, radius):
    """Ascending radii of cores that differ, the last of them perhaps the whole cell."""
    if len(space.defect_sites) == 0:
        raise InputError("the structure has no vacancy and no interstitial; there is no defect to take the entropy of")
    if radius is not None:
        radii = np.unique(np.asarray(radius, dtype=float))
        if not (np.isfinite(radii).all() and (radii > 0).all()):
            raise InputError(f"radius = {radius} Å must be positive")
        least = space.least_radius()
        if radii[0] < least:
            raise InputError(
                f"a core of radius {radii[0]:.3g} Å lacks the neighbours of the defects; take {least:.3g} Å or more"
            )
        return radii
    density = space.lattice.n_basis / space.lattice.unit_cell.get_volume()
    radii = [max((3.0 * FIRST_CORE / (4.0 * np.pi * density)) ** (1.0 / 3.0), space.least_radius())]
    if space.size <= SMALL_CELL:
        while len(space.core(radii[-1])) < space.size:
            radii[-1] *= GROWTH
        return np.array(radii)
    while len(space.core(radii[-1])) < space.size and len(space.core(radii[-1] * GROWTH)) < MAXIMUM_CORE:
        radii.append(radii[-1] * GROWTH)
    return np.array(radii)


def _check_lattice(lattice, unit_cell, repeats, potential):
    same_crystal = (
        len(unit_cell) == lattice.n_basis
        and np.array_equal(np.broadcast_to(repeats, (3,)), lattice.repeats)
        and np.allclose(unit_cell.cell.array, lattice.unit_cell.cell.array, rtol=0, atol=1e-9)
        and np.allclose(unit_cell.positions, lattice.unit_cell.positions, rtol=0, atol=1e-9)
    )
    if not same_crystal or get_potential(potential).fingerprint != lattice.potential.fingerprint:
        raise InputError(
            "the Green's function handed over belongs to another crystal or potential; make one with LatticeGreen for these"
        )


def _check_elements(defect, crystal):
    kinds = np.union1d(defect.numbers, crystal.numbers)
    if len(kinds) != 1:
        names = ", ".join(chemical_symbols[z] for z in kinds)
        raise InputError(f"the Green's function route needs one element; the structures hold {names}")


def _extra_atoms(positions, matched, crystal):
    """Atoms beyond the one nearest to each site."""
    crowded = np.flatnonzero(matched.occupancy[matched.site_of_atom] > 1)
    sites = matched.site_of_atom[crowded]
    if len(crowded) == 0:
        return crowded
    _, apart = find_mic(positions[crowded] - crystal.positions[sites], crystal.cell, pbc=True)
    order = np.lexsort((apart, sites))
    later = np.r_[False, sites[order][1:] == sites[order][:-1]]
    return np.sort(crowded[order][later])


@njit(cache=True, inline="always")
def _cell_index(cells, i, j, repeats):
    """Flat index of the unit cell that i lies in, seen from that of j."""
    a = (cells[i, 0] - cells[j, 0]) % repeats[0]
    b = (cells[i, 1] - cells[j, 1]) % repeats[1]
    c = (cells[i, 2] - cells[j, 2]) % repeats[2]
    return (a * repeats[1] + b) * repeats[2] + c


@njit(cache=True)
def _add_rows(
    first, indptr, indices, data, cells, basis, is_extra, repeats, green, hessian, own, trace, squares
):  # fmt: skip
    """Add tr(G H_d) of a stack of rows to `trace`, and the squares of its rows of H_d - H_b to `squares`."""
    for row in range(indptr.shape[0] - 1):
        i = first + row
        total = 0.0
        square = 0.0
        for k in range(indptr[row], indptr[row + 1]):
            j = indices[k]
            apart = _cell_index(cells, i, j, repeats)
            for a in range(3):
                for b in range(3):
                    total += data[k, a, b] * green[apart, basis[i], a, basis[j], b]
                    perfect = hessian[apart, basis[i], a, basis[j], b]
                    square += (data[k, a, b] - perfect) ** 2
                if i == j and is_extra[i]:
                    total += data[k, a, a] * own
        trace[0] += total
        squares[i] = square


@njit(cache=True)
def _fill_green(cells, basis, repeats, table, green):
    n = cells.shape[0]
    for j in range(n):
        for i in range(j, n):
            apart = _cell_index(cells, i, j, repeats)
            for b in range(3):
                for a in range(3):
                    green[3 * i + a, 3 * j + b] = table[apart, basis[i], a, basis[j], b]
