"""Finished results on disk, one file each, so that killing a campaign loses at most the tasks it was at.

A result is a file of arrays under the key of its task, a failure a JSON record; either is written under a temporary name,
synced and renamed, and read without pickle. A file of arrays ends with the SHA-256 of what stands before: one that was cut
short or changed is set aside and computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldml.campaign.tasks import Result, Task, failure, has_failed
from ldml.errors import InputError

STALE_AFTER = 3600.0
"""Seconds after which a temporary file is one that a killed process left."""
DIGEST_SIZE = hashlib.sha256().digest_size


class StoreError(InputError):
    """A store that cannot be written, or not be read."""


class Store:
    """Results in one folder, ``stage/ke/key.npz``; several processes may use it at once.

    Parameters
    ----------
    folder : path
        Made if it does not exist.

    Attributes
    ----------
    folder : Path
    n_damaged : int
        Files found damaged, and set aside, so far.

    Raises
    ------
    StoreError
        If it cannot be made.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.n_damaged = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        self._remove_leftovers()

    def get(self, task: Task) -> Result | None:
        """The result of a task, a failure included; None if there is none yet.

        Raises
        ------
        StoreError
            If the disk fails; a file that can be read but is not whole is set aside, and None is returned.
        """
        path = self._path(task)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return self._failure(path.with_suffix(".json"))
        except OSError as error:
            raise _unreadable(path, error) from error
        result = _unpacked(content)
        if result is None:
            self._set_aside(path)
        return result

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
            write_whole(path, _packed(result))
            path.with_suffix(".json").unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def note_campaign(self, record: dict) -> None:
        """Add what a campaign is to do to ``campaign.json``, the provenance of the store; the same record once only.

        Raises
        ------
        StoreError
            If the disk is full or cannot be written, so that this is known before any work is done.
        """
        path = self.folder / "campaign.json"
        records = self.campaigns()
        try:
            write_whole(path, json.dumps([*(r for r in records if r != record), record], indent=1).encode())
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def campaigns(self) -> list[dict]:
        """The records of `note_campaign`, the latest last."""
        try:
            return json.loads((self.folder / "campaign.json").read_text())
        except (OSError, ValueError):
            return []

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
                with contextlib.suppress(OSError, ValueError):
                    yield json.loads(path.read_text())

    def _files(self):
        return self.folder.glob("*/??/*")

    def _path(self, task):
        return self.folder / task.stage / task.key[:2] / f"{task.key}.npz"

    def _failure(self, path):
        try:
            record = json.loads(path.read_text())
            return failure(record["failure"], record["message"], is_final=record["is_final"] == "True")
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            self._set_aside(path)
            return None
        except OSError as error:
            raise _unreadable(path, error) from error

    def _set_aside(self, path):
        self.n_damaged += 1
        # another process may have done so in the meantime
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged"))

    def _remove_leftovers(self):
        # one that is younger may be another process's, which is writing it; one that cannot be removed does no harm
        for path in self.folder.rglob("*.partial"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_AFTER:
                    path.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Write bytes so that `path` is the old file or the new one, never a part, whoever else writes it."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _packed(result):
    """The bytes of a result, its digest at the end."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in result.items():
            # np.savez would write the time of day, and pickle what is no plain array
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return buffer.getvalue() + hashlib.sha256(buffer.getbuffer()).digest()


def _unpacked(content):
    """The result in these bytes; None if they are not what was written."""
    arrays, digest = content[:-DIGEST_SIZE], content[-DIGEST_SIZE:]
    if hashlib.sha256(arrays).digest() != digest:
        return None
    with np.load(io.BytesIO(arrays), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def _unreadable(path, error):
    return StoreError(
        f"a result cannot be read from {str(path)!r} ({error.strerror or error}); see to the disk, and give the same "
        f"command again"
    )


def _unwritable(folder, error):
    return StoreError(
        f"results cannot be written to {str(folder)!r} ({error.strerror or error}); what was finished is safe: "
        f"free space or name a folder you may write to, and give the same command again"
    )
