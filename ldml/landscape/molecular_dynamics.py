"""Minima met by molecular dynamics: Langevin dynamics, and a quench every so many steps.

    m dv = f dt - m v dt / tau + sqrt(2 m k_B T / tau) dW

m mass, v velocity, f force, tau time constant of the friction, T temperature. The steps split as BAOAB (half a kick, half
a drift, friction and noise, half a drift, half a kick), whose positions are distributed best at large steps; without
friction it is velocity Verlet, which conserves the energy.

Source: B. Leimkuhler and C. Matthews, J. Chem. Phys. 138, 174102 (2013). The integrator is ASE's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.md.langevinbaoab import LangevinBAOAB

from ldml.errors import ConvergenceError, InputError
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import Relaxed, relax

CHECK_EVERY = 10
"""Steps between two looks at whether to stop, and at whether the dynamics has blown up."""


@dataclass(frozen=True)
class Dynamics:
    """How to move.

    Attributes
    ----------
    temperature : float, K
    time_step : float, fs
    friction_time : float or None, fs
        tau; None for none, at constant energy.
    """

    temperature: float = 1500.0
    time_step: float = 3.0
    friction_time: float | None = 500.0

    def __post_init__(self):
        if not self.temperature >= 0:
            raise InputError(f"a temperature of {self.temperature} K is negative; give zero or more")
        if not self.time_step > 0:
            raise InputError(f"a time step of {self.time_step} fs is not positive; iron takes 1 to 3 fs")
        if self.friction_time is not None and not self.friction_time > 0:
            raise InputError(f"a friction time of {self.friction_time} fs is not positive; give None for no friction")


class Trajectory:
    """A structure in motion, its velocities drawn at the temperature.

    Parameters
    ----------
    start : Atoms
        Not changed.
    potential : Potential or its name
    rng : numpy.random.Generator
        Draws the velocities and the noise.
    dynamics : Dynamics, optional
    heated : float
        Temperature of the first velocities relative to that of the dynamics: 2 for a minimum, whose potential energy
        takes half.
    """

    def __init__(
        self,
        start: Atoms,
        potential: str | Potential,
        rng: np.random.Generator,
        *,
        dynamics: Dynamics | None = None,
        heated: float = 1.0,
    ):
        potential, dynamics = get_potential(potential), dynamics or Dynamics()
        potential.check(start)
        self.atoms = start.copy()
        self.atoms.calc = potential.calculator()
        self.atoms.set_momenta(_thermal_momenta(start, heated * dynamics.temperature, rng))
        with_friction = dynamics.friction_time is not None
        self._integrator = LangevinBAOAB(
            self.atoms,
            dynamics.time_step * units.fs,
            temperature_K=dynamics.temperature if with_friction else None,
            T_tau=dynamics.friction_time * units.fs if with_friction else None,
            rng=rng if with_friction else None,
        )

    def run(self, n_steps: int, progress: Progress | None = None) -> Atoms:
        """Move on by `n_steps`; the structure then, at rest.

        Raises
        ------
        ConvergenceError
            If the dynamics has blown up.
        """
        progress = progress or NULL_PROGRESS
        for done in range(0, n_steps, CHECK_EVERY):
            progress.check()
            self._integrator.run(min(CHECK_EVERY, n_steps - done))
            if not np.isfinite(self.atoms.positions).all():
                raise ConvergenceError("the dynamics has blown up; take a shorter time step or a lower temperature")
        return Atoms(self.atoms.numbers, positions=self.atoms.positions, cell=self.atoms.cell, pbc=self.atoms.pbc)


@dataclass(frozen=True)
class Quench:
    """One quench of a trajectory.

    Attributes
    ----------
    number : int
    relaxed : Relaxed or None
        None where the quench failed.
    message : str
        Why it failed.
    """

    number: int
    relaxed: Relaxed | None
    message: str = ""


def md_quenches(
    start: Atoms,
    potential: str | Potential,
    rng: np.random.Generator,
    *,
    n_quenches: int,
    steps_between: int = 100,
    dynamics: Dynamics | None = None,
    fmax: float = 2e-3,
    progress: Progress | None = None,
) -> Iterator[Quench]:
    """Move from a minimum and quench every `steps_between` steps; the quenches do not disturb the dynamics.

    Parameters
    ----------
    start : Atoms
        Not changed.
    potential : Potential or its name
    rng : numpy.random.Generator
    n_quenches, steps_between : int
    dynamics : Dynamics, optional
    fmax : float, eV/Å
        Largest force left by a quench.
    progress : Progress, optional

    Yields
    ------
    Quench

    Raises
    ------
    ConvergenceError
        If the dynamics blows up.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    trajectory = Trajectory(start, potential, rng, dynamics=dynamics, heated=2.0)
    for number in range(n_quenches):
        progress.update(number, n_quenches, "quenches of molecular dynamics")
        snapshot = trajectory.run(steps_between, progress)
        try:
            yield Quench(number, relax(snapshot, potential, fmax, rattle=0.0, check_minimum=False))
        except ConvergenceError as error:
            yield Quench(number, None, str(error))


def _thermal_momenta(atoms, temperature, rng):
    """From the Maxwell-Boltzmann distribution, at rest as a whole."""
    masses = atoms.get_masses()[:, None]
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * units.kB * temperature)
    return momenta - masses * momenta.sum(axis=0) / masses.sum()
