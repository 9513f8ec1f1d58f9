"""Thermodynamic identities, limits, and agreement with the entropies computed elsewhere."""

import numpy as np
import pytest

import ldml
from ldml.entropy.spectrum import vibrational_spectrum
from ldml.entropy.thermodynamics import formation_thermodynamics, thermodynamics
from ldml.errors import InputError
from ldml.units import BOLTZMANN, PLANCK

FREQUENCIES = np.array([0.7, 3.1, 5.0, 9.4])


@pytest.mark.parametrize("statistics", ["classical", "quantum"])
def test_thermodynamic_identities(statistics):
    """S = -dF/dT, C_v = dU/dT = T dS/dT, F = U - T S; fourth-order differences, step 0.1 %."""
    for T in (40.0, 300.0, 1500.0):
        h = 1e-3 * T
        stencil = thermodynamics(FREQUENCIES, T + h * np.array([-2, -1, 0, 1, 2]), statistics=statistics)

        def slope(values, h=h):
            return (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * h)

        assert -slope(stencil.free_energy) / BOLTZMANN == pytest.approx(stencil.entropy[2], rel=1e-8)
        assert slope(stencil.internal_energy) / BOLTZMANN == pytest.approx(stencil.heat_capacity[2], rel=1e-8)
        assert T * slope(stencil.entropy) == pytest.approx(stencil.heat_capacity[2], rel=1e-8)
        assert stencil.free_energy[2] == pytest.approx(
            stencil.internal_energy[2] - BOLTZMANN * T * stencil.entropy[2], rel=1e-12
        )


def test_one_oscillator_from_its_levels():
    """Sums over the levels h nu (n + 1/2)."""
    nu, T = 4.2, 250.0
    energies = PLANCK * 1e12 * nu * (np.arange(400) + 0.5)
    weights = np.exp(-(energies - energies[0]) / (BOLTZMANN * T))
    p = weights / weights.sum()
    U = p @ energies
    S = -np.sum(p[p > 0] * np.log(p[p > 0]))
    C = (p @ energies**2 - U**2) / (BOLTZMANN * T) ** 2
    result = thermodynamics([nu], T, statistics="quantum")
    np.testing.assert_allclose(
        [result.internal_energy[0], result.entropy[0], result.heat_capacity[0]], [U, S, C], rtol=1e-10
    )


def test_limits():
    cold = thermodynamics(FREQUENCIES, [0.0, 1e-3], statistics="quantum")
    zero_point = 0.5 * PLANCK * 1e12 * FREQUENCIES.sum()
    np.testing.assert_allclose(cold.internal_energy, zero_point, rtol=1e-12)
    np.testing.assert_allclose(cold.free_energy, zero_point, rtol=1e-12)
    np.testing.assert_allclose([cold.entropy, cold.heat_capacity], 0.0, atol=1e-12)
    hot = {s: thermodynamics(FREQUENCIES, 1e5, statistics=s) for s in ("classical", "quantum")}
    # the leading quantum correction is x^2/24 a mode
    x = PLANCK * 1e12 * FREQUENCIES / (BOLTZMANN * 1e5)
    assert hot["quantum"].entropy[0] - hot["classical"].entropy[0] == pytest.approx(np.sum(x**2) / 24, rel=1e-2)
    assert hot["quantum"].heat_capacity[0] == pytest.approx(4 - np.sum(x**2) / 12, abs=1e-9)


@pytest.mark.parametrize(("statistics", "temperature"), [("classical", 500.0), ("quantum", 150.0)])
def test_formation_values_agree_with_the_formation_entropy(vacancy4, crystal4, am04, statistics, temperature):
    spectra = [vibrational_spectrum(atoms, am04) for atoms in (vacancy4, crystal4)]
    curve = formation_thermodynamics(*spectra, [temperature], statistics=statistics)
    direct = ldml.formation_entropy(vacancy4, crystal4, am04, temperature=temperature, statistics=statistics)
    assert curve.entropy[0] == pytest.approx(direct.value, abs=1e-8)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"1 of 2 frequencies are not positive \(lowest -1"):
        thermodynamics([-1.0, 2.0], 300.0)
    with pytest.raises(InputError, match="0 K is not allowed; it must be positive"):
        thermodynamics([1.0], 0.0)
    with pytest.raises(InputError, match="-5 K is not allowed"):
        thermodynamics([1.0], -5.0, statistics="quantum")
    with pytest.raises(InputError, match="'bose' is unknown"):
        thermodynamics([1.0], 300.0, statistics="bose")
