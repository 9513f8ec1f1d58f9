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
        self._steps, self._step_began = {}, (self._began, 0, 0)
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
        """How far the recipe is with one of its steps."""
        n_carried_out = self._done.total() + self._failed.total()
        if stage not in self._steps or n_carried_out == self._step_began[2]:
            # what was found in the store says nothing of the time that the rest will take
            self._step_began = (time.time(), done, n_carried_out)
        self._steps.pop(stage, None)
        self._steps[stage] = [done, total]
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
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "began": self._began,
            "updated": now,
            "workers": self._n_workers,
            "found": self._found,
            "done": self._done,
            "failed": self._failed,
            "seconds": self._seconds,
            "steps": self._steps,
            "step_began": self._step_began[:2],
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
    campaigns : tuple of dict
        What was to be done in it: ``name``, ``plan``, ``ldml`` (the version).
    stages : dict
        For each stage the numbers of ``done``, ``failed`` and ``damaged`` results, ``seconds`` of processor time of one, and how
        many are carried out ``per_minute`` now.
    steps : dict
        For each step of the recipe, such as the minima of a class, the numbers ``done`` and wanted in ``total``.
    members : tuple of dict
        Name, state ("working", "died", "silent" or how it ended), the step it is ``at``, ``workers``, results ``found`` in the
        store, seconds since it began and those it is expected to need for the step.
    failures : dict
        For each kind how many, and the message of one.
    remaining_seconds : float
        Expected for the present step of the working members; NaN when unknown.
    """

    campaigns: tuple[dict, ...]
    stages: dict
    steps: dict
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
    records = _records(folder / FOLDER)
    members = tuple(_member(record) for record in records)
    left = [member["remaining_seconds"] for member in members if member["state"] == "working"]
    return CampaignStatus(
        campaigns=tuple(store.campaigns()),
        stages=_stages(store, records),
        steps=_steps(records),
        members=members,
        failures=_failures(store),
        remaining_seconds=max(left, default=float("nan")),
    )


def _records(folder):
    """What the members wrote, the latest last."""
    records = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            records.append({"name": path.stem, **json.loads(path.read_text())})
    return sorted(records, key=lambda record: record["updated"])


def _stages(store, records):
    stages = {}
    for name, counts in sorted(store.counts().items()):
        seconds = sum(record["seconds"].get(name, 0.0) for record in records)
        n_timed = sum(_carried_out(record, name) for record in records)
        working = [record for record in records if _state(record) == "working"]
        stages[name] = {
            "done": counts["done"],
            "failed": counts["failed"],
            "damaged": counts["damaged"],
            "seconds": seconds / n_timed if n_timed else float("nan"),
            "per_minute": sum(60.0 * _carried_out(r, name) / max(r["updated"] - r["began"], 1.0) for r in working),
        }
    return stages


def _carried_out(record, stage):
    return record["done"].get(stage, 0) + record["failed"].get(stage, 0)


def _steps(records):
    """Steps as the member that spoke last of each sees them."""
    steps = {}
    for record in records:
        steps |= {name: {"done": done, "total": total} for name, (done, total) in record["steps"].items()}
    return steps


def _state(record):
    if record["ended"]:
        return record["ended"]
    if record["host"] == socket.gethostname():
        return "working" if _is_alive(record["pid"]) else "died"
    return "working" if time.time() - record["updated"] < SILENT_AFTER else "silent"


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # another user's
        pass
    return True


def _member(record):
    step = list(record["steps"])[-1] if record["steps"] else ""
    done, total = record["steps"].get(step, (0, 0))
    began, before = record["step_began"]
    left = (record["updated"] - began) * (total - done) / (done - before) if done > before else float("nan")
    return {
        "name": record["name"],
        "state": _state(record),
        "at": {"step": step, "done": done, "total": total},
        "workers": record["workers"],
        "found": record["found"],
        "elapsed_seconds": record["updated"] - record["began"],
        "remaining_seconds": left,
    }


def _failures(store):
    kinds = {}
    for record in store.failures():
        kind = kinds.setdefault(record["failure"], {"count": 0, "example": record["message"].strip().splitlines()[-1]})
        kind["count"] += 1
    return kinds
