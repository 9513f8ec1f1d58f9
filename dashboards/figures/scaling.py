"""CPU time against the number of atoms, both logarithmic: points measured, the fitted power laws, the paper's limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Label, Range1d
from bokeh.plotting import figure

from dashboards.figures.style import BLUE, GREEN, NEUTRAL, PURPLE, VERMILLION, styled_figure
from dashboards.scaling import (
    CHOLESKY,
    EIGENVALUES,
    FITTED_SIZES,
    MODEL,
    PAPER_ATOMS,
    PAPER_CPU_SECONDS,
    ScalingPoint,
    fitted_power,
    series,
)
from dashboards.scaling import GREEN as LATTICE_GREEN

LOOKS = {
    EIGENVALUES: ("exact, diagonalisation", VERMILLION, "circle"),
    CHOLESKY: ("exact, factorisation", PURPLE, "square"),
    LATTICE_GREEN: ("exact, lattice Green's function", GREEN, "triangle"),
    MODEL: ("linear model", BLUE, "diamond"),
}
X_RANGE = (80.0, 3e6)
_DAY = 86_400.0
_GUIDES = {"1 s": 1.0, "1 hour": 3600.0, "1 day": _DAY, "1 year": 365.25 * _DAY, "100 years": 36_525 * _DAY}


def scaling_figure(points: Sequence[ScalingPoint], *, height: int = 430) -> figure:
    """Points by method, each with its fitted power law: solid where measured, dashed beyond.

    Parameters
    ----------
    points : sequence of ScalingPoint
    height : int
        Pixels.
    """
    plot = styled_figure(
        x_label="atoms N",
        y_label="CPU time (s)",
        height=height,
        x_axis_type="log",
        y_axis_type="log",
        x_range=Range1d(*X_RANGE),
        y_range=Range1d(1e-6, 3e10),  # room for the legend below all points
    )
    for name, seconds in _GUIDES.items():
        plot.line(X_RANGE, (seconds, seconds), color=NEUTRAL, line_dash="dotted", line_width=1)
        plot.add_layout(
            Label(x=X_RANGE[0] * 1.1, y=seconds, text=name, text_font_size="11px", text_color=NEUTRAL, y_offset=1)
        )
    for method in LOOKS:
        n, t = series(points, method)
        if len(n):
            _draw(plot, method, n, t)
    _mark_paper(plot)
    plot.legend.location = "bottom_right"
    plot.legend.background_fill_alpha = 0.7
    plot.legend.click_policy = "hide"
    return plot


def _draw(plot, method, n, t):
    name, colour, marker = LOOKS[method]
    if len(n) >= FITTED_SIZES:
        c, p = fitted_power(n, t)
        name = f"{name}: N^{p:.2f}"
        for ends, dash in (((n[0], n[-1]), "solid"), ((n[-1], X_RANGE[1]), "dashed")):
            x = np.array(ends)
            plot.line(x, c * x**p, color=colour, line_dash=dash, line_width=2, legend_label=name)
    source = ColumnDataSource({"n": n, "t": t})
    drawn = plot.scatter("n", "t", source=source, marker=marker, size=10, color=colour, legend_label=name)
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=[(LOOKS[method][0], "@n{0,0} atoms, @t{0.000} s")]))


def _mark_paper(plot):
    plot.scatter(
        [PAPER_ATOMS], [PAPER_CPU_SECONDS], marker="star", size=18, color=NEUTRAL, legend_label="paper, Sec. I"
    )
    plot.add_layout(
        Label(
            x=PAPER_ATOMS,
            y=PAPER_CPU_SECONDS,
            x_offset=-12,
            y_offset=10,
            text_align="right",
            text="the paper's limit: 2·10⁵ atoms, > 20 TB, 10 h on 1000s of CPUs",
            text_font_size="12px",
            text_color=NEUTRAL,
        )
    )
