"""Minima of clusters in the formats of the Cambridge Cluster Database and of the programs behind it.

    points file     three numbers a line, one line an atom
    XYZ (GMIN)      number of atoms, a line such as "Energy of minimum 1= -173.928427 first found at ...", then symbol x y z
    energy table    number of atoms, point group, energy: one cluster a line
    min.data        PATHSAMPLE: energy, ln of the product of the Hessian's positive eigenvalues, order of the point group, three
                    moments of inertia: one minimum a line
    points.min      PATHSAMPLE: the coordinates of the minima of min.data, double precision without any header

Lennard-Jones clusters are in units of ε and σ. Anyone may have written these files: counts are compared before anything is
allocated by them, and what comes back is checked for sense. Nothing is fetched: give files that you have.

Sources: D. J. Wales et al., The Cambridge Cluster Database, http://www-wales.ch.cam.ac.uk/CCD.html; the manuals of GMIN and
PATHSAMPLE at the same site.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ldml.errors import InputError
from ldml.potentials import Potential, get_potential
from ldml.structures import check_structure

MAX_BYTES = 500_000_000
LARGEST_COORDINATE = 1e4
"""Beyond it a cluster has fallen apart, or the bytes were read in the wrong order."""
ENERGY_DIGITS = 1e-5
"""Tolerance, in the units of the file, of an energy listed with six decimals."""
BYTE_ORDERS = {"little": "<f8", "big": ">f8"}
_GMIN_ENERGY = re.compile(r"energy[^=:]*[=:]\s*([-+\d.eEdD]+)", re.IGNORECASE)
_DECIMAL = re.compile(r"[-+]?\d*\.\d+([eEdD][-+]?\d+)?")


@dataclass(frozen=True)
class Cluster:
    """One minimum of a file.

    Attributes
    ----------
    atoms : Atoms
        Not periodic, no cell.
    energy : float or None
        As listed, in the units of the file; None where the format has none.
    log_product : float or None
        ln of the product of the positive eigenvalues of the Hessian (min.data).
    point_group_order : int or None
        Number of operations that map it on itself (min.data).
    """

    atoms: Atoms
    energy: float | None = None
    log_product: float | None = None
    point_group_order: int | None = None


def read_points(source, *, n_atoms: int | None = None, element: str = "X", name: str = "") -> list[Cluster]:
    """Clusters of a points file.

    Parameters
    ----------
    source : path or bytes
    n_atoms : int, optional
        Atoms of each cluster, where a file holds several; one cluster unless given.
    element : str
        "X" is an atom of mass 1.
    name : str, optional
        Named in messages; the file name by default.

    Raises
    ------
    InputError
        If the file is not there, too large, not three numbers a line, or not a whole number of clusters.
    StructureError
        If a cluster makes no sense.
    """
    text, name = _text(source, name)
    rows = [(k, line.split()) for k, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for k, row in rows:
        if len(row) != 3:
            raise InputError(f"{name!r}, line {k}: {len(row)} columns; a points file has three numbers a line")
    points = np.array([[_number(word, name, k) for word in row] for k, row in rows]).reshape(-1, 3)
    n_atoms = len(points) if n_atoms is None else n_atoms
    if len(points) == 0 or n_atoms < 1 or len(points) % n_atoms:
        raise InputError(f"{name!r} holds {len(points)} atoms, which is no whole number of clusters of {n_atoms}")
    return [Cluster(atoms) for atoms in _clusters(points.reshape(-1, n_atoms, 3), element, name)]


def read_xyz(source, *, name: str = "") -> list[Cluster]:
    """Clusters of an XYZ file, with their energies where the second lines give them.

    Symbols that are no element, such as "LA" and "LB" of GMIN, are read as "X", an atom of mass 1.

    Parameters
    ----------
    source : path or bytes
    name : str, optional

    Raises
    ------
    InputError
        If the file is not there, too large, or ends before the atoms it announces.
    StructureError
        If a cluster makes no sense.
    """
    text, name = _text(source, name)
    lines = text.splitlines()
    clusters, k = [], 0
    while k < len(lines):
        if not lines[k].strip():
            k += 1
            continue
        n_atoms = _count(lines[k], name, k + 1)
        body = lines[k + 2 : k + 2 + n_atoms]
        if len(body) < n_atoms:
            raise InputError(f"{name!r}, line {k + 1}: {n_atoms} atoms announced, but {len(body)} lines follow")
        rows = [_xyz_row(line, name, k + 3 + j) for j, line in enumerate(body)]
        (atoms,) = _clusters(np.array([[row[1:] for row in rows]]), [row[0] for row in rows], name)
        clusters.append(Cluster(atoms, energy=_gmin_energy(lines[k + 1], name, k + 2)))
        k += 2 + n_atoms
    if not clusters:
        raise InputError(f"{name!r} holds no cluster")
    return clusters


def read_energy_table(source, *, name: str = "") -> dict[int, float]:
    """Energy of the lowest minimum known for each number of atoms, from a table of the database.

    A line counts when it begins with a whole number and holds a number with a decimal point after it; the first such number
    is the energy, and all other lines are taken for text.

    Raises
    ------
    InputError
        If the file is not there, too large, holds no such line, or gives one number of atoms two energies.
    """
    text, name = _text(source, name)
    energies: dict[int, float] = {}
    for k, line in enumerate(text.splitlines(), start=1):
        first, *others = line.split() or [""]
        decimals = [word for word in others if _DECIMAL.fullmatch(word)]
        if not first.isdecimal() or not decimals:
            continue
        n_atoms, energy = int(first), _number(decimals[0], name, k)
        if energies.setdefault(n_atoms, energy) != energy:
            raise InputError(f"{name!r}, line {k}: a second energy, {energy}, for {n_atoms} atoms")
    if not energies:
        raise InputError(f"{name!r} lists no energies; a line reads: number of atoms, point group, energy")
    return energies


def read_pathsample(
    min_data, points_min, *, n_atoms: int | None = None, byte_order: str = "little", element: str = "X"
) -> list[Cluster]:
    """The minima of a stationary-point database: min.data with points.min.

    Parameters
    ----------
    min_data, points_min : path or bytes
    n_atoms : int, optional
        Checked against the sizes of the files, which give it anyway.
    byte_order : {"little", "big"}
        Of points.min; other compilers and machines write the other one.
    element : str

    Raises
    ------
    InputError
        If a file is not there or too large, a line of min.data is not six numbers, or the two do not belong together.
    StructureError
        If a cluster makes no sense.
    """
    if byte_order not in BYTE_ORDERS:
        raise InputError(f"byte order {byte_order!r} is unknown; choose one of {', '.join(BYTE_ORDERS)}")
    text, name = _text(min_data, "")
    records = [_min_data_row(line, name, k) for k, line in enumerate(text.splitlines(), start=1) if line.strip()]
    content, points_name = _content(points_min, "")
    n_found, rest = divmod(len(content), 24 * max(1, len(records)))
    if not records or rest or n_found == 0 or n_atoms not in (None, n_found):
        raise InputError(
            f"{points_name!r} has {len(content)} bytes, which are not the coordinates of {len(records)} minima "
            f"of {'any number of' if n_atoms is None else n_atoms} atoms; give the files of one database"
        )
    points = np.frombuffer(content, BYTE_ORDERS[byte_order]).reshape(-1, n_found, 3).astype(float)
    if not np.abs(points).max() < LARGEST_COORDINATE or np.abs(points).max() < 1 / LARGEST_COORDINATE:
        other = next(order for order in BYTE_ORDERS if order != byte_order)
        raise InputError(f"{points_name!r} holds no sensible coordinates; try byte_order={other!r}")
    return [
        Cluster(atoms, energy=record[0], log_product=record[1], point_group_order=int(record[2]))
        for atoms, record in zip(_clusters(points, element, points_name), records, strict=True)
    ]


def check_energies(
    clusters: Sequence[Cluster], potential: str | Potential, *, tolerance: float = ENERGY_DIGITS
) -> None:
    """Compare the energies listed with those of a potential.

    Parameters
    ----------
    clusters : sequence of Cluster
    potential : Potential or its name
        "LJ" for Lennard-Jones clusters in reduced units.
    tolerance : float
        In the units of the file.

    Raises
    ------
    InputError
        If one differs: another potential, other units, or coordinates with too few digits.
    """
    potential = get_potential(potential)
    for k, cluster in enumerate(clusters):
        if cluster.energy is None:
            continue
        energy = potential.energy(cluster.atoms)
        if not abs(energy - cluster.energy) <= tolerance:
            raise InputError(
                f"cluster {k} is listed at {cluster.energy:.6f}, but {potential.name} gives {energy:.6f}; "
                "check the potential and the units"
            )


def _clusters(points, element, name):
    """Atoms at points (M, N, 3), after checking that they make sense."""
    if not np.abs(points).max() < LARGEST_COORDINATE:
        raise InputError(f"{name!r} holds a coordinate of {np.abs(points).max():.3g}; a cluster is smaller")
    n_atoms = points.shape[1]
    symbols = [element] * n_atoms if isinstance(element, str) else element
    found = []
    for k, positions in enumerate(points):
        atoms = Atoms(symbols, positions=positions)
        check_structure(atoms, name=name if len(points) == 1 else f"{name}, cluster {k}")
        found.append(atoms)
    return found


def _min_data_row(line, name, k):
    words = line.split()
    if len(words) != 6:
        raise InputError(f"{name!r}, line {k}: {len(words)} columns; min.data has six numbers a line")
    numbers = [_number(word, name, k) for word in words]
    if not (numbers[2] >= 1 and numbers[2] == int(numbers[2])):
        raise InputError(f"{name!r}, line {k}: {words[2]!r} is no order of a point group")
    return numbers


def _xyz_row(line, name, k):
    words = line.split()
    if len(words) < 4:
        raise InputError(f"{name!r}, line {k}: {line.strip()!r} is not a symbol and three numbers")
    symbol = words[0] if words[0] in atomic_numbers else "X"
    return symbol, *(_number(word, name, k) for word in words[1:4])


def _gmin_energy(line, name, k):
    match = _GMIN_ENERGY.search(line)
    if match is None:
        return None
    return _number(match[1], name, k)


def _count(line, name, k):
    word = line.strip()
    if not word.isdecimal() or not 0 < len(word) < 10 or int(word) == 0:
        raise InputError(f"{name!r}, line {k}: {word[:40]!r} is no number of atoms")
    return int(word)


def _number(word, name, k):
    """A finite number, also with the exponent letter D of Fortran."""
    try:
        value = float(word.upper().replace("D", "E"))
    except ValueError:
        raise InputError(f"{name!r}, line {k}: {word[:40]!r} is not a number") from None
    if not np.isfinite(value):
        raise InputError(f"{name!r}, line {k}: {word[:40]!r} is not finite")
    return value


def _text(source, name):
    content, name = _content(source, name)
    try:
        return content.decode("ascii"), name
    except UnicodeDecodeError as error:
        raise InputError(f"{name!r} is not text; points.min goes with min.data into read_pathsample") from error


def _content(source, name):
    """The bytes of a file, and what to call it."""
    if isinstance(source, bytes):
        name = name or "the file"
        size = len(source)
    else:
        path = Path(source)
        name = name or path.name
        if not path.is_file():
            raise InputError(f"there is no file {str(path)!r}")
        size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(f"{name!r} has {size / 1e6:.0f} MB, more than {MAX_BYTES / 1e6:.0f} MB; split it")
    return (source if isinstance(source, bytes) else path.read_bytes()), name
