"""How a property is distributed over the structures of each class."""

from __future__ import annotations

import holoviews as hv
import numpy as np
from bokeh.models import HoverTool

from dashboards.figures.style import LEGEND_ROWS, class_colour, plot_options

MIN_BINS, MAX_BINS = 24, 60


def class_histogram(values, labels, *, x_label: str, height: int = 380) -> hv.Overlay:
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
    """
    known = np.isfinite(values)
    if not known.any():
        nothing = _bars("nothing", np.array([0]), np.array([0.0, 1.0]), x_label)
        return hv.Overlay([nothing]).opts(**plot_options(height=height))
    edges = common_bins(values[known])
    counts = {str(c): np.histogram(values[known & (labels == c)], edges)[0] for c in np.unique(labels[known])}
    highest, room = max(int(n.max()) for n in counts.values()), 0.03 * float(edges[-1] - edges[0])
    return hv.Overlay([_bars(label, n, edges, x_label) for label, n in counts.items()]).opts(
        **plot_options(height=height),
        xlim=(float(edges[0]) - room, float(edges[-1]) + room),
        ylim=(0.0, 1.55 * highest),  # room for the legend
        legend_position="top_right",
        legend_cols=-(-len(counts) // LEGEND_ROWS),
    )


def common_bins(values) -> np.ndarray:
    """Edges of bins for all classes at once: as many as Freedman and Diaconis advise, within reason."""
    n_bins = len(np.histogram_bin_edges(values, bins="fd")) - 1
    return np.histogram_bin_edges(values, bins=min(max(n_bins, MIN_BINS), MAX_BINS))


def _bars(label, counts, edges, x_label):
    bars = hv.Histogram(
        (edges, counts),
        kdims=[hv.Dimension("value", label=x_label)],
        vdims=[hv.Dimension("count", label="structures")],
        label=f"{label} (n = {counts.sum():,})",
    )
    hover = HoverTool(tooltips=[("", f"{label}: @top in @left{{0.00}} to @right{{0.00}}")], visible=False)
    colour = class_colour(label)
    return bars.opts(
        fill_color=colour, fill_alpha=0.45, line_color=colour, line_alpha=0.9, line_width=1.2, tools=[hover]
    )
