"""The datasets that come with the software: where they are, and whether they are what the manifest says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ldml.errors import InputError
from ldml.registry import Registry

MANIFEST = "manifest.json"


def sample_directory() -> Path:
    """Folder of the sample data: inside an installed package, or at the top of a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "sample_data_files", here.parent / "sample_data"):
        if (folder / MANIFEST).is_file():
            return folder
    raise InputError(f"no sample data found beside {here}; load a dataset by its path instead")


def sample_manifest() -> dict[str, dict]:
    """Name of each sample dataset with its origin, units, licence, hash and generating command."""
    return json.loads((sample_directory() / MANIFEST).read_text(encoding="utf-8"))["datasets"]


def sample_path(name: str) -> Path:
    """Path of a sample dataset, its hash checked against the manifest.

    Raises
    ------
    InputError
        For an unknown name or a file that is not the one in the manifest.
    """
    record = Registry("dataset", sample_manifest())[name]
    path = sample_directory() / record["file"]
    if not path.is_file():
        raise InputError(f"sample data {name!r} is listed but its file {record['file']!r} is missing; fetch it again")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != record["sha256"]:
        raise InputError(
            f"sample data {name!r} has changed: sha256 {found[:12]}... instead of {record['sha256'][:12]}...; fetch it again"
        )
    return path
