"""Hessians made of differences of forces, for potentials whose second derivatives nobody wrote down.

    H_(i a)(j b) = -dF_ia/dx_jb  ~  -[F_ia(x + h e_jb) - F_ia(x - h e_jb)] / 2h                          ("coloured")
                   -dF_ia/dx_jb  ~  -[F_ia(x + h e_jb) - F_ia(x)] / h,  h = 1e-3 Å, symmetrised          ("paper")

F forces, x positions, h the step, e_jb the unit displacement of atom j along b. Central differences err by h²/6 times a
fourth derivative of the energy plus noise of the forces over h. "extrapolated" takes h and 2h and cancels the h² term:
H = [4 H(h) - H(2h)]/3 (Richardson).

One displacement at a time costs 6N force calls. But an atom j moves the forces of no atom beyond the range R of the
Hessian. Let B_j be the atoms that j moves, itself among them. If B_j and B_k are disjoint, that is if no atom lies within
R of both, j and k can be displaced together and each change of a force still has one cause. It is exactly the change that
this displacement alone would give: along the path from one to both, the forces in B_j do not depend on x_k at all. So atoms
are given colours, no two with overlapping B of one colour, and a colour is displaced at a time. In a large structure the
number of force calls no longer grows with N; where everything is within 2R of everything it is 6N again.

Colours are found by recursive-largest-first: each is filled with the candidate that shares most excluded atoms with those
in it, which packs the balls B closely.

Sources: A. R. Curtis, M. J. D. Powell and J. K. Reid, IMA J. Appl. Math. 13, 117 (1974), for differences in groups;
F. T. Leighton, J. Res. Natl. Bur. Stand. 84, 489 (1979), for the colouring; paper, Sec. IV.A, for the protocol named so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from ase import Atoms
from numba import njit

from ldml.errors import ConvergenceError, InputError
from ldml.neighbours import neighbour_list
from ldml.potentials.base import Potential
from ldml.progress import NULL_PROGRESS, Progress

SCHEMES = ("coloured", "extrapolated", "paper")
ACOUSTIC_SUMS = (None, "diagonal", "nearest")
STEPS = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Å; the steps tried when none is given."""
PAPER_STEP = 1e-3
"""Å; also the step where none is given and none may be tried."""
TOLERANCE = 1e-3
"""Largest change between two steps that is accepted, as a fraction of the largest element. White noise of this size
changes the entropy of 1024 atoms of iron by 0.02 to 0.05 k_B, and its square counts."""
SAMPLED_ATOMS = 3
"""Atoms displaced one at a time when steps are compared."""
NEAREST = 4.0
"""Å within which a nearest neighbour is looked for when those atoms are chosen."""


@dataclass(frozen=True)
class DifferenceHessian:
    """A Hessian made of differences of forces, and how good it is.

    Attributes
    ----------
    matrix : sparse bsr (3N, 3N), eV/Å²
        Symmetric; row 3 i + α.
    scheme : {"coloured", "extrapolated", "paper"}
    step : float, Å
        The displacement; the smaller of the two in "extrapolated".
    n_groups : int
        Groups of atoms displaced together; N where each atom had to be displaced alone.
    n_force_calls : int
        All of them, those that compared steps included.
    error : float or None, eV/Å²
        Largest difference to a neighbouring step, over all elements in "extrapolated" and over the sampled columns
        otherwise; None where nothing was compared.
    asymmetry : float, eV/Å²
        Largest element of H - Hᵀ before symmetrising.
    acoustic : float, eV/Å²
        Largest force that a rigid translation by 1 Å would cause, before any correction.
    """

    matrix: scipy.sparse.bsr_array
    scheme: str
    step: float
    n_groups: int
    n_force_calls: int
    error: float | None
    asymmetry: float
    acoustic: float


class DifferencePotential(Potential):
    """Base of potentials that know only energies and forces; the Hessian comes from `difference_hessian`.

    Attributes
    ----------
    difference_scheme : {"coloured", "extrapolated", "paper"}
    difference_step : float or None, Å
        None: found for each structure.
    """

    analytic_hessian = False
    difference_scheme: str = "coloured"
    difference_step: float | None = None

    def hessian(self, atoms: Atoms, *, progress: Progress | None = None) -> scipy.sparse.bsr_array:
        """Second derivatives by differences, (3N, 3N) symmetric, eV/Å²; row 3 i + α.

        Rigid motions are made free to rounding by the smallest change that does so (`acoustic_sum="nearest"`), since
        an entropy counts them; `difference_hessian` reports how far from free they were.
        """
        return difference_hessian(
            self,
            atoms,
            scheme=self.difference_scheme,
            step=self.difference_step,
            acoustic_sum="nearest",
            progress=progress,
        ).matrix

    def watched_hessian(self, atoms: Atoms, progress: Progress) -> scipy.sparse.bsr_array:
        return self.hessian(atoms, progress=progress)


def difference_hessian(
    potential: Potential,
    atoms: Atoms,
    *,
    scheme: str = "coloured",
    step: float | None = None,
    check: bool = True,
    tolerance: float = TOLERANCE,
    acoustic_sum: str | None = None,
    progress: Progress | None = None,
) -> DifferenceHessian:
    """Hessian of a structure from differences of forces.

    Parameters
    ----------
    potential : Potential
        Its `hessian_range` decides which atoms may move together; infinite means none.
    atoms : Atoms
        Not changed.
    scheme : {"coloured", "extrapolated", "paper"}
        Central differences; the same at two steps and extrapolated to zero; or the paper's 3N forward differences, each
        atom by itself and no range assumed.
    step : float, Å, optional
        Where it is not given, "paper" takes 1e-3 Å and the others the step where the results change least; 1e-3 Å if
        nothing may be checked.
    check : bool
        Compare steps on a few columns, and the range of the response with `hessian_range`.
    tolerance : float
        Largest accepted difference between steps as a fraction of the largest element; not applied to "paper", whose
        forward differences are reproduced as they are.
    acoustic_sum : {None, "diagonal", "nearest"}
        None leaves the matrix alone. "diagonal" sets each diagonal block to minus the sum of its row, symmetrised; what
        is antisymmetric in the sum remains. "nearest" makes the smallest symmetric change of the stored blocks after
        which translations are free, and rotations of a cluster turn its forces.
    progress : Progress, optional

    Raises
    ------
    ConvergenceError
        If the forces are too noisy, or too rough, for the tolerance; the message names a better step if there is one.
    InputError
        If forces are not finite, `hessian_range` is too short, or an argument is unknown.
    StructureError
        If the potential cannot be evaluated on `atoms`.
    """
    _check_arguments(scheme, step, acoustic_sum)
    potential.check(atoms)
    forces = _Forces(potential, atoms, progress or NULL_PROGRESS)
    forward = scheme == "paper"
    error = None
    if check:
        samples = _sampled_displacements(atoms)
        step, error, columns = _compared_steps(forces, samples, step, forward, tolerance)
    step = PAPER_STEP if step is None else step
    # displaced atoms come closer by a step each; "extrapolated" takes the double step
    reach = np.inf if forward else potential.hessian_range + 4.0 * step
    offsets, indices = _couplings(atoms, reach)
    if check and not forward:
        _check_range(forces.name, samples, columns, offsets, indices, error)
    groups = _groups(offsets, indices, together=np.isfinite(reach))
    raw = _matrix(forces, groups, offsets, indices, step, forward)
    if scheme == "extrapolated":
        doubled = _matrix(forces, groups, offsets, indices, 2.0 * step, forward)
        error = float(abs(raw - doubled).max()) / 3.0
        raw = ((4.0 * raw - doubled) / 3.0).tobsr(blocksize=(3, 3))
    matrix = (0.5 * (raw + raw.T)).tobsr(blocksize=(3, 3))
    matrix.sort_indices()
    translations = np.tile(np.eye(3), (len(atoms), 1))
    result = DifferenceHessian(
        matrix=_with_acoustic_sum(matrix, acoustic_sum, atoms, forces),
        scheme=scheme,
        step=step,
        n_groups=len(groups),
        n_force_calls=forces.n_calls,
        error=error,
        asymmetry=float(abs(raw - raw.T).max()),
        acoustic=float(np.abs(matrix @ translations).max()),
    )
    forces.progress.update(1, 1, "done")
    return result


class _Forces:
    """Forces of displaced positions, counted."""

    def __init__(self, potential, atoms, progress):
        self.name = potential.name
        self.positions = atoms.positions.copy()
        self.evaluator = potential.evaluator(atoms)
        self.progress = progress
        self.n_calls = 0
        self._undisplaced = None

    def __call__(self, members, axis, step):
        self.progress.check()
        positions = self.positions.copy()
        positions[members, axis] += step
        _, forces = self.evaluator.energy_and_forces(positions)
        self.n_calls += 1
        if not np.isfinite(forces).all():
            bad = int(np.flatnonzero(~np.isfinite(forces).all(axis=1))[0])
            raise InputError(
                f"{self.name} gives a force of {forces[bad]} on atom {bad} after a displacement of {step:g} Å; "
                f"check the structure and the potential"
            )
        return forces

    def undisplaced(self):
        if self._undisplaced is None:
            self._undisplaced = np.array(self([], 0, 0.0))
        return self._undisplaced

    def response(self, members, axis, step, forward):
        """-dF/dx of all atoms (N, 3), eV/Å², where `members` move along `axis`."""
        if forward:
            return (self.undisplaced() - self(members, axis, step)) / step
        # copied: an evaluator may hand out the same array again
        ahead = np.array(self(members, axis, step))
        return (self(members, axis, -step) - ahead) / (2.0 * step)


def _check_arguments(scheme, step, acoustic_sum):
    if scheme not in SCHEMES:
        raise InputError(f"scheme {scheme!r} is unknown; choose one of {', '.join(SCHEMES)}")
    if acoustic_sum not in ACOUSTIC_SUMS:
        raise InputError(f"acoustic_sum {acoustic_sum!r} is unknown; choose None, 'diagonal' or 'nearest'")
    if step is not None and not (np.isfinite(step) and 0.0 < step < 0.5):
        raise InputError(f"a step of {step} Å is not a small displacement; 1e-4 to 1e-2 Å is usual")


# ---------------------------------------------------------------------------------------------------------- the step


def _sampled_displacements(atoms):
    """Pairs (atom, axis): the atoms with the shortest, the median and the longest bond to a neighbour."""
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, NEAREST)
    rows = np.repeat(np.arange(len(atoms)), np.diff(pairs.offsets))
    nearest = np.full(len(atoms), NEAREST)
    np.minimum.at(nearest, rows, pairs.distances)
    ranks = np.linspace(0, len(atoms) - 1, min(SAMPLED_ATOMS, len(atoms))).round().astype(int)
    return [(int(atom), axis) for axis, atom in enumerate(np.argsort(nearest, kind="stable")[ranks])]


def _compared_steps(forces, samples, step, forward, tolerance):
    """The step to take, the largest change to a neighbouring step (eV/Å²), and the sampled columns at that step."""
    if forward:
        step = PAPER_STEP if step is None else step
        columns = _columns(forces, samples, (step / 3.0, step), forward)
        return step, float(_changes(columns)[1][0]), columns[1]
    if step is not None:
        columns = _columns(forces, samples, (step / 3.0, step, 3.0 * step), forward)
        error = _changes(columns)[1].min()
        if error <= tolerance * np.abs(columns[2]).max():
            return step, float(error), columns[1]
    columns = _columns(forces, samples, STEPS, forward)
    rms, largest = _changes(columns)
    # the best step changes least to both sides: the smaller side alone could be a chance agreement
    best = 1 + int(np.argmin(rms[:-1] + rms[1:]))
    best_error = float(min(largest[best - 1], largest[best]))
    scale = np.abs(columns[best]).max()
    if step is not None or not best_error <= tolerance * scale:
        seen = (step, error) if step is not None else (STEPS[best], best_error)
        raise ConvergenceError(_noise_message(forces.name, *seen, scale, tolerance, best, best_error, rms))
    return STEPS[best], best_error, columns[best]


def _columns(forces, samples, steps, forward):
    """Sampled columns of the Hessian at each step, (steps, samples, N, 3), eV/Å²."""
    columns = []
    for k, step in enumerate(steps):
        forces.progress.update(k, len(steps), "comparing steps")
        columns.append([forces.response([atom], axis, step, forward) for atom, axis in samples])
    return np.array(columns)


def _changes(columns):
    """Root mean square and largest change of the columns from one step to the next."""
    changes = np.diff(columns, axis=0)
    return np.sqrt(np.mean(changes**2, axis=(1, 2, 3))), np.abs(changes).max(axis=(1, 2, 3))


def _noise_message(name, step, error, scale, tolerance, best, best_error, rms):
    # F(x + h) - F(x - h) scatters by sqrt(2) sigma, and the smallest step carries nearly all of the change
    noise = np.sqrt(2.0) * STEPS[0] * rms[0]
    if best_error <= tolerance * scale:
        remedy = f"a step of {STEPS[best]:g} Å would do ({best_error:.1g} eV/Å²)"
    else:
        remedy = (
            f"the best of {STEPS[0]:g} to {STEPS[-1]:g} Å is {STEPS[best]:g} Å ({best_error:.1g} eV/Å²): "
            f"evaluate the forces in double precision, or accept the error with a larger tolerance"
        )
    return (
        f"differences of the forces of {name} do not settle: with a step of {step:g} Å the Hessian changes by "
        f"{error:.2g} eV/Å² from step to step, {error / scale:.1g} of its largest element, above {tolerance:g}; the forces "
        f"scatter by about {noise:.1g} eV/Å; {remedy}"
    )


def _check_range(name, samples, columns, offsets, indices, error):
    """Raise `InputError` if an atom moves forces beyond the declared range."""
    allowed = 10.0 * error + 1e-9 * np.abs(columns).max()
    for (atom, _), column in zip(samples, columns, strict=True):
        beyond = np.abs(column).max(axis=1)
        beyond[indices[offsets[atom] : offsets[atom + 1]]] = 0.0
        if beyond.max() > allowed:
            raise InputError(
                f"the hessian_range of {name} is too short: atom {int(beyond.argmax())} lies beyond it from atom "
                f"{atom}, and yet they couple by {beyond.max():.2g} eV/Å²; state a longer one (infinite is always right)"
            )


# ------------------------------------------------------------------------------------------------------- the colours


def _couplings(atoms, reach):
    """Atoms within `reach` of each, itself included, in compressed rows (offsets, indices)."""
    n = len(atoms)
    if not np.isfinite(reach):
        return np.arange(n + 1, dtype=np.int64) * n, np.tile(np.arange(n, dtype=np.int64), n)
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, reach)
    listed = scipy.sparse.csr_array((np.ones(len(pairs.indices), bool), pairs.indices, pairs.offsets), shape=(n, n))
    # summing merges the images of one neighbour
    coupled = (listed + scipy.sparse.eye_array(n, dtype=bool, format="csr")).tocsr()
    coupled.sum_duplicates()
    coupled.sort_indices()
    return coupled.indptr.astype(np.int64), coupled.indices.astype(np.int64)


def _groups(offsets, indices, *, together):
    """Lists of atoms that are displaced together."""
    if not together:
        return [np.array([i]) for i in range(len(offsets) - 1)]
    colours = _colours(*_conflicts(offsets, indices))
    order = np.argsort(colours, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(colours[order])) + 1)


@njit(cache=True)
def _conflicts(offsets, indices):
    """For each atom the others whose responses overlap with its own: coupled to an atom that it is coupled to."""
    n = offsets.shape[0] - 1
    last = np.full(n, -1, np.int64)
    starts = np.zeros(n + 1, np.int64)
    for j in range(n):
        last[j] = j
        starts[j + 1] = starts[j]
        for a in range(offsets[j], offsets[j + 1]):
            for b in range(offsets[indices[a]], offsets[indices[a] + 1]):
                if last[indices[b]] != j:
                    last[indices[b]] = j
                    starts[j + 1] += 1
    others = np.empty(starts[n], np.int32)
    last[:] = -1
    for j in range(n):
        last[j] = j
        at = starts[j]
        for a in range(offsets[j], offsets[j + 1]):
            for b in range(offsets[indices[a]], offsets[indices[a] + 1]):
                if last[indices[b]] != j:
                    last[indices[b]] = j
                    others[at] = indices[b]
                    at += 1
    return starts, others


@njit(cache=True)
def _colours(starts, others):
    """Recursive-largest-first colouring of the graph of conflicts; (N,) colours from 0."""
    n = starts.shape[0] - 1
    colours = np.full(n, -1, np.int64)
    candidate = np.empty(n, np.bool_)
    shared = np.empty(n, np.int64)
    n_left, colour = n, 0
    while n_left > 0:
        for i in range(n):
            candidate[i] = colours[i] < 0
            shared[i] = 0
        while True:
            best = -1
            for i in range(n):
                if candidate[i] and (best < 0 or shared[i] > shared[best]):
                    best = i
            if best < 0:
                break
            colours[best] = colour
            candidate[best] = False
            n_left -= 1
            for a in range(starts[best], starts[best + 1]):
                excluded = others[a]
                if candidate[excluded]:
                    candidate[excluded] = False
                    for b in range(starts[excluded], starts[excluded + 1]):
                        shared[others[b]] += 1
        colour += 1
    return colours


# -------------------------------------------------------------------------------------------------------- the matrix


def _matrix(forces, groups, offsets, indices, step, forward):
    """The Hessian as the differences give it, not yet symmetric."""
    blocks = np.zeros((len(indices), 3, 3))
    for done, members in enumerate(groups):
        forces.progress.update(done, len(groups), f"displacing atoms by {step:g} Å")
        # the row of a displaced atom holds what it does to others: H transposed
        owned = np.concatenate([np.arange(offsets[j], offsets[j + 1]) for j in members])
        for axis in range(3):
            blocks[owned, axis] = forces.response(members, axis, step, forward)[indices[owned]]
    n = 3 * (len(offsets) - 1)
    transposed = scipy.sparse.bsr_array((blocks, indices, offsets), shape=(n, n))
    transposed.eliminate_zeros()
    return transposed.T.tobsr(blocksize=(3, 3))


def _with_acoustic_sum(matrix, acoustic_sum, atoms, forces):
    if acoustic_sum is None:
        return matrix
    n = len(atoms)
    if acoustic_sum == "diagonal":
        sums = (matrix @ np.tile(np.eye(3), (n, 1))).reshape(n, 3, 3)
        sums = 0.5 * (sums + sums.transpose(0, 2, 1))
        return (matrix - scipy.sparse.bsr_array((sums, np.arange(n), np.arange(n + 1)), shape=matrix.shape)).tobsr(
            (3, 3)
        )
    motions = np.tile(np.eye(3), (n, 1, 1))
    images = np.zeros((n, 3, 3))
    if not atoms.pbc.any():
        arms = atoms.positions - atoms.positions.mean(axis=0)
        radius = max(np.linalg.norm(arms, axis=1).max(), 1.0)
        motions = np.concatenate([motions, np.cross(np.eye(3), arms[:, None] / radius).transpose(0, 2, 1)], axis=2)
        # turning the cluster turns its forces: H (w x r) = -w x F
        turned = -np.cross(np.eye(3), forces.undisplaced()[:, None] / radius).transpose(0, 2, 1)
        images = np.concatenate([images, turned], axis=2)
    return _nearest_with_images(matrix, motions, images)


def _consistent(images, motions):
    """The images b made possible for a symmetric H: vᵀ H v is symmetric, and so must vᵀ b be, which noise spoils."""
    product = motions.T @ images
    return images - motions @ (np.linalg.pinv(motions.T @ motions) @ (0.5 * (product - product.T)))


def _nearest_with_images(matrix, motions, images):
    """The symmetric matrix of the same sparsity nearest to `matrix` (least squares) with H v = b.

        min |X|²  with  (H + X) v = b,  X = Xᵀ   gives   X_ij = L_i v_jᵀ + v_i L_jᵀ,
        L_i sum_j v_jᵀ v_j + v_i sum_j L_jᵀ v_j = b_i - (H v)_i,       j over the blocks stored in row i

    v motions and b images, (N, 3, k); L the Lagrange multipliers, found by conjugate gradients.
    """
    n, _, k = motions.shape
    stored = scipy.sparse.csr_array((np.ones(len(matrix.indices)), matrix.indices, matrix.indptr), shape=(n, n))

    def over_neighbours(per_atom):
        return (stored @ per_atom.reshape(n, -1)).reshape(n, k, k)

    overlap = over_neighbours(motions.transpose(0, 2, 1) @ motions)

    def normal_equations(vector):
        multipliers = vector.reshape(n, 3, k)
        return (multipliers @ overlap + motions @ over_neighbours(multipliers.transpose(0, 2, 1) @ motions)).ravel()

    missing = (
        _consistent(images.reshape(3 * n, k), motions.reshape(3 * n, k)) - matrix @ motions.reshape(3 * n, k)
    ).ravel()
    operator = scipy.sparse.linalg.LinearOperator((3 * n * k,) * 2, matvec=normal_equations, dtype=np.float64)
    # to the rounding of the products H v
    enough = 1e-14 * np.abs(matrix.data).max() * np.sqrt(missing.size)
    solution, info = scipy.sparse.linalg.cg(operator, missing, rtol=0.0, atol=enough, maxiter=1000)
    if info != 0:
        raise ConvergenceError(
            "the Hessian could not be made to leave rigid motions free; is the structure several bodies out of each "
            "other's range? use acoustic_sum=None to see it as it is"
        )
    multipliers = solution.reshape(n, 3, k)
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    change = multipliers[rows] @ motions[matrix.indices].transpose(0, 2, 1)
    change += motions[rows] @ multipliers[matrix.indices].transpose(0, 2, 1)
    return scipy.sparse.bsr_array((matrix.data + change, matrix.indices, matrix.indptr), shape=matrix.shape)
