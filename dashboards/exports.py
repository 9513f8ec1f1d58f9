"""Datasets as files to take away, written in a worker: the library only, no Panel."""

from __future__ import annotations

import re
from pathlib import Path

from ldml.dataset import Dataset
from ldml.errors import InputError
from ldml.structure_files import write_extxyz

EXTXYZ, HDF5 = "extxyz", "h5"
"""Suffixes of the files."""
MAX_DOWNLOAD_BYTES = 200_000_000
"""More does not fit through a page."""
EXTXYZ_BYTES_PER_ATOM = 65


def write_export(progress, data: Dataset, suffix: str, path: Path) -> int:
    """Write a dataset to a file; a job.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    InputError
        If it is too large to be sent.
    """
    n_atoms = int(data.n_atoms.sum())
    if suffix == EXTXYZ and EXTXYZ_BYTES_PER_ATOM * n_atoms > MAX_DOWNLOAD_BYTES:
        raise _too_large(EXTXYZ_BYTES_PER_ATOM * n_atoms, "choose fewer structures, or take HDF5")
    progress.update(0, 1, f"writing {len(data):,} structures")
    if suffix == EXTXYZ:
        write_extxyz(data, path)
    else:
        data.save(path)
    size = path.stat().st_size
    if size > MAX_DOWNLOAD_BYTES:
        path.unlink()
        raise _too_large(size, "choose fewer structures")
    return size


def file_name(data: Dataset, n_whole: int, suffix: str) -> str:
    """Name of the file of a dataset, or of a part of one of `n_whole` structures, that any system takes."""
    part = "" if len(data) == n_whole else f"-{len(data)}-of-{n_whole}"
    return (re.sub(r"[^\w.-]+", "_", data.name).strip("._-") or "dataset") + f"{part}.{suffix}"


def _too_large(size, remedy):
    return InputError(
        f"the file would have {size / 1e6:.0f} MB, and {MAX_DOWNLOAD_BYTES / 1e6:.0f} MB can be sent; {remedy}"
    )
