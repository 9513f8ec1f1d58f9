"""Tables of descriptors: many structures in, one row for each atom or the total of each structure out, in memory or in a file.

A file keeps beside the numbers what they mean. HDF5 (``.h5``) and npz hold

    features            (n_rows, n_features) float64
    names, n_atoms      (M,) of the structures
    offsets             (M + 1,) rows of structure k: offsets[k] to offsets[k + 1]
    feature_names       (n_features,)
    feature_indices/n   (n_features,) value of the index n, and so on for each index
    trivial_features    (n_features,) True where a feature only counts atoms
    descriptor          JSON record (`Descriptor.to_dict`); fingerprint, content ("rows" or "totals"), units, ldml_version

the last line as attributes in HDF5. CSV holds a header and the rows with all their digits, nothing else. HDF5 and CSV are
written structure by structure; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from ldml.descriptors.base import Descriptor
from ldml.errors import InputError, StructureError
from ldml.progress import NULL_PROGRESS, Progress


@dataclass(frozen=True, eq=False)
class DescriptorTable:
    """Descriptors of several structures.

    Attributes
    ----------
    descriptor : Descriptor
        What was computed; units as it says.
    names : tuple of str
        Names of the M structures.
    n_atoms : (M,) int64 array
    features : (n_rows, n_features) float64 array
        Rows of the atoms, structure after structure, or one total a structure.
    per_atom : bool
        Whether rows are atoms.
    """

    descriptor: Descriptor
    names: tuple[str, ...]
    n_atoms: np.ndarray
    features: np.ndarray
    per_atom: bool

    @property
    def offsets(self) -> np.ndarray:
        """(M + 1,) int64: the rows of structure k are those from ``offsets[k]`` to ``offsets[k + 1]``."""
        return np.concatenate([[0], np.cumsum(self.n_atoms if self.per_atom else np.ones_like(self.n_atoms))])

    def rows_of(self, k: int) -> np.ndarray:
        """Rows of structure k, (n_atoms or 1, n_features)."""
        return self.features[self.offsets[k] : self.offsets[k + 1]]


def describe(
    structures: Iterable[Atoms],
    descriptor: Descriptor,
    *,
    per_atom: bool = False,
    names: Sequence[str] | None = None,
    progress: Progress = NULL_PROGRESS,
) -> DescriptorTable:
    """Descriptors of several structures.

    Parameters
    ----------
    structures : iterable of ase.Atoms
    descriptor : Descriptor
    per_atom : bool
        Rows of all atoms; by default the total of each structure, for which no rows are held.
    names : sequence of str, optional
        By default "0", "1", ...
    progress : Progress

    Raises
    ------
    StructureError
        If a structure is bad; the message names it.
    """
    structures = list(structures)
    names = [str(k) for k in range(len(structures))] if names is None else [str(name) for name in names]
    if len(names) != len(structures):
        raise InputError(f"{len(names)} names for {len(structures)} structures; give one each")
    parts = [np.zeros((0, descriptor.n_features))]
    for k, (name, atoms) in enumerate(zip(names, structures, strict=True)):
        progress.check()
        progress.update(k, len(structures), f"descriptors, {name}")
        try:
            parts.append(described(atoms, descriptor, per_atom=per_atom))
        except StructureError as error:
            raise StructureError(f"{name!r}: {error}") from error
    progress.update(len(structures), len(structures), "descriptors")
    n_atoms = np.array([len(atoms) for atoms in structures], dtype=np.int64)
    return DescriptorTable(descriptor, tuple(names), n_atoms, np.concatenate(parts), per_atom)


def described(atoms: Atoms, descriptor: Descriptor, *, per_atom: bool) -> np.ndarray:
    """Rows of the atoms, (N, n_features), or their total as one row, (1, n_features)."""
    return descriptor.compute(atoms) if per_atom else descriptor.total(atoms)[None]


def feature_table(descriptor: Descriptor) -> list[dict[str, Any]]:
    """For each feature its ``column``, ``name``, ``indices`` and whether it is ``trivial`` (only counts atoms)."""
    trivial = descriptor.trivial_features
    return [
        {"column": column, "name": name, "indices": dict(indices), "trivial": bool(trivial[column])}
        for column, (name, indices) in enumerate(zip(descriptor.feature_names, descriptor.feature_indices, strict=True))
    ]
