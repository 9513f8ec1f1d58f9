"""Taking the chosen structures away: their table at once, the structures themselves after a job has written them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import panel as pn
import panel_material_ui as pmui

from dashboards.exports import EXTXYZ, HDF5, file_name, write_export
from dashboards.pages.job_bar import JobBar
from dashboards.selection import Selection
from dashboards.session import Session

CSV = "csv"
_KINDS = {"table (CSV)": CSV, "structures (extended XYZ)": EXTXYZ, "dataset (HDF5)": HDF5}
_DOWNLOAD = "Download"


class DownloadPanel:
    """A choice of formats, and a button for the file.

    Parameters
    ----------
    session : Session
    selection : Selection
    frame : callable
        Gives the table of the structures chosen.
    """

    def __init__(self, session: Session, selection: Selection, frame: Callable[[], pd.DataFrame]):
        self._session, self._state, self._selection, self._frame = session, session.state, selection, frame
        self._folder = tempfile.TemporaryDirectory(prefix="ldml-download-")  # goes with this object
        self._job_bar = JobBar(session)
        wide = {"size": "small", "sizing_mode": "stretch_width"}
        self._kind = pmui.Select(label="Download", options=_KINDS, value=CSV, margin=(10, 0, 4, 0), **wide)
        self._prepare = pmui.Button(label="Write the file", variant="outlined", margin=(4, 0), visible=False, **wide)
        self._save = pmui.FileDownload(
            callback=self._content, filename="structures.csv", label="Save", variant="outlined", margin=(4, 0), **wide
        )
        self._kind.param.watch(lambda event: self._reset(), "value")
        self._selection.param.watch(lambda *events: self._reset(), ["columns", "filters"])
        self._prepare.on_click(self.prepare)
        self._reset()

    def view(self) -> pn.Column:
        """The widgets."""
        return pn.Column(
            self._kind, self._prepare, self._job_bar.view(), self._save, margin=0, sizing_mode="stretch_width"
        )

    async def prepare(self, event=None) -> None:
        """Write the file of the structures chosen, as a job."""
        with self._session.reporting(_DOWNLOAD):
            data, suffix = self._chosen(), self._kind.value
            self._prepare.disabled = True
            try:
                size = await self._job_bar.run(write_export, data, suffix, self._path, title="Writing the file")
            finally:
                self._prepare.disabled = False
            async with self._session.locked():
                self._save.param.update(label=f"Save {self._save.filename} ({size / 1e6:.1f} MB)", visible=True)
                self._prepare.visible = False

    @property
    def _path(self):
        return Path(self._folder.name) / f"chosen.{self._kind.value}"

    def _chosen(self):
        data, chosen = self._selection.data, self._selection.chosen
        return data if chosen.all() else data.subset(chosen)

    def _reset(self):
        """What was written before is not what is chosen now."""
        self._job_bar.abandon()
        self._path.unlink(missing_ok=True)
        data, n = self._selection.data, int(self._selection.chosen.sum())
        is_table = self._kind.value == CSV
        self._prepare.param.update(visible=not is_table and n > 0, label=f"Write {n:,} structures to a file")
        self._save.param.update(visible=is_table and n > 0, label=f"Save the table of {n:,} structures")
        if data is not None:
            whole = self._state.whole if self._state.whole is not None else data
            self._save.filename = file_name(self._chosen(), len(whole), self._kind.value)

    def _content(self):
        if self._kind.value == CSV:
            return io.StringIO(self._frame().to_csv(index=False))
        return io.BytesIO(self._path.read_bytes())
