"""What the pages show as one HTML file to give away: prepared in the background, then offered for download."""

from __future__ import annotations

import asyncio
import io

import panel as pn
import panel_material_ui as pmui

from dashboards import tasks
from dashboards.pages.descriptor_form import describe_descriptor
from dashboards.pages.job_bar import JobBar
from dashboards.session import Session
from dashboards.standalone import standalone_page, structures_to_show
from dashboards.units import units_of
from ldml.errors import InputError

_ACTION = "Save as HTML"


class Share:
    """A button that prepares the file, and one that hands it out; a new fit makes the file old."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._job_bar = JobBar(session)
        self._content = ""
        self._prepare = pmui.Button(
            label=_ACTION,
            variant="text",
            size="small",
            margin=(2, 6),
            description="Parity plot, split curve and structures in one file that opens without a server",
        )
        self._download = pmui.FileDownload(
            label="Download",
            filename="ldml.html",
            callback=lambda: io.BytesIO(self._content.encode()),
            variant="outlined",
            size="small",
            margin=(2, 6),
            visible=False,
            auto=True,
        )
        self._prepare.on_click(self.prepare)
        self._state.param.watch(lambda *events: self._forget(), ["dataset", "fit", "split_curve", "grouped_curve"])
        self._forget()

    def buttons(self) -> pn.Row:
        """The buttons, of which one is visible."""
        return pn.Row(self._prepare, self._download, margin=0)

    def progress(self) -> pn.Row:
        """Where the preparation shows how it goes."""
        return self._job_bar.view()

    async def prepare(self, event=None) -> None:
        """Compute the shares of the atoms to show, then put the file together."""
        with self._session.reporting(_ACTION):
            fit, curves = self._state.fit, {"curve": self._state.split_curve, "grouped": self._state.grouped_curve}
            if fit is None:
                raise InputError("there is no model to show yet; fit one on the Model page first")
            shown = structures_to_show(fit, first=self._selected(fit))
            structures = [(fit.data.entries[i].atoms, fit.data.bulk_of(i)) for i in shown]
            shares = await self._job_bar.run(tasks.shares_of_structures, fit.model, structures, title=_ACTION)
            about = f"{describe_descriptor(fit.model.descriptor, length=units_of(fit.data).length)}."
            page = await asyncio.to_thread(standalone_page, fit, shown, shares, description=about, **curves)
            async with self._session.locked():
                if self._state.fit is fit:
                    self._offer(page, f"{fit.data.name}.html")

    def _selected(self, fit):
        """Index in the fit of the structure in view; -1 if it has none there."""
        data, i = self._state.dataset, self._state.selected
        place = fit.place_of(data.entries[i]) if 0 <= i < len(data) else None
        return -1 if place is None else place

    def _offer(self, page, name):
        self._content = page
        self._download.param.update(label=f"Download {name} ({len(page) / 1e6:.1f} MB)", filename=name, visible=True)
        self._prepare.visible = False

    def _forget(self):
        self._job_bar.abandon()
        self._content = ""
        self._download.visible = False
        self._prepare.param.update(visible=True, disabled=self._state.fit is None)
