"""Density of vibrational states of one atom beside the mean of all atoms of its structure.

    rho_i(nu) = sum_alpha sum_k |xi_k(i alpha)|^2 delta(nu - nu_k)                       modes per THz

nu_k frequencies, xi_k the orthonormal eigenvectors; each delta function has the width of the library's densities. What an atom
has at low frequency beyond the mean makes its entropy larger than that of the crystal, what it has above makes it smaller.
"""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool

from dashboards.figures.style import BLUE, VERMILLION, styled_figure

ATOM, MEAN = VERMILLION, BLUE


class LocalDensityFigure:
    """The two curves; another atom reaches the browser without building the plot again.

    Attributes
    ----------
    plot : bokeh figure
    curves : ColumnDataSource
        ``frequency`` (THz), ``atom`` and ``mean`` (modes per THz).
    """

    def __init__(self, *, height: int = 220):
        self.curves = ColumnDataSource({"frequency": [], "atom": [], "mean": []})
        self.plot = styled_figure(x_label="frequency ν (THz)", y_label="ρᵢ(ν) (modes/THz)", height=height)
        look = {"source": self.curves, "line_width": 2}
        self.plot.line("frequency", "mean", color=MEAN, line_dash="dashed", legend_label="mean of all atoms", **look)
        line = self.plot.line("frequency", "atom", color=ATOM, legend_label="this atom", **look)
        tips = [("ν", "@frequency{0.00} THz"), ("atom", "@atom{0.000}"), ("mean", "@mean{0.000}")]
        self.plot.add_tools(HoverTool(renderers=[line], tooltips=tips, mode="vline"))
        self.plot.legend.location = "top_left"
        self.plot.legend.click_policy = "hide"
        self.plot.legend.background_fill_alpha = 0.7

    def show(self, frequencies: np.ndarray, densities: np.ndarray, atom: int) -> None:
        """Draw one atom.

        Parameters
        ----------
        frequencies : (K,) float, THz
        densities : (N, K) float, modes per THz
        atom : int
        """
        self.curves.data = {"frequency": frequencies, "atom": densities[atom], "mean": densities.mean(axis=0)}
