"""Where the dashboard keeps what it has computed: files of arrays, written under another name and renamed, never changed after.

They lie in the folder named by the environment variable ``LDML_CACHE``, by default ``ldml`` in the user's cache folder, one folder
inside for each kind; an empty variable keeps nothing. What cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ase import Atoms

FOLDER_VARIABLE = "LDML_CACHE"
MAX_BYTES = 500_000_000
"""Of the files of one kind; those not used for longest are deleted when all together exceed it."""


def cache_folder(kind: str) -> Path | None:
    """Where files of a kind are kept; None if nowhere."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) / kind if named else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ldml" / kind
    except RuntimeError:  # a user without a home
        return None


def structure_key(atoms: Atoms) -> bytes:
    """SHA-256 of what a descriptor or a potential sees of a structure."""
    parts = (
        atoms.numbers.astype("<i8"),
        atoms.positions.astype("<f8"),
        atoms.cell.array.astype("<f8"),
        atoms.pbc.astype("u1"),
    )
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()


def keep_arrays(folder: Path, prefix: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file ``<prefix>-<random>.npz``; a full or read-only disk keeps nothing and is no error."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, prefix, arrays)
        _delete_oldest(folder)


def mark_used(path: Path) -> None:
    """Note that a file was of use now."""
    with contextlib.suppress(OSError):
        os.utime(path)


def _write(folder, prefix, arrays):
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{prefix}-", suffix=".part", delete=False) as file:
        path = Path(file.name)
        try:
            np.savez(file, **arrays)
            file.close()
            path.replace(path.with_suffix(".npz"))
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _delete_oldest(folder):
    """Delete what was not used for longest until the rest fits `MAX_BYTES`."""
    files = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may have deleted it
            state = path.stat()
            files.append((state.st_mtime, state.st_size, path))
    excess = sum(size for _, size, _ in files) - MAX_BYTES
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            excess -= size
