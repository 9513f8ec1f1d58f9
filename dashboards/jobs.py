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
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial

from threadpoolctl import threadpool_limits

from ldml.errors import Cancelled
from ldml.worker_processes import end_with_parent

MAX_JOBS = 64
STAGE_BYTES = 96
DONE, TOTAL, CANCEL, STARTED = range(4)  # the numbers that a job shares with its worker
POLL_SECONDS = 0.15
GIVES_WAY = 10
"""By how much the niceness of a worker is above that of the server."""

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


class WorkerLost(RuntimeError):
    """The process that had a job has died; the job can be tried again."""


class JobRunner:
    """Worker processes shared by all sessions.

    Jobs of one owner keep their order; owners take turns, so that nobody waits for all of somebody else's jobs. Each worker is a
    pool of its own: one that dies takes only its job along.

    Parameters
    ----------
    n_workers : int
        Jobs that run at once; others queue.
    """

    def __init__(self, n_workers: int = 1):
        context = multiprocessing.get_context("spawn")
        self._numbers = context.Array("q", 4 * MAX_JOBS, lock=False)
        self._stages = context.Array("c", STAGE_BYTES * MAX_JOBS, lock=False)
        self._workers = [_Worker(context, self._numbers, self._stages) for _ in range(n_workers)]
        self._free = list(range(MAX_JOBS))
        self._waiting: dict[Hashable, deque[Job]] = {}  # of each owner, the owner whose turn it is first
        self._lock = threading.RLock()  # results arrive in threads of the pools
        atexit.register(self.shutdown)

    @property
    def n_workers(self) -> int:
        """Jobs that run at once."""
        return len(self._workers)

    @property
    def n_jobs(self) -> int:
        """Jobs that run or wait."""
        with self._lock:
            running = sum(worker.job is not None and not worker.job.done for worker in self._workers)
            return running + sum(map(len, self._waiting.values()))

    def submit(self, function: Callable, *args, owner: Hashable = None) -> Job:
        """Queue ``function(progress, *args)``; both must be importable and picklable.

        Parameters
        ----------
        owner : hashable, optional
            Who takes turns with the others.

        Raises
        ------
        RuntimeError
            When too many jobs wait already.
        """
        with self._lock:
            if not self._free:
                raise RuntimeError(f"{MAX_JOBS} jobs are waiting already; try again when some have finished")
            slot = self._free.pop(0)
            self._numbers[4 * slot : 4 * slot + 4] = [0, 0, 0, 0]
            SharedProgress(self._numbers, self._stages, slot).update(0, 0)
            job = Job(self, owner, slot, function, args)
            self._waiting.setdefault(owner, deque()).append(job)
            self._hand_out()
        return job

    def warm_up(self) -> None:
        """Start the workers, so that the first job does not wait for their imports."""
        for worker in self._workers:
            worker.run(_nothing)

    def shutdown(self) -> None:
        """Stop the workers; jobs still queued are dropped, running ones asked to stop."""
        with self._lock:
            for job in self._in_turn():
                job.cancel()
            for worker in self._workers:
                if worker.job is not None:
                    worker.job.cancel()
                worker.shutdown()

    def queue_position(self, job: Job) -> int:
        """Waiting jobs whose turn comes before that of `job`, and itself; 0 for one that a worker has.

        A cancelled job waits no longer; one that was cancelled while it runs keeps its worker until its next check.
        """
        with self._lock:
            waiting = self._in_turn()
            return waiting.index(job) + 1 if job in waiting else 0

    def stop(self, job: Job) -> None:
        """Take a job out of the queue, or ask the worker that has it to stop at its next check."""
        with self._lock:
            queue = self._waiting.get(job.owner, ())
            if job not in queue:
                self._numbers[4 * job.slot + CANCEL] = 1
                return
            queue.remove(job)
            self._free.append(job.slot)
            if not queue:
                del self._waiting[job.owner]

    def _in_turn(self):
        rounds = itertools.zip_longest(*self._waiting.values())
        return [job for turn in rounds for job in turn if job is not None]

    def _hand_out(self):
        """Give jobs to idle workers; whoever was served is last in the next round."""
        for worker in self._workers:
            if not self._waiting or worker.job is not None:
                continue
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            job = worker.job = queue.popleft()
            if queue:
                self._waiting[owner] = queue
            job.outcome = worker.run(_run, job.slot, job.function, job.args)
            job.outcome.add_done_callback(partial(self._take_back, worker))

    def _take_back(self, worker, outcome):
        with self._lock:
            job, worker.job = worker.job, None
            if not outcome.cancelled() and isinstance(outcome.exception(), BrokenProcessPool):
                worker.replace()
            self._free.append(job.slot)
            self._hand_out()


class _Worker:
    """A process, and the job it has."""

    def __init__(self, context, numbers, stages):
        self._context, self._shared = context, (numbers, stages)
        self._pool: ProcessPoolExecutor | None = None
        self.job: Job | None = None

    def run(self, function, *args) -> Future:
        try:
            return self._running_pool().submit(function, *args)
        except BrokenProcessPool:  # it died while it was idle
            self.replace()
            return self._running_pool().submit(function, *args)

    def replace(self) -> None:
        """Forget the process; the next job starts another."""
        self._pool = None

    def shutdown(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _running_pool(self):
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1, mp_context=self._context, initializer=_start_worker, initargs=self._shared
            )
        return self._pool


class Job:
    """One piece of work, waiting or under way."""

    def __init__(self, runner: JobRunner, owner: Hashable, slot: int, function: Callable, args: tuple):
        self.owner, self.slot, self.function, self.args = owner, slot, function, args
        self.outcome: Future | None = None  # once a worker has it
        self._runner = runner
        self._cancelled = False

    @property
    def done(self) -> bool:
        """Whether it has finished, failed or been cancelled."""
        return self._cancelled or (self.outcome is not None and self.outcome.done())

    @property
    def started(self) -> bool:
        """Whether a worker has taken it up."""
        return self.outcome is not None and bool(self._runner._numbers[4 * self.slot + STARTED])

    @property
    def status(self) -> JobStatus:
        """Progress, stage and place in the queue now."""
        base, start = 4 * self.slot, STAGE_BYTES * self.slot
        done, total = self._runner._numbers[base + DONE], self._runner._numbers[base + TOTAL]
        stage = bytes(self._runner._stages[start : start + STAGE_BYTES]).split(b"\0")[0].decode(errors="ignore")
        return JobStatus(done / total if total else 0.0, stage, self._runner.queue_position(self))

    def cancel(self) -> None:
        """Stop the job at its next check, or take it out of the queue; for the page it is over at once."""
        if not self.done:
            self._cancelled = True
            self._runner.stop(self)

    async def result(self, on_status: Callable[[JobStatus], None] | None = None):
        """Wait for the job without blocking the page; `on_status` hears how it goes.

        Raises
        ------
        Cancelled
            If it was cancelled.
        WorkerLost
            If the worker process died, as it does when memory runs out.
        Exception
            Whatever the function raised.
        """
        while not self.done:
            if on_status is not None:
                on_status(self.status)
            await asyncio.sleep(POLL_SECONDS)
        if self._cancelled or self.outcome.cancelled():
            raise Cancelled
        try:
            return self.outcome.result()
        except BrokenProcessPool as error:
            raise WorkerLost(
                "the worker process died, probably for lack of memory, and has been replaced; "
                "try again, or try a smaller structure"
            ) from error


def give_way() -> None:
    """Compute when the server has nothing to do: a page answers first, and jobs share what is left."""
    if hasattr(os, "nice"):
        os.nice(GIVES_WAY)


def _start_worker(numbers, stages):
    global _shared
    _shared = (numbers, stages)
    end_with_parent()
    give_way()
    threadpool_limits(limits=2)


def _run(slot, function, args):
    progress = SharedProgress(*_shared, slot)
    progress.start()
    return function(progress, *args)


def _nothing():
    from dashboards import tasks  # noqa: F401  (imports the numerical stack)
