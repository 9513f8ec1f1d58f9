"""Any ASE calculator as a potential: classical, machine-learned or quantum-mechanical.

    emt = AseCalculator(EMT, elements=["Cu"], hessian_range=10.6, name="EMT")

A calculator gives energies and forces; the Hessian is made of their differences (`ldml.potentials.differences`). Forces
have to be gradients of one energy: where a calculator tells the energy that belongs to its forces from another one (the
free energy of smeared electrons), that one is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.data import atomic_numbers

from ldml.errors import Cancelled, InputError
from ldml.potentials.base import Evaluator
from ldml.potentials.differences import DifferencePotential


class AseCalculator(DifferencePotential):
    """An ASE calculator behind the protocol of potentials.

    Parameters
    ----------
    calculator : callable or ase Calculator
        Something that makes a new calculator when called without arguments, such as its class or a function in a module;
        each evaluator then has its own, and the potential can be pickled for worker processes. Or one calculator, which
        all evaluators share.
    elements : iterable of str
        Elements it knows.
    hessian_range : float or None, Å
        Largest distance between two atoms coupled by the Hessian: the cutoff of a pair potential, twice the cutoff where
        the energy of an atom depends on its neighbours, twice the cutoff times the layers for message passing. None:
        unknown or unlimited; each atom is then displaced by itself.
    name : str
        Names the potential in messages and results.
    cutoff : float, Å, optional
        Range of the energy of an atom; half of `hessian_range` unless given.
    parameters : dict, optional
        What defines the potential beside its name, as plain JSON types: the hash of a file of weights, the functional
        and plane-wave cutoff. By default what the calculator tells of itself, which does not include trained weights.
    needs_crystal : bool
        False admits clusters, wires and slabs.
    lattice, lattice_constant : str and float (Å), optional
        Ground-state crystal, where it is known.
    citation, identifier : str
        The publication; the OpenKIM id.
    """

    def __init__(
        self,
        calculator: Callable | object,
        *,
        elements: Iterable[str],
        hessian_range: float | None,
        name: str,
        cutoff: float | None = None,
        parameters: dict | None = None,
        needs_crystal: bool = True,
        lattice: str | None = None,
        lattice_constant: float | None = None,
        citation: str = "see the calculator's own documentation",
        identifier: str = "",
    ):
        self.elements = frozenset([elements] if isinstance(elements, str) else elements)
        unknown = sorted(str(element) for element in self.elements if element not in atomic_numbers)
        if unknown or not self.elements:
            raise InputError(f"elements of {name} must be chemical symbols such as 'Fe'; got {unknown or 'none'}")
        self.hessian_range = np.inf if hessian_range is None else float(hessian_range)
        if not self.hessian_range > 0.0:
            raise InputError(
                f"hessian_range = {hessian_range} Å of {name} must be positive, or None where it is unknown"
            )
        self.name = name
        self.cutoff = float(cutoff) if cutoff is not None else 0.5 * self.hessian_range
        self.needs_crystal = needs_crystal
        self.lattice, self.lattice_constant = lattice, lattice_constant
        self.citation, self.identifier = citation, identifier
        self._is_shared = hasattr(calculator, "get_potential_energy") and not isinstance(calculator, type)
        if not self._is_shared and not callable(calculator):
            raise InputError(
                f"{name} needs an ASE calculator or something that makes one; got {type(calculator).__name__}"
            )
        self._source = calculator
        self._parameters = parameters

    def evaluator(self, atoms: Atoms) -> Evaluator:
        self.check(atoms)
        return _CalculatorEvaluator(self.name, self.new_calculator(), atoms)

    def new_calculator(self):
        """A new calculator, or the shared one.

        Raises
        ------
        InputError
            If it cannot be made, in the words of whoever fails to.
        """
        if self._is_shared:
            return self._source
        try:
            return self._source()
        except Cancelled:
            raise
        except Exception as error:
            raise InputError(f"the calculator of {self.name} could not be made: {_in_words(error)}") from error

    def parameters(self):
        if self._parameters is not None:
            return self._parameters
        calculator = self.new_calculator()
        kind = type(calculator)
        told = {"calculator": f"{kind.__module__}.{kind.__qualname__}"}
        told["settings"] = json.loads(json.dumps(dict(getattr(calculator, "parameters", {})), default=_as_plain))
        return told


class _CalculatorEvaluator(Evaluator):
    def __init__(self, name, calculator, atoms):
        self.name = name
        self.atoms = atoms.copy()
        # constraints would hide forces
        self.atoms.set_constraint()
        self.atoms.calc = calculator

    def energy_and_forces(self, positions):
        self.atoms.positions = positions
        try:
            forces = np.array(self.atoms.get_forces(), dtype=np.float64)
            energy = float(self._energy_of_the_forces())
        except (Cancelled, MemoryError):
            raise
        except Exception as error:
            raise InputError(f"{self.name} failed on {self._structure()}: {_in_words(error)}") from error
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise InputError(
                f"{self.name} gives an energy of {energy} eV or forces that are not finite on {self._structure()}; is it "
                f"outside of what the potential was made for?"
            )
        return energy, forces

    def _energy_of_the_forces(self):
        try:
            return self.atoms.get_potential_energy(force_consistent=True)
        except PropertyNotImplementedError:
            return self.atoms.get_potential_energy()

    def _structure(self):
        named = self.atoms.info.get("name", self.atoms.info.get("id"))
        formula = self.atoms.get_chemical_formula()
        return f"structure {named!r} ({formula})" if named is not None else formula


def _in_words(error):
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _as_plain(value):
    return value.tolist() if hasattr(value, "tolist") else repr(value)
