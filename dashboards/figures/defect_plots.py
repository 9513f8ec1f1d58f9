"""Point defects of the structures of a dataset: how many of both kinds (paper, Fig. 4), how far apart (Fig. 5a).

A box in the map chooses numbers of vacancies and interstitials; one in the distances chooses the structures with a pair of
defects that far apart.
"""

from __future__ import annotations

import numpy as np
from bokeh.models import HoverTool, Label, LogColorMapper, Span

from dashboards.defects import INTERSTITIALS, VACANCIES
from dashboards.figures.linked import PLOT_HEIGHT, LinkedPlot
from dashboards.figures.style import BLUE, NEUTRAL, VERMILLION
from dashboards.selection import DISTANCE
from ldml.figures.defect_distances import BIN_WIDTH, PairDistances

CELLS, BARS, BY_CHANCE = "cells", "bars", "by chance"
"""Names of what is drawn: cells of the map, pairs of defects, pairs expected on random sites."""
_MAP = ("#b5d6ef", "#7fbde4", "#4a9fd3", "#1f7fbf", "#0072b2", "#005a8e", "#00436a")
"""From few to many, in one hue: light on a light page, and still seen on a dark one."""


class DefectMap(LinkedPlot):
    """Structures by their numbers of vacancies and of interstitials.

    Parameters
    ----------
    vacancies, interstitials : (M,) float array
        NaN where unknown; those are left out.
    height : int
        Pixels.
    """

    def __init__(self, vacancies, interstitials, *, height: int = PLOT_HEIGHT):
        self._known = np.isfinite(vacancies) & np.isfinite(interstitials)
        counts = np.stack([vacancies[self._known], interstitials[self._known]], axis=1).astype(int)
        self._cells, self._cell_of = np.unique(counts, axis=0, return_inverse=True)
        self._cell_of = self._cell_of.ravel()
        most_v, most_i = self._cells.max(axis=0) if len(self._cells) else (1, 1)
        super().__init__(
            VACANCIES,
            INTERSTITIALS,
            x_range=(-0.6, most_v + 0.6),
            y_range=(-0.6, most_i + 0.6),
            x_label="vacancies n_V",
            y_label="interstitials n_I",
            height=height,
        )
        self._draw()

    def show(self, chosen) -> None:
        """Colour the cells by how many structures of a boolean mask (M,) they hold."""
        self._squares.data_source.data["n"] = self._occurrences(chosen)

    def _occurrences(self, chosen):
        return np.bincount(self._cell_of[chosen[self._known]], minlength=len(self._cells)).astype(float)

    def _draw(self):
        most = self._occurrences(np.ones(len(self._known), dtype=bool))
        source = {"v": self._cells[:, 0], "i": self._cells[:, 1], "n": most, "most": most}
        square = {"x": "v", "y": "i", "width": 0.92, "height": 0.92}
        outline = self.figure.rect(
            **square, source=source, fill_color=NEUTRAL, fill_alpha=0.12, line_color=NEUTRAL, line_alpha=0.5
        )
        mapper = LogColorMapper(palette=list(_MAP), low=1, high=max(2.0, most.max(initial=1)), low_color="#00000000")
        self._squares = self.figure.rect(
            **square,
            source=outline.data_source,
            fill_color={"field": "n", "transform": mapper},
            line_color=None,
            name=CELLS,
        )
        tooltip = "<b>@v vacancies, @i interstitials</b><br>@n of @most structures"
        self.figure.add_tools(HoverTool(tooltips=tooltip, renderers=[outline], visible=False))
        for axis in self.figure.axis:
            axis.ticker.update(min_interval=1, num_minor_ticks=0)


class DistancePlot(LinkedPlot):
    """Distances between the defects of a structure, over all pairs of the structures chosen.

    Parameters
    ----------
    pairs : PairDistances
    interaction_distance : float, Å
        Twice the cutoff of the descriptors, marked.
    height : int
        Pixels.
    """

    def __init__(self, pairs: PairDistances, *, interaction_distance: float, height: int = PLOT_HEIGHT):
        self._pairs, self._reach = pairs, interaction_distance
        self._everything = pairs.distribution(interaction_distance)
        super().__init__(
            DISTANCE,
            x_range=(0.0, float(self._everything.distance_edges[-1])),
            y_range=(0.0, 1.0),
            x_label="distance between defects (Å)",
            y_label="pairs (% per Å)",
            height=height,
        )
        self._draw()

    def show(self, chosen) -> None:
        """Draw the pairs of the structures in a boolean mask (M,)."""
        found = self._everything if chosen.all() else self._pairs.subset(chosen).distribution(self._reach)
        scale = 100.0 / max(found.n_pairs, 1) / BIN_WIDTH
        self._bars.data_source.data["top"] = scale * found.distance_counts
        by_chance = scale * found.random_distance_counts
        self._by_chance.data_source.data["y"] = np.append(by_chance, by_chance[-1:])
        highest = scale * max(found.distance_counts.max(initial=0), found.random_distance_counts.max(initial=0))
        top = 1.4 * highest or 1.0  # room for the words
        self.figure.y_range.update(end=top)
        self._share.update(y=0.97 * top, text=_share_below(found))

    def _draw(self):
        edges = self._everything.distance_edges
        self._bars = self.figure.quad(
            left=edges[:-1],
            right=edges[1:],
            top=np.zeros(len(edges) - 1),
            bottom=0,
            fill_color=BLUE,
            fill_alpha=0.5,
            line_color=BLUE,
            name=BARS,
        )
        self._by_chance = self.figure.step(
            edges, np.zeros(len(edges)), mode="after", line_color=NEUTRAL, line_width=1.8, name=BY_CHANCE
        )
        self.figure.add_layout(
            Span(location=self._reach, dimension="height", line_color=VERMILLION, line_dash="dashed", line_width=1.5)
        )
        self._share = Label(
            x=self._reach,
            y=1.0,
            x_offset=-4,
            text="",
            text_align="right",
            text_baseline="top",
            text_color=VERMILLION,
            text_font_size="12px",
        )
        self.figure.add_layout(self._share)
        tooltip = "@left{0} to @right{0} Å: @top{0.0} % of the pairs per Å"
        self.figure.add_tools(HoverTool(tooltips=tooltip, renderers=[self._bars], visible=False))
        self.show(np.ones(len(self._pairs.crystal), dtype=bool))


def _share_below(found):
    if not found.n_pairs:
        return "no pairs"
    chance = f"on random sites {100 * found.random_share_below:.0f} %"
    return f"{100 * found.share_below:.0f} % below {found.interaction_distance:g} Å\n{chance}"
