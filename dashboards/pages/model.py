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
from dashboards.delivery import in_order
from dashboards.figures.parity import fit_parity, mark, nearest_point, residual_histogram
from dashboards.figures.redraw import redraw
from dashboards.figures.style import SADDLE, class_colour
from dashboards.figures.weights import weight_plots
from dashboards.fit_files import csv_table, python_code
from dashboards.pages.descriptor_form import DescriptorForm, describe_descriptor
from dashboards.pages.job_bar import JobBar
from dashboards.pages.kept_models import KeptModels, percent
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
from dashboards.pages.predictions import Predictions, compute_missing, missing_parts
from dashboards.pages.structure_preview import StructurePreview
from dashboards.session import Session
from dashboards.state import (
    DEFAULT_SEED,
    DEFAULT_TEST_PROPORTION,
    Fit,
    default_descriptor,
    evaluated,
    held_out,
    remembered_fit,
    shares_parents,
)
from dashboards.units import units_of
from ldml.dataset import Dataset
from ldml.descriptors import Descriptor
from ldml.descriptors.soft_modes import CRYSTALLINE
from ldml.errors import InputError
from ldml.evaluation.protocols import COVERAGE
from ldml.regression.ldml import CROSS_VALIDATE, check_cutoff

NO_TARGETS, WITH_WEIGHT, CROSS_VALIDATED = "totals only", "with a weight", "cross-validated weight"
PARITY, WEIGHTS, PYTHON = "Parity", "Weights", "Python"
ERRORS, STRUCTURE = "Errors", "Structure"
PLOT_HEIGHT = 480
_WIDE = {"size": "small", "sizing_mode": "stretch_width"}
_COPY = """
const text = source.data?.value ?? source.value
const fallback = () => {
  const area = document.body.appendChild(Object.assign(document.createElement("textarea"), {value: text}))
  area.select()
  document.execCommand("copy")
  area.remove()
}
navigator.clipboard ? navigator.clipboard.writeText(text).catch(fallback) : fallback()
"""
"""The clipboard is there on localhost and over HTTPS only; elsewhere the old command does."""


class ModelPage:
    """Fit the model and compare its answers with the exact ones."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._job_bar = JobBar(session)
        self._form = DescriptorForm(default_descriptor())
        self._kept = KeptModels(session)
        # made on demand, for what they take of the server's memory
        self._predictions: Predictions | None = None
        self._preview: StructurePreview | None = None
        self._elsewhere = pn.Column(sizing_mode="stretch_width", margin=0)
        self._work = caption("")
        self._make_widgets()
        self._shown: Fit | None = None
        self._own: Fit | None = None  # made from the form and not shown yet
        self._figure = None
        self._parity = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._residuals = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._weights = pn.Column(sizing_mode="stretch_width", margin=0)
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
            self._by_parents,
            self._flattery,
            self._targets,
            self._local_weight,
            pn.Row(self._fit, self._work, sizing_mode="stretch_width", margin=(8, 0)),
            pn.Row(self._download, self._table_download, sizing_mode="stretch_width", margin=(4, 0)),
            caption(
                "Linear Bayesian ridge regression on descriptor differences, without intercept: a perfect crystal has "
                "S_f = 0. The model file is for ldml.load_model."
            ),
            margin=0,
        )
        results = pn.Column(
            self._job_bar.view(), self._empty, self._elsewhere, self._results, self._kept.view(), margin=0
        )
        return columns((controls, 0, CONTROLS_WIDTH), (results, 1, 520))

    def _make_widgets(self):
        self._test_proportion = pmui.FloatSlider(
            label="Test proportion",
            start=0.1,
            end=0.9,
            step=0.05,
            value=DEFAULT_TEST_PROPORTION,
            margin=(6, 8),
            **_WIDE,
        )
        self._seed = pmui.IntInput(
            label="Seed of the split",
            value=DEFAULT_SEED,
            start=0,
            margin=(6, 0),
            description="Whole number; the same seed gives the same split into train and test",
            **_WIDE,
        )
        self._by_parents = pmui.Switch(label="Hold out whole parents", value=True, size="small", margin=(6, 4))
        self._flattery = caption("")
        self._targets = pmui.Select(
            label="Exact S_i of single atoms",
            options=[NO_TARGETS, WITH_WEIGHT, CROSS_VALIDATED],
            value=NO_TARGETS,
            margin=(6, 0),
            description="Totals alone leave open how an entropy is shared among the atoms; exact S_i of some structures decide",
            **_WIDE,
        )
        self._local_weight = pmui.FloatInput(
            label="Weight of the exact S_i",
            value=10.0,
            start=0.0,
            step=1.0,
            margin=(6, 0),
            description="Of the squared error of an atom against that of a total; 10 to 100 do well for iron",
            **_WIDE,
        )
        self._fit = pmui.Button(label="Fit", variant="contained", margin=(0, 10, 0, 0), width=90)
        self._download = self._file_button("Model file", "model.ldml", self.model_file)
        self._table_download = self._file_button(
            "CSV", "fit.csv", lambda: io.BytesIO(csv_table(self._state.fit).encode())
        )
        self._what = pmui.RadioButtonGroup(
            label="What to show",
            options=[PARITY, WEIGHTS, PYTHON],
            value=PARITY,
            size="small",
            margin=(0, 0, 4, 0),
            stylesheets=[UNSEEN_LABEL],
        )
        self._beside = pmui.RadioButtonGroup(
            label="What to show beside it",
            options=[ERRORS, STRUCTURE],
            value=ERRORS,
            size="small",
            margin=(0, 0, 4, 0),
            stylesheets=[UNSEEN_LABEL],
        )
        self._code = pmui.TextAreaInput(
            label="This fit in Python",
            rows=18,
            sizing_mode="stretch_width",
            margin=(8, 0),
            stylesheets=[UNSEEN_LABEL],
            sx={
                "& textarea": {"fontFamily": "monospace", "fontSize": "13px", "whiteSpace": "pre", "overflowX": "auto"}
            },
        )
        self._copy = pmui.Button(label="Copy as Python", variant="outlined", size="small", margin=0)
        self._copy.js_on_click(args={"source": self._code}, code=_COPY)

    @staticmethod
    def _file_button(label, filename, callback):
        return pmui.FileDownload(
            label=label,
            filename=filename,
            callback=callback,
            variant="outlined",
            size="small",
            disabled=True,
            margin=(0, 8, 0, 0),
            auto=True,
        )

    def _make_results(self):
        self._views = {
            PARITY: pn.Column(self._parity, sizing_mode="stretch_width", margin=0),
            WEIGHTS: pn.Column(
                caption(
                    "Weight times standard deviation of each feature over the training set: what it typically adds to a "
                    "difference in S_f. Correlated features can cancel."
                ),
                self._weights,
                sizing_mode="stretch_width",
                margin=0,
                visible=False,
            ),
            PYTHON: pn.Column(self._copy, self._code, sizing_mode="stretch_width", margin=0, visible=False),
        }
        pictures = pn.Column(self._what, *self._views.values(), margin=0)
        self._numbers = pn.Column(
            heading("Errors (k_B)"), self._errors, self._summary, heading("Residuals"), self._residuals, margin=0
        )
        self._side = pn.Column(self._beside, self._numbers, margin=0)
        return columns((pictures, 1, 460), (self._side, 1, 460))

    def _connect(self):
        self._fit.on_click(self.fit)
        self._form.on_change(self._show_work)
        self._what.param.watch(lambda event: self._show_view(), "value")
        self._beside.param.watch(lambda event: self._show_beside(), "value")
        self._targets.param.watch(lambda event: self._show_targets(), "value")
        self._by_parents.param.watch(lambda event: self._show_flattery(), "value")
        self._state.param.watch(lambda event: self._start(), "dataset")
        self._state.param.watch(lambda event: self._show_fit(), "fit")
        self._state.param.watch(lambda *events: self._mark_selected(), ["selected", "page"])

    # --- fitting

    def _start(self):
        """Fit at once if that takes no descriptors to compute."""
        self._job_bar.abandon()
        data = self._state.dataset
        self._form.offer_elements(_elements(data))
        self._by_parents.visible = data is not None and shares_parents(data)
        self._targets.visible = data is not None and bool(data.has_local.any())
        self._show_targets()
        if data is not None:
            self._form.offer_potential(data.metadata.get("potential", ""))
            self._form.offer_length(units_of(data).length)
            self._form.offer_modes(no_modes(data))
        if data is not None and self._state.fit is None:
            with self._session.reporting("Fit"):
                descriptor = self._form.descriptor()
                if data.has_descriptor(descriptor):
                    self._fit_totals(descriptor)
        self._show_fit()
        self._show_work()

    async def fit(self, event=None) -> None:
        """Fit with what the form says, computing descriptors in the background first where they are not at hand."""
        with self._session.reporting("Fit"):
            data = self._state.dataset
            if data is None:
                raise InputError("no dataset is open; choose one under Data")
            descriptor, weight = self._form.descriptor(), self._chosen_weight()
            check_cutoff(descriptor, data)
            if self._seed.value is None:
                raise InputError("the seed of the split is empty; enter a whole number")
            await compute_missing(data, descriptor, self._job_bar)
            if weight is None:
                async with self._session.locked():
                    self._fit_totals(descriptor)
            else:
                await self._fit_with_local(descriptor, weight)
            self._show_work()
            await self._kept.time_descriptors()

    def _chosen_weight(self):
        """Weight of the exact local entropies, None if they are not to be fitted."""
        if self._targets.value == NO_TARGETS or not self._targets.visible:
            return None
        if self._targets.value == CROSS_VALIDATED:
            return CROSS_VALIDATE
        if not self._local_weight.value or self._local_weight.value < 0:
            raise InputError(f"the weight of the exact S_i is {self._local_weight.value}; enter a number above 0")
        return self._local_weight.value

    def _split(self):
        return {
            "test_proportion": self._test_proportion.value,
            "seed": self._seed.value,
            "by_parents": self._by_parents.value,
        }

    def _fit_totals(self, descriptor):
        self._own = remembered_fit(self._state.dataset, descriptor, **self._split())
        self._state.show_fit(self._own)

    async def _fit_with_local(self, descriptor, weight):
        known, split = held_out(self._state.dataset, **self._split())
        model, score = await self._job_bar.run(
            tasks.fit_with_local, known, descriptor.to_dict(), split["test"], weight, title="Fit with exact S_i"
        )
        async with self._session.locked():
            self._own = evaluated(model, known, split, score)
            self._state.show_fit(self._own)

    # --- showing it

    def _show_targets(self):
        self._local_weight.visible = self._targets.visible and self._targets.value == WITH_WEIGHT

    def _show_view(self):
        for name, view in self._views.items():
            view.visible = name == self._what.value
        self._fill_view()

    def _show_beside(self):
        wanted = self._beside.value == STRUCTURE
        self._numbers.visible = not wanted
        if wanted and self._preview is None:
            self._preview = StructurePreview(self._session, "Model")
            self._side.append(self._preview.view())
        if self._preview is not None:
            self._preview.show(wanted)

    def _fill_view(self):
        """Make what is in sight of the weights and the code; the parity plot is always there."""
        fit = self._state.fit
        if fit is None:
            return
        if self._what.value == WEIGHTS:
            plots = weight_plots(fit.model.descriptor, fit.contributions, height=PLOT_HEIGHT - 70)
            self._weights.objects = [
                part
                for name, plot in plots
                for part in (heading(name), pn.pane.HoloViews(plot, sizing_mode="stretch_width"))
            ]
        elif self._what.value == PYTHON:
            self._code.value = python_code(fit)

    def _show_work(self):
        """What pressing Fit will cost; nothing while the form is not right."""
        try:
            self._work.object = work_to_do(self._state.dataset, self._form.descriptor())
        except InputError:
            self._work.object = ""

    def _show_flattery(self):
        """Why a random test set says too little of structures that are copies of one parent."""
        data, fit = self._state.dataset, self._state.fit
        self._flattery.visible = data is not None and shares_parents(data)
        if self._flattery.visible:
            self._flattery.object = flattery(data, fit, by_parents=self._by_parents.value)

    @in_order
    def _show_fit(self):
        fit, data = self._state.fit, self._state.dataset
        self._show_flattery()
        made_here = fit is not None and fit.speaks_of(data)
        self._results.visible, self._empty.visible = made_here, fit is None
        if fit is not None and not made_here and self._predictions is None:
            self._predictions = Predictions(self._session)
            self._elsewhere.append(self._predictions.view())
        if fit is not None and (fit is self._shown or not made_here):
            return
        self._shown = fit
        for button in (self._download, self._table_download):
            button.disabled = fit is None
        if fit is None:
            self._empty.object = _what_to_do(data, self._state.last_step is not None)
            self._figure = None
            return
        if fit is not self._own:  # of a link, or kept
            self._follow(fit)
        self._own = None
        self._draw(fit_parity(fit, height=PLOT_HEIGHT), residual_histogram(fit.predicted - fit.true, fit.test))
        self._errors.object = error_table(fit)
        self._summary.object = fit_summary(fit)
        self._fill_view()
        self._mark_selected()

    def _draw(self, parity, residuals):
        if self._figure is None or not redraw(self._figure, parity):
            parity.on_event(Tap, self.tapped)
            self._figure = self._parity.object = parity
        if self._residuals.object is None or not redraw(self._residuals.object, residuals):
            self._residuals.object = residuals

    def _follow(self, fit):
        """Say in the form how a fit was made."""
        self._form.fill(fit.model.descriptor)
        self._test_proportion.value, self._seed.value = fit.test_proportion, fit.seed
        self._by_parents.value = fit.by_parents or not self._by_parents.visible

    def tapped(self, event: Tap) -> None:
        """Show the structure whose point was tapped beside the plot."""
        fit = self._state.fit
        index = nearest_point(self._figure, fit.true, fit.predicted, event.x, event.y)
        if index is not None:
            self._state.select(self._state.dataset.index(fit.data.names[index]))
            self._beside.value = STRUCTURE
            self._preview.reveal()

    @in_order
    def _mark_selected(self):
        fit, selected = self._state.fit, self._state.selected
        if self._figure is None or fit is None or not self._state.is_in_view("Model"):
            return  # a plot out of sight is drawn nevertheless, before what is in sight
        if not 0 <= selected < len(self._state.dataset):
            mark(self._figure, None, None)
            return
        place = fit.place_of(self._state.dataset.entries[selected])
        if place is None:
            mark(self._figure, None, None)
        else:
            mark(self._figure, fit.true[place], fit.predicted[place])

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
    missing = sum(part.n_features for part in missing_parts(data, descriptor))
    if not missing:
        return f"{size}, at hand for all {len(data):,} structures."
    some = "" if missing == descriptor.n_features else f"{missing:,} of them "
    return f"{size}, {some}to compute for {len(data):,} structures; the time is measured on the first. Cancel keeps what is done."


def no_modes(data: Dataset) -> str:
    """Why structures have no soft modes that could be computed; empty if they have."""
    potential = data.metadata.get("potential", "")
    if potential not in CRYSTALLINE or not all(bulk.pbc.all() for bulk in data.bulks):
        return "only for defects in a crystal of a known potential"
    if any(label.endswith(SADDLE) for label in np.unique(data.labels)):
        return "only for minima, and this dataset has saddles"
    return ""


def flattery(data: Dataset, fit: Fit | None, *, by_parents: bool) -> str:
    """How test sets of structures with common parents are drawn, and what random ones hide.

    Parameters
    ----------
    data : Dataset
        With structures that share parents.
    fit : Fit or None
        The current one; drawn at random, it is compared with whole parents held out.
    by_parents : bool
        What the switch says.
    """
    n_parents = len(np.unique(data.parents))
    copies = f"{len(data):,} structures are copies, such as strained ones, of {n_parents:,} parents"
    if by_parents:
        return f"{copies}: all copies of a parent are held out together."
    text = f"{copies}. Drawn at random, a test structure has copies in the training set, and its error flatters."
    if fit is not None and not fit.by_parents and fit.local is None and data.has_descriptor(fit.model.descriptor):
        honest = remembered_fit(data, fit.model.descriptor, test_proportion=fit.test_proportion, seed=fit.seed)
        text += (
            f" The fit in view: test RMSE {fit.rmse(fit.test):.3f} k_B; with whole parents held out "
            f"{honest.rmse(honest.test):.3f} k_B."
        )
    return text


def error_table(fit: Fit) -> str:
    """HTML: RMSE and MAE of train and test in k_B, and how the intervals do, for each class and for all."""
    labels = fit.data.labels
    classes = np.unique(labels)
    rows = [_error_row(label, fit, labels == label) for label in classes]
    rows.append(_error_row("all", fit, np.ones(len(labels), dtype=bool)))
    header = (
        "class",
        "train",
        "test",
        "RMSE<br>train",
        "RMSE<br>test",
        "MAE<br>train",
        "MAE<br>test",
        f"in {100 * COVERAGE:g} %<br>interval",
        "outside<br>training",
    )
    colours = [*(class_colour(label) for label in classes), None]
    return table_html(header, rows, colours=colours, last_is_total=True)


def _error_row(label, fit, chosen):
    train, test = chosen & fit.train, chosen & fit.test
    counts = [f"{part.sum():,}" for part in (train, test)]
    errors = [f"{error(part):.3f}" if part.any() else "–" for error in (fit.rmse, fit.mae) for part in (train, test)]
    shares = [percent(share(test)) if test.any() else "–" for share in (fit.covered, fit.share_outside)]
    return (label, *counts, *errors, *shares)


def fit_summary(fit: Fit) -> str:
    """What was fitted and what its intervals are worth, in sentences."""
    descriptor, test = fit.model.descriptor, fit.test
    n_trivial = int(descriptor.trivial_features.sum())
    trivial = f" ({n_trivial} left out: they only count atoms)" if n_trivial else ""
    together = ", whole parents together" if fit.by_parents else ""
    sentences = [
        f"{describe_descriptor(descriptor, length=units_of(fit.data).length)}: {fit.model.n_features_in_} features{trivial}, "
        f"{fit.train.sum():,} structures fitted (circles), {test.sum():,} held out{together} (diamonds).",
        _intervals_in_words(fit),
        _local_in_words(fit),
        "Tap a point to see its structure.",
    ]
    return " ".join(filter(None, sentences))


def _intervals_in_words(fit):
    if not fit.has_intervals:
        return f"Too few structures were fitted to tell intervals of {100 * COVERAGE:g} %."
    n_outside = int((fit.outside & fit.test).sum())
    outside = (
        f"{n_outside:,} of these lie outside the training set (squares): their predictions are guesses."
        if n_outside
        else "None of these lies outside the training set."
    )
    return (
        f"Bars are {100 * COVERAGE:g} % intervals, {np.median(fit.half_width[fit.test]):.2f} k_B typically; "
        f"they hold {percent(fit.covered(fit.test))} of the test structures. {outside}"
    )


def _local_in_words(fit):
    local = fit.local
    if local is None:
        return ""
    text = f"Exact S_i of {local.n_fitted:,} structures were fitted with weight {local.weight:g}"
    if not local.n_judged:
        return f"{text}; none was held out to judge them by."
    return (
        f"{text}: R² of S_i within {tasks.LOCAL_REACH:g} Å of the defect, in {local.n_judged:,} structures held out, is "
        f"{local.r2:.2f} ({local.r2_alone:.2f} fitted on totals alone)."
    )


def _what_to_do(data, can_undo):
    if data is None:
        return "No dataset is open. Choose or upload one under Data."
    if can_undo:
        return "No model is left. Press **Fit** to make one, or **Undo** to bring the last one back."
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
