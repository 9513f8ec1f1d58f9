"""Train and test error against the proportion of structures held out (paper, Sec. V.C)."""

from __future__ import annotations

import holoviews as hv
from bokeh.models import HoverTool, NumeralTickFormatter

from dashboards.figures.style import TEST, TRAIN, plot_options
from ldml.evaluation.splits import SplitCurve

PARTS = {"train": (TRAIN, "circle"), "test": (TEST, "diamond")}


def split_plot(curve: SplitCurve, error: str = "rmse", *, height: int = 340) -> hv.Overlay:
    """Mean error over the repeats with a band of one standard deviation.

    Parameters
    ----------
    curve : SplitCurve
    error : {"rmse", "mae"}
    height : int
        Pixels.
    """
    layers = [layer for part in PARTS for layer in _part(curve, error, part)]
    highest = max((curve.mean(f"{error}_{part}") + curve.std(f"{error}_{part}")).max() for part in PARTS)
    return hv.Overlay(layers).opts(
        **plot_options(height=height),
        xticks=[round(float(p), 6) for p in curve.proportions],
        xformatter=NumeralTickFormatter(format="0 %"),
        xlim=(float(curve.proportions.min()) - 0.04, float(curve.proportions.max()) + 0.04),
        ylim=(0.0, 1.05 * float(highest)),
        legend_position="top_left",
    )


def _part(curve, error, part):
    colour, marker = PARTS[part]
    mean, std = curve.mean(f"{error}_{part}"), curve.std(f"{error}_{part}")
    held_out = hv.Dimension("proportion", label="proportion held out for testing")
    value = hv.Dimension("mean", label=f"{error.upper()} (k_B)")
    band = hv.Area((curve.proportions, mean - std, mean + std), held_out, [value, "high"], label=part)
    line = hv.Curve((curve.proportions, mean), held_out, value, label=part)
    points = hv.Scatter((curve.proportions, mean, std), held_out, [value, "std"], label=part)
    hover = HoverTool(tooltips=[("", f"{part}, @proportion{{0 %}} held out: @mean{{0.000}} ± @std{{0.000}} k_B")])
    return (
        band.opts(color=colour, fill_alpha=0.22, line_alpha=0),
        line.opts(color=colour, line_width=2.5),
        points.opts(color=colour, marker=marker, size=9, tools=[hover]),
    )
