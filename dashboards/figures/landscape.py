"""Formation entropy against formation energy, a point for each structure; a box chooses ranges of both."""

from __future__ import annotations

import numpy as np
from bokeh.models import HoverTool, LinearColorMapper

from dashboards.figures.linked import PLOT_HEIGHT, LinkedPlot
from dashboards.figures.parity import SELECTION, mark, nearest_point, padded_range
from dashboards.figures.style import NEUTRAL, class_colour

POINTS = "points"
_OTHERS_ALPHA = "2e"
_CHOSEN_ALPHA = "b0"


class Landscape(LinkedPlot):
    """Scatter of two numbers of the structures.

    Parameters
    ----------
    x, y : (M,) array
        NaN where unknown; those are left out.
    names, labels : (M,) str array
    keys : (str, str)
        Names of the numbers, as ranges go by.
    x_label, y_label : str
        With units.
    height : int
        Pixels.
    """

    def __init__(self, x, y, names, labels, *, keys, x_label: str, y_label: str, height: int = PLOT_HEIGHT):
        self._known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        self._x, self._y = x[self._known], y[self._known]
        classes, code = np.unique(labels[self._known], return_inverse=True)
        self._code = code.astype(np.uint8 if len(classes) < 255 else np.int32) + 1  # 0 is for those not chosen
        super().__init__(
            *keys,
            x_range=padded_range(self._x) if len(self._x) else (0.0, 1.0),
            y_range=padded_range(self._y) if len(self._y) else (0.0, 1.0),
            x_label=x_label,
            y_label=y_label,
            height=height,
        )
        self._draw(names, labels, [class_colour(str(label)) for label in classes])

    def show(self, chosen) -> None:
        """Colour the structures in a boolean mask (M,), fade the others."""
        self._points.data_source.data["code"] = np.where(chosen[self._known], self._code, 0).astype(self._code.dtype)

    def mark(self, index: int | None) -> None:
        """Put a ring around structure `index`, or around none."""
        at = np.flatnonzero(self._known == index) if index is not None else []
        mark(self.figure, *((self._x[at[0]], self._y[at[0]]) if len(at) else (None, None)))

    def nearest(self, x: float, y: float) -> int | None:
        """Index of the structure that a tap meant; None if none is near."""
        if len(self._known) == 0:
            return None
        found = nearest_point(self.figure, self._x, self._y, x, y)
        return None if found is None else int(self._known[found])

    def _draw(self, names, labels, colours):
        source = {"true": self._x, "predicted": self._y, "code": self._code}
        source |= {"name": names[self._known], "label": labels[self._known]}
        palette = [NEUTRAL + _OTHERS_ALPHA, *(colour + _CHOSEN_ALPHA for colour in colours)]
        colour = {"field": "code", "transform": LinearColorMapper(palette=palette, low=-0.5, high=len(palette) - 0.5)}
        self._points = self.figure.scatter(
            "true", "predicted", source=source, size=4.5, fill_color=colour, line_color=None, name=POINTS
        )
        self.figure.scatter(
            "true",
            "predicted",
            source={"true": [], "predicted": []},
            size=16,
            fill_alpha=0,
            line_color=NEUTRAL,
            line_width=2.5,
            name=SELECTION,
        )
        tooltip = (
            f"<b>@name</b> (@label)<br>{self._keys['left']} @true{{0.000}}, {self._keys['bottom']} @predicted{{0.000}}"
        )
        self.figure.add_tools(HoverTool(tooltips=tooltip, renderers=[self._points], limit=1, visible=False))
