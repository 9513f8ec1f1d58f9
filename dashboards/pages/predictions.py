"""What a model says of structures whose entropy nobody knows: a part of the Model page."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
from bokeh.models.widgets.tables import NumberFormatter

from dashboards import tasks
from dashboards.pages.descriptor_form import describe_descriptor
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import caption, heading
from dashboards.pages.numbers import MISSING
from dashboards.pages.structure_table import compact_table
from dashboards.plain_text import plain
from dashboards.session import Session
from dashboards.state import Fit, intervals
from dashboards.units import units_of
from ldml.dataset import Dataset
from ldml.descriptors import Descriptor
from ldml.evaluation.protocols import COVERAGE

_ACTION = "Predict"
_HALF_WIDTH = f"± {100 * COVERAGE:g} % (k_B)"
_OUTSIDE = "outside training"
_LEARNED = "S_f learned (k_B)"


class Predictions:
    """On show while the dataset in view has no known entropy and a model made elsewhere is at hand."""

    def __init__(self, session: Session):
        self._session, self._state = session, session.state
        self._job_bar = JobBar(session)
        self._remark = caption("")
        self._predict = pmui.Button(label=_ACTION, variant="contained", margin=(4, 10, 4, 0), width=110)
        self._download = pmui.FileDownload(
            label="CSV", filename="predictions.csv", callback=self.csv, variant="outlined", size="small", auto=True,
            visible=False, margin=(8, 0),
        )  # fmt: skip
        self._table = compact_table(
            frame_of(None, None),
            formatters=dict.fromkeys((_LEARNED, _HALF_WIDTH), NumberFormatter(format="0.000", nan_format=MISSING)),
            text_align=dict.fromkeys(("atoms", _LEARNED, _HALF_WIDTH), "right"),
            visible=False,
        )
        self._view = pn.Column(
            heading("What the model says of these structures"),
            self._remark,
            pn.Row(self._predict, self._download, margin=0),
            self._job_bar.view(),
            self._table,
            visible=False,
            margin=0,
        )
        self._predict.on_click(self.predict)
        self._table.param.watch(self._select, "selection")
        self._state.param.watch(lambda *events: self._follow(), ["dataset", "fit"])
        self._follow()

    def view(self) -> pn.Column:
        """To be placed on the page."""
        return self._view

    async def predict(self, event=None) -> None:
        """Compute the descriptors of the structures and tell their entropies."""
        with self._session.reporting(_ACTION):
            data, fit = self._state.dataset, self._state.fit
            await compute_missing(data, fit.model.descriptor, self._job_bar)
            frame = frame_of(fit, data)
            async with self._session.locked():
                if data is self._state.dataset and fit is self._state.fit:
                    self._table.param.update(value=frame, visible=True)
                    self._download.param.update(visible=True, filename=f"{data.name}-predicted.csv")

    def csv(self) -> io.BytesIO:
        """The table as a file."""
        return io.BytesIO(self._table.value.to_csv(index=False).encode())

    def _follow(self):
        data, fit = self._state.dataset, self._state.fit
        self._view.visible = data is not None and fit is not None and not fit.speaks_of(data)
        self._job_bar.abandon()
        self._table.visible = self._download.visible = False
        if self._view.visible:
            model = describe_descriptor(fit.model.descriptor, length=units_of(fit.data).length)
            self._remark.object = plain(
                f"No entropy of {data.name} is known, so that nothing can be fitted to it. The model of {fit.data.name} "
                f"({model}; test RMSE {fit.rmse(fit.test):.3f} k_B) can answer, for minima of the same potential; "
                "the Structure page shows the shares of the atoms, the Reference page computes the exact value."
            )

    def _select(self, event):
        if event.new:
            self._state.select(int(event.new[-1]))


def frame_of(fit: Fit | None, data: Dataset | None) -> pd.DataFrame:
    """Learned entropies of all structures of a dataset whose descriptors are at hand, with half their intervals."""
    columns = ("structure", "class", "atoms", _LEARNED, _HALF_WIDTH, _OUTSIDE)
    if fit is None or data is None:
        return pd.DataFrame(columns=list(columns))
    model, X = fit.model, data.descriptor_differences(fit.model.descriptor)
    half_width, extrapolation = intervals(model, X, data.labels)
    outside = np.where(np.isnan(extrapolation), MISSING, np.where(extrapolation > 1, "yes", "no"))
    told = (data.names, data.labels, data.n_atoms, model.predict(X), half_width, outside)
    return pd.DataFrame(dict(zip(columns, told, strict=True)))


async def compute_missing(data: Dataset, descriptor: Descriptor, job_bar: JobBar) -> None:
    """Compute in the background what a dataset lacks of a descriptor, and keep it with the dataset."""
    for part in missing_parts(data, descriptor):
        title = f"{part.name} of {len(data):,} structures"
        totals = await job_bar.run(tasks.descriptor_totals, data, part.to_dict(), title=title)
        data.with_features(part, *totals)


def missing_parts(data: Dataset, descriptor: Descriptor) -> list[Descriptor]:
    """The descriptors side by side in this one, or itself, whose totals are not at hand."""
    return [part for part in getattr(descriptor, "parts", ()) or (descriptor,) if not data.has_descriptor(part)]
