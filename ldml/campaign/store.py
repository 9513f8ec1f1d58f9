"""Finished results on disk, one file each, so that killing a campaign loses at most the tasks it was at.

A result is a file of arrays under the key of its task, a failure a JSON record; either is written under a temporary name,
synced and renamed, and read without pickle. The files of arrays carry checksums: one that was cut short or changed is set
aside and computed again.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldml.campaign.tasks import Result, Task, failure, has_failed
from ldml.errors import InputError

STALE_AFTER = 3600.0
"""Seconds after which a temporary file is one that a killed process left."""


class StoreError(InputError):
    """A store that cannot be written."""


class Store:
    """Results in one folder, ``stage/ke/key.npz``; several processes may use it at once.

    Parameters
    ----------
    folder : path
        Made if it does not exist.

    Raises
    ------
    StoreError
        If it cannot be made or written.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def get(self, task: Task) -> Result | None:
        """The result of a task, a failure included; None if there is none yet."""
        path = self._path(task)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except FileNotFoundError:
            return self._failure(path.with_suffix(".json"))
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, OSError):
            self._set_aside(path)
            return None

    def put(self, task: Task, result: Result) -> None:
        """Keep a result; it appears whole or not at all.

        Raises
        ------
        StoreError
            If the disk is full or cannot be written.
        """
        path = self._path(task)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if has_failed(result):
                record = {name: str(value) for name, value in result.items()}
                write_whole(path.with_suffix(".json"), json.dumps(record | {"task": task.record}).encode())
                return
            write_whole(path, lambda file: np.savez(file, **result))
            path.with_suffix(".json").unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def counts(self) -> dict[str, Counter]:
        """Numbers of ``done``, ``failed`` and ``damaged`` results of each stage."""
        counts = {}
        for path in self._files():
            kind = {".npz": "done", ".json": "failed", ".damaged": "damaged"}.get(path.suffix)
            if kind:
                counts.setdefault(path.parent.parent.name, Counter())[kind] += 1
        return counts

    def failures(self) -> Iterator[dict]:
        """The records of all failures: ``failure``, ``message``, ``task``."""
        for path in self._files():
            if path.suffix == ".json":
                with contextlib.suppress(OSError, json.JSONDecodeError):
                    yield json.loads(path.read_text())

    def _files(self):
        return self.folder.glob("*/??/*")

    def _path(self, task):
        return self.folder / task.stage / task.key[:2] / f"{task.key}.npz"

    def _failure(self, path):
        try:
            record = json.loads(path.read_text())
            return failure(record["failure"], record["message"])
        except (OSError, json.JSONDecodeError, KeyError):
            return None

    def _set_aside(self, path):
        # another process may have done so, or replaced it, in the meantime
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged"))

    def _remove_leftovers(self):
        for path in self.folder.glob("*/??/*.partial"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_AFTER:
                    path.unlink()


def write_whole(path: Path, content) -> None:
    """Write bytes, or what a function writes to a file, so that `path` is the old file or the new one, never a part."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _unwritable(folder, error):
    return StoreError(
        f"results cannot be written to {str(folder)!r} ({error.strerror or error}); what was finished is safe: "
        f"free space or name a folder you may write to, and give the same command again"
    )
