"""The plots of the Data page: distributions, landscape, point defects; a box in one chooses structures in all."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui
from bokeh.events import Tap

from dashboards.defects import (
    INTERSTITIALS,
    VACANCIES,
    find_defects,
    has_sites,
    known_defects,
    remember_defects,
    seconds_to_find,
)
from dashboards.delivery import in_order
from dashboards.figures.defect_plots import DefectMap, DistancePlot
from dashboards.figures.histograms import ClassHistogram
from dashboards.figures.landscape import Landscape
from dashboards.figures.linked import PLOT_HEIGHT, LinkedPlot
from dashboards.pages.dataset_text import axis_label
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import caption
from dashboards.selection import ENERGY, ENTROPY, Columns, Selection
from dashboards.session import Session
from dashboards.time_left import duration
from dashboards.units import plain_name
from ldml.figures.defect_distances import INTERACTION_DISTANCE

PICKER_HEIGHT = 48
"""Pixels that the choice of a property takes from its plot."""
_FIND = "Vacancies and interstitials"


class LinkedPlots:
    """Makes the plots of a dataset, passes the choice round, computes what takes long on demand.

    Parameters
    ----------
    session : Session
    selection : Selection
    """

    def __init__(self, session: Session, selection: Selection):
        self._session, self._state, self._selection = session, session.state, selection
        self._columns: Columns | None = None
        self._plots: dict[str, LinkedPlot] = {}
        self._job_bar = JobBar(session)
        self._property = pmui.Select(
            label="Property",
            options={"E_f": ENERGY},
            value=ENERGY,
            size="small",
            sizing_mode="stretch_width",
            margin=(4, 0),
            visible=False,
        )
        self._prompt = caption("")
        self._find = pmui.Button(label="Find them", variant="outlined", size="small", margin=(6, 0))
        self._wish = pn.Column(self._prompt, self._find, self._job_bar.view(), margin=(20, 10))
        names = ("entropy", "property", "landscape", "map", "distances")
        self._panes = {
            name: pn.pane.Bokeh(None, sizing_mode="stretch_width", margin=0, visible=False) for name in names
        }
        # panes that get their plot after the page is drawn take the page's theme only within a column
        self.distribution = pn.Column(self._panes["entropy"], margin=0)
        self.second = pn.Column(self._property, self._panes["property"], margin=0)
        self.landscape = pn.Column(self._panes["landscape"], margin=0)
        self.defects = pn.Column(self._panes["map"], self._panes["distances"], self._wish, margin=0)
        self._connect()
        self._follow()

    def _connect(self):
        self._property.param.watch(lambda event: self._pick_property(), "value")
        self._selection.param.watch(lambda *events: self._follow(), ["columns", "filters"])
        self._find.on_click(self.find)
        self._state.param.watch(lambda *events: self._mark_selected(), ["selected", "page"])

    @in_order
    def _follow(self):
        columns, before = self._selection.columns, self._columns
        if columns is not before:
            self._columns = columns
            self._draw(is_new=columns is None or before is None or columns.data is not before.data)
        for plot in self._plots.values():
            self._show_in(plot)

    def _draw(self, is_new):
        """Draw another dataset, or the same with what has become known of its defects."""
        if self._columns is None:
            for name in self._panes:
                self._put(name, None)
            self.defects.visible = False
            return
        if is_new:
            self._job_bar.abandon()
            self._offer_properties()
            self._make_histogram("entropy", ENTROPY)
            self._make_histogram("property", self._property.value)
            self._make_landscape()
        self._make_defect_plots()

    def _offer_properties(self):
        data = self._columns.data
        others = [key for key in data.quantity_names if key not in (VACANCIES, INTERSTITIALS)]  # those have a map
        names = {plain_name(key): key for key in others}
        options = {"E_f": ENERGY, **names}
        chosen = self._property.value if self._property.value in options.values() else ENERGY
        self._property.param.update(options=options, value=chosen, visible=bool(names))

    async def find(self, event=None) -> None:
        """Count the point defects of all structures and measure the distances between them, as a job."""
        data = self._columns.data
        with self._session.reporting(_FIND):
            self._find.disabled = True
            try:
                found = await self._job_bar.run(find_defects, data, title=_FIND)
            finally:
                self._find.disabled = False
            remember_defects(data, found)
            async with self._session.locked():
                if self._state.dataset is data:
                    self._selection.columns = Columns(data, found)

    # --- making plots

    def _make_histogram(self, name, key):
        columns = self._columns
        label = axis_label(columns.data, key)
        height = PLOT_HEIGHT - (PICKER_HEIGHT if name == "property" and self._property.visible else 0)
        self._put(name, ClassHistogram(columns.number(key), columns.labels, key=key, x_label=label, height=height))

    @in_order
    def _pick_property(self):
        if self._columns is not None and self._property.value is not None:
            self._make_histogram("property", self._property.value)

    def _make_landscape(self):
        columns = self._columns
        plot = Landscape(
            columns.number(ENERGY),
            columns.number(ENTROPY),
            columns.names,
            columns.labels,
            keys=(ENERGY, ENTROPY),
            x_label=axis_label(columns.data, ENERGY),
            y_label=axis_label(columns.data, ENTROPY),
        )
        plot.figure.on_event(Tap, lambda event: self._tapped(plot.nearest(event.x, event.y)))
        self._put("landscape", plot)
        self._mark_selected()

    def _make_defect_plots(self):
        data = self._columns.data
        found = known_defects(data)
        self.defects.visible = has_sites(data)
        self._put("map", None if found is None else DefectMap(found.vacancies, found.interstitials))
        pairs = None if found is None else found.pairs
        self._put(
            "distances", None if pairs is None else DistancePlot(pairs, interaction_distance=INTERACTION_DISTANCE)
        )
        self._wish.visible = pairs is None
        what = "Numbers of vacancies and interstitials, and the" if found is None else "The"
        self._prompt.object = (
            f"{what} distances between the defects of each structure come from a Wigner–Seitz analysis: "
            f"{duration(seconds_to_find(data))}."
        )

    def _put(self, name, plot):
        """Show a plot in its place, or nothing."""
        self._plots.pop(name, None)
        if plot is not None:
            self._plots[name] = plot
            plot.on_brush(self._selection.ask)
            self._show_in(plot)
        self._panes[name].param.update(object=None if plot is None else plot.figure, visible=plot is not None)

    # --- following

    def _show_in(self, plot):
        plot.show(self._selection.chosen)
        plot.show_ranges(self._selection.filters.ranges)

    @in_order
    def _mark_selected(self):
        plot = self._plots.get("landscape")
        if plot is not None and self._state.is_in_view("Data"):  # out of sight it would be drawn nevertheless
            plot.mark(self._state.selected if self._state.selected >= 0 else None)

    def _tapped(self, index):
        if index is not None:
            self._state.select(index)
