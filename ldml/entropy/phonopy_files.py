"""Force constants in phonopy's two formats, text (``FORCE_CONSTANTS``) and HDF5 (``force_constants.hdf5``).

Both hold Phi_ij = d^2 E/dx_i dx_j in eV/Å² as 3 x 3 blocks: for all N x N pairs of a supercell, or in the compact form for
the rows of its primitive atoms alone, from which translations restore the rest. Text opens with the numbers of rows and
columns and gives each block as a line ``i j`` (from 1) and three lines of numbers; a compact file is recognised by fewer
rows than columns. HDF5 has the dataset ``force_constants`` (n, N, 3, 3), and ``p2s_map`` (n,) in the compact form.

Format: A. Togo, I. Tanaka, Scr. Mater. 108, 1 (2015); https://phonopy.github.io/phonopy/input-files.html
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse
from ase import Atoms
from ase.geometry import find_mic
from scipy.spatial import cKDTree

from ldml.errors import InputError

MATCH_TOLERANCE = 0.1
"""Å; how far a translated atom may lie from the atom it is taken for."""
TEXT_DIGITS = 15


@dataclass(frozen=True)
class ForceConstants:
    """Force constants as a file holds them.

    Attributes
    ----------
    blocks : (n, N, 3, 3) float, eV/Å²
    rows : (n,) int
        Atom of the supercell that each row belongs to.
    """

    blocks: np.ndarray
    rows: np.ndarray

    @property
    def is_compact(self) -> bool:
        return len(self.rows) < self.blocks.shape[1]

    def hessian(self, supercell: Atoms | None = None) -> np.ndarray:
        """The Hessian (3N, 3N), eV/Å².

        Parameters
        ----------
        supercell : Atoms, optional
            The perfect supercell; needed to restore the rows a compact file leaves out.

        Raises
        ------
        InputError
            If rows are missing and the supercell is not given, or its translations do not reach them.
        """
        n_atoms = self.blocks.shape[1]
        if not self.is_compact:
            full = np.empty_like(self.blocks)
            full[self.rows] = self.blocks
        elif supercell is None:
            raise InputError(
                f"the file holds the compact form, {len(self.rows)} of {n_atoms} rows; give the supercell they belong to"
            )
        else:
            full = _translated_rows(self, supercell)
        return full.transpose(0, 2, 1, 3).reshape(3 * n_atoms, 3 * n_atoms)


def write_force_constants(path: str | Path, hessian) -> None:
    """Write a Hessian in phonopy's full form: HDF5 if the name ends in .hdf5 or .h5, else text.

    Parameters
    ----------
    path : path
    hessian : (3N, 3N) sparse or dense, eV/Å²
    """
    path = Path(path)
    dense = hessian.toarray() if scipy.sparse.issparse(hessian) else np.asarray(hessian, dtype=float)
    n_atoms = len(dense) // 3
    if dense.ndim != 2 or dense.shape != (3 * n_atoms, 3 * n_atoms):
        raise InputError(f"a Hessian has the shape (3N, 3N); this one has {dense.shape}")
    if not np.isfinite(dense).all():
        raise InputError("the Hessian has elements that are not finite; it is not written")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into")
    blocks = dense.reshape(n_atoms, 3, n_atoms, 3).transpose(0, 2, 1, 3)
    if _is_hdf5_name(path):
        with h5py.File(path, "w") as file:
            file.create_dataset("force_constants", data=blocks, compression="gzip")
            file.create_dataset("p2s_map", data=np.arange(n_atoms, dtype="int64"))
            file.create_dataset("physical_unit", data=np.array([b"eV/angstrom^2"]))
        return
    row = " ".join([f"%{TEXT_DIGITS + 7}.{TEXT_DIGITS}f"] * 3)
    with path.open("w", encoding="ascii") as file:
        file.write(f"{n_atoms:4d} {n_atoms:4d}\n")
        for i in range(n_atoms):
            for j in range(n_atoms):
                file.write(f"{i + 1} {j + 1}\n")
                np.savetxt(file, blocks[i, j], fmt=row)


def read_force_constants(path: str | Path) -> ForceConstants:
    """Read either format, recognised by its content.

    Raises
    ------
    InputError
        If the file is neither, is truncated, or holds numbers that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r}")
    constants = _read_hdf5(path) if h5py.is_hdf5(path) else _read_text(path)
    if not np.isfinite(constants.blocks).all():
        raise InputError(f"{path.name!r} holds force constants that are not finite")
    return constants


def _read_hdf5(path):
    with h5py.File(path, "r") as file:
        if "force_constants" not in file:
            raise InputError(f"{path.name!r} has no dataset 'force_constants'; it holds {', '.join(file) or 'nothing'}")
        data = file["force_constants"]
        if data.ndim != 4 or data.shape[2:] != (3, 3) or data.shape[0] > data.shape[1]:
            raise InputError(f"{path.name!r}: force constants of shape {data.shape}; expected (n, N, 3, 3) with n <= N")
        blocks = np.asarray(data, dtype=float)
        rows = np.asarray(file["p2s_map"], dtype=int) if "p2s_map" in file else np.arange(len(blocks))
    if (
        len(rows) != len(blocks)
        or len(set(rows)) != len(rows)
        or not (rows.min() >= 0 and rows.max() < blocks.shape[1])
    ):
        raise InputError(
            f"{path.name!r}: its p2s_map of {len(rows)} atoms does not fit {blocks.shape[:2]} force constants"
        )
    return ForceConstants(blocks, rows)


def _read_text(path):
    with path.open(encoding="ascii", errors="replace") as file:
        counts = _integers(path, 1, file.readline(), 1, 2)
        n_rows, n_atoms = counts[0], counts[-1]
        # a block takes at least 18 bytes: a count that the file cannot hold must not be allocated
        if n_rows < 1 or n_rows > n_atoms or n_rows * n_atoms * 18 > path.stat().st_size:
            raise InputError(f"{path.name!r}, line 1: {n_rows} x {n_atoms} force constants do not fit in this file")
        blocks = np.empty((n_rows, n_atoms, 3, 3))
        rows = np.empty(n_rows, dtype=int)
        for k in range(n_rows * n_atoms):
            first = 2 + 4 * k
            lines = list(islice(file, 4))
            if len(lines) < 4:
                raise InputError(
                    f"{path.name!r} is truncated: block {k + 1} of {n_rows * n_atoms} (line {first}) is missing"
                )
            i, j = _integers(path, first, lines[0], 2, 2)
            row, column = divmod(k, n_atoms)
            if j != column + 1 or not 1 <= i <= n_atoms or (column and i != rows[row] + 1):
                raise InputError(f"{path.name!r}, line {first}: block {i} {j} is out of order")
            rows[row] = i - 1
            blocks[row, column] = [_numbers(path, first + 1 + a, lines[1 + a]) for a in range(3)]
    return ForceConstants(blocks, rows)


def _translated_rows(constants, supercell):
    """Row i is the row of the primitive atom p it is a translation of: Phi_ij = Phi_p,j' with x_j' = x_j - (x_i - x_p)."""
    n_atoms = constants.blocks.shape[1]
    if len(supercell) != n_atoms:
        raise InputError(f"the force constants are for {n_atoms} atoms, but the supercell has {len(supercell)}")
    cell = supercell.cell.array
    fractions = supercell.get_scaled_positions(wrap=True)
    tree = cKDTree(fractions % 1.0 % 1.0, boxsize=1.0)
    full = np.full((n_atoms, n_atoms, 3, 3), np.nan)
    for row, p in enumerate(constants.rows):
        for i in range(n_atoms):
            if not np.isnan(full[i, 0, 0, 0]):
                continue
            moved = (fractions - (fractions[i] - fractions[p])) % 1.0 % 1.0
            _, images = tree.query(moved)
            _, lengths = find_mic((moved - fractions[images]) @ cell, cell)
            if lengths.max() < MATCH_TOLERANCE:
                full[i] = constants.blocks[row][images]
    missing = int(np.isnan(full[:, 0, 0, 0]).sum())
    if missing:
        raise InputError(
            f"{missing} of {n_atoms} atoms of the supercell are no translations of the {len(constants.rows)} atoms in the "
            f"file; give the perfect supercell the force constants were made for"
        )
    return full


def _is_hdf5_name(path):
    return path.suffix.lower() in {".hdf5", ".h5"}


def _integers(path, line, text, least, most):
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError:
        numbers = []
    if not least <= len(numbers) <= most:
        raise InputError(
            f"{path.name!r}, line {line}: expected whole numbers, found {text.strip()[:40]!r}; not FORCE_CONSTANTS?"
        )
    return numbers


def _numbers(path, line, text):
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise InputError(f"{path.name!r}, line {line}: expected three numbers, found {text.strip()[:40]!r}")
    return numbers
