"""Local entropies against distance from the defect, and how they add up.

    S(r) = sum_{i: d_i <= r} S_i

d_i distance of atom i to the nearest interstitial atom or vacancy, in a cluster to its centre; S_i its entropy less that
of an atom of the perfect crystal, k_B. The upper plot shows S_i, the lower one S(r), which reaches the formation entropy
only at the far end: what an atom 10 Å away contributes is small, but there are many such atoms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, HoverTool, Span, TapTool

from dashboards.figures.style import BLUE, GREEN, NEUTRAL, VERMILLION, styled_figure

EXACT, LEARNED, SELECTED = BLUE, VERMILLION, GREEN
NEAREST_DEFECT = "the nearest defect"
MOST_POINTS = 20_000
"""Of a structure with more atoms those nearest to the defect are drawn; far away nothing happens."""


class LocalProfile:
    """The two plots over one set of points; new values reach the browser without building the plots again.

    Attributes
    ----------
    layout : bokeh.models.Column
        What to show.
    points, sums, ring : ColumnDataSource
        The atoms, the running sums, the selected atom.
    """

    def __init__(self, *, height: int = 420):
        self.points = ColumnDataSource(_point_columns(np.empty(0), None, None))
        self.sums = ColumnDataSource(_sum_columns(np.empty(0), None, None))
        self.ring = ColumnDataSource({"distance": [], "value": []})
        upper = self._atoms_figure(round(0.6 * height))
        lower = self._sums_figure(height - upper.height, upper.x_range)
        self._axis = lower.xaxis[0]
        self.layout = column(upper, lower, sizing_mode="stretch_width", spacing=0)

    def show(self, distances, exact=None, learned=None, *, place: str = NEAREST_DEFECT, unit: str = "Å") -> None:
        """Draw the atoms of a structure.

        Parameters
        ----------
        distances : (N,) float
            To the nearest defect; atoms at infinite distance, as in a perfect crystal, are left out, and so are those beyond the
            nearest `MOST_POINTS`.
        exact, learned : (N,) float, k_B, optional
        place, unit : str
            What the distances are from, and their unit.
        """
        self._axis.axis_label = f"distance r to {place} ({unit})"
        self._hover.tooltips = _tips(unit)
        self.points.selected.indices = []
        self.ring.data = {"distance": [], "value": []}
        self.points.data = _point_columns(np.asarray(distances, dtype=float), exact, learned)
        self.sums.data = _sum_columns(np.asarray(distances, dtype=float), exact, learned)

    def select(self, atom: int) -> None:
        """Put a ring around the points of one atom; -1 for none."""
        rows = np.flatnonzero(np.asarray(self.points.data["atom"]) == atom)
        values = [
            (self.points.data["distance"][r], self.points.data[kind][r]) for r in rows for kind in ("exact", "learned")
        ]
        values = [pair for pair in values if np.isfinite(pair[1])]
        self.ring.data = {"distance": [d for d, _ in values], "value": [v for _, v in values]}

    def on_tap(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the atom whose point was tapped, -1 for none."""

        def chosen(attr, old, new):
            callback(int(self.points.data["atom"][new[0]]) if new else -1)

        self.points.selected.on_change("indices", chosen)

    def _atoms_figure(self, height):
        plot = styled_figure(x_label="", y_label="Sᵢ − S_bulk (k_B)", height=height, min_border_left=70)
        plot.xaxis.major_label_text_alpha = 0.0
        look = {"source": self.points, "size": 6, "alpha": 0.8, "nonselection_alpha": 0.8, "line_color": None}
        exact = plot.scatter("distance", "exact", marker="circle", color=EXACT, legend_label="exact", **look)
        learned = plot.scatter("distance", "learned", marker="triangle", color=LEARNED, legend_label="learned", **look)
        plot.scatter("distance", "value", source=self.ring, size=15, fill_color=None, line_color=SELECTED, line_width=3)
        plot.add_layout(_zero_line())
        self._hover = HoverTool(renderers=[exact, learned], tooltips=_tips("Å"))
        plot.add_tools(TapTool(renderers=[exact, learned]), self._hover)
        plot.legend.click_policy = "hide"
        plot.legend.orientation = "horizontal"
        return plot

    def _sums_figure(self, height, x_range):
        plot = styled_figure(
            x_label=f"distance r to {NEAREST_DEFECT} (Å)",
            y_label="sum to r (k_B)",
            height=height,
            x_range=x_range,
            min_border_left=70,
        )
        plot.toolbar_location = None
        plot.step("distance", "exact", source=self.sums, mode="after", color=EXACT, line_width=2)
        plot.step(
            "distance", "learned", source=self.sums, mode="after", color=LEARNED, line_width=2, line_dash="dashed"
        )
        plot.add_layout(_zero_line())
        return plot


def running_sum(distances: np.ndarray, values: np.ndarray) -> np.ndarray:
    """S(r) at each of the distances (N,) in ascending order, k_B."""
    return np.cumsum(np.asarray(values)[np.argsort(distances, kind="stable")])


def _point_columns(distances, exact, learned):
    near = np.sort(_nearest(distances))
    return {
        "atom": near,
        "distance": distances[near],
        "exact": _column(exact, len(distances))[near],
        "learned": _column(learned, len(distances))[near],
    }


def _sum_columns(distances, exact, learned):
    near = _nearest(distances)
    return {
        "distance": distances[near],
        "exact": running_sum(distances[near], _column(exact, len(distances))[near]),
        "learned": running_sum(distances[near], _column(learned, len(distances))[near]),
    }


def _nearest(distances):
    """Indices of the atoms that are drawn, the nearest first."""
    order = np.argsort(distances, kind="stable")[:MOST_POINTS]
    return order[np.isfinite(distances[order])]


def _column(values, n):
    return np.full(n, np.nan) if values is None else np.asarray(values, dtype=float)


def _tips(unit):
    return [
        ("atom", "@atom"),
        ("distance", f"@distance{{0.00}} {unit}"),
        ("exact", "@exact{0.0000} k_B"),
        ("learned", "@learned{0.0000} k_B"),
    ]


def _zero_line():
    return Span(location=0, dimension="width", line_color=NEUTRAL, line_width=1)
