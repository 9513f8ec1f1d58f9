"""The units of a dataset as they are written beside its numbers; no Panel in here.

Iron has eV and Å; clusters of Lennard-Jones atoms have ε and σ. Entropies are multiples of k_B in both.
"""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms

from ldml.dataset import UNITS, Dataset

_SYMBOLS = {"angstrom": "Å", "angstrom^2": "Å²", "epsilon": "ε", "sigma": "σ"}


@dataclass(frozen=True)
class Units:
    """How the units of length, energy, force and entropy are written."""

    length: str
    energy: str
    entropy: str

    @property
    def force(self) -> str:
        return f"{self.energy}/{self.length}"


METAL = Units("Å", "eV", "k_B")


def units_of(data: Dataset | None) -> Units:
    """The units a dataset says it has; those of metals where it says nothing."""
    said = {**UNITS, **({} if data is None else data.metadata.get("units", {}))}
    return Units(*(symbol(str(said[kind])) for kind in ("length", "energy", "entropy")))


def quantity_unit(data: Dataset, name: str) -> str:
    """Unit of a further number of the structures; empty for a plain number and where the dataset tells none.

    Remarks of several words, such as "1 where the start is the minimum that was left", are no unit.
    """
    unit = str(data.metadata.get("quantities", {}).get(name, ""))
    return "" if unit == "1" or " " in unit else symbol(unit)


def symbol(unit: str) -> str:
    """A unit as it is written: "eV/angstrom^2" is eV/Å²."""
    return "/".join(_SYMBOLS.get(part, part) for part in unit.split("/"))


def plain_name(quantity: str) -> str:
    """Name of a quantity in words: "lowest_eigenvalue" is the lowest eigenvalue."""
    return quantity.replace("_", " ")


def crystal_name(bulk: Atoms, length: str) -> str:
    """A perfect crystal by its atoms and the edges of its cell in units of `length`; a cluster by its atoms."""
    content = f"{len(bulk):,} {bulk.get_chemical_formula(empirical=True)} atoms"
    if not bulk.pbc.any():
        return f"{content}, free"
    edges = [f"{edge:.3f}" for edge in bulk.cell.lengths()]
    if len(set(edges)) == 1:
        return f"{content}, ({edges[0]} {length})³"
    return f"{content}, {' × '.join(edges)} {length}"
