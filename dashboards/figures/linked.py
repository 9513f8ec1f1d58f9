"""Plots of a dataset that are linked: a box drawn in one chooses structures, all show the chosen ones among the others.

A plot knows its numbers; whoever arranges plots passes the choice round:

    plot.on_brush(lambda ranges: ...)    ranges of the numbers on its axes, by name; None where a box was taken away
    plot.show(chosen)                    (M,) bool
    plot.show_ranges(ranges)             the ranges asked for, by whatever means
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from bokeh.events import DoubleTap, SelectionGeometry
from bokeh.models import BoxSelectTool, Range1d
from bokeh.plotting import figure

from dashboards.figures.style import NEUTRAL, styled_figure

Ranges = Mapping[str, tuple[float, float] | None]
BRUSH = "brush"
"""Name of the box around what was asked for."""
PLOT_HEIGHT = 236
_SIDES = ("left", "right", "bottom", "top")
_EVERYWHERE = (-1e9, 1e9)


class LinkedPlot(ABC):
    """A plot with a box that chooses structures.

    Parameters
    ----------
    x_key, y_key : str
        Names of the numbers on the axes, as ranges go by; an empty one cannot be brushed.
    x_range, y_range : (float, float)
        Of the axes.
    x_label, y_label : str
        With units.
    height : int
        Pixels.

    Attributes
    ----------
    figure : bokeh.plotting.figure
    """

    def __init__(
        self,
        x_key: str,
        y_key: str = "",
        *,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        x_label: str,
        y_label: str,
        height: int = PLOT_HEIGHT,
    ):
        self._keys = {"left": x_key, "bottom": y_key}
        self._listeners: list[Callable[[Ranges], None]] = []
        self.figure = self._framed(x_range, y_range, x_label, y_label, height)
        self.figure.on_event(SelectionGeometry, self._take_box)
        self.figure.on_event(DoubleTap, lambda event: self._tell(None, None))

    @abstractmethod
    def show(self, chosen) -> None:
        """Tell the structures in a boolean mask (M,) from the others."""

    def on_brush(self, listener: Callable[[Ranges], None]) -> None:
        """Call `listener` with the ranges of each box drawn; with None for each axis when it was double-clicked away."""
        self._listeners.append(listener)

    def show_ranges(self, ranges: Ranges) -> None:
        """Draw the box around what is asked for, or none."""
        x, y = (ranges.get(key) if key else None for key in self._keys.values())
        limits = [*(x or _EVERYWHERE), *(y or _EVERYWHERE)] if x or y else []
        columns = [[limit] for limit in limits] or [[] for _ in _SIDES]
        self._box.data_source.data = dict(zip(_SIDES, columns, strict=True))

    def _framed(self, x_range, y_range, x_label, y_label, height) -> figure:
        plot = styled_figure(
            x_label=x_label, y_label=y_label, height=height, x_range=Range1d(*x_range), y_range=Range1d(*y_range)
        )
        dimensions = "both" if self._keys["bottom"] else "width"
        # the choice is drawn from here for all plots; a selection of the browser's own would contradict it
        brush = BoxSelectTool(dimensions=dimensions, renderers=[], description="Choose structures by a box")
        plot.add_tools(brush)
        plot.toolbar.active_drag = brush
        # a glyph: to move an annotation makes Bokeh walk through all models of the page
        self._box = plot.quad(
            **{side: side for side in _SIDES},
            source={side: [] for side in _SIDES},
            fill_color=NEUTRAL,
            fill_alpha=0.14,
            line_color=NEUTRAL,
            line_width=1.5,
            level="underlay",
            name=BRUSH,
        )
        return plot

    def _take_box(self, event):
        box = event.geometry
        if event.final and box.get("type") == "rect":
            self._tell((box["x0"], box["x1"]), (box["y0"], box["y1"]))

    def _tell(self, x, y):
        limits = {"left": x, "bottom": y}
        ranges = {key: limits[side] and _ordered(limits[side]) for side, key in self._keys.items() if key}
        for listener in self._listeners:
            listener(ranges)


def _ordered(limits):
    return min(map(float, limits)), max(map(float, limits))
