"""The Data page: which structures there are, where they come from, how their entropies are distributed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui

from dashboards import tasks
from dashboards.figures.histograms import class_histogram
from dashboards.figures.style import class_colour
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import (
    CONTROLS_WIDTH,
    UNSEEN_LABEL,
    caption,
    columns,
    heading,
    list_html,
    list_pane,
    table_html,
    table_pane,
)
from dashboards.session import Session, shared_dataset
from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.sample_data import sample_manifest

MAX_UPLOAD_BYTES = 200_000_000
PROPERTIES = {
    "S_f": ("formation_entropy", "formation entropy S_f (k_B)"),
    "E_f": ("formation_energy", "formation energy E_f (eV)"),
}
_OPENING = "Opening the dataset"
_COLUMNS = {
    "name": "structure",
    "class": "class",
    "atoms": "atoms",
    "S_f": "S_f (k_B)",
    "E_f": "E_f (eV)",
    "force": "max force (eV/Å)",
    "exact": "exact S_i",
}
_PROVENANCE = {
    "potential": "potential",
    "potential_citation": "published in",
    "origin": "file",
    "convention": "convention",
    "command": "command",
    "licence": "licence",
}
_COMPACT = """
:host .tabulator { font-size: 13px; }
:host .tabulator .tabulator-header .tabulator-col .tabulator-col-content { padding: 6px 4px 6px 8px; }
:host .tabulator .tabulator-row .tabulator-cell { height: 28px; padding: 4px 8px; }
:host .tabulator .tabulator-row { min-height: 28px; }
"""


class DataPage:
    """Choose a dataset, look through its structures, pick one."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._opened: dict[str, Dataset] = {}
        self._job_bar = JobBar(session)
        self._make_widgets()
        self._table = _structure_table()
        self._summary = table_pane()
        self._provenance = list_pane()
        self._histogram = pn.pane.HoloViews(sizing_mode="stretch_width", margin=0)
        self._connect()
        self._show_dataset()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            self._picker,
            self._upload,
            caption("An ldml .h5 file, or extended XYZ with the perfect crystal marked role=bulk; up to 200 MB."),
            self._job_bar.view(),
            heading("Provenance"),
            self._provenance,
            margin=0,
        )
        overview = pn.Column(
            heading("By class"),
            self._summary,
            pn.Row(
                heading("Distribution"),
                pn.layout.HSpacer(),
                self._property,
                sizing_mode="stretch_width",
                margin=(10, 0, 0, 0),
            ),
            self._histogram,
            margin=0,
        )
        structures = pn.Column(
            pn.Row(
                heading("Structures"),
                self._classes,
                pn.layout.HSpacer(),
                self._open,
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._table,
            margin=0,
        )
        return columns((controls, 0, CONTROLS_WIDTH), (overview, 2, 390), (structures, 3, 590))

    def _make_widgets(self):
        self._picker = pmui.Select(
            label="Dataset", options=[], sizing_mode="stretch_width", margin=(8, 0), size="small"
        )
        self._upload = pmui.FileInput(
            label="Upload a dataset",
            accept=".h5,.hdf5,.extxyz,.xyz",
            max_file_size=MAX_UPLOAD_BYTES,
            chunk_size=2_000_000,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(4, 0),
        )
        self._property = pmui.RadioButtonGroup(
            label="Property",
            options=list(PROPERTIES),
            value="S_f",
            size="small",
            margin=0,
            stylesheets=[UNSEEN_LABEL],
        )
        self._classes = pmui.CheckButtonGroup(
            label="Classes shown", options=[], value=[], size="small", margin=(0, 12), stylesheets=[UNSEEN_LABEL]
        )
        self._open = pmui.Button(
            label="Open in 3D",
            variant="contained",
            size="small",
            disabled=True,
            margin=(0, 0, 0, 8),
        )

    def _connect(self):
        self._picker.param.watch(self._pick, "value")
        self._upload.param.watch(self._take_upload, "value")
        self._property.param.watch(lambda event: self._show_histogram(), "value")
        self._classes.param.watch(lambda event: self._show_structures(), "value")
        self._table.param.watch(self._select_row, "selection")
        self._open.on_click(lambda event: self._state.select(self._state.selected, show=True))
        self._state.param.watch(lambda event: self._show_dataset(), "dataset")
        self._state.param.watch(lambda event: self._show_selected(), "selected")

    # --- choosing a dataset

    def _names(self):
        """Names on offer: the samples, and what has been open before."""
        try:
            samples = list(sample_manifest())
        except InputError:  # an installation without sample data still opens files
            samples = []
        return list(dict.fromkeys([*samples, *self._opened]))

    async def _pick(self, event):
        if event.new is not None and (self._state.dataset is None or event.new != self._state.dataset.name):
            await self.open_named(event.new)

    async def open_named(self, name: str) -> None:
        """Show an upload or a sample dataset by its name; the one on show stays if that fails."""
        self._job_bar.abandon()
        with self._session.reporting(_OPENING):
            data = self._opened.get(name)
            if data is None:
                data = await asyncio.to_thread(shared_dataset, name)
            async with self._session.locked():
                self._state.open_dataset(data)
        self._show_picker()

    async def _take_upload(self, event):
        if event.new is not None:
            name = self._upload.filename
            self._upload.clear()
            await self.open_upload(event.new, name)

    async def open_upload(self, content: bytes, name: str) -> None:
        """Read an uploaded dataset in the background and show it; the one on show stays if that fails."""
        with self._session.reporting("Upload"):
            if len(content) > MAX_UPLOAD_BYTES:
                raise InputError(
                    f"{name!r} has {len(content) / 1e6:.0f} MB; the limit is {MAX_UPLOAD_BYTES / 1e6:.0f} MB"
                )
            data = await self._job_bar.run(tasks.parse_dataset, content, name, title=f"Reading {name}")
            if data.name in self._names():
                data = replace(data, name=f"{data.name} ({name})")
            async with self._session.locked():
                self._state.open_dataset(data)

    # --- showing it

    def _show_dataset(self):
        data = self._state.dataset
        if data is not None:
            self._opened[data.name] = data
        self._show_picker()
        labels = [] if data is None else np.unique(data.labels).tolist()
        self._classes.param.update(options=labels, value=labels)
        self._provenance.object = "" if data is None else list_html(provenance(data))
        self._summary.object = "" if data is None else class_table(data)
        self._show_structures()

    def _show_picker(self):
        names = self._names()
        opened = None if self._state.dataset is None else self._state.dataset.name
        self._picker.param.update(options=names, value=opened)

    def _show_structures(self):
        data = self._state.dataset
        self._table.value = structure_frame(data, self._classes.value)
        self._show_histogram()
        self._show_selected()

    def _show_histogram(self):
        data = self._state.dataset
        if data is None:
            self._histogram.object = None
            return
        attribute, label = PROPERTIES[self._property.value]
        shown = np.isin(data.labels, self._classes.value)
        self._histogram.object = class_histogram(getattr(data, attribute)[shown], data.labels[shown], x_label=label)

    def _show_selected(self):
        self._open.disabled = self._state.selected < 0
        rows = np.flatnonzero(self._table.value.index == self._state.selected).tolist()
        if self._table.selection != rows:
            self._table.selection = rows

    def _select_row(self, event):
        if event.new:
            self._state.select(int(self._table.value.index[event.new[-1]]))


def structure_frame(data: Dataset | None, classes) -> pd.DataFrame:
    """One row for each structure of some classes, indexed by its place in the dataset.

    Parameters
    ----------
    data : Dataset or None
    classes : sequence of str
    """
    if data is None:
        return pd.DataFrame(columns=list(_COLUMNS))
    frame = pd.DataFrame(
        {
            "name": data.names,
            "class": data.labels,
            "atoms": data.n_atoms,
            "S_f": data.formation_entropy,
            "E_f": data.formation_energy,
            "force": [f"{force:.1e}" if np.isfinite(force) else "" for force in data.max_force],
            "exact": np.where(data.has_local, "yes", "no"),
        }
    )
    return frame[np.isin(data.labels, classes)]


def class_table(data: Dataset) -> str:
    """HTML: for each class its count, S_f (mean ± standard deviation, range), range of E_f, how many with exact S_i."""
    labels = np.unique(data.labels)
    rows = [_class_row(label, data, data.labels == label) for label in labels]
    colours = [class_colour(label) for label in labels]
    if len(labels) > 1:
        rows.append(_class_row("all", data, np.ones(len(data), dtype=bool)))
        colours.append(None)
    header = (
        "class",
        "n",
        "S<sub>f</sub> (k<sub>B</sub>)",
        "S<sub>f</sub> range",
        "E<sub>f</sub> range (eV)",
        "exact S<sub>i</sub>",
    )
    return table_html(header, rows, colours=colours, last_is_total=len(labels) > 1)


def provenance(data: Dataset) -> list[tuple[str, str]]:
    """What is known of the origin of a dataset, as names and values."""
    cells = sorted({_cell(bulk) for bulk in data.bulks})
    items = [("structures", f"{len(data):,}"), ("cell", "; ".join(cells))]
    items += [(name, str(data.metadata[key])) for key, name in _PROVENANCE.items() if data.metadata.get(key)]
    return items


def _structure_table():
    number = {"type": "money", "precision": 3, "thousand": ""}
    return pn.widgets.Tabulator(
        pd.DataFrame(columns=list(_COLUMNS)),
        titles=_COLUMNS,
        formatters={"S_f": number, "E_f": number},
        text_align=dict.fromkeys(("atoms", "S_f", "E_f", "force"), "right"),
        widths={"name": 98, "class": 66, "atoms": 72, "S_f": 88, "E_f": 84, "force": 132, "exact": 82},
        layout="fit_data_stretch",
        pagination="remote",
        page_size=15,
        show_index=False,
        disabled=True,
        selectable=1,
        row_height=28,
        height=640,
        sizing_mode="stretch_width",
        margin=(4, 0),
        stylesheets=[_COMPACT],
    )


def _class_row(label, data, chosen):
    entropy, energy = data.formation_entropy[chosen], data.formation_energy[chosen]
    return (
        label,
        f"{chosen.sum():,}",
        _mean_std(entropy),
        _range(entropy),
        _range(energy),
        f"{data.has_local[chosen].sum():,}",
    )


def _mean_std(values):
    values = values[np.isfinite(values)]
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) else "unknown"


def _range(values):
    values = values[np.isfinite(values)]
    return f"{values.min():.2f} … {values.max():.2f}" if len(values) else "unknown"


def _cell(bulk):
    lengths = " × ".join(f"{length:.3f}" for length in bulk.cell.lengths())
    return f"{len(bulk)} {bulk.get_chemical_formula(empirical=True)} atoms, {lengths} Å"
