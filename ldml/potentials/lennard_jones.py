"""Lennard-Jones potential of one element, for clusters and for crystals.

    E = sum_{i<j} v(r_ij),        v(r) = 4 ε [ (σ/r)^12 - (σ/r)^6 ]

    H_ij = -[ (v'/r)(1 - u u^T) + v'' u u^T ],   H_ii = -sum_j H_ij,   u the unit vector from i to j

Without a cutoff every pair counts and structures must be clusters. A crystal needs a cutoff r_c, where v ends as

    truncated       v(r)                                        energy, force and Hessian jump
    shifted         v(r) - v(r_c)                               force and Hessian jump
    force-shifted   v(r) - v(r_c) - (r - r_c) v'(r_c)           the Hessian jumps, by v''(r_c)
    switched        v(r) S((r - r_s)/(r_c - r_s)) beyond r_s    nothing jumps: S(x) = 1 - 10 x³ + 15 x⁴ - 6 x⁵

Where the Hessian jumps, so do entropies when a neighbour crosses r_c: use "switched", the default, for them.
Source: J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924).
"""

from __future__ import annotations

from functools import cached_property
from math import sqrt

import numpy as np
import scipy.sparse
from ase import Atoms
from ase.data import atomic_numbers
from numba import njit

from ldml.errors import InputError, StructureError
from ldml.neighbours import neighbour_list
from ldml.potentials.base import Evaluator, ListedEvaluator, Potential
from ldml.potentials.crystal import equilibrium_lattice_constant

TRUNCATIONS = ("truncated", "shifted", "force-shifted", "switched")
FCC_LATTICE_CONSTANT = 1.542
"""Of the infinite crystal in units of σ: sqrt(2) (2 A12 / A6)^(1/6) with A12 = 12.13188, A6 = 14.45392."""
SKIN = 0.3
"""Å added to the cutoff when listing neighbours, so that the list outlives moves of half of it."""


class LennardJones(Potential):
    """Lennard-Jones atoms of one element.

    Parameters
    ----------
    epsilon : float, eV
        Depth of the well. With `epsilon` = `sigma` = 1 "eV" and "Å" read as reduced units.
    sigma : float, Å
        Distance where v crosses zero.
    cutoff : float, Å, optional
        Range; without it only clusters, all pairs.
    truncation : {"switched", "force-shifted", "shifted", "truncated"}
        How v ends at the cutoff; see the module.
    switch_from : float, Å, optional
        r_s of "switched"; nine tenths of the cutoff unless given.
    element : str
        "X" is an atom of mass 1.

    Raises
    ------
    InputError
        For parameters that are not positive or do not fit each other.
    """

    name = "LJ"
    needs_crystal = False
    citation = "J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924)"

    def __init__(
        self,
        epsilon: float = 1.0,
        sigma: float = 1.0,
        *,
        cutoff: float | None = None,
        truncation: str = "switched",
        switch_from: float | None = None,
        element: str = "X",
    ):
        _check_parameters(epsilon, sigma, cutoff, truncation, switch_from, element)
        self.epsilon, self.sigma, self.element = float(epsilon), float(sigma), element
        self.elements = frozenset({element})
        self.stiffness = 1000.0 * self.epsilon / self.sigma**2  # a dozen bonds at 57 to 100 epsilon/sigma^2
        self.truncation = "none" if cutoff is None else truncation
        self.cutoff = self.hessian_range = np.inf if cutoff is None else float(cutoff)
        self.switch_from = 0.9 * self.cutoff if switch_from is None else float(switch_from)
        self.lattice = None if cutoff is None else "fcc"
        self.name = self._name()
        self._constants = self._ending()

    def _name(self):
        if (self.epsilon, self.sigma, self.element, self.truncation) == (1.0, 1.0, "X", "none"):
            return LennardJones.name
        ending = "" if self.truncation == "none" else f", {self.truncation} at {self.cutoff:g} Å"
        return f"LJ({self.element}, {self.epsilon:g} eV, {self.sigma:g} Å{ending})"

    @cached_property
    def lattice_constant(self) -> float | None:
        """Of the fcc crystal at zero pressure, Å; None without a cutoff."""
        if self.lattice is None:
            return None
        return equilibrium_lattice_constant(self, self.element, "fcc", FCC_LATTICE_CONSTANT * self.sigma)

    def pair_function(self, r) -> np.ndarray:
        """v, v' and v'' at distances r (M,), Å; shape (M, 3)."""
        return _pair_table(np.ascontiguousarray(r, dtype=np.float64), self._constants)

    def evaluator(self, atoms: Atoms) -> Evaluator:
        self.check(atoms)
        # all pairs are listed without a cutoff, and stay so
        return _LennardJonesEvaluator(self, atoms, SKIN if np.isfinite(self.cutoff) else np.inf)

    def hessian(self, atoms: Atoms) -> scipy.sparse.bsr_array:
        self.check(atoms)
        offsets, indices, shifts = self.pairs(atoms.positions, atoms.cell.array, atoms.pbc, 0.0)
        first = np.repeat(np.arange(len(atoms)), np.diff(offsets))
        stiffness = _stiffness(atoms.positions, first, indices, shifts, self._constants)
        return _assemble(len(atoms), first, indices, stiffness)

    def parameters(self):
        parameters = {"epsilon": self.epsilon, "sigma": self.sigma, "element": self.element}
        if self.truncation != "none":
            parameters |= {"truncation": self.truncation, "cutoff": self.cutoff}
        if self.truncation == "switched":
            parameters["switch_from"] = self.switch_from
        return parameters

    def check(self, atoms: Atoms, *, name: str = "") -> None:
        if self.truncation == "none" and atoms.pbc.any():
            raise StructureError(
                f"{f'structure {name!r}' if name else 'the structure'} is periodic, but {self.name} reaches without limit "
                f"and is for clusters; give LennardJones a cutoff, or the structure pbc = F F F"
            )
        super().check(atoms, name=name)

    def pairs(self, positions, cell, pbc, skin):
        """Each pair once: offsets (N + 1,), indices (M,), shifts (M, 3) as in `ldml.neighbours.NeighbourList`."""
        if self.truncation == "none":
            n = len(positions)
            offsets = np.concatenate([[0], np.cumsum(np.arange(n - 1, -1, -1))])
            return offsets, np.triu_indices(n, 1)[1].astype(np.int32), np.zeros((offsets[-1], 3))
        listed = neighbour_list(positions, cell, pbc, self.cutoff + skin, half=True)
        return listed.offsets, listed.indices, listed.shifts

    def _ending(self):
        """Constants the kernels need: ε, σ, r_c, r_s, and the v(r_c) and v'(r_c) that are taken off."""
        endless = (self.epsilon, self.sigma, np.inf, np.inf, 0.0, 0.0)
        if self.truncation == "none":
            return endless
        value, slope, _ = (float(x) for x in _pair_table(np.array([self.cutoff]), endless)[0])
        switch_from = self.switch_from if self.truncation == "switched" else np.inf
        value = value if self.truncation in ("shifted", "force-shifted") else 0.0
        slope = slope if self.truncation == "force-shifted" else 0.0
        return (self.epsilon, self.sigma, self.cutoff, switch_from, value, slope)


class _LennardJonesEvaluator(ListedEvaluator):
    def _list_neighbours(self, positions):
        self.pairs = self.potential.pairs(positions, self.cell, self.pbc, SKIN)

    def energy_and_forces(self, positions):
        self._renew_list(positions)
        return _energy_and_forces(np.ascontiguousarray(positions), *self.pairs, self.potential._constants)


def _check_parameters(epsilon, sigma, cutoff, truncation, switch_from, element):
    for name, value, unit in (("epsilon", epsilon, "eV"), ("sigma", sigma, "Å")):
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} = {value} {unit} must be positive and finite")
    if truncation not in TRUNCATIONS:
        raise InputError(f"truncation {truncation!r} is unknown; choose one of {', '.join(TRUNCATIONS)}")
    if element not in atomic_numbers:
        raise InputError(f"element {element!r} is unknown; give a chemical symbol, or 'X' for an atom of mass 1")
    if cutoff is None:
        if switch_from is not None:
            raise InputError("switch_from needs a cutoff")
        return
    if not (np.isfinite(cutoff) and cutoff > sigma):
        raise InputError(f"cutoff = {cutoff} Å must be finite and larger than sigma = {sigma} Å; 2.5 sigma is usual")
    if switch_from is not None and not (truncation == "switched" and 0 < switch_from < cutoff):
        raise InputError(
            f"switch_from = {switch_from} Å must lie between 0 and the cutoff {cutoff} Å, with truncation 'switched'"
        )


@njit(cache=True, inline="always")
def _pair(r, constants):
    """v, v' and v'' with its ending."""
    epsilon, sigma, cutoff, switch_from, value, slope = constants
    if r >= cutoff:
        return 0.0, 0.0, 0.0
    attraction = (sigma / r) ** 6
    repulsion = attraction * attraction
    v = 4.0 * epsilon * (repulsion - attraction) - value
    if slope != 0.0:
        v -= slope * (r - cutoff)
    dv = 4.0 * epsilon * (-12.0 * repulsion + 6.0 * attraction) / r - slope
    d2v = 4.0 * epsilon * (156.0 * repulsion - 42.0 * attraction) / (r * r)
    if r <= switch_from:
        return v, dv, d2v
    width = cutoff - switch_from
    x = (r - switch_from) / width
    s = 1.0 + x * x * x * (-10.0 + x * (15.0 - 6.0 * x))
    ds = x * x * (-30.0 + x * (60.0 - 30.0 * x)) / width
    d2s = x * (-60.0 + x * (180.0 - 120.0 * x)) / (width * width)
    return v * s, dv * s + v * ds, d2v * s + 2.0 * dv * ds + v * d2s


@njit(cache=True)
def _pair_table(r, constants):
    table = np.empty((r.shape[0], 3))
    for k in range(r.shape[0]):
        table[k, 0], table[k, 1], table[k, 2] = _pair(r[k], constants)
    return table


@njit(cache=True)
def _energy_and_forces(positions, offsets, indices, shifts, constants):
    forces = np.zeros(positions.shape)
    energy = 0.0
    bond = np.empty(3)
    for i in range(positions.shape[0]):
        for k in range(offsets[i], offsets[i + 1]):
            j = indices[k]
            squared = 0.0
            for a in range(3):
                bond[a] = positions[j, a] + shifts[k, a] - positions[i, a]
                squared += bond[a] * bond[a]
            r = sqrt(squared)
            v, dv, _ = _pair(r, constants)
            energy += v
            for a in range(3):
                pull = dv / r * bond[a]
                forces[i, a] += pull
                forces[j, a] -= pull
    return energy, forces


@njit(cache=True)
def _stiffness(positions, first, indices, shifts, constants):
    """(v'/r)(1 - u u^T) + v'' u u^T of every pair, (M, 3, 3)."""
    blocks = np.empty((indices.shape[0], 3, 3))
    bond = np.empty(3)
    for k in range(indices.shape[0]):
        squared = 0.0
        for a in range(3):
            bond[a] = positions[indices[k], a] + shifts[k, a] - positions[first[k], a]
            squared += bond[a] * bond[a]
        r = sqrt(squared)
        _, dv, along = _pair(r, constants)
        across = dv / r
        for a in range(3):
            for b in range(3):
                blocks[k, a, b] = (along - across) * bond[a] * bond[b] / squared
            blocks[k, a, a] += across
    return blocks


def _assemble(n_atoms, first, second, stiffness):
    """Sparse Hessian of springs between pairs; images of one atom pull on it from both sides and drop out."""
    kept = first != second
    first, second, stiffness = first[kept].astype(np.int64), second[kept].astype(np.int64), stiffness[kept]
    atoms = np.arange(n_atoms)
    rows = np.concatenate([first, second, first, second, atoms])
    columns = np.concatenate([second, first, first, second, atoms])
    blocks = np.concatenate([-stiffness, -stiffness, stiffness, stiffness, np.zeros((n_atoms, 3, 3))])
    order = np.argsort(rows * n_atoms + columns, kind="stable")
    keys = (rows * n_atoms + columns)[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    summed = np.add.reduceat(blocks[order], starts, axis=0)
    unique = keys[starts]
    row_start = np.searchsorted(unique // n_atoms, np.arange(n_atoms + 1))
    size = 3 * n_atoms
    return scipy.sparse.bsr_array((summed, unique % n_atoms, row_start), shape=(size, size))
