"""Where tasks run: in this process, or in worker processes with one BLAS thread each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def task_map(n_workers: int) -> Iterator[Callable[[Callable, Iterable], Iterator]]:
    """An ordered ``map(function, items)`` over `n_workers` processes; one worker means this process."""
    if n_workers <= 1:
        with threadpool_limits(limits=1):
            yield map
        return
    # spawn: forking a process that has started numba or BLAS threads can deadlock
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_one_thread) as pool:
        try:
            yield pool.map
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread():
    threadpool_limits(limits=1)
