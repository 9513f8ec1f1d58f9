"""Structures in and out of extended XYZ files, which anyone may have written.

A file is scanned before any parser sees it: the number of atoms it announces must be there, and its columns, too. So a
short file cannot make a reader allocate without bound or wait for ever, and what comes back is checked for sense.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ldml.dataset import Dataset, Entry
from ldml.errors import InputError, StructureError
from ldml.structures import check_structure

MAX_BYTES = 500_000_000
MAX_COLUMNS = 64
BULK_ROLE = "bulk"
QUANTITY_PREFIX = "quantity_"
_PROPERTIES = re.compile(r'Properties\s*=\s*"?([^"\s]+)', re.IGNORECASE)


def read_structures(source, *, name: str = "", max_bytes: int = MAX_BYTES) -> list[Atoms]:
    """Read every structure of an extended XYZ file.

    Parameters
    ----------
    source : path or bytes
    name : str, optional
        Named in messages; the file name by default.
    max_bytes : int
        Larger files are refused.

    Raises
    ------
    InputError
        If the file is not there, too large, or not extended XYZ.
    StructureError
        If a structure in it makes no sense.
    """
    content, name = _content(source, name, max_bytes)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name!r} is not a structure file: it is not text; give extended XYZ (.extxyz)") from error
    _scan(text, name)
    try:
        frames = ase.io.read(io.StringIO(text), index=":", format="extxyz")
    except Exception as error:  # whatever a parser may throw at a malformed file
        raise InputError(f"{name!r} is not a valid extended XYZ file: {_first_line(error)}") from error
    for k, atoms in enumerate(frames):
        check_structure(atoms, name=name if len(frames) == 1 else f"{name}, frame {k}")
    return frames


def write_extxyz(data: Dataset, path) -> None:
    """Write a dataset as extended XYZ: its crystals first (``role=bulk``), then each structure with its labels."""
    frames = []
    for k, bulk in enumerate(data.bulks):
        frame = bulk.copy()
        frame.info.update(role=BULK_ROLE, bulk=k)
        frames.append(frame)
    for entry in data.entries:
        frame = entry.atoms.copy()
        frame.info.update(
            name=entry.name,
            label=entry.label,
            bulk=entry.bulk,
            formation_entropy=entry.formation_entropy,
            formation_energy=entry.formation_energy,
            max_force=entry.max_force,
            **({"parent": entry.parent} if entry.parent else {}),
            **{QUANTITY_PREFIX + key: value for key, value in entry.quantities.items()},
        )
        if entry.local_entropy is not None:
            frame.set_array("local_entropy", np.asarray(entry.local_entropy))
        frames.append(frame)
    ase.io.write(path, frames, format="extxyz")


def dataset_from_extxyz(path) -> Dataset:
    """Read a dataset from extended XYZ as `write_extxyz` writes it.

    Raises
    ------
    InputError
        If the file has no perfect crystal (a frame with ``role=bulk``), or is not extended XYZ.
    """
    path = Path(path)
    return dataset_from_frames(read_structures(path), path.name)


def dataset_from_frames(frames: Sequence[Atoms], origin: str, metadata: Mapping | None = None) -> Dataset:
    """A dataset of structures whose labels are in ``atoms.info`` as `write_extxyz` writes them.

    Parameters
    ----------
    frames : sequence of Atoms
        Perfect crystals among them have ``role=bulk``.
    origin : str
        Name of the file they came from.
    metadata : mapping, optional

    Raises
    ------
    InputError
        If no frame is a perfect crystal, a label is no number, or a crystal is missing.
    """
    bulks = [_bare(frame) for frame in frames if frame.info.get("role") == BULK_ROLE]
    if not bulks:
        raise InputError(f"{origin!r} has no perfect crystal; mark the frame that holds it with role=bulk")
    stem = Path(origin).stem
    defects = [frame for frame in frames if frame.info.get("role") != BULK_ROLE]
    entries = [_entry(frame, k, bulks, stem) for k, frame in enumerate(defects)]
    return Dataset.from_entries(stem, bulks, entries, {"origin": origin, **(metadata or {})})


def defect_label(n_atoms: int, n_bulk: int) -> str:
    """Class name by net count: "I2" for two atoms more than the crystal, "V4" for four fewer, "bulk" for none."""
    extra = n_atoms - n_bulk
    return "bulk" if extra == 0 else f"{'I' if extra > 0 else 'V'}{abs(extra)}"


def _entry(frame, k, bulks, stem):
    info = frame.info
    bulk = int(info.get("bulk", 0))
    if not 0 <= bulk < len(bulks):
        raise InputError(f"frame {k} of {stem!r} refers to crystal {bulk} of {len(bulks)}")
    local = frame.arrays.get("local_entropy")
    return Entry(
        atoms=_bare(frame),
        label=str(info.get("label", defect_label(len(frame), len(bulks[bulk])))),
        name=str(info.get("name", f"{stem}-{k:05d}")),
        formation_entropy=_number(frame, "formation_entropy", k, stem),
        formation_energy=_number(frame, "formation_energy", k, stem),
        max_force=_number(frame, "max_force", k, stem),
        local_entropy=None if local is None else np.asarray(local, dtype=float),
        bulk=bulk,
        parent=str(info.get("parent", "")),
        quantities={
            key.removeprefix(QUANTITY_PREFIX): _number(frame, key, k, stem)
            for key in info
            if key.startswith(QUANTITY_PREFIX)
        },
    )


def _number(frame, key, k, stem):
    value = frame.info.get(key, np.nan)
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"frame {k} of {stem!r} has {key}={str(value)[:40]!r}, which is not a number") from error


def _bare(frame):
    # the constructor would walk the species one by one, which takes longer than all the rest
    bare = Atoms(cell=frame.cell, pbc=frame.pbc)
    bare.arrays.update(numbers=frame.numbers.copy(), positions=frame.positions.copy())
    return bare


def _content(source, name, max_bytes):
    if isinstance(source, bytes):
        content, name = source, name or "the upload"
    else:
        path = Path(source)
        if not path.is_file():
            raise InputError(f"there is no file {str(path)!r}")
        if path.stat().st_size > max_bytes:
            raise _too_large(path.name, path.stat().st_size, max_bytes)
        content, name = path.read_bytes(), name or path.name
    if len(content) > max_bytes:
        raise _too_large(name, len(content), max_bytes)
    return content, name


def _too_large(name, size, most):
    return InputError(f"{name!r} has {size / 1e6:.0f} MB, above the limit of {most / 1e6:.0f} MB; split it")


def _scan(text, name):
    """Walk the frames by their counts alone, before any parser does."""
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise InputError(f"{name!r} is empty; give extended XYZ with at least one structure")
    at = frame = 0
    while at < len(lines):
        count = lines[at].strip()
        if not count.isascii() or not count.isdigit():
            raise InputError(
                f"{name!r} is not a structure file: line {at + 1} should be a number of atoms but reads {count[:40]!r}"
            )
        n_atoms, left = int(count[:12]), len(lines) - at - 2
        if n_atoms == 0:
            raise StructureError(f"{name!r}, frame {frame} has no atoms")
        if n_atoms > left:
            raise InputError(
                f"{name!r}, frame {frame} announces {n_atoms} atoms but only {max(left, 0)} lines follow; is the file cut short?"
            )
        _check_columns(lines[at + 1], lines[at + 2], name, frame)
        at += 2 + n_atoms
        frame += 1


def _check_columns(comment, first_atom, name, frame):
    match = _PROPERTIES.search(comment)
    columns = 4
    if match:
        widths = match[1].split(":")[2::3]
        if len(match[1].split(":")) % 3 or not all(w.isascii() and w.isdigit() and len(w) <= 3 for w in widths):
            raise InputError(f"{name!r}, frame {frame} has malformed columns: Properties={match[1][:60]!r}")
        columns = sum(int(w) for w in widths)
    found = len(first_atom.split())
    if columns > MAX_COLUMNS or found < columns:
        raise InputError(f"{name!r}, frame {frame} announces {columns} columns but its first atom has {found}")


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
