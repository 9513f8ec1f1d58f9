"""Carries out a plan over a store and makes a dataset of what came out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Protocol

from ase import Atoms

from ldml import __version__
from ldml.campaign.executors import executor
from ldml.campaign.runner import Runner
from ldml.campaign.store import Store
from ldml.dataset import Dataset, Entry
from ldml.errors import Cancelled
from ldml.progress import NULL_PROGRESS, Progress


class Plan(Protocol):
    """What a campaign is to make."""

    def carry_out(self, runner: Runner) -> tuple[Iterable[Atoms], Iterable[Entry], dict]:
        """Crystals, entries and metadata of the dataset."""


def run_campaign(
    name: str,
    plan: Plan,
    *,
    store: Path,
    n_workers: int = 1,
    dask: str | None = None,
    shard: tuple[int, int] = (1, 1),
    minutes: float = float("inf"),
    retry_failures: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Dataset | None:
    """Carry out a plan; results already in the store are not computed again.

    Parameters
    ----------
    name : str
        Of the dataset.
    plan : Plan
    store : path
        Folder of finished results; an interrupted campaign continues from it.
    n_workers : int
        Processes, one BLAS thread each.
    dask : str, optional
        Address of a Dask scheduler, or "local", instead of them.
    shard : (int, int)
        (i, n): do the i-th of n parts only, as a member of a job array over one store.
    minutes : float
        After which to stop, what is under way being finished first.
    retry_failures : bool
        Carry out again what failed because a worker died or by an unexpected error.
    command : str
        Recorded as provenance.
    progress : Progress, optional

    Returns
    -------
    Dataset or None
        None for a shard: a run without one, afterwards, finds all results and assembles them.

    Raises
    ------
    Cancelled
        `TimeIsUp` after `minutes`; whatever the progress reporter raises.
    InputError
        For a plan that cannot be carried out, a store that cannot be written, a scheduler that does not answer.
    """
    results = Store(store)
    results.note_campaign({"name": name, "plan": _plan_record(plan), "ldml": __version__})
    with executor(n_workers, dask) as workers:
        runner = Runner(results, workers, shard, retry_failures, 60.0 * minutes, progress or NULL_PROGRESS)
        try:
            bulks, entries, metadata = plan.carry_out(runner)
        except BaseException as error:
            runner.activity.end("stopped" if isinstance(error, (Cancelled, KeyboardInterrupt)) else repr(error))
            raise
        finally:
            runner.close()
        runner.activity.end("complete")
    if shard != (1, 1):
        return None
    return Dataset.from_entries(name, bulks, entries, metadata | {"command": command})


def _plan_record(plan):
    fields = asdict(plan) if is_dataclass(plan) else {}
    return {"kind": type(plan).__name__, **json.loads(json.dumps(fields, default=str))}
