"""The HDF5 file of a dataset.

    /                      attributes: format, format_version, name, units (JSON), metadata (JSON)
    bulks/k                the perfect crystals: numbers, positions, cell, pbc
    structures             one row a structure: name, label, parent, bulk, n_atoms, formation_entropy, formation_energy, max_force,
                           cell, pbc, has_local; one row an atom, structure after structure: numbers, positions, local_entropy
    structures/quantities  further numbers, one row a structure, NaN where unknown
    descriptors/f          totals and bulk_totals of the descriptor with fingerprint f

Lengths are Å, energies eV, entropies k_B. A compact file holds whole numbers of steps that the entropies cannot see,

    n = rint(x / step),   stored as 2 n for n >= 0 and as -2 n - 1 for n < 0,

so that small numbers have bytes of zero at their end, which pack well; each such array has its step as an attribute:

    site, displacement     for positions: differences of the numbers of successive crystal sites, and the way from them;
                           positions in clusters are displacements from the origin
    local_entropy
    differences            for totals: D_d - (N_d / N_b) D_b (paper, Eq. 15), a step for each feature
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms

from ldml.dataset import UNITS, Dataset, Entry
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz

FORMAT = "ldml-dataset"
FORMAT_VERSION = 2
POSITION_STEP = 3e-6
"""Å: S_f of the softest minima changes by less than 2e-4 k_B."""
CLUSTER_STEP = 1e-7
"""Clusters are small, and may be in units of their potential."""
LOCAL_ENTROPY_STEP = 1e-7
"""k_B."""
FEATURE_STEP = 2.0**-26
"""In standard deviations of a feature, at most: a model fitted to 1,000 structures and its predictions change by 3e-7 k_B."""
FORMAT_1_STEP = 1e-7
MOST_BYTES = 2**32
"""Of one array: a small file cannot ask for more memory than this."""
ROWS_AT_ONCE = 2**15
"""Packed together."""
_NUMBERS = ("formation_entropy", "formation_energy", "max_force")
_PACKED = {"compression": "gzip", "compression_opts": 6, "shuffle": True}


def save_dataset(data: Dataset, path, *, compact: bool = False) -> None:
    """Write a dataset to one file, which is replaced only once the new one is complete.

    Parameters
    ----------
    data : Dataset
    path : path
    compact : bool
        Store positions, local entropies and totals of descriptors in steps; atoms of crystals then return at the image
        nearest to their site.

    Raises
    ------
    InputError
        If the file cannot be written, or positions that are to be stored in steps are not finite.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with h5py.File(partial, "w") as file:
            _write(file, data, compact)
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{str(path)!r} could not be written ({error}); is the disk full, or may you not write there?"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def read_dataset(source, *, name: str = "") -> Dataset | None:
    """Read a dataset from a path or from the bytes of a file; None if it is not HDF5 at all.

    Raises
    ------
    InputError
        If the file is HDF5 but not a dataset, newer than this software, or damaged.
    """
    if isinstance(source, bytes):
        opened, name = io.BytesIO(source), name or "the upload"
        is_hdf5 = source.startswith(b"\x89HDF\r\n\x1a\n")
    else:
        opened, name = source, name or Path(source).name
        is_hdf5 = h5py.is_hdf5(source)
    if not is_hdf5:
        return None
    try:
        with h5py.File(opened, "r") as file:
            return _read(file, name)
    except InputError:
        raise
    except (KeyError, OSError, ValueError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{name!r} is not a complete ldml dataset ({error}); was it cut short?") from error


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
        arrays = {"numbers": bulk.numbers, "positions": bulk.positions, "cell": bulk.cell.array, "pbc": bulk.pbc}
        write_arrays(group, arrays)
    entries, atoms = data.entries, [entry.atoms for entry in data.entries]
    group = file.create_group("structures")
    parents = [entry.parent for entry in entries]
    write_arrays(group, {"name": encoded(data.names), "label": encoded(data.labels), "parent": encoded(parents)})
    write_arrays(group, {"bulk": _which_bulk(data), "n_atoms": data.n_atoms, "has_local": data.has_local})
    write_arrays(group, {key: getattr(data, key) for key in _NUMBERS})
    write_arrays(group.create_group("quantities"), {key: data.quantity(key) for key in data.quantity_names})
    write_arrays(group, {"cell": np.array([a.cell.array for a in atoms]).reshape(-1, 3, 3)})
    write_arrays(group, {"pbc": np.array([a.pbc for a in atoms]).reshape(-1, 3)})
    write_arrays(group, {"numbers": _concatenated([a.numbers for a in atoms], np.zeros(0)).astype(np.uint8)})
    positions = _concatenated([a.positions for a in atoms], np.zeros((0, 3)))
    local = _concatenated([e.local_entropy for e in entries if e.local_entropy is not None], np.zeros(0))
    if compact:
        _write_positions(group, data, positions)
        _write_steps(group, "local_entropy", local, LOCAL_ENTROPY_STEP)
    else:
        write_arrays(group, {"positions": positions, "local_entropy": local})
    for key, (totals, bulk_totals) in data.stored_totals().items():
        stored = file.create_group(f"descriptors/{key}")
        write_arrays(stored, {"bulk_totals": bulk_totals})
        if compact:
            differences = totals - _crystal_part(bulk_totals, data.bulks, _which_bulk(data), data.n_atoms)
            _write_steps(stored, "differences", differences, _feature_steps(differences))
        else:
            write_arrays(stored, {"totals": totals})


def write_arrays(group: h5py.Group, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays of a group, packed, by name."""
    for key, values in arrays.items():
        rows = (min(len(values), ROWS_AT_ONCE), *values.shape[1:])
        group.create_dataset(key, data=values, **({"chunks": rows, **_PACKED} if values.size else {}))


def _write_positions(group, data, positions):
    """Positions as displacements from the nearest crystal sites, or from the origin in clusters."""
    if not np.isfinite(positions).all():
        raise InputError(f"dataset {data.name!r} has positions that are not finite; they cannot be stored in steps")
    crystals = [WignerSeitz(bulk) if bulk.pbc.all() else None for bulk in data.bulks]
    sites, displacements = np.zeros(len(positions), dtype=np.int64), positions.copy()
    end = 0
    for entry in data.entries:
        here = slice(end, end := end + len(entry.atoms))
        if crystals[entry.bulk] is not None:
            sites[here], displacements[here] = crystals[entry.bulk].nearest_sites(positions[here])
    step = CLUSTER_STEP if None in crystals else POSITION_STEP
    _write_steps(group, "site", np.diff(sites, prepend=0), 1)
    _write_steps(group, "displacement", displacements, step)


def _write_steps(group, key, values, step):
    """`values` as whole numbers of steps with the sign in the last bit."""
    whole = np.rint(values / step).astype(np.int64)
    folded = ((whole << 1) ^ (whole >> 63)).astype(np.uint64)
    if folded.max(initial=0) < 2**32:
        folded = folded.astype(np.uint32)
    write_arrays(group, {key: folded})
    group[key].attrs["step"] = step


def _feature_steps(differences):
    """Step (n_features,) of each feature; features that do not vary keep 40 bits of their value.

    Powers of two: sums of steps are exact, so that a compact file read and written again has the same bytes.
    """
    if len(differences) == 0:
        return np.ones(differences.shape[1])
    largest = np.abs(differences).max(axis=0)
    steps = np.maximum(FEATURE_STEP * differences.std(axis=0), 2.0**-40 * largest)
    return np.exp2(np.floor(np.log2(np.where(steps > 0, steps, 1.0))))


def _crystal_part(bulk_totals, bulks, which, n_atoms):
    """(N_d / N_b) D_b of each structure, (M, n_features)."""
    sizes = np.array([len(bulk) for bulk in bulks])
    return (n_atoms / sizes[which])[:, None] * bulk_totals[which]


def _which_bulk(data):
    return np.array([entry.bulk for entry in data.entries], dtype=np.int32)


def encoded(words: Iterable[str]) -> np.ndarray:
    """Words of fixed length in UTF-8: an array of them is as long as it says."""
    words = [str(word).encode() for word in words]
    return np.array(words, dtype=h5py.string_dtype("utf-8", max([1, *(len(word) for word in words)])))


def _concatenated(parts, nothing):
    return np.concatenate([nothing, *parts])


def _read(file, name):
    if file.attrs.get("format") != FORMAT:
        raise InputError(f"{name!r} is an HDF5 file but not an ldml dataset")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise InputError(f"{name!r} has dataset format {version}; this ldml reads up to {FORMAT_VERSION}: upgrade ldml")
    group = own_group(file, "structures")
    bulks = tuple(
        Atoms(
            own_array(b, "numbers"),
            positions=own_array(b, "positions"),
            cell=own_array(b, "cell"),
            pbc=own_array(b, "pbc"),
        )
        for b in (own_group(file, f"bulks/{k}") for k in range(len(own_group(file, "bulks"))))
    )
    n_atoms, which = own_array(group, "n_atoms"), own_array(group, "bulk")
    ends = np.cumsum(n_atoms)
    numbers, cells, pbc = own_array(group, "numbers"), own_array(group, "cell"), own_array(group, "pbc")
    if len(which) != len(n_atoms) or len(numbers) != n_atoms.sum() or (n_atoms < 0).any():
        raise _damaged(name, f"{len(numbers)} species for {n_atoms.sum()} atoms")
    positions = _read_positions(group, bulks, which, n_atoms, version)
    if positions.shape != (len(numbers), 3):
        raise _damaged(name, f"{len(positions)} positions for {len(numbers)} atoms")
    has_local, shares = own_array(group, "has_local"), _in_steps(group, "local_entropy")
    share_ends = np.cumsum(np.where(has_local, n_atoms, 0))
    names, labels = (_words(group, key) for key in ("name", "label"))
    parents = _words(group, "parent") if version >= 2 else [""] * len(names)
    scalars = [own_array(group, key).tolist() for key in _NUMBERS]
    quantities = _read_quantities(group, len(names))
    entries = []
    for i, end in enumerate(ends):
        here = slice(end - n_atoms[i], end)
        local = shares[share_ends[i] - n_atoms[i] : share_ends[i]] if has_local[i] else None
        atoms = _atoms(numbers[here], positions[here], cells[i], pbc[i])
        entries.append(
            Entry(
                atoms,
                labels[i],
                names[i],
                *(values[i] for values in scalars),
                local,
                int(which[i]),
                parents[i],
                quantities[i],
            )
        )
    metadata = json.loads(file.attrs["metadata"])
    data = Dataset.from_entries(str(file.attrs["name"]), bulks, entries, metadata)
    for key in _keys(file, "descriptors"):
        stored = own_group(file, f"descriptors/{key}")
        bulk_totals = own_array(stored, "bulk_totals")
        if "totals" in stored:
            totals = own_array(stored, "totals")
        else:
            totals = _in_steps(stored, "differences") + _crystal_part(bulk_totals, bulks, which, n_atoms)
        data.keep_totals(key, totals, bulk_totals)
    return data


def _atoms(numbers, positions, cell, pbc):
    # the constructor would walk the species one by one, which takes longer than all the rest
    atoms = Atoms(cell=cell, pbc=pbc)
    atoms.arrays.update(numbers=numbers.astype(int), positions=positions)
    return atoms


def _read_quantities(group, n):
    """The further numbers of each structure, by name; those that are NaN are left out."""
    found = [{} for _ in range(n)]
    for key in _keys(group, "quantities"):
        values = own_array(own_group(group, "quantities"), key)
        for i in np.flatnonzero(~np.isnan(values)):
            found[i][key] = float(values[i])
    return found


def _damaged(name, what):
    return InputError(f"{name!r} is damaged: {what}; was it cut short?")


def _words(group, key):
    return [word.decode() for word in own_array(group, key)]


def _keys(group, key):
    """What a group holds, nothing if it is not there."""
    return list(own_group(group, key)) if key in group else []


def own_group(parent: h5py.Group, key: str) -> h5py.Group:
    """A group of the file itself; links to other files are refused."""
    for depth in range(1, key.count("/") + 2):
        path = "/".join(key.split("/")[:depth])
        if not isinstance(parent.get(path, getlink=True), h5py.HardLink):
            raise InputError(f"the dataset refers to another place under {path!r}, which is not allowed")
    return parent[key]


def own_array(group: h5py.Group, key: str) -> np.ndarray:
    """An array stored in the file itself; links to other files are refused."""
    if key not in group:
        raise KeyError(f"{key} is missing")
    link = group.get(key, getlink=True)
    stored = group[key] if isinstance(link, h5py.HardLink) else None
    if stored is None or stored.external or stored.is_virtual:
        raise InputError(f"the dataset refers to another file under {key!r}, which is not allowed")
    announced = stored.dtype.itemsize * max(stored.size, math.prod(stored.chunks or (0,)))
    if announced > MOST_BYTES:
        raise InputError(
            f"the dataset announces {announced / 1e9:.3g} GB under {key!r}; at most {MOST_BYTES / 1e9:.3g} GB are read"
        )
    return stored[()]


def _in_steps(group, key):
    """An array of numbers, which may be stored as steps."""
    values = own_array(group, key)
    if values.dtype.kind != "u":
        return values
    signed = np.dtype(f"i{values.itemsize}")
    # what is shifted out is the sign: n is the complement of the rest where it is set
    whole = (values >> 1).view(signed) ^ -(values & 1).view(signed)
    return whole * np.asarray(group[key].attrs["step"])


def _read_positions(group, bulks, which, n_atoms, version):
    if "positions" in group:
        return own_array(group, "positions")
    if version == 1:
        sites, displacements = own_array(group, "site"), FORMAT_1_STEP * own_array(group, "displacement")
    else:
        sites, displacements = np.cumsum(_in_steps(group, "site")), _in_steps(group, "displacement")
    crystal = np.repeat(which, n_atoms)
    # a cluster's atoms stand at their displacements from the origin
    origins = [b.positions if b.pbc.all() else np.zeros((1, 3)) for b in bulks]
    n_sites = np.array([len(origin) for origin in origins])
    starts = np.cumsum(n_sites) - n_sites
    if sites.shape != crystal.shape or displacements.shape != (len(sites), 3):
        raise InputError(f"the dataset is damaged: {len(sites)} crystal sites for {len(crystal)} atoms")
    if ((sites < 0) | (sites >= n_sites[crystal])).any():
        raise InputError("the dataset is damaged: an atom refers to a crystal site that does not exist")
    displacements += np.concatenate(origins)[starts[crystal] + sites]
    return displacements
