"""Exact answers kept on disk by what was asked, so that whoever asks the same again has it at once.

    file = <key>-<random>.npz:   record (JSON), and the arrays that it names

The key is the SHA-256 of structure, potential, options and version of this software. No pickle: a record names the fields of
the dataclasses that an answer is made of, and a file that does not fit them is as if it were not there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from ase import Atoms

import ldml
from dashboards.cache_files import keep_arrays, mark_used, structure_key
from ldml.potentials import Potential

ARRAY, ATOMS = "$array", "$atoms"
ATOMS_PARTS = ("numbers", "positions", "cell", "pbc", "masses")


def reference_key(atoms: Atoms, potential: Potential, **options: Any) -> str:
    """What the answer depends on, in 64 hexadecimal digits; `options` are numbers and flags."""
    asked = json.dumps([ldml.__version__, potential.fingerprint, options], sort_keys=True)
    return hashlib.sha256(structure_key(atoms) + atoms.get_masses().tobytes() + asked.encode()).hexdigest()


def find(kind: type, key: str, folder: Path | None) -> Any:
    """The answer with this key, a dataclass of type `kind`; None if there is none that can be read."""
    for path in sorted(folder.glob(f"{key}-*.npz")) if folder is not None else ():
        try:
            with np.load(path, allow_pickle=False) as file:
                found = _built(kind, json.loads(str(file["record"])), file)
        except Exception:  # whatever a reader may throw at a damaged file
            continue
        mark_used(path)
        return found
    return None


def keep(answer: Any, key: str, folder: Path | None) -> None:
    """Keep an answer, a dataclass of numbers, texts, arrays, structures and such dataclasses."""
    if folder is not None:
        arrays: dict[str, np.ndarray] = {}
        record = _record(answer, "", arrays)
        keep_arrays(folder, key, {"record": np.array(json.dumps(record)), **arrays})


def _record(value, name, arrays):
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: _record(getattr(value, field.name), f"{name}.{field.name}", arrays) for field in fields}
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {ARRAY: name}
    if isinstance(value, Atoms):
        parts = (value.numbers, value.positions, value.cell.array, value.pbc, value.get_masses())
        arrays.update({f"{name}.{part}": array for part, array in zip(ATOMS_PARTS, parts, strict=True)})
        return {ATOMS: name}
    return value.item() if isinstance(value, np.generic) else value


def _built(kind, record, arrays):
    if not isinstance(record, dict):
        return record
    if ARRAY in record:
        return arrays[record[ARRAY]]
    if ATOMS in record:
        return Atoms(**{part: arrays[f"{record[ATOMS]}.{part}"] for part in ATOMS_PARTS})
    hints = get_type_hints(kind)
    return kind(**{name: _built(hints[name], value, arrays) for name, value in record.items()})
