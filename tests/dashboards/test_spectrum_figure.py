"""What the spectrum figure shows of two densities of states."""

import numpy as np
import pytest
from bokeh.models import Span

from dashboards.figures.spectrum import spectrum_curves, spectrum_figure


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
