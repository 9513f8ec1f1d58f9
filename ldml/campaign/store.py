"""Finished results on disk, one file each, so that killing a campaign loses at most the task it was at.

A result is a mapping of names to arrays and plain numbers. Its file is written under a temporary name, synced and
renamed, and read without pickle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np


class Store:
    """Results by key in one folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The result stored under `key`, or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)

    def put(self, key: str, result: Mapping[str, object]) -> None:
        """Store a result; it appears whole or not at all."""
        path = self._path(key)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(file, **{name: np.asarray(value) for name, value in result.items()})
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def _path(self, key):
        return self.folder / f"{key}.npz"
