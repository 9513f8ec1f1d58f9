"""The Data page: which structures there are, how they are distributed, which of them are chosen, where they come from."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import panel as pn
import panel_material_ui as pmui

from dashboards.defects import known_defects, remember_defects
from dashboards.pages.dataset_text import class_table, offer, provenance
from dashboards.pages.download import DownloadPanel
from dashboards.pages.filters_panel import CLEARED, FiltersPanel
from dashboards.pages.layout import CONTROLS_WIDTH, UNSEEN_LABEL, caption, columns, list_html, list_pane, table_pane
from dashboards.pages.linked_plots import LinkedPlots
from dashboards.pages.structure_table import StructureTable
from dashboards.pages.upload import UploadPanel
from dashboards.plain_text import plain
from dashboards.selection import Columns, Filters, Selection
from dashboards.session import Session, shared_dataset
from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.sample_data import sample_manifest

NOTHING = ""
STRUCTURES, CLASSES, PROVENANCE = "Structures", "Classes", "Provenance"
PLOT_WIDTH, TABLE_WIDTH = 262, 560
"""Pixels that they need."""
_OPENING, _SUBSET = "Opening the dataset", "Subset"


class DataPage:
    """Choose a dataset, choose structures in it, pick one."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._opened: dict[str, Dataset] = {}
        self._selection = Selection()
        self._make_widgets()
        self._upload = UploadPanel(session, self._take_upload)
        self._filters = FiltersPanel(self._selection, self._state.offer_undo)
        self._selection.param.watch(self._filters_changed, "filters")
        self._state.param.watch(lambda event: self._follow_filters(), "filters")
        self._plots = LinkedPlots(session, self._selection)
        self._table = StructureTable(session.state, self._selection)
        self._download = DownloadPanel(session, self._selection, self._table.chosen_frame)
        self._summary = table_pane(visible=False)
        self._provenance = list_pane(visible=False)
        asked = self._state.filters  # by a link
        self._connect()
        self._show_dataset()
        self._selection.filters = asked

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            self._picker,
            self._title,
            self._back,
            self._filters.view(),
            self._use,
            self._download.view(),
            self._upload.view(),
            margin=0,
        )
        plots = columns(
            (self._plots.distribution, 1, PLOT_WIDTH),
            (self._plots.second, 1, PLOT_WIDTH),
            (self._plots.landscape, 1, PLOT_WIDTH),
        )
        lists = pn.Column(
            pn.Row(
                self._shown,
                pn.layout.HSpacer(),
                self._open,
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._table.view(),
            self._summary,
            self._provenance,
            margin=0,
        )
        below = columns((self._plots.defects, 1, PLOT_WIDTH), (lists, 2, TABLE_WIDTH))
        for row in (plots, below):
            row.margin = 0
        right = pn.Column(plots, below, margin=0)
        return columns((controls, 0, CONTROLS_WIDTH), (right, 1, TABLE_WIDTH))

    def _make_widgets(self):
        self._picker = pmui.Select(
            label="Dataset", options=[], sizing_mode="stretch_width", margin=(8, 0, 2, 0), size="small"
        )
        self._title = caption("")
        self._back = pmui.Button(
            label="", variant="contained", size="small", sizing_mode="stretch_width", margin=(6, 0), visible=False
        )
        self._use = pmui.Button(
            label="Use this subset", variant="outlined", size="small", sizing_mode="stretch_width", margin=(8, 0)
        )
        self._shown = pmui.RadioButtonGroup(
            label="What to list",
            options=[STRUCTURES, CLASSES, PROVENANCE],
            value=STRUCTURES,
            size="small",
            margin=(4, 0),
            stylesheets=[UNSEEN_LABEL],
        )
        self._open = pmui.Button(
            label="Open in 3D", variant="contained", size="small", disabled=True, margin=(4, 0, 0, 8)
        )

    def _connect(self):
        self._picker.param.watch(self._pick, "value")
        self._back.on_click(lambda event: self._state.open_whole())
        self._use.on_click(lambda event: self.use_subset())
        self._shown.param.watch(lambda event: self._show_list(), "value")
        self._open.on_click(lambda event: self._state.select(self._state.selected, show=True))
        self._selection.param.watch(lambda *events: self._show_chosen(), ["columns", "filters"])
        self._state.param.watch(lambda *events: self._show_dataset(), ["dataset", "whole"])
        self._state.param.watch(lambda event: self._show_selected(), "selected")

    # --- choosing a dataset

    def _samples(self):
        """Records of the datasets that come with the software."""
        try:
            return sample_manifest()
        except InputError:  # an installation without sample data still opens files
            return {}

    def _offers(self):
        """What can be opened, the samples and what has been open before: what to call it, and its name."""
        samples = self._samples()
        return {offer(name, samples.get(name)): name for name in dict.fromkeys([*samples, *self._opened])}

    async def _pick(self, event):
        if event.new and (self._state.dataset is None or event.new != self._state.dataset.name):
            await self.open_named(event.new)

    async def open_named(self, name: str) -> None:
        """Show an upload or a sample dataset by its name; the one on show stays if that fails."""
        self._upload.abandon()
        with self._session.reporting(_OPENING):
            data = self._opened.get(name)
            if data is None:
                data = await asyncio.to_thread(shared_dataset, name)
            async with self._session.locked():
                self._state.open_dataset(data)
        self._show_picker()

    def _take_upload(self, data, file):
        if data.name in self._offers().values():
            data = replace(data, name=f"{data.name} ({file})")
        self._state.open_dataset(data)

    def use_subset(self) -> None:
        """Let all pages work with the chosen structures alone."""
        data, chosen = self._state.dataset, self._selection.chosen
        with self._session.reporting(_SUBSET):
            self._state.open_subset(chosen, self._selection.filters)
            found = known_defects(data)
            if found is not None:
                subset = self._state.dataset
                remember_defects(subset, found.subset(chosen))
                self._selection.columns = Columns(subset, known_defects(subset))

    # --- showing it

    def _show_dataset(self):
        data, whole = self._state.dataset, self._state.whole
        if data is not None:
            self._opened[data.name] = data if whole is None else whole
        self._show_picker()
        record = self._record()
        self._title.param.update(object=plain(record.get("title", "")), visible=bool(record.get("title")))
        self._provenance.object = "" if data is None else list_html(provenance(data, record))
        self._back.visible = whole is not None
        if whole is not None:
            self._back.label = f"Back to all {len(whole):,} structures"
        self._selection.param.update(
            columns=None if data is None else Columns(data, known_defects(data)), filters=Filters()
        )
        self._show_selected()

    def _record(self):
        """What the manifest says of the dataset on show; nothing of an upload."""
        name = None if self._state.dataset is None else self._state.dataset.name
        return self._samples().get(name, {})

    def _show_picker(self):
        data = self._state.dataset
        # the browser would take the first dataset of a list without a value
        options = self._offers() if data is not None else {"none open": NOTHING, **self._offers()}
        self._picker.param.update(options=options, value=NOTHING if data is None else data.name)

    def _show_chosen(self):
        data, chosen = self._selection.data, self._selection.chosen
        n = int(chosen.sum())
        self._summary.object = class_table(data, chosen) if n else ""
        self._use.param.update(
            disabled=n in (0, len(chosen)),
            label=f"Use these {n:,} as the dataset" if 0 < n < len(chosen) else "Use a subset: choose one first",
        )

    def _show_list(self):
        for name, part in {
            STRUCTURES: self._table.view(),
            CLASSES: self._summary,
            PROVENANCE: self._provenance,
        }.items():
            part.visible = name == self._shown.value

    def _follow_filters(self):
        if self._selection.filters != self._state.filters:
            self._selection.filters = self._state.filters

    def _filters_changed(self, event):
        """Filters set since they were cleared are not thrown away by taking that back."""
        self._state.filters = event.new
        step = self._state.last_step
        if step is not None and step.said == CLEARED and not event.new.are_empty:
            self._state.last_step = None

    def _show_selected(self):
        self._open.disabled = self._state.selected < 0
