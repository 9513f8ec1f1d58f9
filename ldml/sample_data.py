"""The datasets that come with the software: where they are, and whether they are what the manifest says.

A dataset may be spread over several files, such as one a class, so that one can be added or renewed alone. Totals of descriptors
other than the default lie in a file of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ldml.dataset import UNITS, Dataset
from ldml.errors import InputError
from ldml.registry import Registry

if TYPE_CHECKING:
    from ldml.descriptors import Descriptor

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 2


def sample_directory() -> Path:
    """Folder of the sample data: inside an installed package, or at the top of a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "sample_data_files", here.parent / "sample_data"):
        if (folder / MANIFEST).is_file():
            return folder
    raise InputError(f"no sample data found beside {here}; load a dataset by its path instead")


def sample_manifest() -> dict[str, dict]:
    """Name of each sample dataset with its origin, units, licence, files with their hashes, and generating command.

    Raises
    ------
    InputError
        If the manifest is of a later format.
    """
    manifest = json.loads((sample_directory() / MANIFEST).read_text(encoding="utf-8"))
    if manifest["format"] != MANIFEST_FORMAT:
        raise InputError(
            f"the manifest of the sample data has format {manifest['format']} and this ldml reads {MANIFEST_FORMAT}; "
            f"install the software and its data together"
        )
    return manifest["datasets"]


def sample_paths(name: str) -> tuple[Path, ...]:
    """Paths of the files of a sample dataset, their hashes checked against the manifest.

    Raises
    ------
    InputError
        For an unknown name, or a file that is missing or not the one in the manifest.
    """
    return tuple(path for path, _ in _checked(name, "files"))


def load_sample(name: str) -> Dataset:
    """A sample dataset, its parts checked against the manifest and merged.

    Raises
    ------
    InputError
        As `sample_paths`.
    """
    from ldml.dataset_files import read_dataset
    from ldml.totals_files import attach_totals

    data = Dataset.merged(
        [read_dataset(content, name=path.name) for path, content in _checked(name, "files")], name=name
    )
    for path, content in _checked(name, "totals"):
        attach_totals(data, content, name=path.name)
    return data


def generating_command(data: Dataset) -> str:
    """What was typed to make a dataset; the commands of its parts joined by ``&&``; empty if nobody knows."""
    parts = data.metadata.get("parts", [data.metadata])
    commands = data.metadata.get("command") or [part.get("command") for part in parts]
    return commands if isinstance(commands, str) else " && ".join(dict.fromkeys(filter(None, commands)))


def pack_sample(
    name: str, parts: Iterable[tuple[str, Dataset]], *, title: str = "", origin: str = "", kept: Iterable[str] = ()
) -> dict:
    """Put a dataset among the sample data: its parts written compactly, its record in the manifest.

    Nothing is replaced before all parts are written. Files that only the old record listed stay: see `unlisted_files`.

    Parameters
    ----------
    name : str
        A record of this name is replaced.
    parts : iterable of (str, Dataset)
        File name and content of each.
    title, origin : str
        Those of the record replaced unless given.
    kept : iterable of str
        File names of parts that are among the sample data already and stay as they are, byte by byte.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    InputError
        If the parts do not go together, two files or datasets would share a name, a title or an origin is missing, or the
        files cannot be written.
    """
    folder, manifest, parts = sample_directory(), sample_manifest(), list(parts)
    old = manifest.get(name, {})
    described = {"title": title or old.get("title", ""), "origin": origin or old.get("origin", "")}
    for key, text in described.items():
        if not text:
            raise InputError(f"sample data {name!r} has no {key} yet; give one with --{key}")
    others = {other: record for other, record in manifest.items() if other != name}
    _check_file_names([file for file, _ in parts], _listed_files(others))
    merged = Dataset.merged([part for _, part in parts], name=name)
    record = {"files": [], **described, **_counted(merged)}
    if "totals" in old:
        record["totals"] = old["totals"]
    kept = set(kept)
    with _staging(folder) as staging:
        for file, part in parts:
            if file not in kept:
                part.save(staging / file, compact=True)
            record["files"].append(_listed((folder if file in kept else staging) / file))
        for file, _ in parts:
            if file not in kept:
                os.replace(staging / file, folder / file)
    _write_manifest(folder / MANIFEST, {**manifest, name: record})
    return record


def keep_sample_totals(data: Dataset, descriptor: Descriptor) -> Path:
    """Ship the totals of a further descriptor of a sample dataset, beside those of its file of totals.

    Parameters
    ----------
    data : Dataset
        As `load_sample` gives it; totals that it lacks are computed, also those of descriptors kept before.
    descriptor : Descriptor

    Returns
    -------
    Path
        The file.
    """
    from ldml.descriptors import descriptor_from_dict
    from ldml.totals_files import described_in, write_totals

    folder, manifest = sample_directory(), sample_manifest()
    path = folder / f"{data.name}-totals.h5"
    known = {d.fingerprint: d for d in map(descriptor_from_dict, described_in(path) if path.is_file() else [])}
    known[descriptor.fingerprint] = descriptor
    for each in known.values():
        data.descriptor_differences(each)
    with _staging(folder) as staging:
        write_totals(data, staging / path.name, known.values())
        os.replace(staging / path.name, path)
    manifest[data.name]["totals"] = [_listed(path)]
    _write_manifest(folder / MANIFEST, manifest)
    return path


def unlisted_files() -> tuple[str, ...]:
    """Names of data files in the folder of the sample data that no record lists (any more)."""
    listed = _listed_files(sample_manifest())
    return tuple(sorted(file.name for file in sample_directory().glob("*.h5") if file.name not in listed))


def _listed_files(datasets: dict) -> set[str]:
    return {part["file"] for record in datasets.values() for part in (*record["files"], *record.get("totals", []))}


def _listed(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _check_file_names(files: list[str], taken: set[str]) -> None:
    for file in files:
        if file in taken or files.count(file) > 1:
            raise InputError(f"two files of the sample data would be named {file!r}; rename this part")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder on the disk of the sample data, gone afterwards."""
    try:
        staging = TemporaryDirectory(dir=folder, prefix=".packing-")
    except OSError as error:
        raise InputError(f"the sample data in {str(folder)!r} cannot be written ({error})") from error
    with staging as path:
        yield Path(path)


def _counted(data: Dataset) -> dict:
    """What the manifest says of a dataset's content."""
    record = {
        "potential": data.metadata.get("potential", ""),
        "units": data.metadata.get("units", UNITS),
        "licence": data.metadata.get("licence", ""),
        "command": generating_command(data),
        "structures": len(data),
        "classes": dict(Counter(data.labels.tolist())),
        "with_local_entropies": int(data.has_local.sum()),
    }
    return record | ({"search": data.metadata["search"]} if "search" in data.metadata else {})


def _write_manifest(path: Path, datasets: dict) -> None:
    text = json.dumps({"format": MANIFEST_FORMAT, "datasets": datasets}, indent=2, ensure_ascii=False)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise InputError(f"the manifest {str(path)!r} cannot be written ({error})") from error


def _checked(name: str, kind: str) -> Iterator[tuple[Path, bytes]]:
    """Path and content of the ``files`` or the ``totals`` of a sample dataset, read once for the hash and for the data."""
    record = Registry("dataset", sample_manifest())[name]
    for part in record.get(kind, []):
        path = sample_directory() / part["file"]
        if not path.is_file():
            raise InputError(f"sample data {name!r} is listed but its file {part['file']!r} is missing; fetch it again")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != part["sha256"]:
            raise InputError(
                f"the file {part['file']!r} of sample data {name!r} has changed: sha256 {found[:12]}... instead of "
                f"{part['sha256'][:12]}...; fetch it again"
            )
        yield path, content
