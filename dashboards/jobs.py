"""Long work beside a live page: worker processes with progress, a queue, and cancel.

One `JobRunner` serves all sessions of a server. A job is a function of the library called as ``function(progress, *args)``
in a worker process; its progress travels through a small array shared with the workers, and so does the wish to cancel,
which the job meets at its next ``progress.check()``. The page does not wait for that: a cancelled job is over at once for
whoever watches it.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from ldml.errors import Cancelled

MAX_JOBS = 64
STAGE_BYTES = 96
DONE, TOTAL, CANCEL, STARTED = range(4)  # the numbers that a job shares with its worker
POLL_SECONDS = 0.15

_shared = None


@dataclass(frozen=True)
class JobStatus:
    """What to tell the user about a running job.

    Attributes
    ----------
    fraction : float
        Done, between 0 and 1.
    stage : str
    queue_position : int
        0 when running, 1 when next in line.
    """

    fraction: float
    stage: str
    queue_position: int


class SharedProgress:
    """The worker's end of a job: writes progress into shared memory, reads the wish to cancel from it."""

    def __init__(self, numbers, stages, slot: int):
        self._numbers, self._stages, self._slot = numbers, stages, slot

    def update(self, done: int, total: int, stage: str = "") -> None:
        base = 4 * self._slot
        self._numbers[base + DONE], self._numbers[base + TOTAL] = done, total
        text = stage.encode()[: STAGE_BYTES - 1]
        start = STAGE_BYTES * self._slot
        self._stages[start : start + STAGE_BYTES] = text.ljust(STAGE_BYTES, b"\0")

    def check(self) -> None:
        if self._numbers[4 * self._slot + CANCEL]:
            raise Cancelled

    def start(self) -> None:
        """Say that a worker has the job in hands, unless it was cancelled before."""
        self.check()
        self._numbers[4 * self._slot + STARTED] = 1


class JobRunner:
    """Worker processes shared by all sessions.

    Parameters
    ----------
    n_workers : int
        Jobs that run at once; others queue.
    """

    def __init__(self, n_workers: int = 1):
        self.n_workers = n_workers
        self._context = multiprocessing.get_context("spawn")
        self._numbers = self._context.Array("q", 4 * MAX_JOBS, lock=False)
        self._stages = self._context.Array("c", STAGE_BYTES * MAX_JOBS, lock=False)
        self._free = list(range(MAX_JOBS))
        self._active: list[Job] = []
        self._pool = None
        atexit.register(self.shutdown)

    def submit(self, function: Callable, *args) -> Job:
        """Queue ``function(progress, *args)``; both must be importable and picklable.

        Raises
        ------
        RuntimeError
            When too many jobs wait already.
        """
        if not self._free:
            raise RuntimeError(f"{MAX_JOBS} jobs are waiting already; try again when some have finished")
        slot = self._free.pop(0)
        self._numbers[4 * slot : 4 * slot + 4] = [0, 0, 0, 0]
        SharedProgress(self._numbers, self._stages, slot).update(0, 0)
        try:
            future = self._running_pool().submit(_run, slot, function, args)
        except BrokenProcessPool:
            self._pool = None
            future = self._running_pool().submit(_run, slot, function, args)
        job = Job(self, future, slot)
        self._active.append(job)
        future.add_done_callback(lambda _: self._release(job))
        return job

    def warm_up(self) -> None:
        """Start the workers, so that the first job does not wait for their imports."""
        for _ in range(self.n_workers):
            self._running_pool().submit(_nothing)

    def shutdown(self) -> None:
        """Stop the workers; jobs still queued are dropped, running ones asked to stop."""
        for job in list(self._active):
            job.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def queue_position(self, job: Job) -> int:
        """Jobs ahead of `job` beyond those that can run at once.

        The executor hands jobs to its workers before they are free and cannot take those back: a job cancelled there
        costs nobody any time, one cancelled while a worker has it does.
        """
        earlier = itertools.takewhile(lambda other: other is not job, self._active)
        ahead = sum(other.started or not other.done for other in earlier)
        return max(0, ahead - self.n_workers + 1)

    def _running_pool(self):
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.n_workers,
                mp_context=self._context,
                initializer=_start_worker,
                initargs=(self._numbers, self._stages),
            )
        return self._pool

    def _release(self, job):
        self._active.remove(job)
        self._free.append(job._slot)


class Job:
    """One piece of work under way."""

    def __init__(self, runner: JobRunner, future: Future, slot: int):
        self._runner, self._future, self._slot = runner, future, slot
        self._cancelled = False

    @property
    def done(self) -> bool:
        """Whether it has finished, failed or been cancelled."""
        return self._cancelled or self._future.done()

    @property
    def started(self) -> bool:
        """Whether a worker has taken it up."""
        return bool(self._runner._numbers[4 * self._slot + STARTED])

    @property
    def status(self) -> JobStatus:
        """Progress, stage and place in the queue now."""
        base, start = 4 * self._slot, STAGE_BYTES * self._slot
        done, total = self._runner._numbers[base + DONE], self._runner._numbers[base + TOTAL]
        stage = bytes(self._runner._stages[start : start + STAGE_BYTES]).split(b"\0")[0].decode(errors="ignore")
        return JobStatus(done / total if total else 0.0, stage, self._runner.queue_position(self))

    def cancel(self) -> None:
        """Stop the job at its next check, or take it out of the queue; for the page it is over at once."""
        if not self._future.done():
            self._cancelled = True
            self._runner._numbers[4 * self._slot + CANCEL] = 1
            self._future.cancel()

    async def result(self, on_status: Callable[[JobStatus], None] | None = None):
        """Wait for the job without blocking the page; `on_status` hears how it goes.

        Raises
        ------
        Cancelled
            If it was cancelled.
        RuntimeError
            If the worker process died, as it does when memory runs out.
        Exception
            Whatever the function raised.
        """
        while not self.done:
            if on_status is not None:
                on_status(self.status)
            await asyncio.sleep(POLL_SECONDS)
        if self._cancelled or self._future.cancelled():
            raise Cancelled
        try:
            return self._future.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "the worker process died, probably for lack of memory; try a smaller structure"
            ) from error


def _start_worker(numbers, stages):
    global _shared
    _shared = (numbers, stages)
    threadpool_limits(limits=2)


def _run(slot, function, args):
    progress = SharedProgress(*_shared, slot)
    progress.start()
    return function(progress, *args)


def _nothing():
    from dashboards import tasks  # noqa: F401  (imports the numerical stack)
