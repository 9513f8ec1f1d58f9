"""The Teach page: guided stories in five steps, each with numbers that were just computed, one figure and a way into the app."""

from __future__ import annotations

import asyncio

import panel as pn
import panel_material_ui as pmui

from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import CONTROLS_WIDTH, UNSEEN_LABEL, caption, columns, empty_state, heading
from dashboards.pages.numbers import typeset
from dashboards.session import Session, shared_dataset
from dashboards.stories import STORIES, Scene, Story
from dashboards.stories.measured import Measured

TYPE = {False: "16px", True: "26px"}
"""Size of the text, and in presenter mode."""
_SCENE = "Open in the app"


class TeachPage:
    """One story at a time; what a story measured is kept for the visit."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._job_bar = JobBar(session)
        self._measured: dict[str, Measured] = {}
        self._step = 0
        self._make_widgets()
        self._connect()
        self._show()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        controls = pn.Column(
            heading("Stories"),
            self._choice,
            self._question,
            self._presenter,
            caption(
                "Every number is computed by the engine on this machine, or read from the sample data, when a story starts."
            ),
            margin=0,
        )
        story = pn.Column(
            self._job_bar.view(),
            self._empty,
            self._start,
            self._told,
            margin=0,
        )
        return columns((controls, 0, CONTROLS_WIDTH), (story, 1, 520))

    def _make_widgets(self):
        self._choice = pmui.RadioButtonGroup(
            label="Story",
            options=[story.title for story in STORIES],
            value=STORIES[0].title,
            orientation="vertical",
            sizing_mode="stretch_width",
            margin=(4, 0),
            stylesheets=[UNSEEN_LABEL],
        )
        self._question = caption("")
        self._presenter = pmui.Switch(label="Presenter mode: large type", value=False, margin=(8, 4))
        self._empty = empty_state("")
        self._start = pmui.Button(label="Start", variant="contained", width=110, margin=(6, 0))
        self._title = pmui.Typography("", variant="h5", margin=(4, 0), sizing_mode="stretch_width")
        self._text = pn.pane.Markdown("", sizing_mode="stretch_width", margin=(2, 0), max_width=1100)
        self._figure = pn.pane.Bokeh(sizing_mode="stretch_width", margin=(4, 0), max_width=1100)
        self._back = pmui.Button(label="Back", variant="outlined", width=110, margin=(4, 8, 4, 0))
        self._next = pmui.Button(label="Next", variant="contained", width=110, margin=(4, 8, 4, 0))
        self._place = pmui.Typography("", variant="body2", margin=(12, 8))
        self._scene = pmui.Button(label=_SCENE, variant="text", margin=(4, 0))
        self._told = pn.Column(
            self._title,
            self._text,
            self._figure,
            pn.Row(self._back, self._next, self._place, self._scene, margin=0),
            sizing_mode="stretch_width",
            margin=0,
        )

    def _connect(self):
        self._choice.param.watch(lambda event: self._turn_to(0), "value")
        self._presenter.param.watch(lambda event: self._show(), "value")
        self._start.on_click(self.start)
        self._back.on_click(lambda event: self._turn_to(self._step - 1))
        self._next.on_click(lambda event: self._turn_to(self._step + 1))
        self._scene.on_click(self.open_scene)

    @property
    def story(self) -> Story:
        """The story chosen."""
        return next(story for story in STORIES if story.title == self._choice.value)

    async def start(self, event=None) -> None:
        """Compute what the story tells, then show its first step."""
        story = self.story
        with self._session.reporting(story.title):
            found = await self._job_bar.run(story.measure, title=story.title)
            async with self._session.locked():
                self._measured[story.title] = found
                self._turn_to(0)

    async def open_scene(self, event=None) -> None:
        """Bring the app to where the step belongs."""
        scene = self.story.steps[self._step].scene
        if scene is None:
            return
        with self._session.reporting(_SCENE):
            opened = await self._open_dataset(scene)
            self._state.page = scene.page
            if opened:
                self._session.report_info(f"The story is about {scene.dataset}, which is open now.", _SCENE)

    async def _open_dataset(self, scene: Scene) -> bool:
        """Open the dataset of a scene; whether another was open."""
        current = self._state.dataset
        if not scene.dataset or (current is not None and current.name == scene.dataset):
            return False
        data = await asyncio.to_thread(shared_dataset, scene.dataset)
        async with self._session.locked():
            self._state.open_dataset(data)
        return True

    def _turn_to(self, step):
        self._step = min(max(step, 0), len(self.story.steps) - 1)
        self._show()

    def _show(self):
        story, found = self.story, self._measured.get(self.story.title)
        self._question.object = typeset(story.question)
        self._empty.visible = self._start.visible = found is None
        self._told.visible = found is not None
        self._text.styles = {"font-size": TYPE[self._presenter.value], "line-height": "1.5"}
        if found is None:
            self._empty.object = typeset(
                f"**{story.question}** Five steps; press **Start** to compute what they tell, in about a minute."
            )
            return
        step = story.steps[self._step]
        self._title.object = step.title
        self._title.variant = "h3" if self._presenter.value else "h5"
        self._text.object = typeset(step.text(found))
        self._figure.object = step.figure(found)
        self._place.object = f"{self._step + 1} of {len(story.steps)}"
        self._back.disabled = self._step == 0
        self._next.disabled = self._step == len(story.steps) - 1
        self._scene.visible = step.scene is not None
