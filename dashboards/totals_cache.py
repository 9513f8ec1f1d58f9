"""Totals of descriptors kept on disk by what they were computed from, so that cancelled work is not lost nor done twice.

    file = <fingerprint of the descriptor>-<random>.npz:   keys (n, 32) uint8,   totals (n, n_features) float64

A key is the SHA-256 of a structure: numbers, positions, cell and periodicity. Files are written under another name and renamed,
never changed afterwards; those not used for longest are deleted when all together exceed `MAX_BYTES`. What cannot be
read or written is as if it were not there.

They lie in ``descriptors`` of the folder named by the environment variable ``LDML_CACHE``, by default ``ldml`` in the
user's cache folder; an empty variable keeps nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms

from ldml.descriptors import Descriptor

FOLDER_VARIABLE = "LDML_CACHE"
MAX_BYTES = 500_000_000
WRITE_SECONDS = 30.0
"""Between two writes: what a killed process loses at most."""


class TotalsCache:
    """What is known of one descriptor; as a context, it writes at its end what was added.

    Parameters
    ----------
    descriptor : Descriptor
    folder : Path or None
        Nothing is kept if there is none.

    Examples
    --------
    >>> with TotalsCache(descriptor, cache_folder()) as cache:  # doctest: +SKIP
    ...     known = cache.find([key])
    ...     cache.add(key, descriptor.total(atoms))
    """

    def __init__(self, descriptor: Descriptor, folder: Path | None):
        self._fingerprint = descriptor.fingerprint
        self._n_features = descriptor.n_features
        self._folder = folder
        self._new: dict[bytes, np.ndarray] = {}
        self._written = time.monotonic()

    def __enter__(self) -> TotalsCache:
        return self

    def __exit__(self, *error) -> None:
        self.write()

    def find(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Totals, (n_features,), of those of the keys that are known."""
        wanted, found = set(keys), {}
        if self._folder is None:
            return found
        for path in sorted(self._folder.glob(f"{self._fingerprint}-*.npz")):
            rows = self._read(path)
            used = {key: total for key, total in rows.items() if key in wanted}
            if used:
                found |= used
                with contextlib.suppress(OSError):
                    os.utime(path)
        return found

    def add(self, key: bytes, total: np.ndarray) -> None:
        """Keep a total; it is on disk once `write` was called or `WRITE_SECONDS` have passed."""
        self._new[key] = total
        if time.monotonic() - self._written > WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Put what was added on disk now."""
        new, self._new, self._written = self._new, {}, time.monotonic()
        if new and self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._write(new)
                _delete_oldest(self._folder)

    def _write(self, new):
        keys = np.frombuffer(b"".join(new), dtype=np.uint8).reshape(len(new), -1)
        with tempfile.NamedTemporaryFile(
            dir=self._folder, prefix=f"{self._fingerprint}-", suffix=".part", delete=False
        ) as file:
            path = Path(file.name)
            try:
                np.savez(file, keys=keys, totals=np.stack(list(new.values())))
                file.close()
                path.replace(path.with_suffix(".npz"))
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def _read(self, path):
        """Rows of a file by key; none if it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                keys, totals = file["keys"], file["totals"]
        except Exception:  # whatever a reader may throw at a damaged file
            return {}
        fits = (
            keys.dtype == np.uint8
            and totals.dtype == np.float64
            and keys.shape == (len(totals), hashlib.sha256().digest_size)
            and totals.shape == (len(keys), self._n_features)
            and np.isfinite(totals).all()
        )
        return {key.tobytes(): total for key, total in zip(keys, totals, strict=True)} if fits else {}


def structure_key(atoms: Atoms) -> bytes:
    """SHA-256 of what a descriptor sees of a structure."""
    parts = (
        atoms.numbers.astype("<i8"),
        atoms.positions.astype("<f8"),
        atoms.cell.array.astype("<f8"),
        atoms.pbc.astype("u1"),
    )
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).digest()


def cache_folder() -> Path | None:
    """Where totals are kept; None if nowhere."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) / "descriptors" if named else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ldml" / "descriptors"
    except RuntimeError:  # a user without a home
        return None


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
