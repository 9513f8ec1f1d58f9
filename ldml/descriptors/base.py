"""What every descriptor is: D_i, a row of numbers for the environment of each atom, and their sum N<D> over the atoms.

The linear model needs only the sums (paper, Eqs. 13-15); the rows colour the atoms. A descriptor must not change under
rotation, translation, permutation or wrapping, must add up over supercells and must be smooth where an atom crosses the
cutoff: ``tests/conformance`` holds every registered one to that.

To add one, write a file with a subclass of `Descriptor` and enter it in the registry of `ldml.descriptors`. Descriptors of
minima (`needs_minimum`) are functions of a structure with its potential, and keep the symmetries only.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ldml.descriptors.parameters import Number, Parameter, Species
from ldml.errors import InputError, StructureError
from ldml.neighbours import cell_grid, cell_heights, neighbour_list

COINCIDENCE = 1e-3
"""Two atoms closer than this (Å) are one atom written twice."""

CUTOFF = Number(
    name="cutoff",
    symbol="r_cut",
    default=5.0,
    bounds=(0.0, 12.0),
    low_included=False,
    unit="Å",
    doc="Neighbours beyond this distance are not seen.",
)
"""The radius of local descriptors; `check_cutoff_fits` is for them."""

SPECIES = Species(
    name="species",
    symbol="s",
    joined_later=True,
    doc="Elements that get features of their own; empty treats all atoms alike.",
)
"""The elements told apart, see `species_of`."""


class Descriptor(ABC):
    """Base of all descriptors: parameters, identity, checks of the input.

    A subclass names itself, gives a `version` (raised whenever the numbers it returns change), declares its parameters
    and implements `feature_indices`, `_compute` and `_total`. Each declared parameter becomes a keyword of the
    constructor and a read-only attribute.

    Attributes
    ----------
    name : str
        Key of the registry.
    version : int
    declared_parameters : tuple of Parameter
    letter : str
        Letter of the features in the formulas.
    is_local : bool
        Whether the row of an atom knows only its neighbourhood. The rows of a descriptor that is not local are shares of a
        quantity of the whole structure, good for colouring.
    needs_minimum : bool
        Whether the structure must be a minimum of a potential, since the numbers are those of its vibrations.
    invariance : float
        How well the numbers keep under rotation, translation and permutation, relative to the largest: rounding, or the error
        of a grid.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    declared_parameters: ClassVar[tuple[Parameter, ...]]
    letter: ClassVar[str]
    is_local: ClassVar[bool] = True
    needs_minimum: ClassVar[bool] = False
    invariance: ClassVar[float] = 1e-11

    def __init_subclass__(cls, **keywords):
        super().__init_subclass__(**keywords)
        for parameter in cls.declared_parameters:
            setattr(cls, parameter.name, _read_only(parameter))
        cls.__signature__ = inspect.Signature(
            [
                inspect.Parameter(p.name, inspect.Parameter.KEYWORD_ONLY, default=p.default, annotation=type(p.default))
                for p in cls.declared_parameters
            ]
        )

    def __init__(self, **parameters):
        declared = {parameter.name: parameter for parameter in self.declared_parameters}
        unknown = [name for name in parameters if name not in declared]
        if unknown:
            raise InputError(f"{self.name} has no parameter {unknown[0]!r}; it has {', '.join(declared)}")
        self._parameters = {name: p.checked(parameters.get(name, p.default)) for name, p in declared.items()}

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the declared parameters, in their order."""
        return dict(self._parameters)

    @property
    @abstractmethod
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """What each feature's indices are, in the order of the columns: ``{"n": 1, "l": 0}``, ...; the same keys in each."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature, in the order of the columns: ``"A[n=1,l=0]"``, ..."""
        return tuple(
            f"{self.letter}[{','.join(f'{key}={value}' for key, value in indices.items())}]"
            for indices in self.feature_indices
        )

    @property
    def trivial_features(self) -> np.ndarray:
        """(n_features,) mask of the features that only count atoms, so that a model learns nothing from them."""
        return np.zeros(self.n_features, dtype=bool)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.feature_indices)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of name, version and parameters: equal fingerprints mean equal numbers."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Name, version and parameters as plain JSON types; `descriptor_from_dict` reads it back."""
        recorded = {
            p.name: _json_value(self._parameters[p.name])
            for p in self.declared_parameters
            if not (p.joined_later and self._parameters[p.name] == p.default)
        }
        return {"name": self.name, "version": self.version, "parameters": recorded}

    def compute(self, atoms: Atoms) -> np.ndarray:
        """Descriptor of every atom.

        Parameters
        ----------
        atoms : ase.Atoms
            Left untouched. Any cell: triclinic, smaller than the cutoff, periodic along some directions or none.

        Returns
        -------
        (N, n_features) float64 array
            Rows in the order of the atoms; the same bits for any number of threads.

        Raises
        ------
        StructureError
            If there are no atoms, a position is not finite, a periodic cell is singular or two atoms coincide.
        """
        return self._compute(checked_structure(atoms))

    def total(self, atoms: Atoms) -> np.ndarray:
        """Sum of the descriptors of all atoms, N<D>, without holding them all at once.

        Returns
        -------
        (n_features,) float64 array
            The same bits for any number of threads.

        Raises
        ------
        StructureError
            As `compute`.
        """
        return self._total(checked_structure(atoms))

    @abstractmethod
    def _compute(self, atoms: Atoms) -> np.ndarray: ...

    @abstractmethod
    def _total(self, atoms: Atoms) -> np.ndarray: ...

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descriptor) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._parameters.items())})"


def _json_value(value):
    return list(value) if isinstance(value, tuple) else value


def _read_only(parameter: Parameter) -> property:
    return property(lambda self: self._parameters[parameter.name], doc=parameter.doc)


def checked_structure(atoms: Atoms) -> Atoms:
    """`atoms` itself, if it holds atoms at finite positions.

    Raises
    ------
    InputError, StructureError
    """
    if not isinstance(atoms, Atoms):
        raise InputError(f"a structure must be an ase.Atoms, not {type(atoms).__name__}; read files with ase.io.read")
    if len(atoms) == 0:
        raise StructureError("the structure holds no atoms; there is nothing to describe")
    finite = np.isfinite(atoms.positions).all(axis=1)
    if not finite.all():
        bad = int(np.argmin(finite))
        raise StructureError(f"atom {bad} has a position that is not finite: {atoms.positions[bad]}; repair the file")
    return atoms


def species_of(atoms: Atoms, species: tuple[str, ...]) -> np.ndarray:
    """Place of each atom's symbol in `species`, (N,) int64; zeros if `species` is empty: all elements are one.

    Raises
    ------
    StructureError
        If an atom is of none of them.
    """
    if not species:
        return np.zeros(len(atoms), dtype=np.int64)
    places = {atomic_numbers[symbol]: place for place, symbol in enumerate(species)}
    unknown = [i for i, number in enumerate(atoms.numbers) if number not in places]
    if unknown:
        raise StructureError(
            f"atom {unknown[0]} is {atoms.symbols[unknown[0]]}, but the descriptor was made for species = {','.join(species)}; "
            "add the symbol to species, or leave species empty to treat all elements alike"
        )
    return np.array([places[number] for number in atoms.numbers], dtype=np.int64)


def coincidence_error(atoms: Atoms) -> StructureError:
    """The error that names the closest pair of a structure in which two atoms coincide."""
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, COINCIDENCE)
    closest = int(np.argmin(pairs.distances))
    i = int(np.searchsorted(pairs.offsets, closest, side="right")) - 1
    return StructureError(
        f"atoms {i} and {pairs.indices[closest]} coincide ({pairs.distances[closest]:.2g} Å apart); delete one of them"
    )


def check_cutoff_fits(cutoff: float, atoms: Atoms, name: str = "") -> None:
    """Make sure that no atom sees two images of the same neighbour.

    A defect in a periodic cell thinner than twice the cutoff would be described together with its own images.
    `Descriptor.compute` does not ask for this (a perfect crystal needs no large cell); fitting and prediction do.

    Parameters
    ----------
    cutoff : float, Å
    atoms : ase.Atoms
    name : str
        What to call the structure in the message.

    Raises
    ------
    InputError
        If `cutoff` exceeds half the smallest perpendicular height of the cell along its periodic directions.
    """
    atoms = checked_structure(atoms)
    if not atoms.pbc.any():
        return
    spanned = cell_grid(atoms.positions[:1], atoms.cell.array, atoms.pbc, cutoff).cell
    height = cell_heights(spanned)[atoms.pbc].min()
    largest = 0.5 * height * (1.0 + 1e-9)
    if cutoff > largest:
        which = f"{name!r}" if name else "the structure"
        raise InputError(
            f"cutoff {cutoff:g} Å is more than half the smallest cell height of {which} ({height:.4f} Å), so a defect "
            f"would see its own image; use a cutoff of at most {np.floor(largest * 1e4) / 1e4:.4f} Å or a larger cell"
        )
