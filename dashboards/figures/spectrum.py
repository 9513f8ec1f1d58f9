"""Density of vibrational states of a defect beside that of its crystal, and their difference.

    g(nu) = (1/N) sum_k exp(-(nu - nu_k)^2 / 2 sigma^2) / (sigma sqrt(2 pi))           states per THz and atom
    Delta g(nu) = N_d [g_d(nu) - g_b(nu)]                                              modes per THz

nu_k frequencies, sigma broadening, N atoms; d the defect, b the perfect crystal. One defect changes few of the thousands
of modes, so g_d and g_b nearly coincide and Delta g is what to look at: modes above the crystal's highest frequency are
localised, a rise at low frequency means soft modes, and soft modes mean entropy.
"""

from __future__ import annotations

import numpy as np
from bokeh.layouts import column
from bokeh.models import Column, ColumnDataSource, HoverTool, Span

from dashboards.figures.style import BLUE, NEUTRAL, VERMILLION, styled_figure
from ldml.entropy.spectrum import BROADENING, density_of_states

DEFECT, CRYSTAL = VERMILLION, BLUE
_POINTS = 400


def spectrum_figure(
    defect, crystal, n_atoms: int, n_bulk: int, *, broadening: float = BROADENING, height: int = 344
) -> Column:
    """The densities of both cells over one grid, and below them their difference.

    Parameters
    ----------
    defect, crystal : (n_modes,) float, THz
        Frequencies of the defective and of the perfect cell.
    n_atoms, n_bulk : int
        Atoms of either.
    broadening : float, THz
    height : int
        Pixels.

    Returns
    -------
    bokeh.models.Column
    """
    curves = ColumnDataSource(spectrum_curves(defect, crystal, n_atoms, n_bulk, broadening=broadening))
    upper = _densities(curves, height // 2)
    lower = _difference(curves, height - height // 2, upper.x_range)
    for plot in (upper, lower):
        plot.add_layout(
            Span(location=float(np.max(crystal)), dimension="height", line_color=NEUTRAL, line_dash="dotted")
        )
    return column(upper, lower, sizing_mode="stretch_width", spacing=0)


def spectrum_curves(
    defect, crystal, n_atoms: int, n_bulk: int, *, broadening: float = BROADENING
) -> dict[str, np.ndarray]:
    """What `spectrum_figure` draws: ``frequency`` (THz), ``defect``, ``crystal`` (states per THz and atom), ``difference``
    (modes per THz)."""
    grid = np.linspace(0.0, max(np.max(defect), np.max(crystal)) + 4.0 * broadening, _POINTS)
    g_defect = density_of_states(defect, grid, width=broadening) / n_atoms
    g_crystal = density_of_states(crystal, grid, width=broadening) / n_bulk
    return {
        "frequency": grid,
        "defect": g_defect,
        "crystal": g_crystal,
        "difference": n_atoms * (g_defect - g_crystal),
    }


def _densities(curves, height):
    plot = styled_figure(x_label="", y_label="g(ν) (1/THz, per atom)", height=height, min_border_left=70)
    plot.xaxis.major_label_text_alpha = 0.0
    look = {"source": curves, "line_width": 2}
    plot.line("frequency", "crystal", color=CRYSTAL, legend_label="perfect crystal", **look)
    line = plot.line("frequency", "defect", color=DEFECT, line_dash="dashed", legend_label="with defect", **look)
    plot.add_tools(_hover(line, "defect", "g"))
    plot.legend.location = "top_left"
    plot.legend.click_policy = "hide"
    return plot


def _difference(curves, height, x_range):
    plot = styled_figure(
        x_label="frequency ν (THz); dotted: the crystal's highest",
        y_label="Δg (modes/THz)",
        height=height,
        x_range=x_range,
        min_border_left=70,
    )
    plot.toolbar_location = None
    plot.varea("frequency", 0, "difference", source=curves, color=DEFECT, alpha=0.3)
    line = plot.line("frequency", "difference", source=curves, color=DEFECT, line_width=1.5)
    plot.add_layout(Span(location=0, dimension="width", line_color=NEUTRAL))
    plot.add_tools(_hover(line, "difference", "Δg"))
    return plot


def _hover(renderer, column_name, symbol):
    tips = [("ν", "@frequency{0.00} THz"), (symbol, f"@{column_name}{{0.0000}}")]
    return HoverTool(renderers=[renderer], tooltips=tips, mode="vline")
