"""How a campaign is doing, seen from outside: its members write what they are at into the store, anyone may read it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ldml.campaign.store import Store, write_whole
from ldml.campaign.tasks import has_failed
from ldml.errors import InputError

WRITE_EVERY = 2.0
"""Seconds"""
SILENT_AFTER = 120.0
"""Seconds without a word after which a member that never said goodbye is taken for dead."""
FOLDER = "members"


class Activity:
    """What one process of a campaign has done, written to ``members/host-pid-time.json`` in the store.

    Parameters
    ----------
    folder : path
        Of the store.
    n_workers : int
    """

    def __init__(self, folder: Path, n_workers: int):
        self._written, self._began = 0.0, time.time()
        self._path = Path(folder) / FOLDER / f"{socket.gethostname()}-{os.getpid()}-{1e3 * self._began:.0f}.json"
        self._n_workers = n_workers
        self._found = 0
        self._done, self._failed, self._seconds = Counter(), Counter(), Counter()
        self._note = {"done": 0, "total": 0, "stage": ""}
        self._ended = ""

    def found(self, task) -> None:
        """The result of a task was there already."""
        self._found += 1

    def finished(self, task, result, seconds: float) -> None:
        """A task was carried out in so many seconds of processor time."""
        (self._failed if has_failed(result) else self._done)[task.stage] += 1
        self._seconds[task.stage] += seconds
        self.write()

    def note(self, done: int, total: int, stage: str) -> None:
        """How far the recipe is."""
        self._note = {"done": done, "total": total, "stage": stage}
        self.write()

    def end(self, how: str) -> None:
        """The campaign ended: "complete", "stopped" or an error."""
        self._ended = how
        self.write(at_once=True)

    @property
    def busy_seconds(self) -> float:
        """Processor time of all tasks."""
        return sum(self._seconds.values())

    def write(self, *, at_once: bool = False) -> None:
        """Update the file, not more often than is useful; a status that cannot be written stops nothing."""
        now = time.time()
        if not at_once and now - self._written < WRITE_EVERY:
            return
        self._written = now
        record = {
            "began": self._began,
            "updated": now,
            "workers": self._n_workers,
            "found": self._found,
            "done": self._done,
            "failed": self._failed,
            "seconds": self._seconds,
            "at": self._note,
            "ended": self._ended,
        }
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            write_whole(self._path, json.dumps(record).encode())


@dataclass(frozen=True)
class CampaignStatus:
    """The state of a store and of those who work on it.

    Attributes
    ----------
    stages : dict
        For each stage the numbers of ``done``, ``failed`` and ``damaged`` results and ``seconds`` of processor time of one.
    members : tuple of dict
        Name, state ("working", "silent" or how it ended), ``at``, ``workers``, seconds since it began.
    failures : dict
        For each kind how many, and the message of one.
    remaining_seconds : float
        Expected for the working members; NaN when unknown.
    """

    stages: dict
    members: tuple[dict, ...]
    failures: dict
    remaining_seconds: float


def campaign_status(folder) -> CampaignStatus:
    """Read the status of a store.

    Raises
    ------
    InputError
        If there is no store.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no store at {str(folder)!r}; give the folder that --store named")
    store = Store(folder)
    records = {path.stem: json.loads(path.read_text()) for path in sorted((folder / FOLDER).glob("*.json"))}
    members = tuple(_member(name, record) for name, record in records.items())
    return CampaignStatus(_stages(store, records), members, _failures(store), _remaining(members))


def _stages(store, records):
    stages = {}
    for name, counts in sorted(store.counts().items()):
        seconds = sum(record["seconds"].get(name, 0.0) for record in records.values())
        n_timed = sum(record["done"].get(name, 0) + record["failed"].get(name, 0) for record in records.values())
        stages[name] = {
            "done": counts["done"],
            "failed": counts["failed"],
            "damaged": counts["damaged"],
            "seconds": seconds / n_timed if n_timed else float("nan"),
        }
    return stages


def _member(name, record):
    state = record["ended"] or ("working" if time.time() - record["updated"] < SILENT_AFTER else "silent")
    elapsed = record["updated"] - record["began"]
    at = record["at"]
    left = elapsed / at["done"] * (at["total"] - at["done"]) if at["done"] else float("nan")
    return {
        "name": name,
        "state": state,
        "at": at,
        "workers": record["workers"],
        "elapsed_seconds": elapsed,
        "remaining_seconds": left,
    }


def _remaining(members):
    left = [member["remaining_seconds"] for member in members if member["state"] == "working"]
    return max(left, default=float("nan"))


def _failures(store):
    kinds = {}
    for record in store.failures():
        kind = kinds.setdefault(record["failure"], {"count": 0, "example": record["message"].strip().splitlines()[-1]})
        kind["count"] += 1
    return kinds
