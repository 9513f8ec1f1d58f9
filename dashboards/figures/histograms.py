"""How a property is distributed over the structures of each class, and which of them are chosen."""

from __future__ import annotations

import numpy as np
from bokeh.models import HoverTool

from dashboards.figures.linked import PLOT_HEIGHT, LinkedPlot
from dashboards.figures.style import class_colour

MIN_BINS, MAX_BINS = 24, 60
CHOSEN, ALL = "chosen", "all"
"""Names of the bars of the chosen structures, and of those of all."""
_TOOLTIP = "<b>@label</b> @left{0.00} to @right{0.00}: @top of @most"


class ClassHistogram(LinkedPlot):
    """Histograms of one property, one for each class, over common bins; a box chooses a range of it.

    Parameters
    ----------
    values : (M,) array
        NaN where unknown; those are left out.
    labels : (M,) str array
    key : str
        Name of the property, as ranges go by.
    x_label : str
        With the unit.
    height : int
        Pixels.
    """

    def __init__(self, values, labels, *, key: str, x_label: str, height: int = PLOT_HEIGHT):
        known = np.isfinite(values)
        self._edges = common_bins(values[known]) if known.any() else np.array([0.0, 1.0])
        self._values, self._labels = values, labels
        self._classes = [str(label) for label in np.unique(labels[known])]
        counts = self._counts(known)
        highest, room = max(1, int(counts.max(initial=1))), 0.03 * float(self._edges[-1] - self._edges[0])
        super().__init__(
            key,
            x_range=(float(self._edges[0]) - room, float(self._edges[-1]) + room),
            y_range=(0.0, 1.06 * highest),
            x_label=x_label,
            y_label="structures",
            height=height,
        )
        self._draw(counts)

    def show(self, chosen) -> None:
        """Fill the bars of the structures in a boolean mask (M,)."""
        self._bars.data_source.data["top"] = self._counts(chosen).ravel()

    def _counts(self, chosen):
        """Structures of each class in each bin, (classes, bins) float."""
        of_class = [
            np.histogram(self._values[chosen & (self._labels == c) & np.isfinite(self._values)], self._edges)[0]
            for c in self._classes
        ]
        return np.array(of_class, dtype=float).reshape(len(self._classes), len(self._edges) - 1)

    def _draw(self, counts):
        n = len(self._classes)
        source = {
            "left": np.tile(self._edges[:-1], n),
            "right": np.tile(self._edges[1:], n),
            "top": counts.ravel(),
            "most": counts.ravel(),
            "label": np.repeat(np.array(self._classes, dtype=str), counts.shape[1]),
            "colour": [class_colour(label) for label in self._classes for _ in range(counts.shape[1])],
        }
        bars = {"left": "left", "right": "right", "bottom": 0, "color": "colour"}
        self._bars = self.figure.quad(
            **bars, top="top", source=source, fill_alpha=0.5, line_alpha=0.9, line_width=0.8, name=CHOSEN
        )
        outline = self.figure.quad(
            **bars,
            top="most",
            source=self._bars.data_source,
            fill_alpha=0.08,
            line_alpha=0.3,
            line_width=0.8,
            name=ALL,
        )
        self.figure.add_tools(HoverTool(tooltips=_TOOLTIP, renderers=[outline], visible=False))


def common_bins(values) -> np.ndarray:
    """Edges of bins for all classes at once: as many as Freedman and Diaconis advise, within reason."""
    n_bins = len(np.histogram_bin_edges(values, bins="fd")) - 1
    return np.histogram_bin_edges(values, bins=min(max(n_bins, MIN_BINS), MAX_BINS))
