"""Carries out tasks, in any order on any workers, and hands their results over in the order of the tasks.

What is in the store is not computed again; what comes back is stored at once. A recipe asks for results by `Runner.map`,
judges them in order, and may derive further tasks from them: since nothing else decides what is done, the outcome depends
neither on the number of workers nor on interruptions.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from ldml.campaign.executors import Executor, InProcess, worker_lost
from ldml.campaign.status import Activity
from ldml.campaign.store import Store
from ldml.campaign.tasks import STAGES, Result, Task, carry_out, failure, has_failed
from ldml.errors import Cancelled, InputError
from ldml.progress import NULL_PROGRESS, Progress

POLL = 0.2
"""Seconds between two looks at whether to stop."""
WORKER_DIED = "WorkerDied"
_END = object()


class TimeIsUp(Cancelled):
    """The time given to a campaign has passed."""


@dataclass
class _Job:
    task: Task
    result: Result | None = None
    future: Future | None = None
    skipped: bool = False

    @property
    def is_over(self):
        return self.skipped or self.result is not None


@dataclass
class Runner:
    """Carries out tasks over a store.

    Attributes
    ----------
    store : Store
    executor : Executor
    shard : (int, int)
        (i, n): of n members of a job array over one store this is the i-th, from 1; each does the tasks that grow from
        its share of first tasks, and is handed None for those of the others that are not there yet.
    retry_failures : bool
        Carry out again what failed for a reason that may have passed: a worker that died, an unexpected error.
    seconds : float
        Time after which `TimeIsUp` is raised, what is under way being finished and stored first.
    progress : Progress
    """

    store: Store
    executor: Executor = field(default_factory=InProcess)
    shard: tuple[int, int] = (1, 1)
    retry_failures: bool = False
    seconds: float = float("inf")
    progress: Progress = NULL_PROGRESS

    def __post_init__(self):
        i, n = self.shard
        if not 1 <= i <= n:
            raise InputError(f"shard {i}/{n} does not exist; give 1/{max(n, 1)} to {max(n, 1)}/{max(n, 1)}")
        self._deadline = time.monotonic() + self.seconds
        self._under_way: dict[str, _Job] = {}
        self._retried: set[str] = set()
        self._worker_lost = worker_lost()
        self.activity = Activity(self.store.folder, self.executor.n_workers)

    def close(self) -> None:
        """Store what has come back and was not asked for yet; to be called however the campaign ends."""
        for job in list(self._under_way.values()):
            if (
                job.future is not None
                and job.future.done()
                and not job.future.cancelled()
                and not job.future.exception()
            ):
                self._keep(job, *job.future.result())

    def map(self, tasks: Iterable[Task | None]) -> Iterator[tuple[Task, Result | None]]:
        """Tasks with their results, in the order of the tasks, which may themselves come from results of another `map`.

        A source of tasks may say None to be asked again when the next result has been handed over.

        Raises
        ------
        Cancelled
            If the progress reporter wants to stop, or the time is up.
        StoreError
            If results can no longer be stored.
        """
        waiting, source, exhausted = deque(), iter(tasks), False
        while waiting or not exhausted:
            while not exhausted and len(waiting) < self.executor.window and not (waiting and waiting[0].is_over):
                task = next(source, _END)
                if task is None:
                    break
                if task is _END:
                    exhausted = True
                else:
                    waiting.append(self._begin(task))
            if waiting:
                job = waiting.popleft()
                while not job.is_over:
                    self._collect()
                self._check()
                yield job.task, job.result

    def one(self, task: Task) -> Result | None:
        """The result of a single task."""
        return next(self.map([task]))[1]

    def report(self, done: int, total: int, stage: str) -> None:
        """Say how far a recipe is."""
        self.progress.update(done, total, stage)
        self.activity.note(done, total, stage)

    def _begin(self, task):
        self._check()
        if task.key in self._under_way:
            return self._under_way[task.key]
        job = _Job(task, result=self.store.get(task))
        if job.result is not None and not self._is_to_be_retried(job):
            self.activity.found(task)
            return job
        job.result = None
        i, n = self.shard
        if int(task.root.key[:8], 16) % n != i - 1:
            job.skipped = True
            return job
        self._under_way[task.key] = job
        try:
            self._submit(job)
        except self._worker_lost:
            self._recover()
        if job.future is not None and job.future.done():
            self._take(job)
        return job

    def _is_to_be_retried(self, job):
        if not self.retry_failures or not has_failed(job.result) or job.result["is_final"]:
            return False
        return job.task.key not in self._retried

    def _submit(self, job):
        """Send a task on its way, what it takes with it."""
        inputs = [self.store.get(task) for task in job.task.inputs]
        for task, found in zip(job.task.inputs, inputs, strict=True):
            if found is None or has_failed(found):
                raise InputError(
                    f"the {task.stage!r} result {task.key} that a {job.task.stage!r} task takes is not in the store; "
                    f"give the same command again"
                )
        job.future = self.executor.submit(carry_out, STAGES[job.task.stage], dict(job.task.parameters), inputs)

    def _collect(self):
        """Wait a little, and store what has come back."""
        wait([job.future for job in self._under_way.values()], timeout=POLL, return_when=FIRST_COMPLETED)
        for job in list(self._under_way.values()):
            if job.future.done():
                self._take(job)
        self._check()
        self.activity.write()

    def _take(self, job):
        if job.task.key not in self._under_way:
            return
        try:
            result, seconds = job.future.result()
        except self._worker_lost:
            self._recover()
            return
        self._keep(job, result, seconds)

    def _keep(self, job, result, seconds):
        del self._under_way[job.task.key]
        self._retried.add(job.task.key)
        self.store.put(job.task, result)
        job.result = result
        self.activity.finished(job.task, result, seconds)

    def _recover(self):
        """A worker died over one of the tasks under way: do them one at a time, so that only the culprit fails."""
        self.close()
        self.executor.restart()
        for job in list(self._under_way.values()):
            if job.future is not None:
                job.future.cancel()
            try:
                self._submit(job)
                while not wait([job.future], timeout=POLL).done:
                    self.progress.check()
                result, seconds = job.future.result()
            except self._worker_lost:
                self.executor.restart()
                message = "the worker died over this task twice (out of memory, or killed); see --retry-failures"
                result, seconds = failure(WORKER_DIED, message, is_final=False), 0.0
            self._keep(job, result, seconds)

    def _check(self):
        self.progress.check()
        if time.monotonic() > self._deadline:
            self._deadline = float("inf")
            self._finish_what_is_under_way()
            raise TimeIsUp("the time is up; what was finished is in the store: give the same command again to go on")

    def _finish_what_is_under_way(self):
        for job in list(self._under_way.values()):
            if job.future is None or job.future.cancel():
                del self._under_way[job.task.key]
        while not all(job.future.done() for job in self._under_way.values()):
            self.progress.check()
            wait([job.future for job in self._under_way.values()], timeout=POLL)
        for job in list(self._under_way.values()):
            self._take(job)
