"""Settings of a MEAM potential of one element, and their files: the library and the parameter file of LAMMPS.

A library entry is 19 words over any number of lines, comments after #:

    element lattice z ielement atwt alpha b0 b1 b2 b3 alat esub asub t0 t1 t2 t3 rozero ibar

A parameter file has one setting a line, ``rc = 4.0`` or ``Cmin(1,1,1) = 0.5``. What is not set keeps the default of
LAMMPS. A setting that would have no effect on the result or is not known is refused, never passed over.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from ase.data import chemical_symbols

from ldml.errors import InputError


class ReferenceLattice(NamedTuple):
    """Crystal from which the pair potential follows.

    Attributes
    ----------
    n_first, n_second : int
        First and second neighbours; no second where there are none to add.
    ratio : float
        Distance of the second over that of the first.
    second_c, n_screening : float, int
        C of the atoms that screen a second neighbour, and their number.
    shapes : three floats
        sum_m Q_lm² of an atom over a_l², l = 1, 2, 3.
    first_distance : float
        Distance of the first neighbours over the lattice constant of the library.
    """

    n_first: int
    n_second: int
    ratio: float
    second_c: float
    n_screening: int
    shapes: tuple[float, float, float]
    first_distance: float


def _lattice(n_first, n_second, squared_ratio, n_screening, shapes, first_distance, second_c=None):
    # C of an atom at the first distance from both ends
    c = 4.0 / squared_ratio - 1.0 if second_c is None else second_c
    return ReferenceLattice(n_first, n_second, math.sqrt(squared_ratio), c, n_screening, shapes, first_distance)


REFERENCE_LATTICES = {
    "bcc": _lattice(8, 6, 4 / 3, 4, (0.0, 0.0, 0.0), math.sqrt(3) / 2),
    "fcc": _lattice(12, 6, 2.0, 4, (0.0, 0.0, 0.0), 1 / math.sqrt(2)),
    "hcp": _lattice(12, 6, 2.0, 4, (0.0, 0.0, 1 / 3), 1.0),
    "sc": _lattice(6, 12, 2.0, 2, (0.0, 0.0, 0.0), 1.0),
    "dia": _lattice(4, 12, 8 / 3, 1, (0.0, 0.0, 32 / 9), math.sqrt(3) / 4),
    "dia3": _lattice(4, 12, 11 / 3, 4, (0.0, 0.0, 32 / 9), math.sqrt(3) / 4, second_c=1.0),
    "dim": _lattice(1, 0, 1.0, 0, (1.0, 2 / 3, 0.4), 1.0),
    "lin": _lattice(2, 0, 1.0, 0, (0.0, 8 / 3, 0.0), 1.0),
}
"""By the names LAMMPS gives them; dia3 is diamond with interactions of the third neighbours."""

IBAR = (0, 1, 3, 4, -5)
POSITIVE = {
    "alpha": "alpha",
    "neighbour_distance": "re",
    "cohesive_energy": "Ec",
    "density_scale": "rho0",
    "cutoff": "rc",
    "smoothing": "delr",
    "gsmooth_factor": "gsmooth_factor",
}
"""Fields that have to be positive, by their names in the files."""
LIBRARY_COLUMNS = (
    "element", "lattice", "z", "ielement", "atwt", "alpha", "b0", "b1", "b2", "b3", "alat", "esub", "asub",
    "t0", "t1", "t2", "t3", "rozero", "ibar",
)  # fmt: skip


@dataclass(frozen=True)
class MeamParameters:
    """Every number of a MEAM potential of one element; eV and Å, the name in LAMMPS' files in brackets.

    Attributes
    ----------
    element : str
        Name of the entry in the library.
    lattice : str
        Reference crystal, a name in `REFERENCE_LATTICES` [lattce].
    atomic_number : int
        [ielement]
    alpha : float
        Decay of Rose's equation of state.
    beta : four floats
        Decays of the partial densities [b0 to b3].
    neighbour_distance : float
        r_e of the reference crystal [re; from alat].
    cohesive_energy : float
        E_c [esub, Ec].
    embedding : float
        A [asub].
    t : three floats
        Weights of the angular densities [t1 to t3], before `augmented_t1`.
    density_scale : float
        rho_0 [rozero, rho0].
    ibar : {0, 1, 3, 4, -5}
        Kind of the shape function G.
    cutoff, smoothing : float
        r_c [rc] and the width Delta_r over which the interaction is switched off [delr].
    c_min, c_max : float
        Screening [Cmin, Cmax].
    second_neighbours : bool
        Whether they count in the reference crystal [nn2].
    attrac, repuls : float
        Cubic term of Rose's equation outside and inside of r_e.
    rose_form : {0, 1, 2}
        [erose_form]
    nuclear_repulsion : bool
        Whether nuclei repel each other at short distance [zbl].
    augmented_t1 : bool
        Whether 3/5 t3 is added to t1 [augt1].
    linear_below_zero : bool
        Embedding energy of negative densities: linear, or nothing [emb_lin_neg].
    dynamo_background : bool
        Reference density without second neighbours and shape [bkgd_dyn].
    mixed_reference : bool
        Reference density without second neighbours [mixture_ref_t].
    alloy_rule : {0, 1, 2}
        Averaging over species [ialloy]; all three agree for one element.
    gsmooth_factor : float
        Where the square root of ibar 0 and 4 is smoothed.
    """

    element: str
    lattice: str
    atomic_number: int
    alpha: float
    beta: tuple[float, float, float, float]
    neighbour_distance: float
    cohesive_energy: float
    embedding: float
    t: tuple[float, float, float]
    density_scale: float
    ibar: int
    cutoff: float = 4.0
    smoothing: float = 0.1
    c_min: float = 2.0
    c_max: float = 2.8
    second_neighbours: bool = False
    attrac: float = 0.0
    repuls: float = 0.0
    rose_form: int = 0
    nuclear_repulsion: bool = True
    augmented_t1: bool = True
    linear_below_zero: bool = False
    dynamo_background: bool = False
    mixed_reference: bool = False
    alloy_rule: int = 0
    gsmooth_factor: float = 99.0

    def __post_init__(self):
        problem = _first_problem(vars(self))
        if problem:
            raise InputError(f"MEAM parameters of {self.element}: {problem[1]}")


class _Setting(NamedTuple):
    """A keyword of the parameter file: the field it sets, how many indices it takes, and what its value is."""

    field: str
    n_indices: int
    kind: str = "number"


SETTINGS = {
    "rc": _Setting("cutoff", 0),
    "delr": _Setting("smoothing", 0),
    "augt1": _Setting("augmented_t1", 0, "flag"),
    "gsmooth_factor": _Setting("gsmooth_factor", 0),
    "ialloy": _Setting("alloy_rule", 0, "integer"),
    "mixture_ref_t": _Setting("mixed_reference", 0, "flag"),
    "erose_form": _Setting("rose_form", 0, "integer"),
    "emb_lin_neg": _Setting("linear_below_zero", 0, "flag"),
    "bkgd_dyn": _Setting("dynamo_background", 0, "flag"),
    "rho0": _Setting("density_scale", 1),
    "Ec": _Setting("cohesive_energy", 2),
    "alpha": _Setting("alpha", 2),
    "re": _Setting("neighbour_distance", 2),
    "attrac": _Setting("attrac", 2),
    "repuls": _Setting("repuls", 2),
    "nn2": _Setting("second_neighbours", 2, "flag"),
    "zbl": _Setting("nuclear_repulsion", 2, "flag"),
    "lattce": _Setting("lattice", 2, "lattice"),
    "Cmin": _Setting("c_min", 3),
    "Cmax": _Setting("c_max", 3),
}
"""`delta` and `theta` act only on alloys and on reference structures that are not known here."""


def read_meam_files(library: str | Path, parameters: str | Path | None, element: str) -> tuple[MeamParameters, str]:
    """Settings of `element` from a library and a parameter file (None for the defaults), and their citation.

    Raises
    ------
    InputError
        With file and line, if a file cannot be read, is not of this format, or sets something not supported.
    """
    library = Path(library)
    values, places = _read_library(library, element)
    sources = [library]
    if parameters is not None:
        changed, where = _read_parameters(Path(parameters))
        values |= changed
        places |= where
        sources.insert(0, Path(parameters))
    problem = _first_problem(values)
    if problem:
        name, message = problem
        raise InputError(f"{places.get(name, sources[0])}: {message}")
    return MeamParameters(**values), _citation(sources)


def _read_library(path, element):
    """Fields of the first entry of this name, and where each stands."""
    entries = {}
    for words in _entries(path):
        # as LAMMPS does, the first of several entries of one name
        entries.setdefault(words[0].text, words)
    if element not in entries:
        known = ", ".join(sorted(entries))
        raise InputError(f"{path} has no element {element!r}; it has {known or 'none'}")
    entry = dict(zip(LIBRARY_COLUMNS, entries[element], strict=True))
    lattice = entry["lattice"].lattice()
    numbers = {name: word.number() for name, word in entry.items() if name not in ("element", "lattice")}
    if numbers["t0"] != 1.0:
        raise InputError(f"{entry['t0'].place}: t0 = {numbers['t0']:g} is not supported; it must be 1")
    if numbers["z"] != REFERENCE_LATTICES[lattice].n_first:
        raise InputError(
            f"{entry['z'].place}: z = {numbers['z']:g} is not the number of neighbours in {lattice}, "
            f"{REFERENCE_LATTICES[lattice].n_first}"
        )
    values = {
        "element": element,
        "lattice": lattice,
        "atomic_number": entry["ielement"].integer(),
        "alpha": numbers["alpha"],
        "beta": tuple(numbers[name] for name in ("b0", "b1", "b2", "b3")),
        "neighbour_distance": numbers["alat"] * REFERENCE_LATTICES[lattice].first_distance,
        "cohesive_energy": numbers["esub"],
        "embedding": numbers["asub"],
        "t": tuple(numbers[name] for name in ("t1", "t2", "t3")),
        "density_scale": numbers["rozero"],
        "ibar": entry["ibar"].integer(),
    }
    column = {
        "atomic_number": "ielement", "alpha": "alpha", "beta": "b0", "neighbour_distance": "alat",
        "cohesive_energy": "esub", "embedding": "asub", "t": "t1", "density_scale": "rozero", "ibar": "ibar",
        "lattice": "lattice",
    }  # fmt: skip
    return values, {name: entry[word].place for name, word in column.items()}


class _Word(NamedTuple):
    """A word of a file, what it is and where it stands."""

    text: str
    name: str
    place: str

    def number(self) -> float:
        try:
            value = float(self.text)
        except ValueError:
            raise InputError(f"{self.place}: {self.name} = {self.text!r} is not a number") from None
        if not math.isfinite(value):
            raise InputError(f"{self.place}: {self.name} = {self.text} is not finite")
        return value

    def integer(self) -> int:
        try:
            return int(self.text)
        except ValueError:
            raise InputError(
                f"{self.place}: {self.name} = {self.text!r} is not a whole number (write -5, not -5.0)"
            ) from None

    def flag(self) -> bool:
        value = self.integer()
        if value not in (0, 1):
            raise InputError(f"{self.place}: {self.name} = {value} is neither 0 nor 1")
        return bool(value)

    def lattice(self) -> str:
        if self.text not in REFERENCE_LATTICES:
            known = ", ".join(REFERENCE_LATTICES)
            raise InputError(f"{self.place}: {self.name} = {self.text!r} is not supported; known: {known}")
        return self.text


def _entries(path):
    """The words of each entry of a library."""
    words = []
    for number, line in enumerate(_lines(path), start=1):
        for text in re.sub("['\"]", " ", line.split("#")[0]).split():
            name = LIBRARY_COLUMNS[min(len(words), len(LIBRARY_COLUMNS) - 1)]
            words.append(_Word(text, name, f"{path}, line {number}"))
        if len(words) == len(LIBRARY_COLUMNS):
            yield words
            words = []
        elif len(words) > len(LIBRARY_COLUMNS):
            raise InputError(_wrong_count(words))
    if words:
        raise InputError(_wrong_count(words))


def _wrong_count(words):
    return (
        f"{words[0].place}: the entry {words[0].text!r} has {len(words)} words up to where it ends instead of "
        f"{len(LIBRARY_COLUMNS)}; a word is missing or too many, or the file is cut short"
    )


def _read_parameters(path):
    """Fields that a parameter file sets, and where."""
    values, places = {}, {}
    for number, line in enumerate(_lines(path), start=1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        place = f"{path}, line {number}"
        match = re.fullmatch(r"(\w+)\s*(?:\(([\d\s,]*)\))?\s*=\s*'?([^\s']+)'?", text)
        if match is None:
            raise InputError(f"{place}: {text!r} is not of the form `name = value` or `name(1,1) = value`")
        keyword, indices, value = match.groups()
        if keyword not in SETTINGS:
            raise InputError(f"{place}: {keyword} is not supported; known: {', '.join(SETTINGS)}")
        setting = SETTINGS[keyword]
        _check_indices(keyword, indices, setting.n_indices, place)
        if setting.field in values:
            raise InputError(f"{place}: {keyword} is set a second time, after {places[setting.field]}; keep one")
        values[setting.field] = getattr(_Word(value, keyword, place), setting.kind)()
        places[setting.field] = place
    return values, places


def _check_indices(keyword, indices, n_indices, place):
    given = [] if indices is None else indices.replace(",", " ").split()
    if len(given) != n_indices:
        form = f"{keyword}({','.join('1' * n_indices)})" if n_indices else keyword
        raise InputError(f"{place}: {keyword} has {len(given)} indices instead of {n_indices}; write {form} = value")
    if any(index != "1" for index in given):
        raise InputError(
            f"{place}: {keyword}({','.join(given)}) is about another element than the first; only potentials of one "
            f"element can be read"
        )


def _first_problem(values):
    """The first field whose value cannot be used, and why; None if all can. Fields left out keep their default."""
    v = {field.name: field.default for field in fields(MeamParameters)} | values
    for name, keyword in POSITIVE.items():
        if not v[name] > 0.0:
            return name, f"{keyword} = {v[name]} is not positive"
    if not 1 <= v["atomic_number"] < len(chemical_symbols):
        return "atomic_number", f"ielement = {v['atomic_number']} is not an atomic number"
    if v["lattice"] not in REFERENCE_LATTICES:
        return "lattice", f"lattce = {v['lattice']!r} is not supported; known: {', '.join(REFERENCE_LATTICES)}"
    if v["ibar"] not in IBAR:
        return "ibar", f"ibar = {v['ibar']} is not supported; known: {', '.join(map(str, IBAR))}"
    if v["rose_form"] not in (0, 1, 2):
        return "rose_form", f"erose_form = {v['rose_form']} is not supported; known: 0, 1, 2"
    if v["alloy_rule"] not in (0, 1, 2):
        return "alloy_rule", f"ialloy = {v['alloy_rule']} is not supported; known: 0, 1, 2"
    if not v["smoothing"] < v["cutoff"]:
        return "smoothing", f"delr = {v['smoothing']} must be smaller than rc = {v['cutoff']}"
    if not v["c_max"] > max(v["c_min"], 1.0):
        return "c_max", f"Cmax = {v['c_max']} must be above 1 and above Cmin = {v['c_min']}"
    if v["mixed_reference"] and v["ibar"] > 0 and v["alloy_rule"] == 1:
        return "mixed_reference", "mixture_ref_t = 1 is not supported together with ialloy = 1 and ibar > 0"
    return None


def _lines(path):
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _citation(sources):
    """What the first lines of the files say after CITATION:, or else their names."""
    for path in sources:
        match = re.search(r"CITATION:\s*(.+)", next(iter(_lines(path)), ""))
        if match and match[1].strip().lower() != "unknown":
            return match[1].strip()
    return "MEAM parameters from " + " and ".join(path.name for path in sources)
