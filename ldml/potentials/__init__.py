"""Interatomic potentials behind one protocol; `get_potential` finds them by name."""

from ase import Atoms

from ldml.errors import InputError
from ldml.potentials.base import Evaluator, Potential
from ldml.potentials.eam import AcklandMendelev2004
from ldml.potentials.eam_tables import CoarseTableWarning, EamTable
from ldml.potentials.lennard_jones import LennardJones
from ldml.potentials.meam import EtesamiAsadi2018, Meam
from ldml.registry import Registry
from ldml.structures import supercell

POTENTIALS = Registry(
    "potential",
    {
        AcklandMendelev2004.name: AcklandMendelev2004,
        EtesamiAsadi2018.name: EtesamiAsadi2018,
        LennardJones.name: LennardJones,
    },
)

__all__ = [
    "POTENTIALS",
    "AcklandMendelev2004",
    "CoarseTableWarning",
    "EamTable",
    "EtesamiAsadi2018",
    "Evaluator",
    "LennardJones",
    "Meam",
    "Potential",
    "get_potential",
    "perfect_crystal",
]


def get_potential(potential: str | Potential) -> Potential:
    """The potential of this name; a potential object is handed through.

    Raises
    ------
    InputError
        For an unknown name; the message suggests the nearest.
    """
    return potential if isinstance(potential, Potential) else POTENTIALS[potential]()


def perfect_crystal(potential: str | Potential, repeats: int) -> Atoms:
    """The ground-state crystal of a potential of one element: `repeats`³ conventional cells at zero pressure.

    Raises
    ------
    InputError
        If the potential does not say what its ground state is.
    """
    potential = get_potential(potential)
    if potential.lattice_constant is None or len(potential.elements) != 1:
        raise InputError(
            f"the ground-state crystal of {potential.name} is not known; build it with ldml.structures.supercell "
            f"from an element, a lattice and a lattice constant"
        )
    (element,) = potential.elements
    return supercell(element, potential.lattice_constant, repeats, lattice=potential.lattice)
