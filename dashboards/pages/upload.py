"""Uploading a file of structures: it arrives in pieces, is read in a worker, and is shown before it is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import caption, list_html, list_pane
from dashboards.plain_text import plain
from dashboards.received import Receiver
from dashboards.session import Session
from dashboards.uploads import (
    METAL,
    NO_FIELD,
    REDUCED,
    Meaning,
    Upload,
    crystal_sources,
    dataset_of,
    default_meaning,
    most_bytes,
    preview,
    read_upload,
    unlabelled,
)
from ldml.dataset import Dataset
from ldml.errors import InputError

CHUNK_BYTES = 4_000_000
"""Well below the 20 MB that a message to the server may have."""
SHOWN_WARNINGS = 4
_UPLOAD = "Upload"


class FileInput(pmui.FileInput):
    """A button that hands the pieces of a file to its receiver; the browser finds its half by the name of the class."""

    receiver: Receiver | None = None

    def _handle_msg(self, msg):
        if msg["status"] == "error":
            self.receiver.refuse(f"the browser did not send the file: {msg.get('error', 'no reason given')}")
        else:
            super()._handle_msg(msg)

    def _process_chunk(self, msg):
        self.receiver.take(str(msg["name"]), int(msg["chunk"]), int(msg["total_chunks"]), bytes(msg["data"]))

    def _flush_buffer(self):
        self.receiver.finish()


class UploadPanel:
    """A button, the progress of a file, and the dialog that shows what is in it.

    Parameters
    ----------
    session : Session
    on_dataset : callable
        Called with the dataset that the user accepts, and the name of its file, under the page's lock.
    """

    def __init__(self, session: Session, on_dataset: Callable[[Dataset, str], None]):
        self._session, self._state, self._on_dataset = session, session.state, on_dataset
        self._receiver = Receiver(most_bytes())
        self._job_bar = JobBar(session)
        self._upload: Upload | None = None
        self._accepting: Upload | None = None
        self._make_widgets()
        self._connect()

    def view(self) -> pn.Column:
        """The button with what follows from it."""
        return pn.Column(
            self._button, self._arriving, self._job_bar.view(), self._dialog, margin=0, sizing_mode="stretch_width"
        )

    def abandon(self) -> None:
        """Stop reading without a word: the user has turned to something else."""
        self._job_bar.abandon()

    async def read(self, path, name: str) -> None:
        """Read a file that has arrived and show what is in it; what is wrong with it is said, and nothing changes."""
        with self._session.reporting(_UPLOAD):
            upload = await self._job_bar.run(read_upload, path, name, title=f"Reading {name}")
            async with self._session.locked():
                self._show(upload)

    async def accept(self, event=None) -> None:
        """Open what the dialog shows."""
        upload, opened = self._upload, self._state.dataset
        if upload is None or upload is self._accepting:
            return
        self._accepting = upload
        try:
            data = await asyncio.to_thread(dataset_of, upload, self.meaning(), opened)
        except InputError as error:
            self._complain(str(error))
            return
        finally:
            self._accepting = None
        async with self._session.locked():
            self._close()
            self._on_dataset(data, upload.name)

    def meaning(self) -> Meaning:
        """What the dialog says of the file."""
        elements = tuple(part for part in self._elements.value.replace(",", " ").split() if part)
        return Meaning(
            entropy=self._entropy.value or NO_FIELD,
            energy=self._energy.value or NO_FIELD,
            units=self._units.value,
            crystal=self._crystal.value,
            elements=elements,
        )

    def _make_widgets(self):
        wide = {"size": "small", "sizing_mode": "stretch_width", "margin": (6, 0)}
        self._button = FileInput(
            label="Upload structures",
            description=(
                f"Extended XYZ, ldml HDF5, LAMMPS data or dump, POSCAR and others, up to {most_bytes() / 1e6:.0f} MB; "
                "shown before it is opened."
            ),
            max_file_size=most_bytes(),
            chunk_size=CHUNK_BYTES,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(4, 0),
        )
        self._button.receiver = self._receiver
        self._arriving_text = pmui.Typography("", variant="body2", margin=0)
        self._arriving_bar = pmui.LinearProgress(
            value=0, max=100, variant="determinate", sizing_mode="stretch_width", margin=(4, 0)
        )
        self._arriving = pn.Column(self._arriving_text, self._arriving_bar, visible=False, margin=(2, 0))
        self._found = list_pane()
        self._warnings = pmui.Alert(
            object="", severity="warning", variant="outlined", sizing_mode="stretch_width", margin=(6, 0), visible=False
        )
        self._entropy = pmui.Select(label="S_f is in the field", options={}, value=None, **wide)
        self._energy = pmui.Select(label="E_f is in the field", options={}, value=None, **wide)
        self._units = pmui.RadioButtonGroup(
            label="Units of energy and length", options=[METAL, REDUCED], value=METAL, **wide
        )
        self._crystal = pmui.Select(label="Perfect crystal", options={}, value=None, **wide)
        self._elements = pmui.TextInput(label="Elements of types 1, 2, …", value="", placeholder="Fe, Cr", **wide)
        self._remark = caption("")
        self._complaint = pmui.Alert(
            object="", severity="error", variant="outlined", sizing_mode="stretch_width", margin=(6, 0), visible=False
        )
        self._accept = pmui.Button(label="Open", variant="contained", margin=(8, 8, 0, 0))
        self._discard = pmui.Button(label="Discard", variant="outlined", margin=(8, 0, 0, 0))
        self._says = pn.Column(
            pn.Row(self._entropy, pn.Spacer(width=12), self._energy, margin=0, sizing_mode="stretch_width"),
            self._units,
            self._elements,
            self._crystal,
            margin=(6, 0),
            sizing_mode="stretch_width",
        )
        self._dialog = pmui.Dialog(
            self._found,
            self._warnings,
            self._says,
            self._remark,
            self._complaint,
            pn.Row(self._accept, self._discard, margin=0),
            title="",
            title_variant="h6",
            width_option="sm",
            open=False,
        )

    def _connect(self):
        self._receiver.param.watch(lambda *events: self._show_arriving(), ["fraction", "name_shown"])
        self._receiver.param.watch(self._take, "done")
        self._accept.on_click(self.accept)
        self._discard.on_click(lambda event: self._close())
        for widget in (self._entropy, self._energy):
            widget.param.watch(lambda event: self._show_remark(), "value")

    async def _take(self, event):
        file = event.new
        with self._session.reporting(_UPLOAD):
            path = file.checked_path()
            try:
                await self.read(path, file.name)
            finally:
                path.unlink(missing_ok=True)

    def _show_arriving(self):
        fraction = self._receiver.fraction
        self._arriving.visible = fraction > 0
        self._arriving_text.object = plain(f"Receiving {self._receiver.name_shown}: {100 * fraction:.0f} %")
        self._arriving_bar.value = round(100 * fraction)

    def _show(self, upload):
        self._upload = upload
        opened = self._state.dataset
        self._dialog.title = f"Open {upload.name}?"
        self._complaint.visible = False
        meaning = Meaning() if upload.dataset is not None else default_meaning(upload, opened)
        self._found.object = list_html(preview(upload))
        shown = upload.warnings[:SHOWN_WARNINGS]
        self._warnings.param.update(object=plain("; ".join(shown)), visible=bool(shown))
        self._says.visible = upload.dataset is None
        if upload.dataset is None:
            fields = {"none": NO_FIELD, **{found.name: found.name for found in upload.fields}}
            self._entropy.param.update(options=fields, value=meaning.entropy)
            self._energy.param.update(options=fields, value=meaning.energy)
            self._crystal.param.update(options=crystal_sources(upload, opened), value=meaning.crystal)
            self._units.value = METAL
            self._elements.param.update(value="", visible=upload.needs_elements)
        self._show_remark()
        self._dialog.open = True

    def _show_remark(self):
        remark = "" if self._upload is None else unlabelled(self._upload, self.meaning())
        self._remark.param.update(object=plain(remark), visible=bool(remark))

    def _complain(self, text):
        self._complaint.param.update(object=plain(text[:1].upper() + text[1:] + "."), visible=True)

    def _close(self):
        self._upload = None
        self._dialog.open = False
