"""Uploaded files: what one holds, and how it becomes a dataset with what the user says of it. No Panel in here.

A file is read in a worker (`read_upload`). An ldml dataset is complete; other files hold structures, whose labels are among
the numbers that stand with them, and which need the perfect crystal of their cell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from dashboards.limits import limit
from ldml.dataset import UNITS, Dataset, load_dataset
from ldml.errors import InputError
from ldml.potentials import POTENTIALS, get_potential
from ldml.structure_files import BULK_ROLE, QUANTITY_PREFIX, dataset_from_frames
from ldml.structure_formats import EXTENDED_XYZ, format_of, structures_in
from ldml.structures import check_structure, matching_crystal

MAX_UNPACKED_BYTES = 2_000_000_000
MAX_NAME = 80
HDF5_SUFFIXES = (".h5", ".hdf5")
ENTROPY_KEY, ENERGY_KEY, LABEL_KEY = "formation_entropy", "formation_energy", "label"
"""What `ldml` calls the labels in a file."""
NO_FIELD = ""
METAL, REDUCED = "eV, Å", "ε, σ"
UNITS_OF = {METAL: UNITS, REDUCED: {"length": "sigma", "energy": "epsilon", "mass": "m", "entropy": "k_B"}}
MARKED, OPEN, FIRST, LAST, BUILT = "marked", "open", "first", "last", "built "
"""Where the perfect crystal comes from: marked in the file, that of the dataset on show, a structure of the file, or built."""
SAME_CELL = 1e-4
"""Å between two cells that are one: files write cells with few digits."""
MOST_TYPES = 10
"""Elements up to neon are taken for the numbers of LAMMPS types."""
_OTHERS = {"entropy": ("S_f", "Sf"), "energy": ("E_f", "Ef")}


@dataclass(frozen=True)
class Field:
    """A number that structures of a file carry: how many do, and its range."""

    name: str
    n: int
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Upload:
    """What a file holds.

    Attributes
    ----------
    name : str
        Of the file.
    kind : str
        Its format.
    dataset : Dataset or None
        Complete, if the file is an ldml dataset.
    frames : tuple of Atoms
        Else its structures, labels in ``info``.
    fields : tuple of Field
        Numbers that the structures carry.
    warnings : tuple of str
    """

    name: str
    kind: str
    dataset: Dataset | None = None
    frames: tuple[Atoms, ...] = ()
    fields: tuple[Field, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def structures(self) -> tuple[Atoms, ...]:
        """The frames that are not marked as perfect crystals."""
        return tuple(frame for frame in self.frames if frame.info.get("role") != BULK_ROLE)

    @property
    def needs_elements(self) -> bool:
        """Whether the file tells types of atoms but no elements."""
        return self.kind.startswith("lammps") and max(self.types, default=MOST_TYPES + 1) <= MOST_TYPES

    @cached_property
    def types(self) -> tuple[int, ...]:
        """The atomic numbers in the file, sorted."""
        return tuple(sorted({int(number) for frame in self.frames for number in np.unique(frame.numbers)}))


@dataclass(frozen=True)
class Meaning:
    """What the user says of the structures of a file.

    Attributes
    ----------
    entropy, energy : str
        Names of the fields with S_f and E_f; empty if there are none.
    units : str
        `METAL` or `REDUCED`.
    crystal : str
        `MARKED`, `OPEN`, `FIRST`, `LAST`, or `BUILT` with the name of a potential.
    elements : tuple of str
        Of LAMMPS types 1, 2, ...; empty if the file tells them.
    """

    entropy: str = NO_FIELD
    energy: str = NO_FIELD
    units: str = METAL
    crystal: str = MARKED
    elements: tuple[str, ...] = field(default_factory=tuple)


def most_bytes() -> int:
    """The largest file that this server takes."""
    return 1_000_000 * limit("LDML_APP_UPLOAD_MB")


def safe_name(name: str) -> str:
    """A file name without anything that a path or a shell could understand.

    Examples
    --------
    >>> safe_name("../../etc/pass wd;$(x).xyz")
    'pass_wd_x_.xyz'
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9.-]+", "_", last).lstrip(".-_")[-MAX_NAME:] or "upload"


def read_upload(progress, path: Path, name: str) -> Upload:
    """Read an uploaded file; a job.

    Parameters
    ----------
    progress : Progress
    path : Path
        Its name tells the format where the content does not.
    name : str
        What the user calls it, for messages.

    Raises
    ------
    InputError
        If it is in no known format, holds nothing or more than fits, or a structure in it makes no sense.
    """
    progress.update(0, 1, f"reading {name}")
    path = Path(path)
    if path.stat().st_size == 0:
        raise InputError(f"{name!r} is empty; give a file with structures")
    if path.stat().st_size > most_bytes():
        raise InputError(
            f"{name!r} has {path.stat().st_size / 1e6:.0f} MB; the limit is {most_bytes() / 1e6:.0f} MB: split it"
        )
    if path.suffix.lower() in HDF5_SUFFIXES and not h5py.is_hdf5(path):
        raise InputError(f"{name!r} is no HDF5 file whatever its name says; is it cut short?")
    try:
        if h5py.is_hdf5(path):
            return _read_hdf5(progress, path, name)
        return _read_structures(progress, path, name)
    except InputError as error:
        # messages of the library speak of the file as it lies here
        raise type(error)(
            str(error).replace(repr(str(path)), repr(name)).replace(repr(path.name), repr(name))
        ) from error


def default_meaning(upload: Upload, opened: Dataset | None) -> Meaning:
    """What a file says by itself, and the first source of its crystals that can be."""
    names = [found.name for found in upload.fields]
    entropy, energy = (
        next((name for name in (key, *_OTHERS[what]) if name in names), NO_FIELD)
        for what, key in (("entropy", ENTROPY_KEY), ("energy", ENERGY_KEY))
    )
    return Meaning(entropy=entropy, energy=energy, crystal=next(iter(crystal_sources(upload, opened).values())))


def crystal_sources(upload: Upload, opened: Dataset | None) -> dict[str, str]:
    """Where the perfect crystals of a file can come from, the surest first: how to say it, and its key."""
    sources = {}
    n_marked = len(upload.frames) - len(upload.structures)
    if n_marked:
        sources[f"marked in the file ({n_marked})"] = MARKED
    if opened is not None and _cells_match(upload.structures, opened.bulks):
        sources[f"that of {opened.name}"] = OPEN
    if all(frame.pbc.all() for frame in upload.structures):
        found = set() if upload.needs_elements else {symbol for a in upload.structures for symbol in _elements(a)}
        for name, kind in POTENTIALS.items():
            if kind.lattice is not None and found <= kind.elements:
                sources[f"built for {name}: {kind.lattice} {'/'.join(sorted(kind.elements))}"] = BUILT + name
    sources["the first structure of the file"] = FIRST
    sources["the last structure of the file"] = LAST
    return sources


def dataset_of(upload: Upload, meaning: Meaning, opened: Dataset | None = None) -> Dataset:
    """The dataset that a file makes.

    Raises
    ------
    InputError
        If there is no crystal of a structure's cell, elements are missing, names repeat, or a label is no number.
    """
    if upload.dataset is not None:
        return upload.dataset
    frames = [with_elements(frame, meaning.elements, upload) for frame in upload.frames]
    structures, crystals = _divided(frames, meaning.crystal, opened)
    if not structures:
        raise InputError(f"{upload.name!r} holds no structures beside its perfect crystal; add some")
    for k, frame in enumerate(structures):
        _say(frame, meaning)
        if "bulk" not in frame.info:
            frame.info["bulk"] = found = _crystal_of(frame, k, crystals, meaning.crystal)
            frame.cell = crystals[found].cell  # the same but for the digits it was written with
    marked = [_marked(crystal, k) for k, crystal in enumerate(crystals)]
    return dataset_from_frames([*marked, *structures], upload.name, {"units": UNITS_OF[meaning.units]})


def preview(upload: Upload) -> list[tuple[str, str]]:
    """What a file holds, as names and values to show before it is opened."""
    frames = upload.structures if upload.dataset is None else upload.dataset.entries
    atoms = [frame if isinstance(frame, Atoms) else frame.atoms for frame in frames]
    sizes = [len(a) for a in atoms]
    cells = Counter(_cell_in_words(a) for a in atoms)
    items = [
        ("format", upload.kind),
        ("structures", f"{len(atoms):,}"),
        ("atoms each", f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"),
        ("elements", _elements_in_words(upload, atoms)),
        ("cells", "; ".join(f"{cell} ({n:,})" for cell, n in cells.most_common(3)) + (" …" if len(cells) > 3 else "")),
    ]
    if upload.dataset is not None:
        data = upload.dataset
        items.append(("classes", _counted(data.labels)))
        items.append(("S_f known", f"{np.isfinite(data.formation_entropy).sum():,}"))
        items.append(("exact S_i", f"{data.has_local.sum():,}"))
        units = data.metadata.get("units", UNITS)
        items.append(("units", f"{units.get('energy', '')}, {units.get('length', '')}"))
        return items
    labels = [str(frame.info[LABEL_KEY]) for frame in upload.structures if LABEL_KEY in frame.info]
    items.append(("classes", _counted(labels) if labels else "by the number of atoms beyond the crystal"))
    told = "; ".join(f"{f.name} ({f.n:,}: {f.low:.4g} to {f.high:.4g})" for f in upload.fields)
    items.append(("numbers found", told or "none"))
    return items


def unlabelled(upload: Upload, meaning: Meaning) -> str:
    """A remark if structures will be without S_f; empty if none will."""
    if upload.dataset is not None:
        n = int((~np.isfinite(upload.dataset.formation_entropy)).sum())
    else:
        known = next((f.n for f in upload.fields if f.name == meaning.entropy), 0)
        n = len(upload.structures) - known
    if n <= 0:
        return ""
    them = "1 structure has no S_f: it" if n == 1 else f"{n:,} structures have no S_f: they"
    return f"{them} can be looked at and predicted, not learned from"


def _read_hdf5(progress, path, name):
    _check_unpacked_size(path)
    try:
        data = load_dataset(path)
    except InputError:
        raise
    except Exception as error:  # whatever a reader may throw at a malformed file
        raise InputError(f"{name!r} is not a dataset: {error}") from error
    if len(data) == 0:
        raise InputError(f"{name!r} holds no structures beside its perfect crystal; add some")
    for i, entry in enumerate(data.entries):
        progress.check()
        progress.update(i, len(data), f"checking {entry.name}")
        check_structure(entry.atoms, name=entry.name)
    return Upload(name, "ldml dataset (HDF5)", dataset=data)


def _read_structures(progress, path, name):
    kind = format_of(path)
    stored = structures_in(path, name=name)
    frames = []
    for k, one in enumerate(stored):
        progress.check()
        progress.update(k, len(stored), one.name)
        frames.append(_with_plain_info(one.read()))
    told = "extended XYZ" if kind in EXTENDED_XYZ else kind
    upload = Upload(name, told, frames=tuple(frames), fields=_fields(frames))
    if not upload.structures:
        raise InputError(f"{name!r} holds no structures beside its perfect crystal; add some")
    return replace(upload, warnings=tuple(_warnings(upload)))


def _with_plain_info(frame):
    """The structure with those remarks that are numbers or words, and with its shares of entropy."""
    plain = Atoms(cell=frame.cell, pbc=frame.pbc)
    plain.arrays.update(numbers=frame.numbers, positions=frame.positions)
    if "local_entropy" in frame.arrays:
        plain.arrays["local_entropy"] = frame.arrays["local_entropy"]
    known = {**({} if frame.calc is None else frame.calc.results), **frame.info}
    plain.info = {str(key): value for key, value in known.items() if isinstance(value, str) or _is_number(value)}
    return plain


def _is_number(value):
    return np.ndim(value) == 0 and isinstance(value, int | float | np.integer | np.floating)


def _fields(frames):
    """Numbers of the structures, apart from what `ldml` itself writes beside labels."""
    values: dict[str, list[float]] = {}
    for frame in frames:
        if frame.info.get("role") == BULK_ROLE:
            continue
        for key, value in frame.info.items():
            if _is_number(value) and key != "bulk" and not key.startswith(QUANTITY_PREFIX) and np.isfinite(value):
                values.setdefault(key, []).append(float(value))
    return tuple(Field(key, len(found), min(found), max(found)) for key, found in sorted(values.items()))


def _warnings(upload):
    names = Counter(str(frame.info["name"]) for frame in upload.structures if "name" in frame.info)
    repeated = [name for name, n in names.items() if n > 1]
    if repeated:
        yield f"{len(repeated):,} names repeat, such as {repeated[0]!r}; rename them in the file before it can be opened"
    if len(upload.frames) == len(upload.structures):
        yield "no frame is marked as the perfect crystal (role=bulk); say below where it comes from"
    if upload.needs_elements:
        yield "the file numbers its types and names no elements; say below which they are"
    if any(not frame.pbc.all() for frame in upload.structures) and any(frame.pbc.all() for frame in upload.structures):
        yield "some structures are periodic and some are not"


def with_elements(frame: Atoms, elements: Sequence[str], upload: Upload) -> Atoms:
    """A copy of a structure of an upload, its LAMMPS types replaced by elements where the file names none.

    Raises
    ------
    InputError
        If elements are needed and there is not one for each type.
    """
    frame = frame.copy()
    if upload.needs_elements:
        types = upload.types
        if len(elements) != len(types) or any(element not in atomic_numbers for element in elements):
            given = ", ".join(elements) or "nothing"
            raise InputError(
                f"{upload.name!r} has {len(types)} types of atoms; give as many elements such as 'Fe, Cr', not {given!r}"
            )
        numbers = np.array([atomic_numbers[element] for element in elements])
        frame.numbers = numbers[np.searchsorted(types, frame.numbers)]
    return frame


def _divided(frames, source, opened):
    """Structures and crystals."""
    structures = [frame for frame in frames if frame.info.get("role") != BULK_ROLE]
    if source == MARKED:
        return structures, [frame for frame in frames if frame.info.get("role") == BULK_ROLE]
    for frame in structures:
        frame.info.pop("bulk", None)  # it speaks of crystals that were not chosen
    if source == OPEN:
        return structures, list(opened.bulks)
    if source == FIRST:
        return structures[1:], structures[:1]
    if source == LAST:
        return structures[:-1], structures[-1:]
    return structures, _built(structures, source.removeprefix(BUILT))


def _built(structures, name):
    """The crystals of a potential in the cells of the structures."""
    potential, crystals = get_potential(name), []
    for k, frame in enumerate(structures):
        if any(_same_cell(frame, crystal) for crystal in crystals):
            continue
        crystal = matching_crystal(frame, potential.lattice_constant, lattice=potential.lattice)
        if crystal is None:
            raise InputError(
                f"structure {k} {_called(frame)}has the cell {_cell_in_words(frame)}, which holds no whole number of "
                f"{potential.lattice} cells of {potential.lattice_constant:.4f} Å ({name}); choose another source of the crystal"
            )
        crystals.append(crystal)
    return crystals


def _crystal_of(frame, k, crystals, source):
    found = next((i for i, crystal in enumerate(crystals) if _same_cell(frame, crystal)), None)
    if found is None and not frame.pbc.all() and crystals:
        return 0  # a cluster has no cell to compare
    if found is None:
        cells = "; ".join(dict.fromkeys(_cell_in_words(crystal) for crystal in crystals)) or "none"
        raise InputError(
            f"structure {k} {_called(frame)}has the cell {_cell_in_words(frame)}, and no perfect crystal has it "
            f"({cells}); choose another source of the crystal, or mark the right one with role=bulk"
        )
    ours, theirs = ("/".join(_elements(a)) for a in (frame, crystals[found]))
    if source != MARKED and ours != theirs:
        raise InputError(
            f"structure {k} {_called(frame)}is of {ours}, its perfect crystal of {theirs}; choose another source of the crystal"
        )
    return found


def _elements_in_words(upload, structures):
    if upload.needs_elements:
        return f"not told; types {', '.join(map(str, upload.types))}"
    return ", ".join(sorted({symbol for atoms in structures for symbol in _elements(atoms)}))


def _elements(atoms):
    return sorted(chemical_symbols[number] for number in np.unique(atoms.numbers))


def _say(frame, meaning):
    """Put the user's fields where `ldml` looks for labels."""
    for key, name in ((ENTROPY_KEY, meaning.entropy), (ENERGY_KEY, meaning.energy)):
        value = frame.info.get(name) if name else None
        frame.info.pop(key, None)
        if value is not None:
            frame.info[key] = value


def _marked(crystal, k):
    marked = Atoms(cell=crystal.cell, pbc=crystal.pbc)
    marked.arrays.update(numbers=crystal.numbers, positions=crystal.positions)
    marked.info = {"role": BULK_ROLE, "bulk": k}
    return marked


def _cells_match(structures: Sequence[Atoms], crystals: Sequence[Atoms]) -> bool:
    return all(any(_same_cell(frame, crystal) for crystal in crystals) for frame in structures)


def _same_cell(one, other):
    same_pbc = np.array_equal(one.pbc, other.pbc)
    return same_pbc and bool(np.abs(one.cell.array - other.cell.array).max() < SAME_CELL)


def _called(frame):
    return f"({frame.info['name']}) " if "name" in frame.info else ""


def _cell_in_words(atoms):
    if not atoms.pbc.any():
        return "free"
    return " × ".join(f"{edge:.3f}" for edge in atoms.cell.lengths())


def _counted(labels) -> str:
    counts: Mapping[str, int] = Counter(str(label) for label in labels)
    return ", ".join(f"{label} ({n:,})" for label, n in sorted(counts.items()))


def _check_unpacked_size(path):
    """A small compressed file can announce arrays that no memory holds."""
    sizes = []
    try:
        with h5py.File(path) as file:
            file.visititems(lambda _, node: sizes.append(node.nbytes) if isinstance(node, h5py.Dataset) else None)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path.name!r} is a damaged HDF5 file: {error}") from error
    if sum(sizes) > MAX_UNPACKED_BYTES:
        raise InputError(
            f"{path.name!r} unpacks to {sum(sizes) / 1e9:.1f} GB; the limit is {MAX_UNPACKED_BYTES / 1e9:.0f} GB: split it"
        )
