"""MEAM potentials of one element behind the protocol of all potentials: any from files, and iron of Etesami and Asadi.

The energy is that of the package, E = sum_i [F(rhobar_i) + 1/2 sum_j S_ij phi(r_ij)]; here are neighbour lists for it, the
pieces of the Hessian put together, and the numbers of the published potential.

Source of Fe-EtesamiAsadi2018: S. A. Etesami and E. Asadi, J. Phys. Chem. Solids 112, 61 (2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from math import sqrt
from pathlib import Path

import numpy as np
import scipy.sparse
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from ldml.errors import InputError
from ldml.neighbours import NeighbourList, neighbour_list
from ldml.potentials.base import Evaluator, ListedEvaluator, Potential
from ldml.potentials.crystal import equilibrium_lattice_constant
from ldml.potentials.meam.constants import kernel_constants
from ldml.potentials.meam.coupling import coupled_atoms, involved_atoms, transposed
from ldml.potentials.meam.energy import energy_and_forces, site_energies
from ldml.potentials.meam.files import REFERENCE_LATTICES, MeamParameters, read_meam_files
from ldml.potentials.meam.hessian import add_site_hessians
from ldml.potentials.meam.pair_potential import pair_functions, pair_table
from ldml.potentials.meam.screening import order_by_distance

CUBIC_LATTICES = {"bcc": "bcc", "fcc": "fcc", "sc": "sc", "dia": "diamond", "dia3": "diamond"}
SKIN = 0.6
"""Å added to the range when listing neighbours, so that the list outlives moves of half of it."""
ROWS_AT_A_TIME = 4096
"""Atoms whose rows of the Hessian are made together when it is asked for in stacks."""


class Meam(Potential):
    """2NN-MEAM potential of one element.

    Parameters
    ----------
    settings : MeamParameters
    name, citation : str
    identifier : str, optional
    """

    def __init__(self, settings: MeamParameters, *, name: str, citation: str, identifier: str = ""):
        self.settings = settings
        self.name = name
        self.citation = citation
        self.identifier = identifier
        self.elements = frozenset({_chemical_symbol(settings)})
        self.lattice = CUBIC_LATTICES.get(settings.lattice)
        self._constants = kernel_constants(settings)
        self._phi = pair_table(self._constants)
        self.cutoff = sqrt(self._constants.squared_range)
        # an atom that takes part in a site lies within its range, on whichever side
        self.hessian_range = 2.0 * self.cutoff

    @classmethod
    def from_files(
        cls,
        library: str | Path,
        parameters: str | Path | None,
        element: str,
        *,
        name: str | None = None,
        citation: str | None = None,
    ) -> Meam:
        """Read a potential in the format of LAMMPS: `pair_coeff * * library element parameters element`.

        Parameters
        ----------
        library, parameters : path
            The library of elements and the file of settings; None for the settings' defaults.
        element : str
            Name of the entry in the library, e.g. ``"Cu"`` or ``"CuS"``.
        name, citation : str, optional
            By default made of the files' names and of the citation in their first lines.

        Raises
        ------
        InputError
            If a file cannot be read or asks for something that is not supported; with file and line.
        """
        settings, found = read_meam_files(library, parameters, element)
        files = " + ".join(Path(path).name for path in (library, parameters) if path is not None)
        return cls(
            settings,
            name=name if name is not None else f"{files} ({element})",
            citation=citation if citation is not None else found,
        )

    @cached_property
    def lattice_constant(self) -> float | None:
        """Of the reference crystal at zero pressure, Å; None if it is not cubic."""
        if self.lattice is None:
            return None
        (element,) = self.elements
        guess = self.settings.neighbour_distance / REFERENCE_LATTICES[self.settings.lattice].first_distance
        return equilibrium_lattice_constant(self, element, self.lattice, guess)

    def evaluator(self, atoms: Atoms) -> Evaluator:
        self.check(atoms)
        return _MeamEvaluator(self, atoms, SKIN)

    def site_energies(self, atoms: Atoms) -> np.ndarray:
        """The energies of the atoms (N,), eV, which sum to the energy of the cell."""
        self.check(atoms)
        pairs = _pairs(self, atoms)
        return site_energies(*_arrays(atoms, pairs), _listed_once(pairs), self._constants, self._phi)

    def hessian(self, atoms: Atoms) -> scipy.sparse.bsr_array:
        self.check(atoms)
        return next(self._row_blocks(atoms, len(atoms)))[1]

    def hessian_row_blocks(self, atoms: Atoms) -> Iterator[tuple[int, scipy.sparse.bsr_array]]:
        self.check(atoms)
        yield from self._row_blocks(atoms, ROWS_AT_A_TIME)

    def parameters(self) -> dict:
        numbers = asdict(self.settings)
        return numbers | {name: list(numbers[name]) for name in ("beta", "t")}

    def pair_potential(self, r: np.ndarray) -> np.ndarray:
        """phi, phi', phi'' at distances r (M,), Å, without screening and the cutoff function; shape (M, 3).

        Raises
        ------
        InputError
            If a distance is not positive or is beyond the cutoff r_c, where phi is not needed and not known.
        """
        r = np.ascontiguousarray(r, dtype=np.float64)
        if not np.all((r > 0.0) & (r <= self.settings.cutoff)):
            raise InputError(
                f"distances from {r.min():.4g} to {r.max():.4g} Å asked for; phi is known from 0 to {self.settings.cutoff} Å"
            )
        return pair_functions(r, self._constants, self._phi)

    def _row_blocks(self, atoms, n_rows):
        """Pairs (first atom, rows of the Hessian), `n_rows` atoms at a time."""
        listed = _arrays(atoms, _pairs(self, atoms))
        n_atoms = len(atoms)
        involved = involved_atoms(*listed, self._constants)
        sites = transposed(*involved, n_atoms)
        for first in range(0, n_atoms, n_rows):
            last = min(first + n_rows, n_atoms)
            row_start, columns = coupled_atoms(*involved, *sites, first, last)
            blocks = np.zeros((len(columns), 3, 3))
            needed = np.unique(sites[1][sites[0][first] : sites[0][last]])
            add_site_hessians(*listed, self._constants, self._phi, needed, first, last, row_start, columns, blocks)
            _check_finite(self, blocks)
            shape = (3 * (last - first), 3 * n_atoms)
            yield first, scipy.sparse.bsr_array((blocks, columns, row_start), shape=shape)


class EtesamiAsadi2018(Meam):
    """Iron of Etesami and Asadi (2018), a 2NN-MEAM potential for temperatures up to melting.

    Its pair potential is evaluated exactly. The table of 1000 cubics by which LAMMPS replaces it errs by up to
    1.5e-4 eV/Å² in phi'', which moves the formation entropy of a vacancy in 1024 atoms from 4.365 to 4.360 k_B.
    """

    name = "Fe-EtesamiAsadi2018"
    elements = frozenset({"Fe"})
    lattice = "bcc"
    citation = "S. A. Etesami and E. Asadi, J. Phys. Chem. Solids 112, 61 (2018)"
    identifier = "SM_267016608755_000"
    lattice_constant = 2.851

    def __init__(self):
        settings = MeamParameters(
            element="Fe",
            lattice="bcc",
            atomic_number=26,
            alpha=5.13,
            beta=(4.01, 1.0, 1.0, 1.0),
            neighbour_distance=0.5 * sqrt(3.0) * 2.851,
            cohesive_energy=4.29,
            embedding=0.555,
            t=(2.77, 1.0, -10.81),
            density_scale=1.0,
            ibar=-5,
            cutoff=4.0,
            smoothing=0.25658351,
            c_min=0.533,
            c_max=2.8,
            second_neighbours=True,
            nuclear_repulsion=True,
            augmented_t1=False,
            linear_below_zero=True,
            alloy_rule=1,
        )
        super().__init__(settings, name=self.name, citation=self.citation, identifier=self.identifier)


class _MeamEvaluator(ListedEvaluator):
    def _list_neighbours(self, positions):
        self.pairs = _nearest_first(neighbour_list(positions, self.cell, self.pbc, self.potential.cutoff + SKIN))
        self.once = _listed_once(self.pairs)

    def energy_and_forces(self, positions):
        self._renew_list(positions)
        pairs = self.pairs
        energy, forces = energy_and_forces(
            np.ascontiguousarray(positions, dtype=np.float64), pairs.offsets, pairs.indices, pairs.shifts, self.once,
            self.potential._constants, self.potential._phi,
        )  # fmt: skip
        _check_finite(self.potential, forces)
        return energy, forces


def _check_finite(potential, derivatives):
    if not np.isfinite(derivatives).all():
        raise InputError(
            f"{potential.name} has no finite derivatives here: Gamma of an atom is at the branch point -1 of the shape "
            f"function, or atoms coincide; displace the atoms"
        )


def _pairs(potential, atoms):
    """Neighbours within the range of a site."""
    return neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, potential.cutoff)


def _arrays(atoms, pairs):
    """Positions and neighbours as the kernels take them."""
    return np.ascontiguousarray(atoms.positions), pairs.offsets, pairs.indices, pairs.shifts


def _nearest_first(pairs):
    """Neighbours of each atom by distance: the tests of the screening are then predictable, twice as fast in all."""
    order = order_by_distance(pairs.offsets, pairs.distances)
    return NeighbourList(
        pairs.offsets, pairs.indices[order], pairs.shifts[order], pairs.vectors[order], pairs.distances[order]
    )


def _listed_once(pairs):
    """Of the two directions of each pair, True for one."""
    i = np.repeat(np.arange(len(pairs.offsets) - 1), np.diff(pairs.offsets))
    # of an atom and its own images: those on one side of a plane; components that are zero may hold rounding errors
    x, y, z = np.where(np.abs(pairs.shifts) > 1e-9, pairs.shifts, 0.0).T
    image = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
    return np.where(i == pairs.indices, image, i < pairs.indices)


def _chemical_symbol(settings):
    """The library may call its entries 'CuS' or 'Ni4'; their atomic number then tells the element."""
    return settings.element if settings.element in atomic_numbers else chemical_symbols[settings.atomic_number]
