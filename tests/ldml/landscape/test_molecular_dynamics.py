"""Langevin dynamics against the canonical distribution and the conservation of energy; quenches against known minima."""

import numpy as np
import pytest
from ase import Atoms, units

import ldml
from ldml.errors import Cancelled, InputError
from ldml.landscape.molecular_dynamics import Dynamics, Trajectory, md_quenches
from ldml.potentials.base import Evaluator, Potential
from ldml.progress import NULL_PROGRESS


class Springs(Potential):
    """Each atom on a spring of its own to the origin: E = k/2 sum x²."""

    name, elements, cutoff, hessian_range, citation = "springs", frozenset(["Ar"]), 0.0, 0.0, ""
    needs_crystal = False
    constant = 0.5

    def evaluator(self, atoms):
        class Springy(Evaluator):
            def energy_and_forces(self, positions):
                return 0.5 * Springs.constant * float(np.sum(positions**2)), -Springs.constant * positions

        return Springy()

    def hessian(self, atoms):
        raise NotImplementedError

    def parameters(self):
        return {"k": self.constant}

    def check(self, atoms, *, name=""):
        """Atoms on springs may sit on each other."""


@pytest.fixture(scope="module")
def springs():
    """Kinetic and potential energies (samples,) of 200 atoms on springs at 300 K."""
    moving = Trajectory(
        Atoms("Ar200", positions=np.zeros((200, 3))),
        Springs(),
        np.random.default_rng(1),
        dynamics=Dynamics(temperature=300.0, time_step=20.0, friction_time=200.0),
    )
    moving.run(200)
    kinetic, potential = [], []
    for _ in range(120):
        moving.run(15)
        kinetic.append(moving.atoms.get_kinetic_energy())
        potential.append(moving.atoms.get_potential_energy())
    return np.array(kinetic), np.array(potential)


def test_equipartition(springs):
    """3/2 N k_B T each; a mean over 120 samples of 600 degrees of freedom scatters by sqrt(2/600/120) = 0.5 % or, as
    neighbouring samples are related, three times that. A step of 20 fs is w dt = 0.22: BAOAB samples positions exactly
    here, and momenta too low by (w dt)²/4 = 1.2 %."""
    expected = 1.5 * 200 * units.kB * 300
    for energies in springs:
        assert energies.mean() == pytest.approx(expected, rel=0.03)


def test_the_energy_fluctuates_as_it_should(springs):
    """Potential energy of n = 600 oscillators: variance n/2 (k_B T)²; its estimate from 120 samples is good to 13 %."""
    assert springs[1].var() == pytest.approx(300 * (units.kB * 300) ** 2, rel=0.4)


def test_without_friction_the_energy_is_kept(vacancy4, am04):
    dynamics = Dynamics(temperature=300.0, time_step=1.0, friction_time=None)
    moving = Trajectory(vacancy4, am04, np.random.default_rng(0), dynamics=dynamics, heated=2.0)
    totals = []
    for _ in range(20):
        moving.run(5)
        totals.append(moving.atoms.get_total_energy())
    kinetic = 1.5 * len(vacancy4) * units.kB * 600
    # velocity Verlet's error is (w dt)² / 8 of the kinetic energy: 0.05 rad at 1 fs
    assert np.ptp(totals) < 2e-3 * kinetic
    assert np.abs(moving.atoms.get_momenta().sum(axis=0)).max() < 1e-9


def test_quenches_of_cold_dynamics_come_back(vacancy4, am04):
    dynamics = Dynamics(temperature=100.0)
    quenches = list(
        md_quenches(vacancy4, am04, np.random.default_rng(0), n_quenches=2, steps_between=20, dynamics=dynamics)
    )
    assert [quench.number for quench in quenches] == [0, 1]
    for quench in quenches:
        assert quench.relaxed.energy == pytest.approx(am04.energy(vacancy4), abs=1e-4)
        assert quench.relaxed.max_force < 2e-3


def test_hot_dynamics_finds_the_other_minima_of_seven_atoms():
    lj = ldml.get_potential("LJ")
    start = Atoms("X7", positions=np.random.default_rng(1).normal(size=(7, 3)))
    start = ldml.relax(start, lj, 1e-6, rattle=0.0, check_minimum=False).atoms
    # k_B T = 0.25 epsilon, just below melting; a step of 0.01 sqrt(m sigma²/epsilon), in the units of ASE
    dynamics = Dynamics(temperature=0.25 / units.kB, time_step=0.01 / units.fs, friction_time=1.0 / units.fs)
    quenches = md_quenches(
        start, lj, np.random.default_rng(2), n_quenches=12, steps_between=120, dynamics=dynamics, fmax=1e-5
    )
    energies = {round(quench.relaxed.energy, 5) for quench in quenches}
    assert len(energies) > 1
    assert energies <= {-16.50538, -15.93504, -15.59321, -15.53306}


def test_same_seed_same_trajectory(vacancy4, am04):
    ends = [Trajectory(vacancy4, am04, np.random.default_rng(seed)).run(7).positions for seed in (1, 1, 2)]
    assert ends[0].tobytes() == ends[1].tobytes()
    assert not np.allclose(ends[0], ends[2])


def test_what_goes_wrong_is_said(vacancy4, am04):
    with pytest.raises(InputError, match="time step of 0"):
        Dynamics(time_step=0)
    with pytest.raises(InputError, match="temperature of -1"):
        Dynamics(temperature=-1)
    with pytest.raises(InputError, match="friction time of 0"):
        Dynamics(friction_time=0)

    class Stopped(type(NULL_PROGRESS)):
        def check(self):
            raise Cancelled

    with pytest.raises(Cancelled):
        Trajectory(vacancy4, am04, np.random.default_rng(0)).run(10, Stopped())
