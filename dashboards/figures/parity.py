"""Learned against exact formation entropy, and how far apart they are.

A point on the line y = x is a structure the model gets right; the residual is learned minus exact, k_B. The bar of a structure held
out is the interval that promises to hold the exact value: a bar that does not cross the line has missed it.
"""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from dashboards.figures.style import NEUTRAL, TEST, TRAIN, class_colour, styled_figure
from dashboards.state import Fit
from ldml.evaluation.protocols import COVERAGE

SELECTION, POINTS, INTERVALS, OUTSIDE = "selection", "points", "intervals", "outside"
"""Names of the ring around the structure in view, of the structures, their intervals and the marks of extrapolation."""
LEGEND_ROWS = 8
"""Rows that fit above the diagonal."""

_TOOLTIP = """
<div style="font-size: 13px; line-height: 1.45">
  <b>@name</b> (@label, @part@remark)<br>
  exact @true{0.000} k_B<br>learned @predicted{0.000}@interval k_B<br>residual @residual{+0.000} k_B
</div>
"""


def fit_parity(fit: Fit, *, height: int) -> figure:
    """`parity_plot` of a fit with its intervals."""
    return parity_plot(
        fit.true,
        fit.predicted,
        fit.data.labels,
        fit.data.names,
        fit.test,
        half_width=fit.half_width,
        outside=fit.outside,
        coverage=COVERAGE,
        height=height,
    )


def parity_plot(
    true, predicted, labels, names, test, *, half_width=None, outside=None, coverage: float = 0.9, height: int = 640
) -> figure:
    """Scatter of learned against exact S_f: faint circles were fitted, full diamonds held out.

    Parameters
    ----------
    true, predicted : (M,) array, k_B
    labels, names : (M,) str array
        Class and name of each structure.
    test : (M,) bool array
        Which were held out.
    half_width : (M,) array, k_B, optional
        Half of the intervals, drawn for structures held out; NaN for none.
    outside : (M,) bool array, optional
        Which lie outside the training set, marked among those held out.
    coverage : float
        Probability that the intervals promise.
    height : int
        Pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    half_width = np.full(len(true), np.nan) if half_width is None else half_width
    outside = test & (np.zeros(len(true), dtype=bool) if outside is None else outside)
    told = _columns(true, predicted, labels, names, test, half_width, outside)
    low, high = padded_range(np.concatenate([true, predicted]))
    plot = styled_figure(
        x_label="S_f exact (k_B)",
        y_label="S_f learned (k_B)",
        height=height,
        x_range=Range1d(low, high),
        y_range=Range1d(low, high),
    )
    plot.line([low, high], [low, high], line_color=NEUTRAL, line_dash="dashed", line_width=1.5)
    _intervals(
        plot, true, predicted, labels, half_width, test & np.isfinite(half_width), f"{100 * coverage:g} % interval"
    )
    for part, which, marker in (("train", ~test, "circle"), ("test", test, "diamond")):
        for label in np.unique(
            labels
        ):  # also where there are none, so that another split is the same figure with other data
            chosen = which & (labels == label)
            plot.scatter(
                "true",
                "predicted",
                source=ColumnDataSource({name: values[chosen] for name, values in told.items()}),
                marker=marker,
                size=6 if part == "train" else 11,
                fill_color=class_colour(label),
                fill_alpha=0.3 if part == "train" else 1.0,
                line_color=class_colour(label) if part == "train" else NEUTRAL,
                line_alpha=0.6 if part == "train" else 1.0,
                line_width=1.0 if part == "train" else 0.5,
                legend_label=str(label),
                name=POINTS,
            )
    plot.scatter(
        true[outside],
        predicted[outside],
        marker="square",
        size=15,
        fill_alpha=0,
        line_color=NEUTRAL,
        line_width=1.5,
        legend_label="outside training",
        name=OUTSIDE,
    )
    plot.legend.items[-1].visible = bool(outside.any())
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
    plot.legend.location = "top_left"
    plot.legend.click_policy = "hide"
    plot.legend.ncols = -(-sum(item.visible for item in plot.legend.items) // LEGEND_ROWS)
    plot.legend.label_text_font_size = "12px"
    plot.legend.background_fill_alpha = 0.7
    return plot


def _intervals(plot, true, predicted, labels, half_width, chosen, name):
    """A bar through each of the chosen structures in the colour of its class."""
    if chosen.any():
        at, centre, half = true[chosen], predicted[chosen], half_width[chosen]
        colours = [class_colour(label) for label in labels[chosen]]
        plot.segment(
            at,
            centre - half,
            at,
            centre + half,
            line_color=colours,
            line_alpha=0.55,
            line_width=1.2,
            legend_label=name,
            name=INTERVALS,
        )


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


def _columns(true, predicted, labels, names, test, half_width, outside):
    """What the points and their tooltips are made of; of a structure that was fitted, the interval is none."""
    told = test & np.isfinite(half_width)
    return {
        "true": true,
        "predicted": predicted,
        "residual": predicted - true,
        "interval": np.array([f" ± {half:.3f}" if tell else "" for half, tell in zip(half_width, told, strict=True)]),
        "label": labels,
        "name": names,
        "part": np.where(test, "test", "train"),
        "remark": np.where(outside, ", outside the training set", ""),
    }
