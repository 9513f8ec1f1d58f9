"""Spectra and densities of states: a ring of springs in closed form, iron against its Green's function."""

import numpy as np
import pytest
from lattice_models import ring_of_springs

import ldml
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.entropy.spectrum import (
    density_of_states,
    local_density_of_states,
    participation_ratio,
    spectrum_of,
    vibrational_spectrum,
)
from ldml.errors import InputError, NotAMinimumError
from ldml.structures import interstitial_cluster
from ldml.units import THZ


@pytest.fixture(scope="module")
def vacancy_spectrum(vacancy4, am04):
    return vibrational_spectrum(vacancy4, am04, vectors=True)


def test_ring_in_closed_form():
    spectrum = spectrum_of(ring_of_springs(24), vectors=True)
    expected = np.sort(np.repeat(THZ * 2 * np.abs(np.sin(np.pi * np.arange(1, 24) / 24)), 3))
    np.testing.assert_allclose(spectrum.frequencies, expected, rtol=1e-10)
    assert (spectrum.n_modes, spectrum.n_zero_modes, spectrum.imaginary) == (69, 3, ())
    spectrum.require_minimum()


def test_a_ring_with_a_negative_spring_has_one_imaginary_mode_in_each_direction():
    """In series with the 11 others a spring of -1/11 is just too weak; at -1 the two atoms beside it fall apart."""
    stable = spectrum_of(ring_of_springs(12, weak_bond=-0.99 / 11))
    assert stable.imaginary == ()
    torn = spectrum_of(ring_of_springs(12, weak_bond=-1.0))
    assert len(torn.imaginary) == 3
    assert torn.n_modes == 33  # listed, not dropped
    for mode, frequency in zip(torn.imaginary, torn.frequencies, strict=False):
        assert mode.frequency == frequency < 0
        assert set(mode.atoms[:2]) == {0, 1}
        assert mode.shares.sum() > 0.9
        assert 1 / 12 < mode.participation_ratio < 0.5
    with pytest.raises(NotAMinimumError, match=r"3 imaginary modes .*mostly atoms") as caught:
        torn.require_minimum()
    assert caught.value.lowest_frequency == torn.frequencies[0]
    with pytest.raises(InputError, match="3 imaginary modes"):
        density_of_states(torn.frequencies, np.linspace(0, 10, 5))


def test_participation_of_one_atom_and_of_all():
    one, every = np.zeros((30, 1)), np.ones((30, 1))
    one[7] = 1.0
    np.testing.assert_allclose(participation_ratio(one), 0.1)
    np.testing.assert_allclose(participation_ratio(every), 1.0)


def test_density_integrates_to_the_number_of_modes(vacancy_spectrum):
    grid = np.linspace(-2.0, 14.0, 4001)
    density = density_of_states(vacancy_spectrum.frequencies, grid, width=0.2)
    assert np.trapezoid(density, grid) == pytest.approx(vacancy_spectrum.n_modes, rel=1e-6)


@pytest.mark.parametrize("n_modes", [1, 900, 3000])
def test_density_is_the_sum_over_modes(rng, n_modes):
    frequencies, grid = 9.0 * rng.random(n_modes) ** 0.5, np.linspace(-2.0, 14.0, 2001)
    x = (grid[:, None] - frequencies) / 0.2
    expected = np.exp(-0.5 * x**2).sum(axis=1) / (0.2 * np.sqrt(2 * np.pi))
    # bins of a tenth of the width, used for many modes: their second moment widens each by 0.04 %
    tolerance = 0.005 if n_modes > 1000 else 1e-12
    density = density_of_states(frequencies, grid, width=0.2)
    np.testing.assert_allclose(density, expected, atol=tolerance * expected.max())


def test_local_densities_sum_to_the_total(vacancy_spectrum):
    """Eq. 12."""
    grid = np.linspace(0.1, 11.0, 60)
    local = local_density_of_states(vacancy_spectrum, range(127), grid, broadening="green")
    total = density_of_states(vacancy_spectrum.frequencies, grid, broadening="green")
    np.testing.assert_allclose(local.sum(axis=0), total, rtol=1e-9)
    assert local.min() > 0


def test_equation_6_against_the_resolvent(vacancy4, am04, vacancy_spectrum):
    """(2 omega/pi) Im Tr [D - (omega^2 + 2 i omega gamma)]^-1 by inverting, for the whole cell and for one atom."""
    width, grid = 0.4, np.array([2.0, 5.5, 8.0])
    matrix = THZ**2 * dynamical_matrix(am04.hessian(vacancy4), vacancy4).matrix.toarray()
    total = density_of_states(vacancy_spectrum.frequencies, grid, width=width, broadening="green")
    local = local_density_of_states(vacancy_spectrum, [5], grid, width=width, broadening="green")[0]
    for k, nu in enumerate(grid):
        z = nu**2 + 2j * nu * width
        diagonal = np.diagonal(np.linalg.inv(matrix - z * np.eye(len(matrix)))).imag * 2 * nu / np.pi
        # the rigid translations, which the spectrum leaves out, add three Lorentzians at zero frequency
        rigid = 2 * nu / np.pi * (1 / (0.0 - z)).imag
        assert total[k] == pytest.approx(diagonal.sum() - 3 * rigid, rel=1e-9)
        assert local[k] == pytest.approx(diagonal[15:18].sum() - 3 * rigid / 127, rel=1e-9)


def test_symmetric_dumbbell_is_a_saddle_and_says_where(crystal4, am04):
    """The <111> dumbbell, held by its symmetry, has imaginary modes on its own atoms."""
    start = interstitial_cluster(crystal4, 1, axis="111")
    saddle = ldml.relax(start, am04, 1e-5, rattle=0.0, check_minimum=False).atoms
    spectrum = vibrational_spectrum(saddle, am04)
    assert spectrum.imaginary
    assert spectrum.frequencies[0] < 0
    assert spectrum.vectors is None
    leading = saddle.get_distances(len(saddle) - 1, spectrum.imaginary[0].atoms, mic=True)
    assert leading.min() < 4.0


def test_bad_requests_are_refused(vacancy4, am04, vacancy_spectrum):
    grid = np.linspace(0, 10, 5)
    with pytest.raises(InputError, match="vectors=True"):
        local_density_of_states(vibrational_spectrum(vacancy4, am04), [0], grid)
    with pytest.raises(InputError, match="atoms 0 to 126"):
        local_density_of_states(vacancy_spectrum, [127], grid)
    with pytest.raises(InputError, match="width = 0"):
        density_of_states([1.0], grid, width=0)
    with pytest.raises(InputError, match="'box' is unknown"):
        density_of_states([1.0], grid, broadening="box")
