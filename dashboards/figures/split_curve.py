"""Train and test error against the proportion of structures held out (paper, Sec. V.C)."""

from __future__ import annotations

import holoviews as hv
from bokeh.models import HoverTool, NumeralTickFormatter

from dashboards.figures.style import GREEN, TEST, TRAIN, plot_options
from ldml.evaluation.splits import SplitCurve

PARTS = {"train": (TRAIN, "circle"), "test": (TEST, "diamond")}
BY_PARENTS = "test, whole parents held out"


def split_plot(
    curve: SplitCurve, error: str = "rmse", *, grouped: SplitCurve | None = None, height: int = 340
) -> hv.Overlay:
    """Mean error over the repeats with a band of one standard deviation.

    Parameters
    ----------
    curve : SplitCurve
    error : {"rmse", "mae"}
    grouped : SplitCurve, optional
        The same with whole parents held out, whose test errors are drawn, too.
    height : int
        Pixels.
    """
    drawn = [(curve, part, part, *PARTS[part]) for part in PARTS]
    if grouped is not None:
        drawn.append((grouped, "test", BY_PARENTS, GREEN, "square"))
    layers = [layer for one in drawn for layer in _part(error, *one)]
    highest = max((one.mean(f"{error}_{part}") + one.std(f"{error}_{part}")).max() for one, part, *_ in drawn)
    return hv.Overlay(layers).opts(
        **plot_options(height=height),
        xticks=[round(float(p), 6) for p in curve.proportions],
        xformatter=NumeralTickFormatter(format="0 %"),
        xlim=(float(curve.proportions.min()) - 0.04, float(curve.proportions.max()) + 0.04),
        ylim=(0.0, 1.05 * float(highest)),
        legend_position="top_left",
    )


def _part(error, curve, part, name, colour, marker):
    mean, std = curve.mean(f"{error}_{part}"), curve.std(f"{error}_{part}")
    held_out = hv.Dimension("proportion", label="proportion held out for testing")
    value = hv.Dimension("mean", label=f"{error.upper()} (k_B)")
    hover = HoverTool(tooltips=[("", f"{name}, @proportion{{0 %}} held out: @mean{{0.000}} ± @std{{0.000}} k_B")])
    return banded(curve.proportions, mean, std, (held_out, value), name, colour, marker, hover)


def banded(x, mean, std, axes, name, colour, marker, hover) -> tuple[hv.Element, ...]:
    """A line through points with a band of one standard deviation.

    Parameters
    ----------
    x, mean, std : (n,) arrays
    axes : pair of hv.Dimension
    name : str
        In the legend.
    colour, marker : str
    hover : HoverTool
    """
    along, value = axes
    band = hv.Area((x, mean - std, mean + std), along, [value, "high"], label=name)
    line = hv.Curve((x, mean), along, value, label=name)
    points = hv.Scatter((x, mean, std), along, [value, "std"], label=name)
    return (
        band.opts(color=colour, fill_alpha=0.22, line_alpha=0),
        line.opts(color=colour, line_width=2.5),
        points.opts(color=colour, marker=marker, size=9, tools=[hover]),
    )
