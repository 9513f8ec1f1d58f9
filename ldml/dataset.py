"""Structures with their entropies: one container, one file.

A `Dataset` holds relaxed defects, the perfect crystals they were made in, their formation entropies, for some of them
the exact entropy of each atom, and where all of it came from. Its file is HDF5 (`ldml.dataset_files`); extxyz goes in and
out for everyone else. A set of clusters has one for its crystal: the lowest minimum of as many atoms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from ldml.errors import InputError
from ldml.progress import NULL_PROGRESS, Progress

SAME_CRYSTAL = 1e-9
"""Å between the atoms of two crystals that are one."""
UNITS = {"length": "angstrom", "energy": "eV", "mass": "amu", "entropy": "k_B"}


@dataclass(frozen=True)
class Entry:
    """One structure and what is known of it, on its way into a `Dataset`.

    Attributes
    ----------
    atoms : Atoms
    label : str
        Defect class, such as "I3".
    name : str
        Unique within the dataset.
    formation_entropy, formation_energy, max_force : float
        k_B, eV, eV/Å; NaN where unknown.
    local_entropy : (N,) float or None, k_B
        Each atom's share of the formation entropy; sums to it.
    bulk : int
        Which of the dataset's crystals it belongs to.
    parent : str
        Name of the structure it was made from, such as that of the unstrained minimum; empty if there was none.
    quantities : mapping of str to float
        Further numbers, such as a barrier; ``metadata["quantities"]`` of the dataset has their units.
    """

    atoms: Atoms
    label: str
    name: str
    formation_entropy: float = float("nan")
    formation_energy: float = float("nan")
    max_force: float = float("nan")
    local_entropy: np.ndarray | None = None
    bulk: int = 0
    parent: str = ""
    quantities: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Features:
    """Totals of one descriptor over the structures (M, n) and the crystals (B, n); rows of NaN are not known yet."""

    totals: np.ndarray
    bulk_totals: np.ndarray

    @property
    def are_complete(self) -> bool:
        return not (_unknown(self.totals).any() or _unknown(self.bulk_totals).any())


@dataclass(frozen=True, eq=False)
class Dataset(Sequence):
    """Relaxed defects with their entropies.

    ``len(data)`` structures; ``data[i]`` is an `ase.Atoms`. Built by `from_entries`, `load_dataset`, `merged` or `subset`.

    Attributes
    ----------
    name : str
    bulks : tuple of Atoms
        The perfect crystals.
    entries : tuple of Entry
    metadata : mapping
        Provenance: potential, command, seeds, counts, licence, units.
    """

    name: str
    bulks: tuple[Atoms, ...]
    entries: tuple[Entry, ...]
    metadata: Mapping = field(default_factory=dict)
    _features: dict[str, _Features] = field(default_factory=dict, repr=False)

    @classmethod
    def from_entries(cls, name: str, bulks: Iterable[Atoms], entries: Iterable[Entry], metadata=None) -> Dataset:
        """Collect entries into a dataset.

        Raises
        ------
        InputError
            If names repeat, an entry refers to a crystal that is not there, shares do not fit their structure, or a
            quantity has no plain name.
        """
        bulks, entries = tuple(bulks), tuple(entries)
        _check_entries(bulks, entries)
        return cls(name, bulks, entries, dict(metadata or {}))

    @classmethod
    def merged(cls, parts: Iterable[Dataset], *, name: str = "") -> Dataset:
        """One dataset of several: structures in the order of the parts, equal crystals joined.

        What the metadata of all parts agree on stands at the top, mappings united entry by entry; the metadata of each part
        as they were are kept under ``"parts"``. Totals of a descriptor are kept if every part has them.

        Parameters
        ----------
        parts : iterable of Dataset
        name : str, optional
            By default that of the first part.

        Raises
        ------
        InputError
            If there are no parts, or two structures share a name.
        """
        parts = tuple(parts)
        if not parts:
            raise InputError("there is nothing to merge; give one dataset or more")
        if len(parts) == 1:
            return replace(parts[0], name=name or parts[0].name)
        bulks, numbers = _joined_crystals(parts)
        entries = [
            replace(entry, bulk=number[entry.bulk])
            for part, number in zip(parts, numbers, strict=True)
            for entry in part.entries
        ]
        metadata = _common([part.metadata for part in parts])
        metadata["parts"] = [{"name": part.name, **part.metadata} for part in parts]
        merged = cls.from_entries(name or parts[0].name, bulks, entries, metadata)
        merged._features.update(_joined_features(parts, numbers, len(bulks)))
        return merged

    def __repr__(self):
        classes = ", ".join(sorted(set(self.labels.tolist())))
        return f"Dataset({self.name!r}: {len(self):,} structures of {classes or 'no class'})"

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, i: int) -> Atoms:
        return self.entries[i].atoms.copy()

    @property
    def names(self) -> np.ndarray:
        """Name of each structure, (M,) str."""
        return np.array([entry.name for entry in self.entries], dtype=str)

    @property
    def labels(self) -> np.ndarray:
        """Defect class of each structure, (M,) str."""
        return np.array([entry.label for entry in self.entries], dtype=str)

    @property
    def formation_entropy(self) -> np.ndarray:
        """S_f of each structure, (M,) k_B; NaN where unknown."""
        return np.array([entry.formation_entropy for entry in self.entries], dtype=float)

    @property
    def formation_energy(self) -> np.ndarray:
        """E_f of each structure, (M,) eV; NaN where unknown."""
        return np.array([entry.formation_energy for entry in self.entries], dtype=float)

    @property
    def max_force(self) -> np.ndarray:
        """Largest force left on an atom of each structure, (M,) eV/Å; NaN where unknown."""
        return np.array([entry.max_force for entry in self.entries], dtype=float)

    @property
    def parents(self) -> np.ndarray:
        """Name of the structure each was made from, or its own, (M,) str: copies of one structure share it."""
        return np.array([entry.parent or entry.name for entry in self.entries], dtype=str)

    @property
    def quantity_names(self) -> tuple[str, ...]:
        """Names of the further numbers that structures have, sorted."""
        return tuple(sorted({name for entry in self.entries for name in entry.quantities}))

    def quantity(self, name: str) -> np.ndarray:
        """A further number of each structure, (M,); NaN where unknown.

        Raises
        ------
        InputError
            If no structure has it.
        """
        if name not in self.quantity_names:
            known = ", ".join(self.quantity_names) or "none"
            raise InputError(f"dataset {self.name!r} has no quantity {name!r}; it has: {known}")
        return np.array([entry.quantities.get(name, np.nan) for entry in self.entries], dtype=float)

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms of each structure, (M,) int."""
        return np.array([len(entry.atoms) for entry in self.entries], dtype=int)

    @property
    def has_local(self) -> np.ndarray:
        """Which structures carry exact local entropies, (M,) bool."""
        return np.array([entry.local_entropy is not None for entry in self.entries], dtype=bool)

    @property
    def bulk(self) -> Atoms:
        """The perfect crystal, if there is just one."""
        if len(self.bulks) != 1:
            raise InputError(
                f"dataset {self.name!r} has {len(self.bulks)} perfect crystals; ask for that of a structure: bulk_of(i)"
            )
        return self.bulks[0].copy()

    def bulk_of(self, i: int) -> Atoms:
        """The perfect crystal of structure i."""
        return self.bulks[self.entries[i].bulk].copy()

    def local_entropy(self, i: int) -> np.ndarray | None:
        """Exact share of each atom in S_f of structure i, (N,) k_B, or None; sums to ``formation_entropy[i]``."""
        local = self.entries[i].local_entropy
        return None if local is None else local.copy()

    def index(self, name: str) -> int:
        """Position of the structure of this name."""
        matches = np.flatnonzero(self.names == name)
        if len(matches) == 0:
            raise InputError(f"dataset {self.name!r} has no structure named {name!r}")
        return int(matches[0])

    def subset(self, indices) -> Dataset:
        """The structures at `indices` (integers or a boolean mask), with any descriptors already computed."""
        indices = np.asarray(indices)
        # an empty list has no type of its own
        chosen = np.arange(len(self))[indices if indices.size else indices.astype(int)]
        features = {key: _Features(f.totals[chosen], f.bulk_totals) for key, f in self._features.items()}
        return Dataset(self.name, self.bulks, tuple(self.entries[i] for i in chosen), self.metadata, features)

    def extended(self, entries: Iterable[Entry], bulks: Iterable[Atoms] = ()) -> Dataset:
        """A dataset with `entries` added, and `bulks` after the crystals already there.

        Of the descriptors at hand only the totals of what was added remain to be computed.
        """
        longer = Dataset.from_entries(self.name, (*self.bulks, *bulks), (*self.entries, *entries), self.metadata)
        for key, known in self._features.items():
            longer._features[key] = _Features(
                _with_unknown_rows(known.totals, len(longer)), _with_unknown_rows(known.bulk_totals, len(longer.bulks))
            )
        return longer

    @property
    def fingerprint(self) -> str:
        """Hash of structures and labels."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(entry.name.encode())
            digest.update(np.round(entry.atoms.positions, 6).tobytes())
            digest.update(np.array([entry.formation_entropy]).tobytes())
        return digest.hexdigest()[:16]

    def has_descriptor(self, descriptor) -> bool:
        """Whether the totals of `descriptor` are already at hand."""
        if getattr(descriptor, "parts", ()):
            return all(self.has_descriptor(part) for part in descriptor.parts)
        return descriptor.fingerprint in self._features and self._features[descriptor.fingerprint].are_complete

    def descriptor_differences(self, descriptor, *, progress: Progress | None = None) -> np.ndarray:
        """D_d - (N_d / N_b) D_b of each structure (paper, Eq. 15), (M, n_features).

        Computed once for each descriptor and kept; of descriptors side by side, for each part.
        """
        if getattr(descriptor, "parts", ()):
            return np.concatenate([self.descriptor_differences(d, progress=progress) for d in descriptor.parts], axis=1)
        features = self._ensure_features(descriptor, progress or NULL_PROGRESS)
        which = np.array([entry.bulk for entry in self.entries], dtype=int)
        sizes = np.array([len(bulk) for bulk in self.bulks])
        ratio = self.n_atoms / sizes[which]
        return features.totals - ratio[:, None] * features.bulk_totals[which]

    def bulk_descriptor(self, descriptor, i: int = 0) -> np.ndarray:
        """Mean descriptor of an atom of crystal `i`, (n_features,)."""
        if getattr(descriptor, "parts", ()):
            return np.concatenate([self.bulk_descriptor(part, i) for part in descriptor.parts])
        return self._ensure_features(descriptor, NULL_PROGRESS).bulk_totals[i] / len(self.bulks[i])

    def with_features(self, descriptor, totals: np.ndarray, bulk_totals: np.ndarray) -> None:
        """Keep totals of `descriptor` computed elsewhere: (M, n_features) and one row for each crystal."""
        if totals.shape[1:] != (descriptor.n_features,):
            raise InputError(
                f"totals of shape {totals.shape} do not have the {descriptor.n_features} features of {descriptor!r}"
            )
        for part, columns in _columns_of_parts(descriptor):
            self.keep_totals(part.fingerprint, totals[:, columns], bulk_totals[:, columns])

    def stored_totals(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Totals at hand by the fingerprint of their descriptor: (M, n_features) and one row for each crystal."""
        return {key: (f.totals, f.bulk_totals) for key, f in self._features.items() if f.are_complete}

    def keep_totals(self, fingerprint: str, totals: np.ndarray, bulk_totals: np.ndarray) -> None:
        """Keep totals of the descriptor with this fingerprint, as `stored_totals` gives them."""
        if totals.shape[:1] != (len(self),) or bulk_totals.shape != (len(self.bulks), *totals.shape[1:]):
            raise InputError(
                f"totals of shape {totals.shape} and {bulk_totals.shape} do not fit {len(self)} structures and "
                f"{len(self.bulks)} crystals"
            )
        self._features[fingerprint] = _Features(totals, bulk_totals)

    def _ensure_features(self, descriptor, progress):
        known = self._features.get(descriptor.fingerprint)
        if known is not None and known.are_complete:
            return known
        nothing = np.zeros((0, descriptor.n_features))
        totals = _with_unknown_rows(known.totals if known else nothing, len(self))
        bulk_totals = _with_unknown_rows(known.bulk_totals if known else nothing, len(self.bulks))
        for k in np.flatnonzero(_unknown(bulk_totals)):
            bulk_totals[k] = descriptor.total(self.bulks[k])
        missing = np.flatnonzero(_unknown(totals))
        for done, i in enumerate(missing):
            progress.check()
            progress.update(done, len(missing), "descriptors")
            totals[i] = descriptor.total(self.entries[i].atoms)
        progress.update(len(missing), len(missing), "descriptors")
        self._features[descriptor.fingerprint] = _Features(totals, bulk_totals)
        return self._features[descriptor.fingerprint]

    def save(self, path, *, compact: bool = False) -> None:
        """Write one HDF5 file, descriptors at hand included.

        Parameters
        ----------
        path : path
            Replaced only once the new file is complete.
        compact : bool
            Store positions in small steps that S_f cannot see; see `ldml.dataset_files`.
        """
        from ldml.dataset_files import save_dataset

        save_dataset(self, path, compact=compact)


def load_dataset(source) -> Dataset:
    """Open a dataset by its name in the sample data, or by the path of an HDF5 or extxyz file.

    Raises
    ------
    InputError
        If there is no such dataset or the file is not one.
    """
    from ldml.dataset_files import read_dataset
    from ldml.sample_data import load_sample
    from ldml.structure_files import dataset_from_extxyz

    if isinstance(source, str) and not Path(source).suffix:
        return load_sample(source)
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"no dataset at {str(path)!r}; give a name of the sample data or the path of an HDF5 or extxyz file"
        )
    data = read_dataset(path)
    return dataset_from_extxyz(path) if data is None else data


def _check_entries(bulks, entries):
    if not bulks:
        raise InputError(
            "a dataset needs the perfect crystal its defects were made in; formation is a difference to it"
        )
    seen = set()
    for entry in entries:
        if entry.name in seen:
            raise InputError(f"two structures are named {entry.name!r}; names must be unique")
        seen.add(entry.name)
        if not 0 <= entry.bulk < len(bulks):
            raise InputError(f"{entry.name!r} refers to crystal {entry.bulk} of {len(bulks)}")
        if entry.local_entropy is not None and np.shape(entry.local_entropy) != (len(entry.atoms),):
            raise InputError(
                f"{entry.name!r} has {len(entry.atoms)} atoms but local entropies of shape {np.shape(entry.local_entropy)}"
            )
        for name in entry.quantities:
            if not name.isidentifier():
                raise InputError(f"{entry.name!r} has a quantity named {name!r}; give a plain name such as 'barrier'")


def _joined_crystals(parts):
    """The distinct crystals of all parts, and the number of each part's crystals among them."""
    bulks, numbers = [], []
    for part in parts:
        numbers.append([])
        for bulk in part.bulks:
            known = next((k for k, other in enumerate(bulks) if _is_same_crystal(bulk, other)), len(bulks))
            if known == len(bulks):
                bulks.append(bulk)
            numbers[-1].append(known)
    return bulks, numbers


def _is_same_crystal(one, other):
    return (
        np.array_equal(one.numbers, other.numbers)
        and np.array_equal(one.pbc, other.pbc)
        and np.abs(one.cell.array - other.cell.array).max() < SAME_CRYSTAL
        and np.abs(one.positions - other.positions).max(initial=0.0) < SAME_CRYSTAL
    )


def _joined_features(parts, numbers, n_bulks):
    """Descriptors whose totals every part has, joined."""
    for key in set.intersection(*(set(part._features) for part in parts)):
        joined = [part._features[key] for part in parts]
        bulk_totals = np.full((n_bulks, joined[0].bulk_totals.shape[1]), np.nan)
        for number, features in zip(numbers, joined, strict=True):
            bulk_totals[number] = features.bulk_totals
        yield key, _Features(np.concatenate([features.totals for features in joined]), bulk_totals)


def _common(mappings):
    """What all mappings agree on; mappings within are united, without the keys they contradict each other in."""
    common = {}
    for key in mappings[0]:
        values = [mapping[key] for mapping in mappings if key in mapping]
        if len(values) < len(mappings):
            continue
        if all(isinstance(value, Mapping) for value in values):
            common[key] = _united(values)
        elif all(value == values[0] for value in values):
            common[key] = values[0]
    return common


def _united(mappings):
    united = {}
    for key in dict.fromkeys(key for mapping in mappings for key in mapping):
        values = [mapping[key] for mapping in mappings if key in mapping]
        if all(isinstance(value, Mapping) for value in values):
            united[key] = _united(values)
        elif all(value == values[0] for value in values):
            united[key] = values[0]
    return united


def _columns_of_parts(descriptor):
    """Descriptors that stand side by side in `descriptor`, or itself, with their columns."""
    first = 0
    for part in _parts(descriptor):
        yield part, slice(first, first + part.n_features)
        first += part.n_features


def _parts(descriptor):
    """What a descriptor is made of at last: itself, or the parts of its parts."""
    parts = getattr(descriptor, "parts", ())
    return [last for part in parts for last in _parts(part)] if parts else [descriptor]


def _unknown(rows):
    return np.isnan(rows).any(axis=1)


def _with_unknown_rows(rows, n):
    return np.concatenate([rows, np.full((n - len(rows), rows.shape[1]), np.nan)])
