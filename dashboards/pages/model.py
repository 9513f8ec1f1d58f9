"""The Model page: choose a descriptor, fit, and see how well exact entropies are learned."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import panel as pn
import panel_material_ui as pmui
from ase.data import chemical_symbols
from bokeh.events import Tap

from dashboards import tasks
from dashboards.figures.parity import mark, nearest_point, parity_plot, residual_histogram
from dashboards.figures.style import class_colour
from dashboards.pages.descriptor_form import DescriptorForm, describe_descriptor
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import (
    CONTROLS_WIDTH,
    caption,
    columns,
    empty_state,
    heading,
    table_html,
    table_pane,
)
from dashboards.session import Session
from dashboards.state import DEFAULT_SEED, DEFAULT_TEST_PROPORTION, Fit, default_descriptor, remembered_fit
from dashboards.units import units_of
from ldml.dataset import Dataset
from ldml.descriptors import Descriptor
from ldml.errors import InputError
from ldml.regression.ldml import check_cutoff


class ModelPage:
    """Fit the model and compare its answers with the exact ones."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._job_bar = JobBar(session)
        self._form = DescriptorForm(default_descriptor())
        self._work = caption("")
        self._make_widgets()
        self._shown: Fit | None = None
        self._figure = None
        self._parity = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._residuals = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._errors = table_pane()
        self._summary = caption("")
        self._empty = empty_state("")
        self._results = self._make_results()
        self._connect()
        self._start()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            self._form.view(),
            self._test_proportion,
            self._seed,
            pn.Row(self._fit, self._download, sizing_mode="stretch_width", margin=(8, 0)),
            self._work,
            caption(
                "Linear Bayesian ridge regression on descriptor differences, without intercept: a perfect crystal has "
                "S_f = 0. The downloaded file is for ldml.load_model."
            ),
            margin=0,
        )
        results = pn.Column(self._job_bar.view(), self._empty, self._results, margin=0)
        return columns((controls, 0, CONTROLS_WIDTH), (results, 1, 520))

    def _make_widgets(self):
        self._test_proportion = pmui.FloatSlider(
            label="Test proportion",
            start=0.1,
            end=0.9,
            step=0.05,
            value=DEFAULT_TEST_PROPORTION,
            size="small",
            sizing_mode="stretch_width",
            margin=(6, 8),
        )
        self._seed = pmui.IntInput(
            label="Seed of the split",
            value=DEFAULT_SEED,
            start=0,
            size="small",
            sizing_mode="stretch_width",
            margin=(6, 0),
            description="Whole number; the same seed gives the same split into train and test",
        )
        self._fit = pmui.Button(label="Fit", variant="contained", margin=0, width=110)
        self._download = pmui.FileDownload(
            label="Download model",
            filename="model.ldml",
            callback=self.model_file,
            variant="outlined",
            disabled=True,
            margin=(0, 0, 0, 8),
            auto=True,
        )

    def _make_results(self):
        parity = pn.Column(self._parity, margin=0)
        numbers = pn.Column(
            heading("Errors (k_B)"), self._errors, heading("Residuals"), self._residuals, self._summary, margin=0
        )
        return columns((parity, 5, 480), (numbers, 3, 330))

    def _connect(self):
        self._fit.on_click(self.fit)
        self._form.on_change(self._show_work)
        self._state.param.watch(lambda event: self._start(), "dataset")
        self._state.param.watch(lambda event: self._show_fit(), "fit")
        self._state.param.watch(lambda event: self._mark_selected(), "selected")

    # --- fitting

    def _start(self):
        """Fit at once if that takes no descriptors to compute."""
        self._job_bar.abandon()
        data = self._state.dataset
        self._form.offer_elements(_elements(data))
        if data is not None:
            self._form.offer_potential(data.metadata.get("potential", ""))
            self._form.offer_length(units_of(data).length)
        if data is not None and self._state.fit is None:
            with self._session.reporting("Fit"):
                descriptor = self._form.descriptor()
                if data.has_descriptor(descriptor):
                    self._fit_now(descriptor)
        self._show_fit()
        self._show_work()

    async def fit(self, event=None) -> None:
        """Fit with what the form says, computing descriptors in the background first where they are not at hand."""
        with self._session.reporting("Fit"):
            data = self._state.dataset
            if data is None:
                raise InputError("no dataset is open; choose one under Data")
            descriptor = self._form.descriptor()
            check_cutoff(descriptor, data)
            if self._seed.value is None:
                raise InputError("the seed of the split is empty; enter a whole number")
            if not data.has_descriptor(descriptor):
                title = f"{descriptor.name} of {len(data):,} structures"
                totals = await self._job_bar.run(tasks.descriptor_totals, data, descriptor.to_dict(), title=title)
                data.with_features(descriptor, *totals)
            async with self._session.locked():
                self._fit_now(descriptor)
                self._show_work()

    def _fit_now(self, descriptor):
        fit = remembered_fit(
            self._state.dataset,
            descriptor,
            test_proportion=self._test_proportion.value,
            seed=self._seed.value,
        )
        previous = self._state.fit
        changed = previous is None or previous.model.descriptor != descriptor
        self._state.param.update(fit=fit, **({"split_curve": None} if changed else {}))

    # --- showing it

    def _show_work(self):
        """What pressing Fit will cost; nothing while the form is not right."""
        try:
            self._work.object = work_to_do(self._state.dataset, self._form.descriptor())
        except InputError:
            self._work.object = ""

    def _show_fit(self):
        fit = self._state.fit
        if fit is not None and fit is self._shown:
            return
        self._shown = fit
        self._download.disabled = fit is None
        self._results.visible = fit is not None
        self._empty.visible = fit is None
        if fit is None:
            self._empty.object = _what_to_do(self._state.dataset)
            self._figure = None
            return
        self._figure = parity_plot(fit.true, fit.predicted, fit.data.labels, fit.data.names, fit.test)
        self._figure.on_event(Tap, self.tapped)
        self._parity.object = self._figure
        self._residuals.object = residual_histogram(fit.predicted - fit.true, fit.test)
        self._errors.object = error_table(fit)
        self._summary.object = _fit_summary(fit)
        self._mark_selected()

    def tapped(self, event: Tap) -> None:
        """Show the structure whose point was tapped."""
        fit = self._state.fit
        index = nearest_point(self._figure, fit.true, fit.predicted, event.x, event.y)
        if index is not None:
            self._state.select(self._state.dataset.index(fit.data.names[index]), show=True)

    def _mark_selected(self):
        fit, selected = self._state.fit, self._state.selected
        if self._figure is None or fit is None:
            return
        if not 0 <= selected < len(self._state.dataset):
            mark(self._figure, None, None)
            return
        found = np.flatnonzero(fit.data.names == self._state.dataset.entries[selected].name)
        if len(found):
            mark(self._figure, fit.true[found[0]], fit.predicted[found[0]])
        else:
            mark(self._figure, None, None)

    def model_file(self) -> io.BytesIO:
        """The model as `ldml.load_model` reads it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.ldml"
            self._state.fit.model.save(path)
            return io.BytesIO(path.read_bytes())


def work_to_do(data: Dataset | None, descriptor: Descriptor) -> str:
    """What a fit with a descriptor has to compute first, in words.

    The time is not known before a structure was timed: the job does that and tells.
    """
    size = f"{descriptor.n_features:,} features"
    if data is None:
        return f"{size}."
    length = units_of(data).length
    if length != "Å":
        size = f"Lengths of this dataset are in {length}, the cutoff as well. {size}"
    if data.has_descriptor(descriptor):
        return f"{size}, at hand for all {len(data):,} structures."
    return f"{size}, to compute for {len(data):,} structures; the time is measured on the first. Cancel keeps what is done."


def error_table(fit: Fit) -> str:
    """HTML: RMSE and MAE of train and test, for each class and for all, in k_B."""
    labels = fit.data.labels
    classes = np.unique(labels)
    rows = [_error_row(label, fit, labels == label) for label in classes]
    rows.append(_error_row("all", fit, np.ones(len(labels), dtype=bool)))
    header = ("class", "n train", "n test", "RMSE train", "RMSE test", "MAE train", "MAE test")
    colours = [*(class_colour(label) for label in classes), None]
    return table_html(header, rows, colours=colours, last_is_total=True)


def _error_row(label, fit, chosen):
    train, test = chosen & fit.train, chosen & fit.test
    counts = [f"{part.sum():,}" for part in (train, test)]
    errors = [f"{error(part):.3f}" if part.any() else "–" for error in (fit.rmse, fit.mae) for part in (train, test)]
    return (label, *counts, *errors)


def _fit_summary(fit):
    descriptor = fit.model.descriptor
    n_trivial = int(descriptor.trivial_features.sum())
    trivial = f" ({n_trivial} left out: they only count atoms)" if n_trivial else ""
    return (
        f"{describe_descriptor(descriptor, length=units_of(fit.data).length)}: {fit.model.n_features_in_} features{trivial}, "
        f"{fit.train.sum():,} structures fitted, {fit.test.sum():,} held out. Tap a point to see its structure."
    )


def _what_to_do(data):
    if data is None:
        return "No dataset is open. Choose or upload one under Data."
    return (
        "No model yet: the descriptors of this dataset are not at hand. Press **Fit** to compute them in the background "
        "and fit."
    )


def _elements(data):
    """Chemical symbols in a dataset, in the order of the periodic table."""
    if data is None:
        return []
    numbers = np.concatenate([atoms.numbers for atoms in data.bulks] + [entry.atoms.numbers for entry in data.entries])
    return [chemical_symbols[number] for number in np.flatnonzero(np.bincount(numbers))]
