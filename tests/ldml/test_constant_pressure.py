"""Formation entropy at constant pressure, against its definition, elasticity and the Grüneisen relation."""

import numpy as np
import pytest

import ldml
from ldml.constant_pressure import constant_pressure_entropy, relax_to_pressure
from ldml.errors import ConvergenceError, InputError
from ldml.potentials.crystal import bulk_modulus, pressure
from ldml.structures import rattled, strained
from ldml.units import GPA


@pytest.fixture(scope="module")
def at_zero_pressure(vacancy4, crystal4, am04):
    return constant_pressure_entropy(vacancy4, crystal4, am04)


def test_is_what_the_definition_says(at_zero_pressure, vacancy4, crystal4, am04):
    """S_d at V + dV less N_d/N_b of S_b at V, both by dense factorisation, three modes an atom on both sides."""
    found = at_zero_pressure
    swollen, perfect = (ldml.harmonic_entropy(atoms, am04) for atoms in (found.atoms, crystal4))
    held = 3 * (1 - 127 / 128) * perfect.free_mode
    assert found.value == pytest.approx(swollen.total - 127 / 128 * perfect.total + held, abs=1e-8)
    assert found.constant_volume.value == pytest.approx(
        ldml.formation_entropy(vacancy4, crystal4, am04).value, abs=1e-9
    )
    assert abs(pressure(found.atoms, am04)) < 1e-4
    assert found.pressure == pytest.approx(0.0, abs=1e-6)
    assert found.formation_enthalpy < found.formation_energy  # free to relax one thing more


def test_relaxation_volume_is_that_of_elasticity(at_zero_pressure, vacancy4, crystal4, am04):
    """dV = P V/B to first order in 1/N: the strain of this cell is 0.06 %."""
    expected = pressure(vacancy4, am04) / bulk_modulus(am04) * crystal4.get_volume()
    assert at_zero_pressure.relaxation_volume == pytest.approx(expected, rel=0.03)
    assert at_zero_pressure.formation_volume == pytest.approx(
        at_zero_pressure.relaxation_volume + at_zero_pressure.atomic_volume, rel=1e-9
    )
    # -0.218 atomic volumes in 16,000 sites, by an independent implementation of this potential
    assert at_zero_pressure.relaxation_volume / at_zero_pressure.atomic_volume == pytest.approx(-0.218, abs=0.002)


def test_difference_is_the_crystals_entropy_of_expansion(at_zero_pressure, crystal4, am04):
    """S_f^P - S_f^V tends to (dS_b/dV) dV; in 128 sites to a tenth of it."""
    h = 1e-3
    wider, narrower = (ldml.harmonic_entropy(strained(crystal4, s), am04).total for s in (h, -h))
    slope = (wider - narrower) / (6 * h * crystal4.get_volume())
    difference = at_zero_pressure.value - at_zero_pressure.constant_volume.value
    assert difference == pytest.approx(slope * at_zero_pressure.relaxation_volume, rel=0.12)


def test_at_a_given_pressure(vacancy4, crystal4, am04):
    found = constant_pressure_entropy(vacancy4, crystal4, am04, pressure=5.0)
    assert found.pressure == pytest.approx(5.0, abs=1e-3)
    assert pressure(found.atoms, am04) == pytest.approx(5.0, abs=1e-3)
    assert found.atomic_volume < crystal4.get_volume() / 128
    # dH_f/dP = V_f: the enthalpy rises from that at rest by the mean formation volume, within the change of V_f itself
    rest = constant_pressure_entropy(vacancy4, crystal4, am04)
    mean = 0.5 * (rest.formation_volume + found.formation_volume)
    rise = found.formation_enthalpy - rest.formation_enthalpy
    assert rise == pytest.approx(5.0 / GPA * mean, rel=0.02)


def test_bad_input(vacancy4, crystal4, am04):
    with pytest.raises(InputError, match="does not repeat the bcc lattice"):
        constant_pressure_entropy(vacancy4, rattled(crystal4, 0.01, np.random.default_rng(0)), am04)
    with pytest.raises(InputError, match="cells of the defect"):
        constant_pressure_entropy(strained(vacancy4, 0.01), crystal4, am04)
    with pytest.raises(ConvergenceError, match=r"80 GPa was not reached.*most allowed is 5 %"):
        relax_to_pressure(crystal4, crystal4, am04, 80.0, lambda atoms: atoms)


def test_shares_sum_to_the_value_at_that_pressure(vacancy4, crystal4, am04):
    found = constant_pressure_entropy(vacancy4, crystal4, am04, local=True)
    assert found.local.sum() == pytest.approx(found.value, abs=1e-7)
    assert found.relaxed_volume.local.sum() == pytest.approx(found.relaxed_volume.value, abs=1e-7)


def test_pressures_near_the_largest_strain_are_reached(crystal4, am04):
    """30 GPa is within 5 %, though the first step of the secant method, linear from zero, is beyond."""
    squeezed, strain = relax_to_pressure(crystal4, crystal4, am04, 30.0, lambda atoms: atoms)
    assert -0.05 < strain < -0.04
    assert pressure(squeezed, am04) == pytest.approx(30.0, abs=1e-3)
    with pytest.raises(InputError, match="nan GPa"):
        relax_to_pressure(crystal4, crystal4, am04, float("nan"), lambda atoms: atoms)
