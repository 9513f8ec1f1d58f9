"""How a property is distributed over the structures of each class."""

from __future__ import annotations

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from dashboards.figures.style import class_colour, styled_figure

MIN_BINS, MAX_BINS = 24, 60


def class_histogram(values, labels, *, x_label: str, height: int = 380) -> figure:
    """Histograms of one property, one for each class, over common bins.

    Parameters
    ----------
    values : (M,) array
        NaN where unknown; those are left out.
    labels : (M,) str array
    x_label : str
        With the unit.
    height : int
        Pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = styled_figure(x_label=x_label, y_label="structures", height=height)
    known = np.isfinite(values)
    if not known.any():
        return plot
    edges = common_bins(values[known])
    highest, room = 0, 0.03 * (edges[-1] - edges[0])
    plot.x_range = Range1d(edges[0] - room, edges[-1] + room)
    for label in np.unique(labels[known]):
        chosen = values[known & (labels == label)]
        counts, _ = np.histogram(chosen, edges)
        highest = max(highest, int(counts.max()))
        source = ColumnDataSource(
            {"left": edges[:-1], "right": edges[1:], "count": counts, "label": [label] * len(counts)}
        )
        bars = plot.quad(
            left="left",
            right="right",
            top="count",
            bottom=0,
            source=source,
            fill_color=class_colour(label),
            fill_alpha=0.45,
            line_alpha=0,
            legend_label=f"{label} (n = {len(chosen):,})",
        )
        plot.step(
            edges,
            np.append(counts, 0),
            mode="after",
            line_color=class_colour(label),
            line_width=2,
            legend_label=f"{label} (n = {len(chosen):,})",
        )
        plot.add_tools(
            HoverTool(renderers=[bars], tooltips=[("", "@label: @count in @left{0.00} to @right{0.00}")], visible=False)
        )
    plot.y_range = Range1d(0, 1.3 * highest)  # room for the legend
    plot.legend.click_policy = "hide"
    plot.legend.background_fill_alpha = 0.7
    plot.legend.label_text_font_size = "12px"
    return plot


def common_bins(values) -> np.ndarray:
    """Edges of bins for all classes at once: as many as Freedman and Diaconis advise, within reason."""
    n_bins = len(np.histogram_bin_edges(values, bins="fd")) - 1
    return np.histogram_bin_edges(values, bins=min(max(n_bins, MIN_BINS), MAX_BINS))
