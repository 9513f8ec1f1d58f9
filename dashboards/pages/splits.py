"""The Splits page: what a model says of structures it has not seen, by what was held out (paper, Secs V.C and V.D)."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from dashboards.pages.descriptor_form import describe_descriptor
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import (
    CONTROLS_WIDTH,
    UNSEEN_LABEL,
    caption,
    columns,
    empty_state,
    heading,
    table_pane,
)
from dashboards.pages.split_questions import QUESTIONS, Question
from dashboards.session import Session
from dashboards.state import ANSWERS, NO_SPLITS, Fit
from dashboards.units import units_of
from ldml.errors import InputError

ERRORS = {"RMSE": "rmse", "MAE": "mae"}
_WIDE = {"size": "small", "sizing_mode": "stretch_width", "margin": (6, 0)}


class SplitsPage:
    """How much the error depends on what was held out, and on how much."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._bars = {name: JobBar(session) for name in QUESTIONS}
        self._make_widgets()
        self._drawn: list = []  # the answer and which of its errors
        self._plot = pn.pane.HoloViews(sizing_mode="stretch_width", margin=0)
        self._table = table_pane(max_width=900)
        self._reading = caption("")
        self._empty = empty_state("")
        self._results = pn.Column(
            self._plot,
            self._reading,
            heading("Numbers (k_B, ± one standard deviation over repeats)"),
            self._table,
            sizing_mode="stretch_width",
            margin=0,
        )
        self._connect()
        self._show_question()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            self._question,
            self._explanation,
            self._error,
            self._repeats,
            self._seed,
            pn.Row(self._run_button, margin=(8, 0)),
            caption("The descriptor is that of the Model page; models are fitted on totals."),
            margin=0,
        )
        bars = [bar.view() for bar in self._bars.values()]
        results = pn.Column(*bars, self._empty, self._results, margin=0)
        return columns((controls, 0, CONTROLS_WIDTH), (results, 1, 520))

    def _make_widgets(self):
        self._question = pmui.Select(label="Question", options=list(QUESTIONS), value=next(iter(QUESTIONS)), **_WIDE)
        self._explanation = caption("")
        self._error = pmui.RadioButtonGroup(
            label="Error", options=list(ERRORS), value="RMSE", size="small", margin=(8, 0), stylesheets=[UNSEEN_LABEL]
        )
        self._repeats = pmui.IntInput(
            label="Repeats", value=100, start=2, end=1000, description="Random splits, 2 to 1000", **_WIDE
        )
        self._seed = pmui.IntInput(
            label="Seed of the splits",
            value=0,
            start=0,
            description="Whole number; the same seed gives the same splits",
            **_WIDE,
        )
        self._run_button = pmui.Button(label="Run", variant="contained", margin=0, width=110)

    def _connect(self):
        self._run_button.on_click(self.run)
        self._question.param.watch(self._question_chosen, "value")
        self._error.param.watch(lambda event: self._show_answer(), "value")
        self._state.param.watch(self._page_turned, "page")
        self._state.param.watch(lambda event: self._abandon(), "dataset")
        self._state.param.watch(lambda *events: self._show_answer(), list(NO_SPLITS))
        self._state.param.watch(self._fit_changed, "fit")
        if self._state.is_in_view("Splits"):  # of a link, or in a notebook
            pn.state.onload(self._answer_by_itself)

    @property
    def _asked(self) -> Question:
        return QUESTIONS[self._question.value]

    def _abandon(self):
        for bar in self._bars.values():
            bar.abandon()

    async def _fit_changed(self, event):
        """An answer about the same rows stays as it is drawn; a page that a link opens can be there before its model."""
        if self._state.fit is None or self._asked.answer(self._state) is None:
            self._show_answer()
        if self._state.is_in_view("Splits"):
            await self._answer_by_itself()

    async def _page_turned(self, event):
        if event.new == "Splits":
            await self._answer_by_itself()

    async def _question_chosen(self, event):
        self._show_question()
        await self._answer_by_itself()

    async def _answer_by_itself(self):
        """Show what is remembered, or find out; a question that is being answered is left alone."""
        fit, question = self._state.fit, self._asked
        if fit is None or question.answer(self._state) is not None or self._bars[question.name].busy:
            return
        known = ANSWERS.latest(fit.content, question.name)
        if known is None:
            await self.run()
        else:
            self._state.param.update(**question.shown(known))

    async def run(self, event=None) -> None:
        """Answer the question for the descriptor of the current model, in the background."""
        question = self._asked
        with self._session.reporting(question.name):
            fit = self._state.fit
            if fit is None:
                raise InputError("no model to repeat; fit one on the Model page first")
            if self._repeats.value is None or self._seed.value is None:
                raise InputError("repeats and seed must be whole numbers; fill them in")
            self._empty.visible = False
            answer = await self._answered(question, fit, (self._repeats.value, self._seed.value))
            if self._is_about_current(fit):
                async with self._session.locked():
                    self._state.param.update(**question.shown(answer))
        self._show_answer()

    async def _answered(self, question, fit, options):
        answer = ANSWERS.latest(fit.content, question.name, options)
        if answer is None:
            title = question.name if question.n_repeats is None else f"{question.name}, {options[0]} repeats"
            answer = await self._bars[question.name].run(question.task, fit.rows, *options, title=title)
            ANSWERS.remember(fit.content, question.name, options, answer)
        return answer

    def _is_about_current(self, fit: Fit) -> bool:
        """Whether the current model is made of the same rows, differently split."""
        current = self._state.fit
        return current is not None and (current is fit or current.content == fit.content)

    def _show_question(self):
        """Turn the controls to the question; each begins with as many repeats as take seconds."""
        question = self._asked
        self._explanation.object = question.explanation
        self._error.visible = question.has_error
        self._repeats.visible = question.n_repeats is not None
        if question.n_repeats is not None:
            self._repeats.value = question.n_repeats
        self._show_answer()

    def _show_answer(self):
        question, fit = self._asked, self._state.fit
        answer = None if fit is None else question.answer(self._state)
        self._results.visible = answer is not None
        self._empty.visible = answer is None and not self._bars[question.name].busy
        if answer is None:
            self._empty.object = (
                "Press **Run** to find out; this takes some seconds."
                if fit is not None
                else "No model yet; fit one on the Model page first."
            )
            return
        error = ERRORS[self._error.value]
        drawn = [*question.shown(answer).values(), error]
        if list(map(id, drawn)) != list(map(id, self._drawn)):  # all visitors wait while a plot is made
            self._drawn = drawn
            self._plot.object = question.draw(answer, error)
            self._table.object = question.table(answer)
        model = describe_descriptor(fit.model.descriptor, length=units_of(self._state.dataset).length)
        self._reading.object = f"{model}. {question.read(answer, error)}"
