"""Structures with their entropies: one container, one file.

A `Dataset` holds relaxed defects, the perfect crystals they were made in, their formation entropies, for some of them
the exact entropy of each atom, and where all of it came from. Its file is HDF5; extxyz goes in and out for everyone else.
Positions can be stored compactly: as displacements from crystal sites in steps of 1e-7 Å, well below what S_f can see.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from ldml.errors import InputError
from ldml.point_defects import WignerSeitz
from ldml.progress import NULL_PROGRESS, Progress

FORMAT = "ldml-dataset"
FORMAT_VERSION = 1
QUANTUM = 1e-7
"""Å, step of compactly stored positions."""
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
    """

    atoms: Atoms
    label: str
    name: str
    formation_entropy: float = float("nan")
    formation_energy: float = float("nan")
    max_force: float = float("nan")
    local_entropy: np.ndarray | None = None
    bulk: int = 0


@dataclass
class _Features:
    """Totals of one descriptor over the structures (M, n) and the crystals (B, n)."""

    totals: np.ndarray
    bulk_totals: np.ndarray


@dataclass(frozen=True, eq=False)
class Dataset(Sequence):
    """Relaxed defects with their entropies.

    ``len(data)`` structures; ``data[i]`` is an `ase.Atoms`. Built by `from_entries`, `load_dataset` or `subset`.

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
            If names repeat, an entry refers to a crystal that is not there, or shares do not fit their structure.
        """
        bulks, entries = tuple(bulks), tuple(entries)
        _check_entries(bulks, entries)
        return cls(name, bulks, entries, dict(metadata or {}))

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
        """A dataset with `entries` added, and `bulks` after the crystals already there."""
        return Dataset.from_entries(self.name, (*self.bulks, *bulks), (*self.entries, *entries), self.metadata)

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
        return descriptor.fingerprint in self._features

    def descriptor_differences(self, descriptor, *, progress: Progress | None = None) -> np.ndarray:
        """D_d - (N_d / N_b) D_b of each structure (paper, Eq. 15), (M, n_features).

        Computed once for each descriptor and kept.
        """
        features = self._ensure_features(descriptor, progress or NULL_PROGRESS)
        which = np.array([entry.bulk for entry in self.entries], dtype=int)
        sizes = np.array([len(bulk) for bulk in self.bulks])
        ratio = self.n_atoms / sizes[which]
        return features.totals - ratio[:, None] * features.bulk_totals[which]

    def bulk_descriptor(self, descriptor, i: int = 0) -> np.ndarray:
        """Mean descriptor of an atom of crystal `i`, (n_features,)."""
        return self._ensure_features(descriptor, NULL_PROGRESS).bulk_totals[i] / len(self.bulks[i])

    def with_features(self, descriptor, totals: np.ndarray, bulk_totals: np.ndarray) -> None:
        """Keep totals of `descriptor` computed elsewhere: (M, n_features) and one row for each crystal."""
        if totals.shape != (len(self), descriptor.n_features) or bulk_totals.shape != (
            len(self.bulks),
            descriptor.n_features,
        ):
            raise InputError(
                f"totals of shape {totals.shape} and {bulk_totals.shape} do not fit {len(self)} structures, "
                f"{len(self.bulks)} crystals and {descriptor.n_features} features"
            )
        self._features[descriptor.fingerprint] = _Features(totals, bulk_totals)

    def _ensure_features(self, descriptor, progress):
        if descriptor.fingerprint not in self._features:
            totals = np.empty((len(self), descriptor.n_features))
            bulk_totals = np.stack([descriptor.total(bulk) for bulk in self.bulks])
            for i, entry in enumerate(self.entries):
                progress.check()
                progress.update(i, len(self), "descriptors")
                totals[i] = descriptor.total(entry.atoms)
            progress.update(len(self), len(self), "descriptors")
            self._features[descriptor.fingerprint] = _Features(totals, bulk_totals)
        return self._features[descriptor.fingerprint]

    def save(self, path, *, compact: bool = False) -> None:
        """Write one HDF5 file, descriptors at hand included.

        Parameters
        ----------
        path : path
            Replaced only once the new file is complete.
        compact : bool
            Store positions as displacements from crystal sites in steps of 1e-7 Å; atoms then return at the image
            nearest to their site.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        with h5py.File(partial, "w") as file:
            _write(file, self, compact)
        partial.replace(path)


def load_dataset(source) -> Dataset:
    """Open a dataset by its name in the sample data, or by the path of an HDF5 or extxyz file.

    Raises
    ------
    InputError
        If there is no such dataset or the file is not one.
    """
    from ldml.sample_data import sample_path

    path = sample_path(source) if isinstance(source, str) and not Path(source).suffix else Path(source)
    if not path.is_file():
        raise InputError(
            f"no dataset at {str(path)!r}; give a name of the sample data or the path of an HDF5 or extxyz file"
        )
    if h5py.is_hdf5(path):
        return _load_hdf5(path)
    from ldml.structure_files import dataset_from_extxyz

    return dataset_from_extxyz(path)


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


# --- the HDF5 file -------------------------------------------------------------------------------------------------


def _write(file, data, compact):
    file.attrs.update(
        format=FORMAT,
        format_version=FORMAT_VERSION,
        name=data.name,
        units=json.dumps(UNITS),
        metadata=json.dumps(dict(data.metadata), sort_keys=True),
    )
    for k, bulk in enumerate(data.bulks):
        group = file.create_group(f"bulks/{k}")
        group["numbers"], group["positions"], group["cell"] = bulk.numbers, bulk.positions, bulk.cell.array
        group["pbc"] = bulk.pbc
    packed = {"compression": "gzip", "compression_opts": 6, "shuffle": True}
    group = file.create_group("structures")
    text = h5py.string_dtype()
    group.create_dataset("name", data=data.names.astype(object), dtype=text)
    group.create_dataset("label", data=data.labels.astype(object), dtype=text)
    group["bulk"] = np.array([entry.bulk for entry in data.entries], dtype=np.int32)
    group["n_atoms"] = data.n_atoms
    for key in ("formation_entropy", "formation_energy", "max_force"):
        group[key] = getattr(data, key)
    group["cell"] = np.array([entry.atoms.cell.array for entry in data.entries]).reshape(-1, 3, 3)
    group["pbc"] = np.array([entry.atoms.pbc for entry in data.entries]).reshape(-1, 3)
    group.create_dataset("numbers", data=_concatenated([e.atoms.numbers for e in data.entries], np.uint8), **packed)
    if compact:
        crystals = [WignerSeitz(bulk) for bulk in data.bulks]
        sites, steps = zip(*(_to_sites(e, crystals[e.bulk]) for e in data.entries), strict=True)
        group.create_dataset("site", data=_concatenated(sites, np.int32), **packed)
        steps = group.create_dataset("displacement", data=np.concatenate(steps), **packed)
        steps.attrs["quantum_angstrom"] = QUANTUM
    else:
        group.create_dataset("positions", data=np.concatenate([e.atoms.positions for e in data.entries]), **packed)
    group["has_local"] = data.has_local
    shares = [e.local_entropy for e in data.entries if e.local_entropy is not None]
    group.create_dataset("local_entropy", data=_concatenated(shares, np.float64), **packed)
    for key, features in data._features.items():
        stored = file.create_group(f"descriptors/{key}")
        stored.create_dataset("totals", data=features.totals, **packed)
        stored.create_dataset("bulk_totals", data=features.bulk_totals)


def _load_hdf5(path):
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except (KeyError, OSError, json.JSONDecodeError, IndexError, TypeError) as error:
        raise InputError(f"{path.name!r} is not a complete ldml dataset ({error}); was it cut short?") from error


def _read(file, path):
    if file.attrs.get("format") != FORMAT:
        raise InputError(f"{path.name!r} is an HDF5 file but not an ldml dataset")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path.name!r} has dataset format {version}; this ldml reads up to {FORMAT_VERSION}: upgrade ldml"
        )
    group = file["structures"]
    bulks = tuple(
        Atoms(_own(b, "numbers"), positions=_own(b, "positions"), cell=_own(b, "cell"), pbc=_own(b, "pbc"))
        for b in (file[f"bulks/{k}"] for k in range(len(file["bulks"])))
    )
    n_atoms, which = _own(group, "n_atoms"), _own(group, "bulk")
    ends = np.cumsum(n_atoms)
    numbers, cells, pbc = _own(group, "numbers"), _own(group, "cell"), _own(group, "pbc")
    if len(which) != len(n_atoms) or len(numbers) != n_atoms.sum():
        raise _damaged(path, f"{len(numbers)} species for {n_atoms.sum()} atoms")
    positions = _read_positions(group, bulks, which, n_atoms)
    if positions.shape != (len(numbers), 3):
        raise _damaged(path, f"{len(positions)} positions for {len(numbers)} atoms")
    has_local, shares = _own(group, "has_local"), _own(group, "local_entropy")
    share_ends = np.cumsum(np.where(has_local, n_atoms, 0))
    names, labels = group["name"].asstr()[:], group["label"].asstr()[:]
    entropy, energy, force = (_own(group, k) for k in ("formation_entropy", "formation_energy", "max_force"))
    entries = []
    for i, end in enumerate(ends):
        here = slice(end - n_atoms[i], end)
        local = shares[share_ends[i] - n_atoms[i] : share_ends[i]] if has_local[i] else None
        atoms = Atoms(numbers[here], positions=positions[here], cell=cells[i], pbc=pbc[i])
        entries.append(
            Entry(
                atoms,
                str(labels[i]),
                str(names[i]),
                float(entropy[i]),
                float(energy[i]),
                float(force[i]),
                local,
                int(which[i]),
            )
        )
    metadata = json.loads(file.attrs["metadata"])
    data = Dataset.from_entries(str(file.attrs["name"]), bulks, entries, metadata)
    for key, stored in file.get("descriptors", {}).items():
        data._features[key] = _Features(_own(stored, "totals"), _own(stored, "bulk_totals"))
    return data


def _damaged(path, what):
    return InputError(f"{path.name!r} is damaged: {what}; was it cut short?")


def _own(group, key):
    """A dataset stored in the file itself; links to other files are refused."""
    if key not in group:
        raise KeyError(f"{key} is missing")
    link = group.get(key, getlink=True)
    stored = group[key] if isinstance(link, h5py.HardLink) else None
    if stored is None or stored.external or stored.is_virtual:
        raise InputError(f"the dataset refers to another file under {key!r}, which is not allowed")
    return stored[()]


def _read_positions(group, bulks, which, n_atoms):
    if "positions" in group:
        return _own(group, "positions")
    sites, steps = _own(group, "site"), _own(group, "displacement")
    crystal = np.repeat(which, n_atoms)
    starts = np.concatenate([[0], np.cumsum([len(b) for b in bulks])])
    if sites.shape != crystal.shape or len(steps) != len(sites):
        raise InputError(f"the dataset is damaged: {len(sites)} crystal sites for {len(crystal)} atoms")
    if ((sites < 0) | (sites >= np.diff(starts)[crystal])).any():
        raise InputError("the dataset is damaged: an atom refers to a crystal site that does not exist")
    return np.concatenate([b.positions for b in bulks])[starts[crystal] + sites] + QUANTUM * steps


def _to_sites(entry, crystal):
    """Nearest crystal site of each atom and the displacement from it in quanta."""
    sites, displacements = crystal.nearest_sites(entry.atoms.positions)
    return sites, np.rint(displacements / QUANTUM).astype(np.int32)


def _concatenated(parts, dtype):
    parts = list(parts)
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)
