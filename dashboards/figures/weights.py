"""What a linear model learned: the contribution of each feature, by its indices.

    c_k = w_k sigma_k

w_k weight, sigma_k standard deviation of the feature over the training set, k_B: how much of the differences in S_f between
structures the feature typically makes. The contributions of correlated features cancel, so that one alone says little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import holoviews as hv
import numpy as np
from bokeh.models import HoverTool

from dashboards.figures.style import BLUE, plot_options
from dashboards.viewer.palettes import DIVERGING, default_limits, hex_colours
from ldml.descriptors import Descriptor

UNIT = "w σ (k_B)"
MAX_TICKS = 12


def weight_plots(descriptor: Descriptor, contributions, *, height: int = 420) -> list[tuple[str, hv.Overlay]]:
    """A plot of the features of each descriptor that stands in this one, with its name.

    Features of two numbers, such as (n, l), are a map; others are bars in their order.

    Parameters
    ----------
    descriptor : Descriptor
    contributions : (n_features,) array, k_B
    height : int
        Pixels of all plots together.
    """
    parts = getattr(descriptor, "parts", ()) or (descriptor,)
    ends = np.cumsum([part.n_features for part in parts])[:-1]
    plots = []
    for part, values in zip(parts, np.split(np.asarray(contributions), ends), strict=True):
        draw = _map if is_grid(part.feature_indices) else _bars
        plots.append((part.name, draw(part, values, max(180, height // len(parts)))))
    return plots


def is_grid(indices: Sequence[Mapping]) -> bool:
    """Whether features have two indices, each pair of values once."""
    keys = list(indices[0])
    pairs = {tuple(index.values()) for index in indices}
    return len(keys) == 2 and len(pairs) == len(indices) == np.prod([len({pair[k] for pair in pairs}) for k in (0, 1)])


def _map(part, values, height):
    names = list(part.feature_indices[0])
    axes = [sorted({index[name] for index in part.feature_indices}) for name in names]
    x, y = (
        np.array([axis.index(index[name]) for index in part.feature_indices])
        for axis, name in zip(axes, names, strict=True)
    )
    cells = _boxes(part, values, (x - 0.5, y - 0.5, x + 0.5, y + 0.5), names).opts(
        color="contribution",
        cmap=list(hex_colours(DIVERGING)),
        clim=default_limits(values, DIVERGING),
        colorbar=True,
        clabel=UNIT,
    )
    ticks = [_ticks(axis) for axis in axes]
    edges = [(-0.5, len(axis) - 0.5) for axis in axes]
    return hv.Overlay([cells]).opts(
        **plot_options(height=height), xticks=ticks[0], yticks=ticks[1], xlim=edges[0], ylim=edges[1]
    )


def _ticks(axis):
    """Places and names of the values of an index, not too many to be read."""
    step = -(-len(axis) // MAX_TICKS)
    return [(place, f"{axis[place]:g}") for place in range(0, len(axis), step)]


def _bars(part, values, height):
    place = np.arange(1, len(values) + 1)
    corners = (place - 0.4, np.minimum(values, 0.0), place + 0.4, np.maximum(values, 0.0))
    bars = _boxes(part, values, corners, ("number of the feature", UNIT)).opts(color=BLUE)
    return hv.Overlay([bars]).opts(**plot_options(height=height))


def _boxes(part, values, corners, labels):
    """A rectangle for each feature that tells its name and contribution."""
    hover = HoverTool(tooltips=[("", "@feature: @contribution{+0.000} k_B")])
    sides = [hv.Dimension(side, label=label) for side, label in zip(("left", "bottom"), labels, strict=True)]
    return hv.Rectangles(
        (*corners, values, np.array(part.feature_names)),
        kdims=[*sides, "right", "top"],
        vdims=["contribution", "feature"],
    ).opts(line_alpha=0, tools=[hover])
