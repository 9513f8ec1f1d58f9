"""Whether intervals hold what they promise: the share of structures inside them against the share promised."""

from __future__ import annotations

from collections.abc import Mapping

import holoviews as hv
import numpy as np
from bokeh.models import HoverTool, NumeralTickFormatter

from dashboards.figures.style import BLUE, NEUTRAL, VERMILLION, plot_options
from ldml.evaluation.calibration import CoverageCurve

_LOOKS = ((BLUE, "circle"), (VERMILLION, "diamond"))


def coverage_plot(curves: Mapping[str, CoverageCurve], *, height: int = 340) -> hv.Overlay:
    """Share covered against share promised; on the dashed line the intervals are right, below it they promise too much.

    Parameters
    ----------
    curves : mapping of str to CoverageCurve
        By what was held out; two at most.
    height : int
        Pixels.
    """
    promised, covered = hv.Dimension("promised", label="share promised"), hv.Dimension("covered", label="share inside")
    layers = [hv.Curve(([0, 1], [0, 1]), promised, covered).opts(color=NEUTRAL, line_dash="dashed", line_width=1.5)]
    for (name, curve), (colour, marker) in zip(curves.items(), _LOOKS, strict=False):
        hover = HoverTool(
            tooltips=[
                (
                    "",
                    f"{name}: @covered{{0.0 %}} inside intervals of @promised{{0 %}}, ±@half_width{{0.00}} k_B typically",
                )
            ]
        )
        values = (curve.coverages, curve.covered, curve.half_width)
        layers += (
            hv.Curve(values[:2], promised, covered, label=name).opts(color=colour, line_width=2.5),
            hv.Scatter(values, promised, [covered, "half_width"], label=name).opts(
                color=colour, marker=marker, size=9, tools=[hover]
            ),
        )
    share = NumeralTickFormatter(format="0 %")
    ticks = np.round(np.linspace(0, 1, 6), 1).tolist()
    return hv.Overlay(layers).opts(
        **plot_options(height=height),
        xlim=(0.0, 1.0),
        ylim=(0.0, 1.02),
        xticks=ticks,
        yticks=ticks,
        xformatter=share,
        yformatter=share,
        legend_position="top_left",
    )
