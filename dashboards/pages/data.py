"""The Data page: which structures there are, where they come from, how their entropies are distributed."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping
from contextlib import contextmanager
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
from dashboards.plain_text import plain
from dashboards.session import Session, shared_dataset
from dashboards.units import METAL, Units, crystal_name, plain_name, quantity_unit, units_of
from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.sample_data import sample_manifest

MAX_UPLOAD_BYTES = 200_000_000
ENTROPY, ENERGY = "S_f", "E_f"
_ALL, NOTHING = -1, ""
SHOWN_DIGITS = 16
"""Of a hash."""
_OPENING = "Opening the dataset"
_COLUMNS = ("name", "class", "atoms", "S_f", "E_f", "force", "exact")
_COUNTS = {
    "walks": "walks",
    "attempts": "attempts",
    "minima": "minima",
    "saddles": "saddles",
    "distinct_saddles": "distinct",
    "distinct_energy_and_inertia": "distinct by energy and inertia",
    "distinct_energy_or_inertia": "distinct by either",
}
"""Statistics of a search, in the order in which they are told."""
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
        self._is_settling = False
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
            self._title,
            self._crystal,
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
        self._title = caption("")
        self._crystal = pmui.Select(
            label="Crystal", options={"all": _ALL}, value=_ALL, size="small", sizing_mode="stretch_width", margin=(8, 0)
        )
        self._property = pmui.Select(
            label="Property", options=[ENTROPY, ENERGY], value=ENTROPY, size="small", width=230, margin=0
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
        self._crystal.param.watch(lambda event: self._show_chosen(), "value")
        self._table.param.watch(self._select_row, "selection")
        self._open.on_click(lambda event: self._state.select(self._state.selected, show=True))
        self._state.param.watch(lambda event: self._show_dataset(), "dataset")
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
            if data.name in self._offers().values():
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
        with self._settling():
            self._classes.param.update(options=labels, value=labels)
            self._crystal.param.update(options=crystal_options(data), value=_ALL)
            names = [] if data is None else [plain_name(name) for name in data.quantity_names]
            properties = [ENTROPY, ENERGY, *names]
            chosen = self._property.value if self._property.value in properties else ENTROPY
            self._property.param.update(options=properties, value=chosen)
        self._crystal.visible = data is not None and len(data.bulks) > 1
        self._table.titles = column_titles(units_of(data))
        record = self._record()
        self._title.param.update(object=plain(record.get("title", "")), visible=bool(record.get("title")))
        self._provenance.object = "" if data is None else list_html(provenance(data, record))
        self._show_chosen()

    def _record(self):
        """What the manifest says of the dataset on show; nothing of an upload."""
        name = None if self._state.dataset is None else self._state.dataset.name
        return self._samples().get(name, {})

    @contextmanager
    def _settling(self):
        """The filters change together; what they filter is drawn once, afterwards."""
        self._is_settling = True
        try:
            yield
        finally:
            self._is_settling = False

    def _show_picker(self):
        data = self._state.dataset
        # the browser would take the first dataset of a list without a value
        options = self._offers() if data is not None else {"none open": NOTHING, **self._offers()}
        self._picker.param.update(options=options, value=NOTHING if data is None else data.name)

    def _chosen(self):
        """Which structures pass the filters, (M,) bool."""
        data = self._state.dataset
        return np.isin(data.labels, self._classes.value) & self._of_crystal()

    def _of_crystal(self):
        crystals = np.array([entry.bulk for entry in self._state.dataset.entries], dtype=int)
        return np.ones(len(crystals), dtype=bool) if self._crystal.value == _ALL else crystals == self._crystal.value

    def _show_chosen(self):
        data = self._state.dataset
        if self._is_settling:
            return
        if data is not None:
            shown = data if self._crystal.value == _ALL else data.subset(self._of_crystal())
            self._summary.object = class_table(shown)
        else:
            self._summary.object = ""
        self._show_structures()

    def _show_structures(self):
        data = self._state.dataset
        if self._is_settling:
            return
        self._table.value = structure_frame(data, None if data is None else self._chosen())
        self._show_histogram()
        self._show_selected()

    def _show_histogram(self):
        data = self._state.dataset
        if self._is_settling:
            return
        if data is None:
            self._histogram.object = None
            return
        shown = self._chosen()
        values, label = property_of(data, self._property.value)
        self._histogram.object = class_histogram(values[shown], data.labels[shown], x_label=label)

    def _show_selected(self):
        self._open.disabled = self._state.selected < 0
        rows = np.flatnonzero(self._table.value.index == self._state.selected).tolist()
        if self._table.selection != rows:
            self._table.selection = rows

    def _select_row(self, event):
        if event.new:
            self._state.select(int(self._table.value.index[event.new[-1]]))


def offer(name: str, record: Mapping | None) -> str:
    """A dataset in the list of those that can be opened; with its count and classes where its record is known."""
    if record is None:
        return name
    return f"{name} · {record['structures']:,}: {', '.join(record['classes'])}"


def crystal_options(data: Dataset | None) -> dict[str, int]:
    """The crystals of a dataset by name, and all of them."""
    if data is None:
        return {"all": _ALL}
    length = units_of(data).length
    counts = np.bincount([entry.bulk for entry in data.entries], minlength=len(data.bulks))
    names = {
        f"{crystal_name(bulk, length)}: {n:,} structures": k
        for k, (bulk, n) in enumerate(zip(data.bulks, counts, strict=True))
    }
    return {f"all {len(data.bulks):,}": _ALL, **names}


def property_of(data: Dataset, name: str) -> tuple[np.ndarray, str]:
    """A property of the structures (M,), NaN where unknown, and its name with the unit for an axis."""
    units = units_of(data)
    if name == ENTROPY:
        return data.formation_entropy, f"formation entropy S_f ({units.entropy})"
    if name == ENERGY:
        return data.formation_energy, f"formation energy E_f ({units.energy})"
    key = next(key for key in data.quantity_names if plain_name(key) == name)
    unit = quantity_unit(data, key)
    return data.quantity(key), f"{name} ({unit})" if unit else name


def column_titles(units: Units) -> dict[str, str]:
    """Headings of the table of structures."""
    titles = (
        "structure",
        "class",
        "atoms",
        f"S_f ({units.entropy})",
        f"E_f ({units.energy})",
        f"max force ({units.force})",
        "exact S_i",
    )
    return dict(zip(_COLUMNS, titles, strict=True))


def structure_frame(data: Dataset | None, chosen) -> pd.DataFrame:
    """One row for each structure chosen, indexed by its place in the dataset.

    Parameters
    ----------
    data : Dataset or None
    chosen : (M,) bool
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
    return frame[chosen]


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
        f"E<sub>f</sub> range ({html.escape(units_of(data).energy)})",
        "exact S<sub>i</sub>",
    )
    return table_html(header, rows, colours=colours, last_is_total=len(labels) > 1)


def provenance(data: Dataset, record: Mapping | None = None) -> list[tuple[str, str]]:
    """What is known of the origin of a dataset, as names and values.

    Parameters
    ----------
    data : Dataset
    record : mapping, optional
        Of the manifest, if the dataset came with the software.
    """
    length = units_of(data).length
    cells = "; ".join(dict.fromkeys(crystal_name(bulk, length) for bulk in data.bulks))
    items = [("structures", f"{len(data):,}"), ("cell" if data.bulks[0].pbc.any() else "reference", cells)]
    n_parents = len(np.unique(data.parents))
    if n_parents < len(data):
        items.append(("parents", f"{n_parents:,}"))
    items += [(name, value) for key, name in _PROVENANCE.items() if (value := _told(data.metadata, key))]
    items += [(f"search, {label}", search_sentence(found)) for label, found in data.metadata.get("search", {}).items()]
    files = (record or {}).get("files", ())
    if files:
        items.append(("sha256", "; ".join(f"{part['file']} {part['sha256'][:SHOWN_DIGITS]}…" for part in files)))
    return items


def search_sentence(found: Mapping) -> str:
    """Statistics of the search for one class in words."""
    told = [f"{found[key]:,} {words}" for key, words in _COUNTS.items() if key in found]
    n_failed = sum(found.get("failures", {}).values())
    return ", ".join([*told, f"{n_failed:,} failed"])


def _told(metadata, key):
    """What the metadata say, or the parts of a dataset where they differ: each thing once."""
    said = [metadata.get(key)] if metadata.get(key) else [part.get(key) for part in metadata.get("parts", ())]
    return "; ".join(dict.fromkeys(str(value) for value in said if value))


def _structure_table():
    number = {"type": "money", "precision": 3, "thousand": ""}
    return pn.widgets.Tabulator(
        pd.DataFrame(columns=list(_COLUMNS)),
        titles=column_titles(METAL),
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
