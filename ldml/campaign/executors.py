"""Where tasks run: in this process, in worker processes with one BLAS thread each, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial

from threadpoolctl import threadpool_limits

from ldml.errors import InputError
from ldml.worker_processes import end_with_parent

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a scheduler."""


class Executor:
    """Runs functions; what a `Runner` needs of one.

    Attributes
    ----------
    n_workers : int
    window : int
        Tasks that may be under way or waiting at once.
    """

    n_workers = 1
    window = 1

    def submit(self, function: Callable, *arguments) -> Future:
        """Begin ``function(*arguments)``."""
        raise NotImplementedError

    def restart(self) -> None:
        """Get new workers after one has died; what was submitted before is lost."""

    def close(self, *, at_once: bool = False) -> None:
        """Let the workers go; `at_once` without waiting for what they are at."""


WORKER_LOST: tuple[type[BaseException], ...] = (BrokenProcessPool, CancelledError)
"""What a future raises when its worker has died, beside Dask's own."""
REFRESH = 10.0
"""Seconds between two looks at how many workers a cluster has."""


class InProcess(Executor):
    """This process, one task after the other."""

    def __init__(self):
        self._limits = threadpool_limits(limits=1)

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future

    def close(self, *, at_once=False):
        self._limits.restore_original_limits()


class Processes(Executor):
    """Worker processes on this machine."""

    def __init__(self, n_workers: int):
        self.n_workers = n_workers
        self.window = 3 * n_workers
        self._pool = self._started()

    def submit(self, function, *arguments):
        return self._pool.submit(function, *arguments)

    def restart(self):
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._started()

    def close(self, *, at_once=False):
        if at_once:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(wait=not at_once, cancel_futures=True)

    def _started(self):
        # spawn: forking a process that has started numba or BLAS threads can deadlock
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.n_workers, mp_context=context, initializer=_prepare_worker)


class DaskCluster(Executor):
    """The workers of a Dask scheduler, or a local cluster of processes for the address "local".

    They need not share a disk with this process: inputs travel with the task, results travel back.
    """

    def __init__(self, address: str, n_workers: int):
        try:
            import distributed
        except ImportError as error:
            raise InputError("--dask needs the package distributed: pip install 'ldml[cluster]'") from error
        self._address, self._cluster = address, None
        try:
            if address == "local":
                self._cluster = distributed.LocalCluster(
                    n_workers=n_workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
                )
            self._client = distributed.Client(self._cluster or address, timeout=CONNECT_TIMEOUT)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address!r} within {CONNECT_TIMEOUT:g} s; start one with "
                f"`dask scheduler` and give its address, such as tcp://127.0.0.1:8786, or --dask local"
            ) from error
        self._futures = self._client.get_executor(pure=False)
        self._counted = -REFRESH
        self._n_workers = n_workers

    @property
    def n_workers(self):
        # workers come and go while a campaign runs
        if time.monotonic() - self._counted > REFRESH:
            self._counted = time.monotonic()
            self._n_workers = max(1, sum(self._answer(self._client.nthreads).values()))
        return self._n_workers

    @property
    def window(self):
        return 3 * self.n_workers

    def submit(self, function, *arguments):
        return self._answer(self._futures.submit, _on_one_thread, function, *arguments)

    def restart(self):
        # a scheduler replaces its workers itself; one that is gone cannot be replaced
        self._answer(self._client.nthreads)

    def close(self, *, at_once=False):
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    def _answer(self, ask, *arguments):
        try:
            if self._client.status == "running":
                return ask(*arguments)
            reason = None
        except (OSError, TimeoutError) as error:
            reason = error
        raise InputError(
            f"the Dask scheduler at {self._address!r} is gone; what was finished is in the store: start it and give the "
            f"same command again"
        ) from reason


@contextmanager
def executor(n_workers: int = 1, dask: str | None = None) -> Iterator[Executor]:
    """The executor for these options; its workers are gone afterwards.

    Parameters
    ----------
    n_workers : int
        Processes; one means this process.
    dask : str, optional
        Address of a scheduler, or "local".

    Raises
    ------
    InputError
        If no scheduler answers there.
    """
    if n_workers < 1:
        raise InputError(f"{n_workers} workers can do nothing; give one or more")
    chosen = _chosen(n_workers, dask)
    try:
        yield chosen
    except BaseException:
        chosen.close(at_once=True)
        raise
    chosen.close()


def _chosen(n_workers, dask):
    if dask is not None:
        return DaskCluster(dask, n_workers)
    return Processes(n_workers) if n_workers > 1 else InProcess()


@contextmanager
def task_map(n_workers: int) -> Iterator[Callable[[Callable, Iterable], Iterator]]:
    """An ordered ``map(function, items)`` over `n_workers` processes; one worker means this process."""
    with executor(n_workers) as chosen:
        yield partial(_ordered, chosen)


def _ordered(chosen, function, items):
    waiting = deque()
    for item in items:
        waiting.append(chosen.submit(function, item))
        if len(waiting) >= chosen.window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def worker_lost() -> tuple[type[BaseException], ...]:
    """Exceptions that say that a worker died over its task."""
    try:
        from distributed import KilledWorker
    except ImportError:
        return WORKER_LOST
    return (*WORKER_LOST, KilledWorker)


def _prepare_worker():
    # Ctrl+C reaches the whole process group; the campaign ends its workers itself
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _limit_threads()


def _on_one_thread(function, *arguments):
    _limit_threads()
    return function(*arguments)


@cache
def _limit_threads():
    threadpool_limits(limits=1)
