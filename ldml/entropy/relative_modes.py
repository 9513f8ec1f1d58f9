"""Modes of a defect measured against its crystal: how soft, how stiff, and on which atoms.

    H_d u = mu B u,        B = (G_aa)^-1,        u^T B u = 1

H_d is the Hessian of the defective crystal and G_aa the Green's function of the perfect one among the atoms (see
`ldml.entropy.defect_green`: atoms on sites, extra atoms tied to their site by a spring). Every mode of the perfect crystal,
of a cell of any size, has mu = 1; a defect moves finitely many away from it, and

    S_f = -1/2 sum_k ln mu_k + (a constant of the numbers of vacancies and extra atoms)

so that a mode of mu << 1 is what makes an entropy high. Both ends of the spectrum are found by the block Lanczos method for
the operator H_d G_aa, self-adjoint in the inner product f^T G_aa f of forces, started from forces near the defects; a step
costs one product with the Hessian and one Fourier transform there and back, O(N log N). Blocks of three vectors hold the
three partners of a degenerate mode of a cubic defect. Source: G. H. Golub, C. F. Van Loan, Matrix Computations, 4th ed. (2013),
Secs 8.7 and 10.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms

from ldml.entropy.defect_green import ExtendedCrystal
from ldml.entropy.dynamical_matrix import frequencies
from ldml.entropy.harmonic import check_relaxed
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import ConvergenceError, NotAMinimumError

BLOCK = 3
"""Vectors of a block: the most partners a degenerate mode has by symmetry."""
FIRST_STEPS, STEPS = 24, 4
"""Steps before convergence is looked at first, and between later looks."""
FORCE_TOLERANCE = 1e-2
"""eV/Å; a mode is that of a minimum."""


@dataclass(frozen=True, eq=False)
class RelativeModes:
    """Modes outside a window around mu = 1.

    Attributes
    ----------
    values : (k,) float
        mu, ascending.
    shares : (N_d, k) float
        Share of each atom in the square of each mode; columns sum to 1.
    n_vectors : int
        Vectors the search took.
    """

    values: np.ndarray
    shares: np.ndarray
    n_vectors: int


def relative_modes(
    defect: Atoms,
    lattice: LatticeGreen,
    *,
    below: float,
    above: float,
    tolerance: float = 1e-3,
    max_vectors: int = 600,
    seed: int = 0,
) -> RelativeModes:
    """Modes with mu < `below` or mu > `above`, all of them.

    Parameters
    ----------
    defect : Atoms
        A minimum in the cell of the crystal.
    lattice : LatticeGreen
        Green's function of the crystal.
    below, above : float
        Ends of the window around 1 that is left out; the nearer to 1, the more modes.
    tolerance : float
        How much 1/2 sum |ln(mu / end)| over either end may still change in `STEPS` steps, k_B.
    max_vectors : int
        The search is given up beyond this many.
    seed : int
        Of the forces it starts from; converged modes do not depend on it.

    Raises
    ------
    UnrelaxedError
        If a force exceeds 0.01 eV/Å.
    NotAMinimumError
        If a mode is imaginary.
    ConvergenceError
        If the modes did not settle.
    StructureError, InputError
        For structures that do not belong to the crystal.
    """
    space = ExtendedCrystal(defect, lattice)
    check_relaxed(defect, lattice.potential, FORCE_TOLERANCE)
    if len(space.defect_sites) == 0:
        return RelativeModes(np.empty(0), np.empty((len(defect), 0)), 0)
    search = _Search(defect, space, np.random.default_rng(seed), max_vectors)
    found, previous = None, None
    while search.n_vectors + BLOCK * STEPS <= max_vectors:
        search.advance(STEPS if previous is not None else FIRST_STEPS)
        values = search.values()
        if values[0] <= 0.0:
            raise NotAMinimumError(
                f"a mode has {values[0]:.2g} times the stiffness of the crystal: the structure is no minimum; relax it further",
                n_imaginary=int(np.count_nonzero(values <= 0.0)),
                lowest_frequency=search.lowest_frequency(),
            )
        found = _contributions(values, below, above)
        if previous is not None and np.abs(found - previous).max() < tolerance:
            return search.modes_outside(below, above)
        previous = found
    raise ConvergenceError(
        f"the modes below {below:g} and above {above:g} did not settle within {max_vectors} vectors "
        f"({found[0]:.4g} and {found[1]:.4g} k_B at the end); narrow the choice or allow more"
    )


class _Search:
    """A growing basis: forces V with V^T G V = 1, the displacements W = G V, and the projection T = W^T H W."""

    def __init__(self, defect, space, rng, max_vectors):
        self.space = space
        self.hessian = space.lattice.potential.hessian_operator(defect)
        self.masses = defect.get_masses()
        self.forces = np.empty((3 * space.n_atoms, max_vectors), order="F")
        self.displacements = np.empty_like(self.forces, order="F")
        self.projection = np.zeros((max_vectors, max_vectors))
        self.n_vectors = 0
        self.next = np.stack([space.forces_near_defects(rng) for _ in range(BLOCK)], axis=1)

    def advance(self, steps: int) -> None:
        """Enlarge the basis by `steps` blocks."""
        for _ in range(steps):
            start, end = self.n_vectors, self.n_vectors + BLOCK
            V, W = self.forces[:, :start], self.displacements[:, :start]
            block = self.next - V @ self.projection[:start, start - BLOCK : start] if start else self.next
            # once more removes what rounding left; of rounding alone come resultants, and with them translations, of mu = 0
            block = np.linalg.qr(_without_resultant(block - V @ (W.T @ block)))[0]
            moved = self._green(block)
            lower = np.linalg.cholesky(block.T @ moved)
            self.forces[:, start:end] = np.linalg.solve(lower, block.T).T
            self.displacements[:, start:end] = np.linalg.solve(lower, moved.T).T
            self.next = self.hessian @ self.displacements[:, start:end]
            column = self.displacements[:, :end].T @ self.next
            self.projection[:end, start:end] = column
            self.projection[start:end, :end] = column.T
            self.n_vectors = end

    def values(self) -> np.ndarray:
        """Approximate mu, ascending."""
        return scipy.linalg.eigvals_banded(self._band(), lower=True)

    def lowest_frequency(self) -> float:
        """Of a vibration in the shape of the lowest mode, THz; negative for an imaginary one."""
        _, vectors = scipy.linalg.eig_banded(self._band(), lower=True, select="i", select_range=(0, 0))
        mode = self.displacements[:, : self.n_vectors] @ vectors[:, 0]
        masses = np.repeat(self.masses, 3)
        return float(frequencies(np.array([mode @ (self.hessian @ mode) / (mode @ (masses * mode))]))[0])

    def modes_outside(self, below: float, above: float) -> RelativeModes:
        """The modes with mu below or above."""
        values, vectors = scipy.linalg.eig_banded(self._band(), lower=True)
        chosen = (values < below) | (values > above)
        modes = self.displacements[:, : self.n_vectors] @ vectors[:, chosen]
        shares = (modes.reshape(self.space.n_atoms, 3, np.count_nonzero(chosen)) ** 2).sum(axis=1)
        return RelativeModes(values[chosen], shares / shares.sum(axis=0), self.n_vectors)

    def _band(self):
        """Diagonals of the projection, zero beyond `BLOCK` of them."""
        n = self.n_vectors
        band = np.zeros((BLOCK + 1, n))
        for k in range(BLOCK + 1):
            band[k, : n - k] = np.diagonal(self.projection[:n, :n], -k)
        return band

    def _green(self, forces):
        return self.space.apply_green(forces.reshape(self.space.n_atoms, 3, -1)).reshape(forces.shape)


def _without_resultant(forces):
    by_atom = forces.reshape(-1, 3, forces.shape[1])
    return (by_atom - by_atom.mean(axis=0)).reshape(forces.shape)


def _contributions(values, below, above):
    """1/2 sum |ln(mu / end)| over the modes beyond either end."""
    return 0.5 * np.array(
        [np.maximum(0.0, np.log(below / values)).sum(), np.maximum(0.0, np.log(values / above)).sum()]
    )
