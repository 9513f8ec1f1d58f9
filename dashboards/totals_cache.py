"""Totals of descriptors kept on disk by what they were computed from, so that cancelled work is not lost nor done twice.

    file = <fingerprint of the descriptor>-<random>.npz:   keys (n, 32) uint8,   totals (n, n_features) float64

A key is the SHA-256 of a structure: numbers, positions, cell and periodicity.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dashboards.cache_files import keep_arrays, mark_used
from ldml.descriptors import Descriptor

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
    >>> with TotalsCache(descriptor, cache_folder("descriptors")) as cache:  # doctest: +SKIP
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
                mark_used(path)
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
            keys = np.frombuffer(b"".join(new), dtype=np.uint8).reshape(len(new), -1)
            keep_arrays(self._folder, self._fingerprint, {"keys": keys, "totals": np.stack(list(new.values()))})

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
