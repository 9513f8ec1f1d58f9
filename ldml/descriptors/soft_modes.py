"""Soft and stiff modes: a few eigenvalues of the Hessian against that of the crystal, as features of the linear model.

    F_s = 1/2 sum_k max(0, ln(s / mu_k))    for levels s < 1,        F_s = 1/2 sum_k max(0, ln(mu_k / s))    for levels s > 1

mu_k are the relative stiffnesses of the modes of a defect (see `ldml.entropy.relative_modes`), 1 for each mode of the perfect
crystal whatever its cell. A formation entropy is -1/2 sum_k ln mu_k and a constant: F_s is the part in it of the modes softer,
or stiffer, than s, which no function of short-ranged geometry knows well, since a mode is a property of the whole defect. The
share of an atom in F_s is that of its squared displacement in each mode.

These are features of a minimum of one potential in the cell of a crystal: the structure must be relaxed, and the numbers are not
those of a smooth function of any positions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms

from ldml.descriptors.base import Descriptor
from ldml.descriptors.parameters import Choice, Numbers
from ldml.entropy.lattice_green import LatticeGreen
from ldml.entropy.relative_modes import RelativeModes, relative_modes
from ldml.errors import InputError
from ldml.potentials import POTENTIALS, get_potential
from ldml.structures import GREATEST_STRAIN, supercell

CRYSTALLINE = tuple(name for name, potential in POTENTIALS.items() if potential.lattice is not None)
"""Potentials that say what their crystal is."""
LEVELS = (0.01, 100.0)
"""Range of levels: softer than the first is no minimum to numerical accuracy, stiffer than the second no crystal."""


class SoftModes(Descriptor):
    """Soft and stiff modes of a relaxed defect, from a few eigenvalues of its Hessian."""

    name = "SoftModes"
    version = 1
    letter = "F"
    is_local = False
    needs_minimum = True
    invariance = 2e-2
    declared_parameters = (
        Choice(
            name="potential",
            symbol="U",
            default="Fe-EtesamiAsadi2018",
            choices=CRYSTALLINE,
            doc="The potential that the structures are minima of.",
        ),
        Numbers(
            name="levels",
            symbol="s",
            default=(0.1, 0.2, 0.3, 0.4, 0.5),
            bounds=LEVELS,
            doc="Stiffnesses relative to the crystal: each makes a feature of the modes softer, or stiffer if it is above 1.",
        ),
    )

    @property
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """The level of each feature."""
        return tuple({"s": level} for level in self.levels)

    def _compute(self, atoms: Atoms) -> np.ndarray:
        modes = self.modes(atoms)
        return modes.shares @ self._excess(modes.values).T

    def _total(self, atoms: Atoms) -> np.ndarray:
        return self._excess(self.modes(atoms).values).sum(axis=1)

    def modes(self, atoms: Atoms) -> RelativeModes:
        """The modes behind the features, of a relaxed structure."""
        below = max((level for level in self.levels if level < 1.0), default=LEVELS[0])
        above = min((level for level in self.levels if level > 1.0), default=LEVELS[1])
        return relative_modes(atoms, _crystal_of(self.potential, atoms), below=below, above=above)

    def _excess(self, values):
        """1/2 |ln(mu / s)| of each mode beyond each level, (n_levels, n_modes)."""
        log = 0.5 * np.log(values / np.array(self.levels)[:, None])
        side = np.where(np.array(self.levels) < 1.0, -1.0, 1.0)
        return np.maximum(0.0, side[:, None] * log)


def _crystal_of(potential: str, atoms: Atoms) -> LatticeGreen:
    """The perfect crystal in the cell of `atoms`, strained with it.

    Raises
    ------
    InputError
        If the cell is no supercell of that crystal.
    """
    constant = get_potential(potential).lattice_constant
    lengths = atoms.cell.lengths()
    repeats = np.rint(lengths / constant).astype(int)
    strains = np.abs(lengths / np.maximum(repeats * constant, constant) - 1.0)
    if not atoms.pbc.all() or (repeats < 1).any() or strains.max() > GREATEST_STRAIN:
        raise InputError(
            f"soft modes are those of defects in a periodic supercell of the crystal of {potential}; a cell of "
            f"{', '.join(f'{length:.4g}' for length in lengths)} Å with periodicity {atoms.pbc.tolist()} is none"
        )
    unit_cell = (atoms.cell.array / repeats[:, None]).round(9)
    return _lattice(potential, tuple(repeats.tolist()), tuple(map(tuple, unit_cell.tolist())))


@lru_cache(maxsize=16)
def _lattice(potential, repeats, cell):
    chosen = get_potential(potential)
    (element,) = chosen.elements
    unit_cell = supercell(element, chosen.lattice_constant, 1, lattice=chosen.lattice)
    unit_cell.set_cell(np.array(cell), scale_atoms=True)
    return LatticeGreen(unit_cell, repeats, chosen)
