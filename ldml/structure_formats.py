"""Structures out of any file in a format of an allow-list: those that are data, read by ASE, never run.

Extended XYZ is walked by its atom counts and read frame by frame, each frame scanned as `structure_files` does, so a long
trajectory is never held whole and a frame that makes no sense does not cost the others. Other formats are read by ASE at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import ase.io
from ase import Atoms
from ase.io.formats import UnknownFileTypeError, filetype

from ldml.errors import InputError
from ldml.structure_files import MAX_BYTES, read_structures
from ldml.structures import check_structure

EXTENDED_XYZ = ("extxyz", "xyz")
FORMATS = (
    *EXTENDED_XYZ, "cfg", "cif", "espresso-in", "gen", "gpumd", "gromacs", "lammps-data", "lammps-dump-text",
    "proteindatabank", "res", "traj", "turbomole", "v-sim", "vasp", "vasp-xdatcar", "xsf",
)  # fmt: skip
"""ASE's names of the formats read. What may carry or start programs (pickles, databases, calculators' inputs) is not among them."""
COMPRESSED = (".gz", ".bz2", ".xz")
VASP_SUFFIXES = (".vasp", ".poscar", ".contcar")
"""Of POSCAR files that go by another name."""
_COUNT_BYTES = 64
"""More than the line with the number of atoms ever needs."""
_HEADER_BYTES = 4096


@dataclass(frozen=True)
class StoredStructure:
    """A structure that a file announces.

    Attributes
    ----------
    name : str
        File name, with ``[k]`` for the k-th of several.
    n_atoms : int
        Atoms announced.
    read : callable
        Returns the `ase.Atoms`, checked; raises `InputError` or `StructureError` if it makes no sense.
    """

    name: str
    n_atoms: int
    read: Callable[[], Atoms]


def structures_in(path, *, name: str = "") -> list[StoredStructure]:
    """The structures of a file, in its order, not yet checked.

    Parameters
    ----------
    path : path
    name : str, optional
        What to call the file; its own name by default.

    Raises
    ------
    InputError
        If the file is missing, empty, compressed or in no format of `FORMATS`.
    """
    path = Path(path)
    name = name or path.name
    kind = format_of(path)
    found = _extended_xyz(path) if kind in EXTENDED_XYZ else _by_ase(path, kind)
    if not found:
        raise InputError(f"{name!r} holds no structures; give a file with some")
    names = [name] if len(found) == 1 else [f"{name}[{k}]" for k in range(len(found))]
    return [
        StoredStructure(name, n_atoms, partial(read, name)) for name, (n_atoms, read) in zip(names, found, strict=True)
    ]


def format_of(path) -> str:
    """Format of a structure file, one of `FORMATS`, by its name or its content.

    Raises
    ------
    InputError
        If the file is missing, empty, compressed or in none of them.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give the files in it")
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    if path.suffix.lower() in COMPRESSED:
        raise InputError(f"{path.name!r} is compressed; unpack it first")
    if not path.stat().st_size:
        raise InputError(f"{path.name!r} is empty; give a file with structures")
    try:
        kind = filetype(str(path.absolute()))
    except UnknownFileTypeError:
        kind = ""
    if kind not in FORMATS and _is_lammps_data(path):
        kind = "lammps-data"  # by its content: common names of such files say something else, or nothing
    if kind not in FORMATS and path.suffix.lower() in VASP_SUFFIXES:
        kind = "vasp"
    if kind not in FORMATS:
        seen = (
            f"is in the format {kind!r}, which is not read"
            if kind
            else "is in no format known by its name or its beginning"
        )
        raise InputError(f"{path.name!r} {seen}; convert it to one of {', '.join(FORMATS)}")
    return kind


def _is_lammps_data(path):
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    return all(re.search(line, header, re.MULTILINE) for line in (rb"^\s*\d+\s+atoms\b", rb"\bxlo\s+xhi\b"))


def _extended_xyz(path):
    """Number of atoms and reader of each frame, found by counting lines."""
    frames = []
    with path.open("rb") as file:
        while count := file.readline(_COUNT_BYTES):
            if not count.strip():
                continue
            first = file.tell() - len(count)
            n_atoms = int(count) if count.strip().isdigit() else 0
            for _ in islice(file, n_atoms + 1):
                pass
            frames.append((n_atoms, partial(_read_part, path, first, file.tell())))
            if not count.strip().isdigit():  # where the next frame starts cannot be known
                break
    return frames


def _read_part(path, first, last, name):
    if last - first > MAX_BYTES:
        raise InputError(f"{name!r} has {(last - first) / 1e6:.0f} MB, above the limit of {MAX_BYTES / 1e6:.0f} MB")
    with path.open("rb") as file:
        file.seek(first)
        (atoms,) = read_structures(file.read(last - first), name=name)
    return atoms


def _by_ase(path, kind):
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            f"{path.name!r} has {path.stat().st_size / 1e6:.0f} MB, above the limit of {MAX_BYTES / 1e6:.0f} MB; split it, "
            f"or convert it to extended XYZ, which is read frame by frame"
        )
    _check_announced(path, kind)
    try:
        frames = ase.io.read(path, index=":", format=kind, do_not_split_by_at_sign=True)
    except Exception as error:  # whatever a parser may throw at a malformed file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path.name!r} is not a valid {kind} file: {reason}") from error
    return [(len(atoms), partial(_checked, atoms)) for atoms in frames]


def _check_announced(path, kind):
    """A short file cannot announce more atoms than it has lines for; a parser would make room for them first."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if kind == "lammps-data":
        counts = re.findall(rb"^\s*(\d+)\s+atoms\b", header, re.MULTILINE)
    elif kind == "lammps-dump-text":
        counts = re.findall(rb"^ITEM: NUMBER OF ATOMS\s+(\d+)", header, re.MULTILINE)
    elif kind == "vasp":
        # the line of counts is the sixth, or the seventh after one of species
        counts = [line for line in header.splitlines()[5:7] if re.fullmatch(rb"[\d\s]+", line) and line.strip()][:1]
    else:
        return
    announced = sum(int(number) for line in counts for number in line.split())
    with path.open("rb") as file:
        n_lines = sum(block.count(b"\n") for block in iter(partial(file.read, 2**20), b"")) + 1
    if announced > n_lines:
        raise InputError(
            f"{path.name!r} announces {announced:,} atoms but has only {n_lines:,} lines; is the file cut short?"
        )


def _checked(atoms, name):
    check_structure(atoms, name=name)
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
