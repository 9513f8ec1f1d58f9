"""What belongs to one visitor: the state, the jobs under way, the messages on show.

Errors reach the user through here. A message names the action it belongs to (its source), stays until it is dismissed,
and goes when the same action is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import panel as pn
import panel_material_ui as pmui

from dashboards.jobs import Job, JobRunner, JobStatus
from dashboards.limits import limit
from dashboards.plain_text import plain
from dashboards.state import AppState
from ldml.dataset import Dataset, load_dataset
from ldml.errors import Cancelled, InputError

MAX_MESSAGES = 3
LOCK_SECONDS = 60  # far beyond any wait for the lock of a page that is still there

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Superseded(Cancelled):
    """Raised where a result is no longer wanted because something newer was asked for; nobody needs to be told."""


class Session:
    """State, jobs and messages of one visitor.

    Parameters
    ----------
    state : AppState, optional
    runner : JobRunner, optional
        By default the one all visitors of this server share.

    Attributes
    ----------
    state : AppState
    runner : JobRunner
    messages : pn.Column
        The messages on show, newest first; one place on the page holds it.
    """

    def __init__(self, *, state: AppState | None = None, runner: JobRunner | None = None):
        self.state = AppState() if state is None else state
        self.runner = shared_runner() if runner is None else runner
        self.messages = pn.Column(sizing_mode="stretch_width", margin=0, visible=False)
        self._alerts: dict[str, pmui.Alert] = {}
        self._jobs: set[Job] = set()
        self._own: dict[type, Any] = {}
        self.state.param.watch(lambda event: self._forget_remarks(), "page")

    def own(self, kind: type[T]) -> T:
        """The visitor's one object of a class, made of the state for the first page that asks for it."""
        if kind not in self._own:
            self._own[kind] = kind(self.state)
        return self._own[kind]

    def submit(self, function: Callable, *args) -> Job:
        """Queue ``function(progress, *args)`` in a worker; it is cancelled when the visitor leaves.

        Raises
        ------
        RuntimeError
            When the visitor has too many jobs running and waiting, or the server has.
        """
        self._jobs = {job for job in self._jobs if not job.done}
        allowed = limit("LDML_APP_JOBS_PER_SESSION")
        if len(self._jobs) >= allowed:
            raise RuntimeError(
                f"{allowed} of your jobs run or wait already, as many as this server allows; cancel one or wait"
            )
        job = self.runner.submit(function, *args, owner=id(self))
        self._jobs.add(job)
        return job

    async def run_job(self, function: Callable, *args, on_status: Callable[[JobStatus], None] | None = None):
        """Result of ``function(progress, *args)``, waited for without blocking the page.

        Raises
        ------
        Cancelled
            If the job was cancelled.
        Exception
            As `Job.result`.
        """
        return await self.result_of(self.submit(function, *args), on_status)

    async def result_of(self, job: Job, on_status: Callable[[JobStatus], None] | None = None):
        """Wait for a job of this session; as `Job.result`. Meanwhile ``state.computing`` is set."""
        self.state.computing = True
        try:
            return await job.result(on_status)
        finally:
            self.state.computing = any(not job.done for job in self._jobs)

    @asynccontextmanager
    async def locked(self):
        """Hold the page's lock while results are shown: code that waits for a job runs without it.

        Panel guards its own parameters, but a figure changed directly must not change beside a message from the browser.
        """
        document = pn.state.curdoc
        if document is None or document.session_context is None:
            yield
            return
        held, released = asyncio.Event(), asyncio.Event()

        async def hold():
            held.set()
            await released.wait()

        document.add_next_tick_callback(hold)
        await asyncio.wait_for(held.wait(), LOCK_SECONDS)
        try:
            yield
        finally:
            released.set()

    def close(self) -> None:
        """Cancel what is still running; the visitor has gone."""
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()

    def report_error(self, message: str, source: str = "") -> None:
        """Show an error until it is dismissed or `source` is tried again."""
        self._report(message, source, "error")

    def report_info(self, message: str, source: str = "") -> None:
        """Show a remark until it is dismissed or `source` is tried again."""
        self._report(message, source, "info")

    def clear(self, source: str = "") -> None:
        """Take the message of `source` away."""
        if self._alerts.pop(source, None) is not None:
            self._refresh()

    @contextmanager
    def reporting(self, source: str):
        """Run an action of the user and show what goes wrong in it; nothing escapes.

        Parameters
        ----------
        source : str
            The action, as the user would call it: "Fit", "Upload". Its last message goes first.
        """
        self.clear(source)
        try:
            yield
        except Superseded:
            pass
        except Cancelled:
            self.report_info(f"{source} cancelled.", source)
        except (InputError, RuntimeError) as error:
            self.report_error(sentence(error), source)
        except Exception as error:
            _log.exception("%s failed", source)
            self.report_error(
                f"{source} failed unexpectedly ({type(error).__name__}: {error}); the server's log has the details.",
                source,
            )

    def _report(self, message, source, severity):
        self._alerts.pop(source, None)
        alert = pmui.Alert(
            object=plain(message),
            severity=severity,
            closeable=True,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(4, 10),
            sx={"alignItems": "center", "& .MuiAlertTitle-root": {"display": "none"}, "& p": {"margin": 0}},
        )
        alert.param.watch(lambda event: self._dismiss(source, alert), "closed")
        self._alerts[source] = alert
        while len(self._alerts) > MAX_MESSAGES:
            del self._alerts[next(iter(self._alerts))]
        self._refresh()

    def _forget_remarks(self):
        """Remarks, unlike errors, do not follow to another page."""
        errors = {source: alert for source, alert in self._alerts.items() if alert.severity == "error"}
        if len(errors) < len(self._alerts):
            self._alerts = errors
            self._refresh()

    def _dismiss(self, source, alert):
        if self._alerts.get(source) is alert:
            self.clear(source)

    def _refresh(self):
        self.messages.param.update(objects=list(reversed(self._alerts.values())), visible=bool(self._alerts))


def shared_runner() -> JobRunner:
    """The worker processes of this server, started on first use."""
    return pn.state.as_cached("jobs", _started_runner)


def shared_dataset(source: str) -> Dataset:
    """A dataset by name or path, read once per server; the descriptors any visitor computed stay with it."""
    return pn.state.as_cached(f"dataset {source}", load_dataset, source=source)


def is_at_hand(source: str) -> bool:
    """Whether `shared_dataset` takes no time, because a visitor has opened it before."""
    return (f"dataset {source}", ("source", source)) in pn.state.cache


def _started_runner():
    runner = JobRunner(limit("LDML_APP_WORKERS"))
    runner.warm_up()
    return runner


def sentence(error):
    text = str(error).strip()
    first = text.split(" ", 1)[0]
    capital = text[:1].upper() + text[1:] if first.isalpha() else text  # a parameter's name stays as it is
    return capital + ("" if text.endswith((".", "?", "!")) else ".")
