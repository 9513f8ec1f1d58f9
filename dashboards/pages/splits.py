"""The Splits page: test and train error against the proportion of structures held out (paper, Sec. V.C)."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from dashboards import tasks
from dashboards.figures.split_curve import split_plot
from dashboards.pages.descriptor_form import describe_descriptor
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import (
    CONTROLS_WIDTH,
    UNSEEN_LABEL,
    caption,
    columns,
    empty_state,
    heading,
    table_html,
    table_pane,
)
from dashboards.session import Session
from dashboards.units import units_of
from ldml.errors import InputError
from ldml.evaluation.splits import SplitCurve

ERRORS = {"RMSE": "rmse", "MAE": "mae"}
_WAITING = "Press **Run** to fit the model on many random splits of the dataset; this takes some seconds."


class SplitsPage:
    """How much the error depends on what was held out, and on how much."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._job_bar = JobBar(session)
        self._make_widgets()
        self._plot = pn.pane.HoloViews(sizing_mode="stretch_width", margin=0)
        self._table = table_pane(max_width=900)
        self._reading = caption("")
        self._empty = empty_state(_WAITING)
        self._results = pn.Column(
            self._plot,
            self._reading,
            heading("Numbers (k_B, mean ± standard deviation over repeats)"),
            self._table,
            sizing_mode="stretch_width",
            margin=0,
        )
        self._connect()
        self._show_curve()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            self._error,
            self._repeats,
            self._seed,
            pn.Row(self._run_button, margin=(8, 0)),
            caption(
                "Each repeat draws one random order of the structures and cuts it at 10 %, 20 % … 90 %: one part is held out "
                "to test, the model is fitted on the rest. The descriptor is that of the Model page."
            ),
            margin=0,
        )
        results = pn.Column(self._job_bar.view(), self._empty, self._results, margin=0)
        return columns((controls, 0, CONTROLS_WIDTH), (results, 1, 520))

    def _make_widgets(self):
        self._error = pmui.RadioButtonGroup(
            label="Error", options=list(ERRORS), value="RMSE", size="small", margin=(8, 0), stylesheets=[UNSEEN_LABEL]
        )
        self._repeats = pmui.IntInput(
            label="Repeats",
            value=100,
            start=2,
            end=1000,
            size="small",
            sizing_mode="stretch_width",
            margin=(6, 0),
            description="Random splits for each proportion, 2 to 1000",
        )
        self._seed = pmui.IntInput(
            label="Seed of the splits",
            value=0,
            start=0,
            size="small",
            sizing_mode="stretch_width",
            margin=(6, 0),
            description="Whole number; the same seed gives the same splits",
        )
        self._run_button = pmui.Button(label="Run", variant="contained", margin=0, width=110)

    def _connect(self):
        self._run_button.on_click(self.run)
        self._error.param.watch(lambda event: self._show_curve(), "value")
        self._state.param.watch(self._page_turned, "page")
        self._state.param.watch(lambda event: self._job_bar.abandon(), "dataset")
        self._state.param.watch(lambda *events: self._show_curve(), ["split_curve", "fit"])

    async def _page_turned(self, event):
        if event.new == "Splits" and self._state.split_curve is None and self._state.fit is not None:
            await self.run()

    async def run(self, event=None) -> None:
        """Compute the curve of the current model's descriptor in the background."""
        with self._session.reporting("Splits"):
            fit = self._state.fit
            if fit is None:
                raise InputError("no model to repeat; fit one on the Model page first")
            if self._repeats.value is None or self._seed.value is None:
                raise InputError("repeats and seed must be whole numbers; fill them in")
            self._empty.visible = False
            curve = await self._job_bar.run(
                tasks.splits,
                fit.data.descriptor_differences(fit.model.descriptor),
                fit.true,
                self._repeats.value,
                self._seed.value,
                title=f"{self._repeats.value} random splits",
            )
            if self._same_rows(fit):
                async with self._session.locked():
                    self._state.split_curve = curve
        self._empty.visible = self._state.split_curve is None and not self._job_bar.busy

    def _same_rows(self, fit):
        """Whether the current model is made of the same data, differently split."""
        current = self._state.fit
        return current is not None and current.model.descriptor == fit.model.descriptor

    def _show_curve(self):
        curve = self._state.split_curve
        self._results.visible = curve is not None
        self._empty.visible = curve is None
        if curve is None:
            self._empty.object = (
                _WAITING if self._state.fit is not None else "No model yet; fit one on the Model page first."
            )
            return
        error = ERRORS[self._error.value]
        self._plot.object = split_plot(curve, error)
        self._table.object = split_table(curve)
        model = describe_descriptor(self._state.fit.model.descriptor, length=units_of(self._state.dataset).length)
        self._reading.object = f"{model}. {reading(curve, error)}"


def split_table(curve: SplitCurve) -> str:
    """HTML: train and test errors at each proportion, mean ± standard deviation over repeats, k_B."""
    cells = [
        [f"{mean:.3f} ± {std:.3f}" for mean, std in zip(curve.mean(key), curve.std(key), strict=True)]
        for key in ("rmse_train", "rmse_test", "mae_train", "mae_test")
    ]
    rows = [
        (f"{100 * p:.0f} %", f"{n_train:,}", f"{n_test:,}", *errors)
        for p, n_train, n_test, *errors in zip(curve.proportions, curve.n_train, curve.n_test, *cells, strict=True)
    ]
    return table_html(("held out", "n train", "n test", "RMSE train", "RMSE test", "MAE train", "MAE test"), rows)


def reading(curve: SplitCurve, error: str) -> str:
    """One sentence on what the curve says, with its numbers.

    Parameters
    ----------
    curve : SplitCurve
    error : {"rmse", "mae"}
    """
    test, train = curve.mean(f"{error}_test"), curve.mean(f"{error}_train")
    return (
        f"Fitted on {curve.n_train[0]:,} structures the model is off by {test[0]:.2f} k_B on those it has not seen and by "
        f"{train[0]:.2f} k_B on its own; fitted on {curve.n_train[-1]:,} only, by {test[-1]:.2f} k_B: the gap between the "
        f"curves is overfitting, and a test curve that still falls towards the left says that more structures would help."
    )
