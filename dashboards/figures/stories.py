"""The plots of the stories: few curves, large type, one message each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, LabelSet, Span
from bokeh.plotting import figure

from dashboards.figures.style import BLUE, NEUTRAL, VERMILLION, styled_figure

HEIGHT = 400


@dataclass(frozen=True)
class Curve:
    """A line, or points where `marker` is set.

    Attributes
    ----------
    x, y : (n,) array
    name : str
        In the legend; none for an empty one.
    colour, dash, marker : str
    """

    x: np.ndarray
    y: np.ndarray
    name: str = ""
    colour: str = BLUE
    dash: str = "solid"
    marker: str = ""


def curves(
    *drawn: Curve, x_label: str, y_label: str, log_x=False, log_y=False, vertical: float | None = None, diagonal=False
) -> figure:
    """Curves and points over one pair of axes.

    Parameters
    ----------
    *drawn : Curve
    x_label, y_label : str
        With units.
    log_x, log_y : bool
        Whether an axis is logarithmic.
    vertical : float, optional
        Where a dotted guide stands.
    diagonal : bool
        Draw y = x.
    """
    kinds = {"x_axis_type": "log" if log_x else "linear", "y_axis_type": "log" if log_y else "linear"}
    plot = styled_figure(x_label=x_label, y_label=y_label, height=HEIGHT, min_border_left=70, **kinds)
    for curve in drawn:
        source = ColumnDataSource({"x": np.asarray(curve.x, float), "y": np.asarray(curve.y, float)})
        named = {"legend_label": curve.name} if curve.name else {}
        if curve.marker:
            glyph = plot.scatter(
                "x", "y", source=source, size=9, marker=curve.marker, color=curve.colour, alpha=0.8, **named
            )
        else:
            glyph = plot.line(
                "x", "y", source=source, line_width=2.5, color=curve.colour, line_dash=curve.dash, **named
            )
        plot.add_tools(HoverTool(renderers=[glyph], tooltips=[(x_label, "@x{0.000 a}"), (y_label, "@y{0.000 a}")]))
    if diagonal:
        ends = [min(c.x.min() for c in drawn), max(c.x.max() for c in drawn)]
        plot.line(ends, ends, color=NEUTRAL, line_dash="dashed")
    if vertical is not None:
        plot.add_layout(Span(location=vertical, dimension="height", line_color=NEUTRAL, line_dash="dotted"))
    if any(curve.name for curve in drawn):
        rising = sum(np.sign(curve.y[np.argmax(curve.x)] - curve.y[np.argmin(curve.x)]) for curve in drawn) > 0
        plot.legend.location = "top_left" if rising else "top_right"
        plot.legend.click_policy = "hide"
        plot.legend.background_fill_alpha = 0.7
    return plot


def bars(values: Mapping[str, float], *, y_label: str, highlighted: Sequence[str] = (), digits: int = 2) -> figure:
    """A bar for each name with its value above it.

    Parameters
    ----------
    values : mapping of str to float
    y_label : str
        With its unit.
    highlighted : sequence of str
        Names whose bars stand out.
    digits : int
        Of the values written.
    """
    names = list(values)
    numbers = np.array([values[name] for name in names], float)
    plot = styled_figure(x_label="", y_label=y_label, height=HEIGHT, x_range=FactorRange(*names), min_border_left=70)
    source = ColumnDataSource(
        {
            "name": names,
            "value": numbers,
            "top": np.maximum(numbers, 0.0),
            "text": [f"{number:.{digits}f}".replace("-", "−") for number in numbers],
            "colour": [VERMILLION if name in highlighted else BLUE for name in names],
        }
    )
    plot.vbar(
        x="name", top="value", width=0.6, fill_color="colour", line_color="colour", fill_alpha=0.75, source=source
    )
    plot.add_layout(
        LabelSet(
            x="name", y="top", text="text", source=source, text_align="center", y_offset=4, text_font_size="15px",
            text_color=NEUTRAL,
        )
    )  # fmt: skip
    low, high = min(0.0, float(numbers.min())), max(0.0, float(numbers.max()))
    plot.y_range.start, plot.y_range.end = 1.1 * low, high + 0.15 * (high - low)
    plot.add_layout(Span(location=0.0, dimension="width", line_color=NEUTRAL))
    plot.xgrid.visible = False
    return plot


def stems(values: np.ndarray, *, x_label: str, y_label: str) -> figure:
    """Numbered values as bars from zero, those below zero in the colour that warns."""
    values = np.asarray(values, float)
    plot = styled_figure(x_label=x_label, y_label=y_label, height=HEIGHT, min_border_left=70)
    source = ColumnDataSource(
        {"k": np.arange(1, len(values) + 1), "value": values, "colour": np.where(values < 0, VERMILLION, BLUE)}
    )
    bar = plot.vbar(
        x="k", top="value", width=0.7, fill_color="colour", line_color="colour", fill_alpha=0.75, source=source
    )
    plot.add_tools(HoverTool(renderers=[bar], tooltips=[("number", "@k"), (y_label, "@value{0.000}")]))
    plot.add_layout(Span(location=0.0, dimension="width", line_color=NEUTRAL))
    return plot
