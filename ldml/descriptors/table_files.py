"""Files of descriptor tables: HDF5, npz and CSV, laid out as `tables` says.

A file grows under a temporary name and gets its own only when it is complete, so that what stood there before is replaced
by a whole file or not at all. Work that is interrupted leaves its finished structures under the temporary name, readable.
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ldml import __version__
from ldml.descriptors.base import Descriptor
from ldml.descriptors.tables import DescriptorTable
from ldml.errors import InputError

FORMAT = "ldml-descriptors"
FORMAT_VERSION = 1
NPZ_BYTES = 2**30
"""Largest table written as npz, which is held in memory until it is complete."""

_HEADER = ("format", "format_version", "ldml_version", "descriptor", "fingerprint", "content", "units")
_CHUNK_BYTES = 2**20


class TableWriter(ABC):
    """A file that takes one structure after the other."""

    def __init__(self, path: Path, descriptor: Descriptor, per_atom: bool):
        self.n_structures = 0
        self._path = path
        self._descriptor = descriptor
        self._per_atom = per_atom
        try:
            self._open()
        except OSError as error:
            raise _unwritable(path, error) from error

    def add(self, name: str, n_atoms: int, features: np.ndarray) -> None:
        """Append a structure: its (n_atoms or 1, n_features) rows.

        Raises
        ------
        InputError
            If the file cannot hold it.
        """
        expected = (n_atoms if self._per_atom else 1, self._descriptor.n_features)
        if features.shape != expected:
            raise InputError(f"{name!r}: features of shape {features.shape}, but the table takes {expected}")
        try:
            self._append(name, n_atoms, features)
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self.n_structures += 1

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _append(self, name: str, n_atoms: int, features: np.ndarray) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Complete the file."""


class _Hdf5Writer(TableWriter):
    def _open(self):
        n_features = self._descriptor.n_features
        self._file = h5py.File(self._path, "w")
        self._file.attrs.update(_header(self._descriptor, self._per_atom))
        for key, values in _feature_columns(self._descriptor).items():
            self._file[key] = values.astype(object) if values.dtype.kind == "U" else values
        rows_per_chunk = max(1, _CHUNK_BYTES // (8 * n_features))
        self._file.create_dataset(
            "features", (0, n_features), "f8", maxshape=(None, n_features), chunks=(rows_per_chunk, n_features)
        )
        self._file.create_dataset("names", (0,), h5py.string_dtype(), maxshape=(None,), chunks=(1024,))
        self._file.create_dataset("n_atoms", (0,), "i8", maxshape=(None,), chunks=(1024,))
        self._file.create_dataset("offsets", data=np.zeros(1, dtype="i8"), maxshape=(None,), chunks=(1024,))

    def _append(self, name, n_atoms, features):
        first = len(self._file["features"])
        for key, values in (
            ("features", features),
            ("names", [name]),
            ("n_atoms", [n_atoms]),
            ("offsets", [first + len(features)]),
        ):
            stored = self._file[key]
            before = len(stored)
            stored.resize(before + len(values), axis=0)
            stored[before:] = values
        self._file.flush()

    def close(self):
        self._file.close()


class _NpzWriter(TableWriter):
    def _open(self):
        self._names, self._n_atoms, self._parts = [], [], [np.zeros((0, self._descriptor.n_features))]
        self._path.touch()

    def _append(self, name, n_atoms, features):
        _check_npz_size(sum(len(part) for part in self._parts) + len(features), self._descriptor)
        self._names.append(name)
        self._n_atoms.append(n_atoms)
        self._parts.append(np.array(features))

    def close(self):
        table = DescriptorTable(
            self._descriptor,
            tuple(self._names),
            np.array(self._n_atoms, dtype=np.int64),
            np.concatenate(self._parts),
            self._per_atom,
        )
        arrays = {
            "features": table.features,
            "names": np.array(self._names, dtype=np.str_),
            "n_atoms": table.n_atoms,
            "offsets": table.offsets,
            **_feature_columns(self._descriptor),
            **{key: np.array(value) for key, value in _header(self._descriptor, self._per_atom).items()},
        }
        with self._path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


class _CsvWriter(TableWriter):
    def _open(self):
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self._lines = csv.writer(self._file)
        second = "atom" if self._per_atom else "n_atoms"
        self._lines.writerow(["structure", second, *self._descriptor.feature_names])

    def _append(self, name, n_atoms, features):
        second = range(n_atoms) if self._per_atom else [n_atoms]
        for label, row in zip(second, features, strict=True):
            self._lines.writerow([name, label, *map(repr, row.tolist())])
        self._file.flush()

    def close(self):
        self._file.close()


_WRITERS: dict[str, type[TableWriter]] = {
    ".h5": _Hdf5Writer,
    ".hdf5": _Hdf5Writer,
    ".npz": _NpzWriter,
    ".csv": _CsvWriter,
}


def check_table_path(path, descriptor: Descriptor, n_rows: int) -> None:
    """Refuse a file name that says no known format, or an npz file for more than `NPZ_BYTES`, before any work is done.

    Raises
    ------
    InputError
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise InputError(f"{Path(path).name!r} names no known format; end it in {', '.join(_WRITERS)}")
    if suffix == ".npz":
        _check_npz_size(n_rows, descriptor)


@contextmanager
def table_writer(path, descriptor: Descriptor, *, per_atom: bool = False) -> Iterator[TableWriter]:
    """A file to add structures to; it appears under its name when the block ends, if anything was added.

    Parameters
    ----------
    path : path
        Its ending says the format: .h5, .hdf5, .npz or .csv.
    descriptor : Descriptor
    per_atom : bool
        Whether rows are atoms or one total a structure.

    Raises
    ------
    InputError
        If the ending is unknown or the file cannot be written.
    """
    path = Path(path)
    check_table_path(path, descriptor, 0)
    partial = unfinished(path)
    writer = _WRITERS[path.suffix.lower()](partial, descriptor, per_atom)
    complete = False
    try:
        yield writer
        complete = True
    finally:
        writer.close()
        if not writer.n_structures:
            partial.unlink()
        elif complete:
            _sync(partial)
            partial.replace(path)


def unfinished(path) -> Path:
    """Where the finished structures are while a file is being written, or after that was interrupted."""
    path = Path(path)
    return path.with_name(path.name + ".partial")


def write_descriptors(table: DescriptorTable, path) -> None:
    """Write a table; the ending of `path` says the format: .h5, .hdf5, .npz or .csv.

    Raises
    ------
    InputError
        If the ending is unknown, the table is empty or too large for npz, or the file cannot be written.
    """
    if not table.names:
        raise InputError("the table holds no structures; there is nothing to write")
    check_table_path(path, table.descriptor, len(table.features))
    with table_writer(path, table.descriptor, per_atom=table.per_atom) as out:
        for k, name in enumerate(table.names):
            out.add(name, int(table.n_atoms[k]), table.rows_of(k))


def read_descriptors(path) -> DescriptorTable:
    """Read a table from HDF5 or npz.

    Raises
    ------
    InputError
        If the file is missing, damaged, no table, or was written with another version of the descriptor or a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return _table(path, dict(file.attrs), lambda key: _own(file, key))
        if zipfile.is_zipfile(path):
            with np.load(path, allow_pickle=False) as arrays:
                header = {key: arrays[key][()] for key in _HEADER if key in arrays}
                return _table(path, header, lambda key: arrays[key])
    except InputError:
        raise
    except (KeyError, OSError, EOFError, ValueError, TypeError, IndexError, zipfile.BadZipFile, MemoryError) as error:
        raise InputError(
            f"{path.name!r} is not a complete table of descriptors ({error}); was it cut short?"
        ) from error
    raise InputError(
        f"{path.name!r} is neither HDF5 nor npz; a CSV file keeps no record of its descriptor, read it with any table reader"
    )


def _unwritable(path, error):
    return InputError(f"cannot write {str(path)!r}: {error.strerror or error}; choose another place")


def _header(descriptor, per_atom) -> dict[str, Any]:
    units = {"length": "Å", **{p.name: p.unit for p in descriptor.declared_parameters if p.unit}}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "ldml_version": __version__,
        "descriptor": json.dumps(descriptor.to_dict(), sort_keys=True),
        "fingerprint": descriptor.fingerprint,
        "content": "rows" if per_atom else "totals",
        "units": json.dumps(units),
    }


def _feature_columns(descriptor) -> dict[str, np.ndarray]:
    indices = descriptor.feature_indices
    columns = {f"feature_indices/{key}": _plain([index[key] for index in indices]) for key in indices[0]}
    return {
        "feature_names": np.array(descriptor.feature_names, dtype=np.str_),
        "trivial_features": np.asarray(descriptor.trivial_features, dtype=bool),
        **columns,
    }


def _plain(values):
    """Numbers as they are, anything else as text."""
    numbers = all(isinstance(value, (int, float)) for value in values)
    return np.array(values if numbers else [str(value) for value in values])


def _check_npz_size(n_rows, descriptor):
    size = 8 * n_rows * descriptor.n_features
    if size > NPZ_BYTES:
        raise InputError(
            f"{n_rows} rows of {descriptor.n_features} features are {size / 1e9:.1f} GB, too much for npz, which is held in "
            f"memory whole (at most {NPZ_BYTES / 1e9:.1f} GB); write .h5, or totals instead of rows"
        )


def _sync(path):
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _table(path, header, array) -> DescriptorTable:
    descriptor, per_atom = _checked_header(path, header)
    features, n_atoms = array("features"), array("n_atoms")
    names = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in array("names"))
    table = DescriptorTable(descriptor, names, n_atoms, features, per_atom)
    if n_atoms.dtype.kind != "i" or n_atoms.shape != (len(names),) or features.dtype != np.float64:
        raise InputError(f"{path.name!r} is damaged: {len(names)} names, but n_atoms of shape {n_atoms.shape}")
    if features.shape != (table.offsets[-1], descriptor.n_features):
        raise InputError(
            f"{path.name!r} is damaged: features of shape {features.shape} for {table.offsets[-1]} rows of "
            f"{descriptor.n_features}"
        )
    return table


def _checked_header(path, header):
    from ldml.descriptors import descriptor_from_dict  # the package that imports this module

    if header.get("format") != FORMAT:
        raise InputError(f"{path.name!r} is no table of descriptors written by ldml")
    version = int(header["format_version"])
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path.name!r} has table format {version}; this ldml reads up to {FORMAT_VERSION}: upgrade ldml"
        )
    try:
        descriptor = descriptor_from_dict(json.loads(str(header["descriptor"])))
    except (InputError, json.JSONDecodeError) as error:
        raise InputError(f"{path.name!r}: {error}") from error
    if descriptor.fingerprint != header["fingerprint"]:
        raise InputError(
            f"{path.name!r} is damaged: its fingerprint is not that of the descriptor it names, {descriptor!r}; compute it again"
        )
    return descriptor, header["content"] == "rows"


def _own(group, key):
    """A dataset stored in the file itself; links to other files are refused."""
    link = group.get(key, getlink=True)
    if link is None:
        raise KeyError(f"{key} is missing")
    stored = group[key] if isinstance(link, h5py.HardLink) else None
    if stored is None or stored.external or stored.is_virtual:
        raise InputError(f"the table refers to another file under {key!r}, which is not allowed")
    return stored[()]
