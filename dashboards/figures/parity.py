"""Learned against exact formation entropy, and how far apart they are.

A point on the line y = x is a structure the model gets right; the residual is learned minus exact, k_B.
"""

from __future__ import annotations

import numpy as np
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, CustomJS, HoverTool, Range1d
from bokeh.plotting import figure

from dashboards.figures.style import LEGEND_ROWS, NEUTRAL, TEST, TRAIN, class_colour, styled_figure

SELECTION, POINTS = "selection", "points"
"""Names of the ring around the structure in view, and of the structures."""

_TOOLTIP = """
<div style="font-size: 13px; line-height: 1.45">
  <b>@name</b> (@label, @part)<br>
  exact @true{0.000} k_B<br>learned @predicted{0.000} k_B<br>residual @residual{+0.000} k_B
</div>
"""
# a tap may turn to another page; the box under the pointer would outlive the plot
_HIDE_TOOLTIP = "for (const view of Bokeh.index.query((view) => view.model === hover)) view._move_exit?.()"


def parity_plot(true, predicted, labels, names, test, *, height: int = 640) -> figure:
    """Scatter of learned against exact S_f: filled circles were fitted, open diamonds held out.

    Parameters
    ----------
    true, predicted : (M,) array, k_B
    labels, names : (M,) str array
        Class and name of each structure.
    test : (M,) bool array
        Which were held out.
    height : int
        Pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    low, high = padded_range(np.concatenate([true, predicted]))
    plot = styled_figure(
        x_label="S_f exact (k_B)",
        y_label="S_f learned (k_B)",
        height=height,
        x_range=Range1d(low, high),
        y_range=Range1d(low, high),
    )
    plot.line([low, high], [low, high], line_color=NEUTRAL, line_dash="dashed", line_width=1.5)
    for part, which, marker in (("train", ~test, "circle"), ("test", test, "diamond")):
        for label in np.unique(labels[which]):
            chosen = which & (labels == label)
            plot.scatter(
                "true",
                "predicted",
                source=_source(true, predicted, labels, names, chosen, part),
                marker=marker,
                size=6 if part == "train" else 11,
                fill_color=class_colour(label),
                fill_alpha=0.3 if part == "train" else 1.0,
                line_color=class_colour(label) if part == "train" else NEUTRAL,
                line_alpha=0.6 if part == "train" else 1.0,
                line_width=1.0 if part == "train" else 0.5,
                legend_label=f"{label} {part}",
                name=POINTS,
            )
    plot.scatter(
        "true",
        "predicted",
        source=ColumnDataSource({"true": [], "predicted": []}),
        size=18,
        fill_alpha=0,
        line_color=NEUTRAL,
        line_width=2.5,
        name=SELECTION,
    )
    points = [renderer for renderer in plot.renderers if renderer.name == POINTS]
    hover = HoverTool(tooltips=_TOOLTIP, renderers=points, limit=1)
    plot.add_tools(hover)
    plot.js_on_event(Tap, CustomJS(args={"hover": hover}, code=_HIDE_TOOLTIP))
    plot.legend.location = "top_left"
    plot.legend.click_policy = "hide"
    plot.legend.ncols = 2 * -(-len(np.unique(labels)) // LEGEND_ROWS)
    plot.legend.label_text_font_size = "12px"
    plot.legend.background_fill_alpha = 0.7
    return plot


def mark(plot: figure, true: float | None, predicted: float | None) -> None:
    """Put a ring around one structure of a parity plot, or around none."""
    (ring,) = (renderer.data_source for renderer in plot.renderers if renderer.name == SELECTION)
    ring.data = {"true": [], "predicted": []} if true is None else {"true": [true], "predicted": [predicted]}


def nearest_point(plot: figure, true, predicted, x: float, y: float, *, reach: float = 0.025) -> int | None:
    """Index of the structure that a tap at (x, y) in k_B meant: the nearest on the screen, if near enough.

    Parameters
    ----------
    plot : figure
        As the browser shows it, zoomed or not.
    true, predicted : (M,) array, k_B
    x, y : float, k_B
    reach : float
        Farthest a tap may be off, as a fraction of the plot's width and height.
    """
    width, height = (abs(axis.end - axis.start) for axis in (plot.x_range, plot.y_range))
    distances = np.hypot((true - x) / width, (predicted - y) / height)
    nearest = int(np.argmin(distances))
    return nearest if distances[nearest] <= reach else None


def residual_histogram(residuals, test, *, height: int = 230) -> figure:
    """How often the model is how far off, train and test, each as a fraction of its own set.

    Parameters
    ----------
    residuals : (M,) array, k_B
        Learned minus exact.
    test : (M,) bool array
    height : int
        Pixels.
    """
    reach = max(1e-3, float(np.max(np.abs(residuals))))
    edges = np.linspace(-reach, reach, 42)
    plot = styled_figure(
        x_label="learned − exact (k_B)",
        y_label="fraction of set",
        height=height,
        x_range=Range1d(-1.05 * reach, 1.05 * reach),
    )
    highest = 0.0
    for part, which, colour in (("train", ~test, TRAIN), ("test", test, TEST)):
        counts, _ = np.histogram(residuals[which], edges)
        fractions = counts / max(1, which.sum())
        highest = max(highest, fractions.max())
        plot.step(
            edges,
            np.append(fractions, 0),
            mode="after",
            line_color=colour,
            line_width=2,
            legend_label=f"{part} (n = {which.sum():,})",
        )
    plot.y_range = Range1d(0, 1.6 * highest)  # room for the legend
    plot.legend.location = "top_left"
    plot.legend.background_fill_alpha = 0.7
    plot.legend.label_text_font_size = "12px"
    return plot


def padded_range(values) -> tuple[float, float]:
    """Range of some values with 4 % of room on both sides."""
    low, high = float(np.min(values)), float(np.max(values))
    room = 0.04 * (high - low) or 1.0
    return low - room, high + room


def _source(true, predicted, labels, names, chosen, part):
    return ColumnDataSource(
        {
            "true": true[chosen],
            "predicted": predicted[chosen],
            "residual": (predicted - true)[chosen],
            "label": labels[chosen],
            "name": names[chosen],
            "part": [part] * int(chosen.sum()),
        }
    )
