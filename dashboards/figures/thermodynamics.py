"""Formation entropy, free energy and heat capacity of one defect against temperature, classical beside quantum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Span
from bokeh.plotting import figure

from dashboards.figures.style import BLUE, NEUTRAL, VERMILLION, styled_figure
from ldml.entropy import Spectrum, Thermodynamics, formation_thermodynamics
from ldml.entropy.thermodynamics import STATISTICS

LOWEST, HIGHEST, POINTS = 10.0, 1500.0, 120
"""Temperatures shown, K."""


@dataclass(frozen=True)
class Quantity:
    """A function of temperature: attribute of `Thermodynamics`, symbol and unit."""

    attribute: str
    symbol: str
    unit: str


QUANTITIES = {
    "S(T)": Quantity("entropy", "S_f", "k_B"),
    "F(T)": Quantity("free_energy", "F_f, vibrational", "eV"),
    "C_v(T)": Quantity("heat_capacity", "C_v, formation", "k_B"),
}
_LOOKS = {"classical": {"color": BLUE, "line_dash": "dashed"}, "quantum": {"color": VERMILLION}}


def formation_curves(defect: Spectrum, crystal: Spectrum) -> tuple[Thermodynamics, ...]:
    """Formation values over the temperatures shown, for each of `STATISTICS`."""
    temperatures = np.geomspace(LOWEST, HIGHEST, POINTS)
    return tuple(formation_thermodynamics(defect, crystal, temperatures, statistics=kind) for kind in STATISTICS)


def thermodynamics_figure(
    curves: Sequence[Thermodynamics], quantity: str, *, temperature: float, height: int = 344
) -> figure:
    """One quantity against temperature.

    Parameters
    ----------
    curves : sequence of Thermodynamics
        As `formation_curves` gives them.
    quantity : str
        A key of `QUANTITIES`.
    temperature : float, K
        Marked.
    height : int
        Pixels.
    """
    chosen = QUANTITIES[quantity]
    plot = styled_figure(
        x_label="temperature (K)", y_label=f"{chosen.symbol} ({chosen.unit})", height=height, min_border_left=70
    )
    for curve in curves:
        source = ColumnDataSource({"T": curve.temperatures, "value": getattr(curve, chosen.attribute)})
        line = plot.line(
            "T", "value", source=source, line_width=2, legend_label=curve.statistics, **_LOOKS[curve.statistics]
        )
        tips = [("T", "@T{0} K"), (f"{chosen.symbol}, {curve.statistics}", f"@value{{0.0000}} {chosen.unit}")]
        plot.add_tools(HoverTool(renderers=[line], tooltips=tips, mode="vline"))
    plot.add_layout(Span(location=temperature, dimension="height", line_color=NEUTRAL, line_dash="dotted"))
    plot.legend.location = "center_right"
    plot.legend.click_policy = "hide"
    return plot
