"""Cubic crystals of a potential: lattice constant, elastic constants, pressure.

    dE/d ln a = 0,        P = -dE/dV,        V C_ij = d²E/dε_i dε_j - Λ_i H⁺ Λ_j

E energy of the periodic cell, a lattice constant, V volume, ε_i strains in Voigt's order (ε_4 = 2 ε_yz) at fixed scaled
coordinates. Where the basis is not fixed by symmetry (diamond), a strain pushes the atoms with Λ_i = dF/dε_i, and
their relaxation takes the last term, with H⁺ the inverse of the Hessian beside its translations.
Source: M. Born and K. Huang, Dynamical Theory of Crystal Lattices (1954), Sec. 11 and 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from ase import Atoms
from scipy.optimize import brentq

from ldml.errors import ConvergenceError, InputError
from ldml.potentials.base import Potential
from ldml.structures import strained, supercell
from ldml.units import GPA

STRAIN = 1e-3
"""Step of the differences: their truncation and the rounding of the energy are then both near 1e-9 of the result."""
SEARCH = 0.12
"""Lattice constants are looked for within this fraction of the guess."""
LARGEST_PRESSURE = 0.1
"""GPa; second derivatives of the energy are elastic constants only without stress."""


@dataclass(frozen=True)
class ElasticConstants:
    """Elastic constants of a cubic crystal, GPa.

    Attributes
    ----------
    c11, c12, c44 : float, GPa
    """

    c11: float
    c12: float
    c44: float

    @property
    def bulk_modulus(self) -> float:
        """(C11 + 2 C12)/3, GPa."""
        return (self.c11 + 2.0 * self.c12) / 3.0

    @property
    def anisotropy(self) -> float:
        """Zener's ratio 2 C44/(C11 - C12); 1 for an isotropic solid."""
        return 2.0 * self.c44 / (self.c11 - self.c12)


def equilibrium_lattice_constant(potential: Potential, element: str, lattice: str, guess: float) -> float:
    """Lattice constant of a cubic crystal at zero pressure, Å.

    Parameters
    ----------
    potential : Potential
    element : str
    lattice : {"bcc", "fcc", "diamond", "sc"}
    guess : float, Å
        The minimum nearest to it, within 12 %, is taken.

    Raises
    ------
    InputError
        If the energy has no minimum there.
    """
    if not guess > 0:
        raise InputError(f"lattice constant {guess} Å is not positive")
    unit = supercell(element, guess, 1, lattice=lattice)

    def slope(logarithm):
        return _slope(lambda strain: potential.energy(strained(unit, np.exp(logarithm + strain) - 1.0)))

    grid = np.linspace(-SEARCH, SEARCH, 25)
    slopes = np.array([slope(g) for g in grid])
    rising = np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] >= 0))
    if not len(rising):
        ends = "falls" if slopes[-1] < 0 else "rises"
        raise InputError(
            f"{potential.name} has no {lattice} {element} at zero pressure within {SEARCH:.0%} of a = {guess:.4g} Å: "
            f"the energy {ends} all the way with a; give a better guess of the lattice constant or another lattice"
        )
    nearest = rising[np.argmin(np.abs(grid[rising] + grid[rising + 1]))]
    root, result = brentq(slope, grid[nearest], grid[nearest + 1], xtol=1e-13, rtol=1e-13, full_output=True)
    if not result.converged:
        raise ConvergenceError(f"the lattice constant of {lattice} {element} did not converge near {guess:.4g} Å")
    return float(guess * np.exp(root))


def pressure(atoms: Atoms, potential: Potential) -> float:
    """Pressure -dE/dV at fixed scaled coordinates, GPa; positive when the cell wants to expand.

    Raises
    ------
    InputError
        If the structure is not periodic in three directions.
    """
    _check_periodic(atoms)
    slope = _slope(lambda strain: potential.energy(strained(atoms, np.exp(strain) - 1.0)))
    return -slope / (3.0 * atoms.get_volume()) * GPA


def elastic_constants(potential: Potential, crystal: Atoms | None = None) -> ElasticConstants:
    """C11, C12 and C44 of a cubic crystal at zero pressure, atoms relaxed, GPa.

    Parameters
    ----------
    potential : Potential
    crystal : Atoms, optional
        Cubic cell with its axes along x, y and z and atoms at rest; the ground-state crystal of the potential unless given.

    Raises
    ------
    InputError
        If the crystal is unknown, not at rest, or under a pressure above 0.1 GPa.
    """
    crystal = _ground_state(potential) if crystal is None else crystal
    _check_periodic(crystal)
    residual = pressure(crystal, potential)
    if abs(residual) > LARGEST_PRESSURE:
        raise InputError(
            f"the crystal is under a pressure of {residual:.3g} GPa; elastic constants are defined here at zero pressure: "
            f"use equilibrium_lattice_constant"
        )
    largest = np.abs(potential.forces(crystal)).max()
    if largest > 1e-4:
        raise InputError(f"the atoms of the crystal are not at rest (force {largest:.2g} eV/Å); relax them first")
    stretch, double = np.diag([1.0, 0.0, 0.0]), np.diag([1.0, 1.0, 0.0])
    shear = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    relaxation = _Relaxation(potential, crystal)
    c11, both, c44 = (_stiffness(potential, crystal, strain, relaxation) for strain in (stretch, double, shear))
    return ElasticConstants(c11, 0.5 * both - c11, c44)


def bulk_modulus(potential: Potential, crystal: Atoms | None = None) -> float:
    """(C11 + 2 C12)/3 of a cubic crystal at zero pressure, GPa; parameters as in `elastic_constants`."""
    return elastic_constants(potential, crystal).bulk_modulus


class _Relaxation:
    """Energy that atoms gain by following a strain, from the Hessian of the unstrained cell."""

    def __init__(self, potential, crystal):
        hessian = potential.hessian(crystal).toarray()
        translations = np.tile(np.eye(3), (len(crystal), 1)) / np.sqrt(len(crystal))
        # translations lifted: forces do not push along them
        lifted = hessian + np.abs(hessian).max() * translations @ translations.T
        self.factor = scipy.linalg.lu_factor(0.5 * (lifted + lifted.T))

    def energy(self, push):
        return float(push @ scipy.linalg.lu_solve(self.factor, push))


def _stiffness(potential, crystal, strain, relaxation):
    """Second derivative of the energy in the size of a strain, per volume, GPa."""

    def deformed(size):
        copy = crystal.copy()
        copy.set_cell(crystal.cell.array @ (np.eye(3) + size * strain), scale_atoms=True)
        return copy

    h = STRAIN
    e = [potential.energy(deformed(k * h)) for k in (-2, -1, 0, 1, 2)]
    curvature = (-e[0] + 16 * e[1] - 30 * e[2] + 16 * e[3] - e[4]) / (12 * h**2)
    push = (potential.forces(deformed(h)) - potential.forces(deformed(-h))).ravel() / (2 * h)
    return float((curvature - relaxation.energy(push)) / crystal.get_volume() * GPA)


def _slope(energy):
    """Derivative at zero of a function of the strain, to fourth order in the step."""
    h = STRAIN
    return (8.0 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12.0 * h)


def _ground_state(potential):
    if potential.lattice is None or potential.lattice_constant is None or len(potential.elements) != 1:
        raise InputError(f"the ground-state crystal of {potential.name} is not known; pass the crystal")
    (element,) = potential.elements
    return supercell(element, potential.lattice_constant, 1, lattice=potential.lattice)


def _check_periodic(atoms):
    if not atoms.pbc.all():
        raise InputError("a pressure or an elastic constant needs a cell periodic in three directions")
