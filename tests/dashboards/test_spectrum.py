"""The density of states counts every mode once."""

import numpy as np
import pytest
from bokeh.models import Span

from dashboards.figures.spectrum import density_of_states, spectrum_curves, spectrum_figure

GRID = np.linspace(-2.0, 14.0, 2001)


def test_one_mode_is_a_gaussian():
    g = density_of_states([5.0], GRID, 1, broadening=0.3)
    expected = np.exp(-0.5 * ((GRID - 5.0) / 0.3) ** 2) / (0.3 * np.sqrt(2 * np.pi))
    # the mode stands in the middle of a bin of 0.03 THz: an error of at most half of that
    assert g == pytest.approx(expected, abs=0.05 * expected.max())
    assert np.trapezoid(g, GRID) == pytest.approx(1.0, rel=1e-10)


def test_binned_modes_give_the_sum_over_modes(rng):
    frequencies = 9.0 * rng.random(3000) ** 0.5
    x = (GRID[:, None] - frequencies) / 0.2
    expected = np.exp(-0.5 * x**2).sum(axis=1) / (0.2 * np.sqrt(2 * np.pi) * 1000)
    # bins of a tenth of the broadening: their second moment widens it by 0.04 %
    assert density_of_states(frequencies, GRID, 1000, broadening=0.2) == pytest.approx(
        expected, abs=0.005 * expected.max()
    )
    assert np.trapezoid(density_of_states(frequencies, GRID, 1000), GRID) == pytest.approx(3.0, rel=1e-6)


def test_equal_spectra_differ_nowhere(rng):
    frequencies = 2.0 + 6.0 * rng.random(300)
    curves = spectrum_curves(frequencies, frequencies, 100, 100)
    assert curves["difference"] == pytest.approx(0.0, abs=1e-12)


def test_a_cell_twice_as_large_has_the_same_density(rng):
    frequencies = 2.0 + 6.0 * rng.random(300)
    curves = spectrum_curves(frequencies, np.tile(frequencies, 2), 100, 200)
    assert curves["difference"] == pytest.approx(0.0, abs=1e-10)


def test_a_localised_mode_adds_one_mode_above_the_band(rng):
    crystal = 2.0 + 6.0 * rng.random(300)
    curves = spectrum_curves(np.append(crystal, 11.0), crystal, 100, 100)
    above = curves["frequency"] > 9.5
    assert np.trapezoid(curves["difference"][above], curves["frequency"][above]) == pytest.approx(1.0, rel=1e-3)


def test_the_top_of_the_crystals_band_is_marked_in_both_plots(rng):
    crystal = 2.0 + 6.0 * rng.random(300)
    layout = spectrum_figure(crystal + 0.1, crystal, 100, 100)
    for plot in layout.children:
        marks = [span.location for span in plot.select(Span) if span.dimension == "height"]
        assert marks == [pytest.approx(crystal.max())]
