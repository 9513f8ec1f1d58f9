"""Vineyard's attempt frequency: determinants against eigenvalues, the jump of a vacancy in iron."""

import numpy as np
import pytest
from ase.mep import NEB
from ase.optimize import FIRE
from lattice_models import ring_of_springs

import ldml
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.entropy.harmonic import log_determinant
from ldml.entropy.prefactor import signed_log_determinant, vineyard_prefactor
from ldml.errors import ConvergenceError, InputError, NotAMinimumError, UnrelaxedError
from ldml.landscape.saddle import refine_saddle
from ldml.units import BOLTZMANN, PLANCK, THZ


@pytest.fixture(scope="module")
def jump(crystal4, am04):
    """A vacancy and its saddle on the way to the neighbouring site; the way has two humps, so not at the middle."""
    half = 0.5 * am04.lattice_constant
    start = crystal4.copy()
    neighbour = int(np.argmin(np.linalg.norm(start.positions - half, axis=1)))
    del start[0]
    minimum = ldml.relax(start, am04, 1e-7).atoms
    guess = minimum.copy()
    guess.positions[neighbour - 1] = 0.7 * half
    return minimum, refine_saddle(guess, am04)


def test_saddle_is_a_stationary_point_of_order_one(jump, am04):
    _, saddle = jump
    assert saddle.max_force < 1e-6
    values = np.linalg.eigvalsh(am04.hessian(saddle.atoms).toarray())
    assert (values < -1e-6).sum() == 1


def test_saddle_is_that_of_a_nudged_elastic_band(jump, crystal4, am04):
    """ASE's climbing band from the vacancy to the next one, to 0.02 eV/Å."""
    minimum, saddle = jump
    half = 0.5 * am04.lattice_constant
    jumper = int(np.argmin(np.linalg.norm(minimum.positions - half, axis=1)))
    end = minimum.copy()
    end.positions[jumper] = 0.0
    images = [minimum.copy(), *(minimum.copy() for _ in range(5)), ldml.relax(end, am04, 1e-5, rattle=0.0).atoms]
    for image in images:
        image.calc = am04.calculator()
    band = NEB(images, climb=True, method="improvedtangent")
    band.interpolate(mic=True)
    assert FIRE(band, logfile=None).run(fmax=0.02, steps=400)
    highest = max(image.get_potential_energy() for image in images)
    assert saddle.energy == pytest.approx(highest, abs=2e-3)


def test_attempt_frequency_is_the_ratio_of_products(jump, am04):
    minimum, saddle = jump
    result = vineyard_prefactor(minimum, saddle.atoms, am04)
    values = [
        np.linalg.eigvalsh(dynamical_matrix(am04.hessian(atoms), atoms).matrix.toarray())
        for atoms in (minimum, saddle.atoms)
    ]
    stable = [np.sort(np.abs(v))[3:] if k == 0 else v[v > 1e-9] for k, v in enumerate(values)]
    assert len(stable[0]) == len(stable[1]) + 1
    expected = THZ * np.exp(0.5 * (np.log(stable[0]).sum() - np.log(stable[1]).sum()))
    assert result.attempt_frequency == pytest.approx(expected, rel=1e-5)  # the unstable mode is iterated to 1e-6
    assert result.unstable_frequency == pytest.approx(-THZ * np.sqrt(-values[1][0]), rel=1e-5)
    assert result.barrier == pytest.approx(saddle.energy - am04.energy(minimum), abs=1e-9)
    assert result.attempt_frequency == pytest.approx(result.reaction_frequency * np.exp(result.migration_entropy))
    kT = BOLTZMANN * 700.0
    eyring = kT / PLANCK * np.exp(result.activation_entropy(700.0) - result.barrier / kT)
    assert result.rate(700.0) == pytest.approx(eyring, rel=1e-12)


def test_isotopes_shift_the_attempt_frequency_by_one_over_root_mass(jump, am04):
    """All modes scale as m^-1/2, and the minimum has one more."""
    minimum, saddle = jump
    light = vineyard_prefactor(minimum, saddle.atoms, am04)
    heavy = [atoms.copy() for atoms in (minimum, saddle.atoms)]
    for atoms in heavy:
        atoms.set_masses(4.0 * atoms.get_masses())
    shifted = vineyard_prefactor(*heavy, am04)
    assert shifted.attempt_frequency == pytest.approx(0.5 * light.attempt_frequency, rel=1e-6)
    assert shifted.migration_entropy == pytest.approx(light.migration_entropy, abs=1e-6)


def test_signed_determinant_on_rings():
    for bond, n_negative in ((None, 0), (-1.0, 3)):
        dynamics = ring_of_springs(11, weak_bond=bond)
        values = np.linalg.eigvalsh(dynamics.matrix.toarray())
        values = values[np.abs(values) > 1e-10]
        log_det, count = signed_log_determinant(dynamics)
        assert count == n_negative
        assert log_det == pytest.approx(np.log(np.abs(values)).sum(), abs=1e-10)
    assert signed_log_determinant(ring_of_springs(11))[0] == pytest.approx(
        log_determinant(ring_of_springs(11)), abs=1e-10
    )


def test_wrong_structures_are_refused(jump, am04, crystal4):
    minimum, saddle = jump
    with pytest.raises(InputError, match="0 imaginary modes: it is a minimum"):
        vineyard_prefactor(minimum, minimum, am04)
    with pytest.raises(NotAMinimumError):
        vineyard_prefactor(saddle.atoms, saddle.atoms, am04)
    with pytest.raises(InputError, match="not the same atoms"):
        vineyard_prefactor(crystal4, saddle.atoms, am04)
    shaken = saddle.atoms.copy()
    shaken.positions[4] += 0.05
    with pytest.raises(UnrelaxedError):
        vineyard_prefactor(minimum, shaken, am04)
    other = saddle.atoms.copy()
    other.set_cell(1.001 * other.cell)
    with pytest.raises(InputError, match="different cells"):
        vineyard_prefactor(minimum, other, am04)


def test_refinement_says_when_there_is_no_saddle(jump, am04):
    minimum, _ = jump
    with pytest.raises(InputError, match="ended on a minimum"):
        refine_saddle(minimum, am04, 1e-5)
    shaken = minimum.copy()
    shaken.positions[0] += 0.3
    with pytest.raises(ConvergenceError, match="within 1 steps"):
        refine_saddle(shaken, am04, max_steps=1)


def test_relaxation_leaves_this_saddle_downhill(jump, am04):
    """Plain L-BFGS climbs back to it from a kick of 0.1 Å to either side."""
    _, saddle = jump
    relaxed = ldml.relax(saddle.atoms, am04, rattle=0.0)
    assert relaxed.is_minimum
    assert relaxed.n_kicks == 1
    assert relaxed.energy < saddle.energy - 0.05


def test_atoms_in_another_order_are_refused(jump, am04):
    minimum, saddle = jump
    order = np.arange(127)
    order[[30, 31]] = order[[31, 30]]
    with pytest.raises(InputError, match=r"atom 3[01] of the saddle is .* same order"):
        vineyard_prefactor(minimum, saddle.atoms[order], am04)
    drifted = saddle.atoms.copy()
    drifted.positions += [0.3, 4.0, -2.0]  # the cell as a whole may lie elsewhere
    assert vineyard_prefactor(minimum, drifted, am04).barrier == pytest.approx(0.646, abs=2e-3)
    result = vineyard_prefactor(minimum, saddle.atoms, am04)
    for temperature in (0.0, -3.0):
        with pytest.raises(InputError, match="not positive"):
            result.rate(temperature)
