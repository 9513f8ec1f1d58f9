"""What every potential promises: energy, forces and Hessian of a structure, and where it comes from."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from ldml.progress import Progress
from ldml.structures import check_structure


class Evaluator(ABC):
    """Energy and forces of one structure again and again, as relaxation and dynamics need them."""

    @abstractmethod
    def energy_and_forces(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Å) at `positions` (N, 3) (Å)."""


class ListedEvaluator(Evaluator):
    """Evaluator over a list of neighbours that reaches `skin` (Å) beyond the cutoff and so outlives moves of half of it."""

    def __init__(self, potential: Potential, atoms: Atoms, skin: float):
        self.potential = potential
        self.cell, self.pbc = atoms.cell.array.copy(), atoms.pbc.copy()
        self._half_skin = 0.5 * skin
        self._list_anew(atoms.positions)

    @abstractmethod
    def _list_neighbours(self, positions: np.ndarray) -> None:
        """Search the neighbours at `positions` (N, 3)."""

    def _list_anew(self, positions):
        self._listed_at = positions.copy()
        self._list_neighbours(positions)

    def _renew_list(self, positions):
        """List anew if an atom has moved too far."""
        moved = np.sum((positions - self._listed_at) ** 2, axis=1).max(initial=0.0)
        if moved > self._half_skin**2:
            self._list_anew(positions)


class Potential(ABC):
    """An interatomic potential.

    Attributes
    ----------
    name : str
        Name in the registry.
    elements : frozenset of str
        Elements it knows.
    cutoff : float, Å
        Range of the energy of an atom.
    hessian_range : float, Å
        Largest distance between two atoms coupled by the Hessian.
    lattice, lattice_constant : str, float, or None
        Ground-state crystal and its lattice constant at zero pressure, Å; None where the potential knows of none.
    citation, identifier : str
        The publication; the OpenKIM id where there is one.
    needs_crystal : bool
        Whether structures that are not periodic in three directions are refused: a file that lost its cell must not
        pass for a cluster.
    analytic_hessian : bool
        Whether `hessian` is exact; otherwise it is made of differences of forces.
    stiffness : float, eV/Å²
        Typical curvature, from which minimisers choose their first step.
    """

    name: str
    elements: frozenset[str]
    cutoff: float
    hessian_range: float
    lattice: str | None = None
    lattice_constant: float | None = None
    citation: str
    identifier: str = ""
    needs_crystal: bool = True
    analytic_hessian: bool = True
    stiffness: float = 70.0

    @abstractmethod
    def evaluator(self, atoms: Atoms) -> Evaluator:
        """Prepare repeated evaluations for the cell and the species of `atoms`."""

    @abstractmethod
    def hessian(self, atoms: Atoms) -> scipy.sparse.bsr_array:
        """Second derivatives of the energy of the periodic cell, (3N, 3N) symmetric, eV/Å²; row 3 i + α."""

    def watched_hessian(self, atoms: Atoms, progress: Progress) -> scipy.sparse.bsr_array:
        """`hessian`, reporting progress where it takes many force calls."""
        return self.hessian(atoms)

    def hessian_operator(self, atoms: Atoms) -> scipy.sparse.linalg.LinearOperator:
        """The Hessian as something that multiplies (3N,) and (3N, k), for structures too large to store it."""
        return scipy.sparse.linalg.aslinearoperator(self.hessian(atoms))

    def hessian_row_blocks(self, atoms: Atoms) -> Iterator[tuple[int, scipy.sparse.bsr_array]]:
        """The Hessian in stacks of rows: pairs (first atom, (3 n, 3N) array), for structures too large to store it."""
        yield 0, self.hessian(atoms)

    @abstractmethod
    def parameters(self) -> dict:
        """Every number that defines the potential, as plain JSON types."""

    @property
    def fingerprint(self) -> str:
        """Hash of name and parameters: equal only for potentials that give the same energies."""
        text = json.dumps([self.name, self.parameters()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def energy(self, atoms: Atoms) -> float:
        """Potential energy, eV."""
        return self.energy_and_forces(atoms)[0]

    def forces(self, atoms: Atoms) -> np.ndarray:
        """Forces (N, 3), eV/Å."""
        return self.energy_and_forces(atoms)[1]

    def energy_and_forces(self, atoms: Atoms) -> tuple[float, np.ndarray]:
        """Energy (eV) and forces (N, 3) (eV/Å)."""
        return self.evaluator(atoms).energy_and_forces(atoms.positions)

    def check(self, atoms: Atoms, *, name: str = "") -> None:
        """Raise `StructureError` unless the potential can be evaluated on `atoms`."""
        check_structure(atoms, elements=self.elements, periodic=self.needs_crystal, name=name)

    def calculator(self) -> Calculator:
        """The same potential as an ASE calculator."""
        return PotentialCalculator(self)

    def __repr__(self):
        return f"<potential {self.name}>"


class PotentialCalculator(Calculator):
    """ASE calculator around a potential; neighbours are searched anew only when atoms have moved far enough."""

    implemented_properties = ("energy", "forces")

    def __init__(self, potential: Potential):
        super().__init__()
        self.potential = potential
        self._evaluator = None

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self._evaluator is None or set(system_changes) - {"positions"}:
            self._evaluator = self.potential.evaluator(self.atoms)
        energy, forces = self._evaluator.energy_and_forces(self.atoms.positions)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
