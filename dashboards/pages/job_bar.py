"""How a long job is going: a bar with its stage, its place in the queue, the time it has taken, and a way to stop it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import panel as pn
import panel_material_ui as pmui

from dashboards.jobs import Job, JobStatus, WorkerLost
from dashboards.plain_text import plain
from dashboards.session import Session, Superseded, sentence


class JobBar:
    """Runs the jobs of one page, one at a time, and shows the one under way; invisible when there is none.

    A new job cancels the one before it. One whose process died waits for the user to try it again or to give it up.

    Examples
    --------
    >>> bar = JobBar(session)
    >>> with session.reporting("Exact entropy"):
    ...     result = await bar.run(tasks.reference, atoms, "Fe-AM04", False, 300.0, title="Exact entropy")
    """

    def __init__(self, session: Session):
        self._session = session
        self._job: Job | None = None
        self._choice: asyncio.Future | None = None
        self._title = pmui.Typography("", variant="body2", margin=(0, 8, 0, 0), sizing_mode="stretch_width")
        self._bar = pmui.LinearProgress(
            value=0, max=100, variant="indeterminate", sizing_mode="stretch_width", margin=(6, 8, 4, 0)
        )
        self._cancel = pmui.Button(
            label="Cancel", variant="outlined", color="error", size="small", margin=(2, 0), width=90
        )
        self._cancel.on_click(lambda event: self.cancel())
        self._again = pmui.Button(label="Try again", variant="outlined", size="small", margin=(2, 8), visible=False)
        self._again.on_click(lambda event: self._choose(True))
        words = pn.Column(self._title, self._bar, margin=0, styles={"flex": "1 1 180px"})
        # in a narrow column the buttons stand below
        self._view = pn.FlexBox(
            words, self._again, self._cancel, gap="4px", sizing_mode="stretch_width", visible=False, margin=(4, 10)
        )

    @property
    def busy(self) -> bool:
        """Whether a job is under way, or waits to be tried again."""
        return self._job is not None or self._choice is not None

    def view(self) -> pn.FlexBox:
        """The bar, to be placed where the result will appear."""
        return self._view

    def cancel(self) -> None:
        """Stop the job under way, if there is one; give up one that waits to be tried again."""
        self._choose(False)
        if self._job is not None:
            self._job.cancel()

    def abandon(self) -> None:
        """Stop the job under way without a word: nobody wants its result any more."""
        job, self._job = self._job, None
        self._choose(None)
        self._view.visible = False
        if job is not None:
            job.cancel()

    async def run(self, function: Callable, *args, title: str):
        """Result of ``function(progress, *args)``, computed in a worker while this bar shows how it goes.

        Parameters
        ----------
        function, *args
            As for `JobRunner.submit`.
        title : str
            What is being done, in the user's words.

        Raises
        ------
        Superseded
            If a newer job of this bar took its place, or it was abandoned.
        Cancelled
            If the user cancelled it.
        Exception
            As `Job.result`.
        """
        self.abandon()
        while True:
            try:
                return await self._run_once(function, args, title)
            except WorkerLost as error:
                again = await self._choice_after(f"{title}: {sentence(error)}")
                if again is None:
                    raise Superseded from None
                if not again:
                    raise

    async def _run_once(self, function, args, title):
        job = self._job = self._session.submit(function, *args)
        started = time.monotonic()

        def show(status):
            if self._job is job:
                self._show(title, status, time.monotonic() - started)

        show(job.status)
        self._view.visible = True
        try:
            result = await self._session.result_of(job, show)
        except Exception:
            if self._job is not job:
                raise Superseded from None
            raise
        finally:
            current = self._job is job
            if current:
                self._job = None
                self._view.visible = False
        if not current:
            raise Superseded
        return result

    async def _choice_after(self, words):
        """Whether to try once more; None if nobody wants the result any more."""
        choice = self._choice = asyncio.get_running_loop().create_future()
        self._title.object = plain(words)
        self._offer_again(True)
        self._view.visible = True
        return await choice

    def _choose(self, again: bool | None):
        choice, self._choice = self._choice, None
        if choice is not None:
            self._view.visible = False
            self._offer_again(False)
            choice.set_result(again)

    def _offer_again(self, offered: bool):
        self._bar.visible, self._again.visible = not offered, offered
        self._cancel.label = "Give up" if offered else "Cancel"

    def _show(self, title: str, status: JobStatus, elapsed: float):
        text = plain(status_text(title, status, elapsed))
        if status.fraction > 0 and not status.queue_position:
            self._bar.param.update(variant="determinate", value=round(100 * status.fraction))
        else:
            self._bar.variant = "indeterminate"
        if self._title.object != text:
            self._title.object = text


def status_text(title: str, status: JobStatus, elapsed: float) -> str:
    """One line on a job: "Descriptors: structure 12, 34 %, 5 s".

    Parameters
    ----------
    title : str
    status : JobStatus
    elapsed : float, s
    """
    if status.queue_position:
        ahead = "1 job" if status.queue_position == 1 else f"{status.queue_position} jobs"
        return f"{title}: waiting, {ahead} ahead · {elapsed:.0f} s"
    stage = f": {status.stage}" if status.stage and status.stage not in title else ""
    percent = f" · {100 * status.fraction:.0f} %" if status.fraction > 0 else ""
    return f"{title}{stage}{percent} · {elapsed:.0f} s"
