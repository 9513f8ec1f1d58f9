"""EAM potentials from the tables LAMMPS reads: `eam/fs` and `eam/alloy` (DYNAMO setfl) files, one element at a time.

    E = sum_i F(rho_i) + 1/2 sum_ij V(r_ij),    rho_i = sum_j f(r_ij);    the file holds F(rho), f(r) and r V(r)

A file is three lines of comment; the number of elements and their names; N_rho, d_rho, N_r, d_r, cutoff; then for each
element a line (atomic number, mass, lattice constant, lattice), N_rho values of F and N_r values of f (`eam/fs`: of f for
each element that may sit in the middle), and last N_r values of r V (eV Å) for each pair of elements, the lower triangle row
by row.

The values are rounded, and an entropy needs their second derivatives: they are refitted (see `smooth_table`), joins of
the published functions kept. An embedding function that begins like sqrt(rho) is split into c sqrt(rho) and a smooth rest,
for no polynomial follows a vertical tangent. `EamTable.report` says how noisy the table was and what is left.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from math import comb, sqrt
from pathlib import Path

import numpy as np
from numba import njit
from scipy.integrate import trapezoid

from ldml.errors import InputError
from ldml.potentials.crystal import equilibrium_lattice_constant
from ldml.potentials.eam import FinnisSinclair
from ldml.potentials.smooth_table import (
    FIT_SETTINGS,
    SmoothFunction,
    TableNoise,
    rounding_noise,
    smooth_table,
    tabulate,
)

STYLES = ("fs", "alloy")
CUBIC_LATTICES = ("bcc", "fcc", "diamond", "sc")
ATOMS_PER_CUBE = {"sc": 1.0, "bcc": 2.0, "fcc": 4.0, "diamond": 8.0, "hcp": sqrt(2.0)}
LATTICE_NAMES = {"dia": "diamond", "diam": "diamond", "dc": "diamond"}
SHORTEST_DISTANCE = 0.5
"""Å; structures with shorter ones are refused, and tables are often cut off there."""
REPORTED_FROM = 0.7
"""Noise below this fraction of the distance of neighbours is left out of the report: no relaxed structure has them."""
LARGEST_STIFFNESS_ERROR = 1e-4
"""eV/Å². In iron 2e-3 in V'' moves the formation entropy of a dumbbell in 1024 atoms by 0.5 k_B."""
LARGEST_FILE = 200_000_000
"""Bytes; the largest tables in use have a few million."""
MOST_ROOT_POINTS = 30
"""Values from which a square root at the start of F is recognised."""


class CoarseTableWarning(UserWarning):
    """A table whose second derivatives are too uncertain for entropies."""


@dataclass(frozen=True)
class EamTableFile:
    """What a setfl file says about one element.

    Attributes
    ----------
    path : Path
    digest : str
        SHA-256 of the file.
    style : {"fs", "alloy"}
    comments : tuple of three str
    elements : tuple of str
        All elements of the file.
    element : str
        The chosen one.
    mass : float, amu
    lattice : str
        As printed, in small letters.
    lattice_constant : float, Å
    cutoff, spacing : float, Å
    density_spacing : float
    embedding : (N_rho,) float, eV
    density : (N_r,) float
    pair : (N_r,) float, eV Å
        r V(r).
    """

    path: Path
    digest: str
    style: str
    comments: tuple[str, str, str]
    elements: tuple[str, ...]
    element: str
    mass: float
    lattice: str
    lattice_constant: float
    cutoff: float
    spacing: float
    density_spacing: float
    embedding: np.ndarray
    density: np.ndarray
    pair: np.ndarray


@dataclass(frozen=True)
class TableReport:
    """How far a table can be trusted twice differentiated.

    Attributes
    ----------
    pair : TableNoise
        Of r V(r): values in eV Å, second derivative in eV/Å, from 0.7 of the distance of neighbours on.
    density : TableNoise
        Of f(r): second derivative per Å², from 0.7 of the distance of neighbours on.
    embedding : TableNoise
        Of F(rho) less its square root: values in eV, from 0.3 to 2 times the density of the crystal.
    root : float, eV
        c of the part c sqrt(rho) of F; 0 where F does not begin so.
    table_noise, fitted_noise, missed : float, eV/Å²
        Root mean square error of the stiffness V'' + 2 F' f'' + F'' f'^2 of a bond, near the density of the crystal and the
        distance of its neighbours: by the noise of the table at its own spacing; by the noise left in the refitted
        functions; and by what these miss where the table is too coarse.
    jump_at_cutoff : float, eV
        V at the cutoff: by so much the energy jumps when a pair crosses it.
    density_jump_at_cutoff : float
        The same of f.
    """

    pair: TableNoise
    density: TableNoise
    embedding: TableNoise
    root: float
    table_noise: float
    fitted_noise: float
    missed: float
    jump_at_cutoff: float
    density_jump_at_cutoff: float

    @property
    def curvature_jumps(self) -> tuple[tuple[float, float], ...]:
        """(r, jump) of each place where V'' jumps, in Å and eV/Å²: kept as published, not smoothed away."""
        return tuple((j.position, j.jump / j.position) for j in self.pair.joins if j.order == 2)


class EamTable(FinnisSinclair):
    """One element of a LAMMPS `eam/fs` or `eam/alloy` file, refitted to smooth functions; make it with `from_file`.

    Attributes
    ----------
    report : TableReport
    table : EamTableFile
    """

    def __init__(self, table: EamTableFile):
        self.table = table
        self.elements = frozenset({table.element})
        self.name = f"{table.path.name} ({table.element})"
        self.citation = _citation(table.comments)
        self._pair, self._density, self._embedding, self._root = _refit(table)
        self.cutoff = max(_upper(self._pair), _upper(self._density))
        self.density_cutoff = _upper(self._density)
        self.hessian_range = max(self.cutoff, 2.0 * self.density_cutoff)
        lattice = LATTICE_NAMES.get(table.lattice, table.lattice)
        self.lattice = lattice if lattice in CUBIC_LATTICES else None
        self.report = _report(table, self._pair, self._density, self._embedding, self._root)
        _warn(self.name, self.report)

    @classmethod
    def from_file(cls, path, element: str | None = None, *, style: str | None = None) -> EamTable:
        """Read a file.

        Parameters
        ----------
        path : path of the file
        element : str, optional
            Needed where the file holds several.
        style : {"fs", "alloy"}, optional
            Told apart by the number of values unless given.

        Raises
        ------
        InputError
            If the file cannot be read as what it claims to be; the message names the line.

        Warns
        -----
        CoarseTableWarning
            If second derivatives stay too uncertain for entropies.
        """
        return cls(read_eam_table(path, element, style=style))

    @cached_property
    def lattice_constant(self) -> float | None:
        """Of the lattice named in the file at zero pressure, Å, near the constant named there; None if not cubic."""
        if self.lattice is None:
            return None
        return equilibrium_lattice_constant(self, self.table.element, self.lattice, self.table.lattice_constant)

    def pair_functions(self, r):
        r = np.ascontiguousarray(r, dtype=np.float64)
        table = np.empty((len(r), 6))
        tabulate(r, *self._pair.arrays(), table, 0)
        tabulate(r, *self._density.arrays(), table, 3)
        _divide_by_distance(r, table)
        return table

    def embedding_functions(self, rho):
        return _embedding_functions(rho, self._embedding, self._root)

    def parameters(self):
        return {
            "file_sha256": self.table.digest,
            "element": self.table.element,
            "style": self.table.style,
            "fit": FIT_SETTINGS,
        }


def read_eam_table(path, element: str | None = None, *, style: str | None = None) -> EamTableFile:
    """Read one element of a LAMMPS `eam/fs` or `eam/alloy` file; parameters and errors as in `EamTable.from_file`."""
    path = Path(path)
    if style is not None and style not in STYLES:
        raise InputError(f"style {style!r} is unknown; choose 'fs' or 'alloy', or leave it out")
    lines = _read_lines(path)
    names = _element_names(path, lines[3])
    chosen = _choose_element(path, names, element)
    n_rho, density_spacing, n_r, spacing, cutoff = _grid(path, lines[4])
    values = _Values(path, lines)
    style = _style(path, values.count, len(names), n_rho, n_r, style)
    headers, embeddings, densities = [], [], []
    own = names.index(chosen)
    for _ in names:
        headers.append(values.header())
        embeddings.append(values.take(n_rho))
        columns = [values.take(n_r) for _ in range(len(names) if style == "fs" else 1)]
        densities.append(columns[own] if style == "fs" else columns[0])
    pairs = [values.take(n_r) for _ in range(own * (own + 1) // 2 + own + 1)]
    mass, lattice_constant, lattice = headers[own]
    return EamTableFile(
        path=path,
        digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        style=style,
        comments=tuple(lines[:3]),
        elements=names,
        element=chosen,
        mass=mass,
        lattice=lattice,
        lattice_constant=lattice_constant,
        cutoff=cutoff,
        spacing=spacing,
        density_spacing=density_spacing,
        embedding=embeddings[own],
        density=densities[own],
        pair=pairs[-1],
    )


class _Values:
    """The numbers after the fifth line, taken in order; each knows its line."""

    def __init__(self, path, lines):
        self.path = path
        self.tokens, self.line_of = [], []
        for number, line in enumerate(lines[5:], start=6):
            found = line.split()
            self.tokens += found
            self.line_of += [number] * len(found)
        self.count = len(self.tokens)
        self.at = 0

    def take(self, n):
        tokens = self.tokens[self.at : self.at + n]
        try:
            values = np.array(tokens, dtype=np.float64)
        except ValueError:
            values = np.array([self._number(self.at + k) for k in range(n)])
        if not np.isfinite(values).all():
            k = self.at + int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"{self._where(k)}: value {self.tokens[k]!r} is not finite; the file is damaged, fetch it anew"
            )
        self.at += n
        return values

    def header(self):
        """Mass (amu), lattice constant (Å) and lattice of the next element."""
        _, mass, constant = (self._number(self.at + k) for k in range(3))
        lattice = self.tokens[self.at + 3].lower()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", lattice):
            raise InputError(
                f"{self._where(self.at + 3)}: {lattice!r} stands where the lattice of an element belongs "
                f"(as in '26 55.845 2.8553 bcc'); the counts in line 5 do not fit the values"
            )
        self.at += 4
        return mass, constant, lattice

    def _number(self, k):
        try:
            return float(self.tokens[k])
        except ValueError:
            raise InputError(
                f"{self._where(k)}: {self.tokens[k]!r} is not a number; the file is damaged or the counts in line 5 do not fit it"
            ) from None

    def _where(self, k):
        return f"{self.path.name}, line {self.line_of[k]}"


def _read_lines(path):
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{path.name} has {size / 1e6:.0f} MB, more than any potential table; is it the right file?"
            )
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the path of an eam/fs or eam/alloy file"
        ) from None
    if len(lines) < 6:
        raise InputError(
            f"{path.name} ends at line {len(lines)}; an eam/fs or eam/alloy file has five lines of header and then its values"
        )
    return lines


def _element_names(path, line):
    fields = line.split()
    if not fields or not fields[0].isdecimal() or not 1 <= int(fields[0]) <= 100:
        raise InputError(
            f"{path.name}, line 4: {line.strip()[:60]!r} does not begin with a number of elements; "
            f"is this an eam/fs or eam/alloy file (not the one-element 'eam' funcfl format)?"
        )
    names = tuple(fields[1:])
    if len(names) != int(fields[0]):
        raise InputError(
            f"{path.name}, line 4: {fields[0]} elements are announced but {len(names)} named ({' '.join(names)}); correct the line"
        )
    return names


def _choose_element(path, names, element):
    if element is None:
        if len(names) > 1:
            raise InputError(f"{path.name} holds {', '.join(names)}; choose one with element=")
        return names[0]
    if element not in names:
        raise InputError(f"{path.name}, line 4: element {element!r} is not in the file, which holds {', '.join(names)}")
    return element


def _grid(path, line):
    fields = line.split()
    try:
        n_rho, n_r = int(fields[0]), int(fields[2])
        density_spacing, spacing, cutoff = float(fields[1]), float(fields[3]), float(fields[4])
        sound = min(n_rho, n_r) > 0 and min(density_spacing, spacing, cutoff) > 0
        sound = sound and bool(np.isfinite([density_spacing, spacing, cutoff]).all())
    except (ValueError, IndexError):
        sound = False
    if not sound:
        raise InputError(
            f"{path.name}, line 5: {line.strip()[:80]!r} is not 'N_rho d_rho N_r d_r cutoff' with positive numbers"
        )
    return n_rho, density_spacing, n_r, spacing, cutoff


def _style(path, count, n, n_rho, n_r, wanted):
    """The style whose number of values the file has; checked before anything of that size is made."""
    pairs = n * (n + 1) // 2 * n_r
    needed = {"alloy": n * (4 + n_rho + n_r) + pairs, "fs": n * (4 + n_rho + n * n_r) + pairs}
    fitting = [style for style in STYLES if needed[style] == count]
    if wanted in fitting or (wanted is None and fitting):
        return wanted or fitting[0]
    if fitting:
        raise InputError(
            f"{path.name} has the {count} values of an eam/{fitting[0]} file, not the {needed[wanted]} of eam/{wanted}; "
            f"leave style out or say {fitting[0]!r}"
        )
    tried = (wanted,) if wanted else STYLES
    expected = " or ".join(f"{needed[style]} (eam/{style})" for style in tried)
    state = "is cut short" if count < min(needed[style] for style in tried) else "does not fit its header"
    raise InputError(
        f"{path.name} {state}: line 5 (N_rho = {n_rho}, N_r = {n_r}) and {n} element{'s' if n > 1 else ''} call for "
        f"{expected} entries after it, but there are {count}; fetch the file anew"
    )


def _citation(comments):
    text = " ".join(line.strip(" #") for line in comments).strip()
    match = re.search(r"CITATION:\s*(.+?)(?=\s+[A-Z]+:|$)", comments[0])
    if match and match[1].strip().lower() != "unknown":
        return match[1].strip()
    return text or "unknown: the comment lines of the file are empty"


def _refit(table: EamTableFile):
    r = table.spacing * np.arange(len(table.pair))
    start = int(np.ceil(SHORTEST_DISTANCE / table.spacing - 1e-9))
    # values of r V may be products of r and a rounded V
    noise = np.zeros(len(r))
    noise[start:] = rounding_noise(table.pair[start:], r[start:])
    radial = {"start": start, "end": table.cutoff, "report_range": (REPORTED_FROM * _neighbour_distance(table), np.inf)}
    pair = _named(table, "r V(r)", lambda: smooth_table(table.pair, table.spacing, noise=noise, **radial))
    density = _named(table, "f(r)", lambda: smooth_table(table.density, table.spacing, **radial))
    rho = table.density_spacing * np.arange(len(table.embedding))
    root = _square_root_part(table.embedding, rho)
    rest = table.embedding - root * np.sqrt(rho)
    typical = _typical_density(table, density)
    around = {"report_range": (0.3 * typical, 2.0 * typical)}
    embedding = _named(table, "F(rho)", lambda: smooth_table(rest, table.density_spacing, **around))
    return pair, density, embedding, root


def _named(table, function, fit):
    try:
        return fit()
    except (InputError, np.linalg.LinAlgError) as error:
        raise InputError(f"{table.path.name}: {function} of {table.element} cannot be fitted: {error}") from None


def _square_root_part(values, rho):
    """c such that values - c sqrt(rho) is smooth at zero; 0 if there is no such c."""
    differences, of_root = (np.diff(x[:MOST_ROOT_POINTS], 6) for x in (values, np.sqrt(rho)))
    root = float(differences @ of_root / (of_root @ of_root))
    left, whole = np.abs(differences - root * of_root).max(), np.abs(differences).max()
    noise = np.median(rounding_noise(values[10:200])) * np.sqrt(comb(12, 6))
    return root if left < 0.02 * whole and whole > 1e3 * noise else 0.0


def _typical_density(table, density):
    """Density of the crystal named in the header: f averaged over uniformly spread neighbours."""
    distance = _neighbour_distance(table)
    r = np.linspace(0.8 * distance, max(_upper(density), distance), 2001)
    return float(trapezoid(4.0 * np.pi * r**2 * density(r)[:, 0], r)) / _atomic_volume(table)


def _atomic_volume(table):
    return table.lattice_constant**3 / ATOMS_PER_CUBE.get(table.lattice, 4.0)


def _neighbour_distance(table):
    """1.09 (bcc) to 1.12 (fcc) times the cube root of the volume of an atom."""
    return 1.1 * _atomic_volume(table) ** (1.0 / 3.0)


def _upper(function: SmoothFunction) -> float:
    return float(function.breakpoints[-1])


def _report(table, pair, density, embedding, root):
    noise = [f.noise for f in (pair, density, embedding)]
    factors = _stiffness_factors(table, density, embedding, root)
    last = np.nextafter([_upper(pair), _upper(density)], 0.0)
    return TableReport(
        pair=pair.noise,
        density=density.noise,
        embedding=embedding.noise,
        root=root,
        table_noise=_norm(factors, [n.table_curvature for n in noise]),
        fitted_noise=_norm(factors, [n.fitted_curvature for n in noise]),
        missed=_norm(factors, [n.missed_curvature for n in noise]),
        jump_at_cutoff=float(pair(last[:1])[0, 0] / last[0]) if pair.end_order == 0 else 0.0,
        density_jump_at_cutoff=float(density(last[1:])[0, 0]) if density.end_order == 0 else 0.0,
    )


def _embedding_functions(rho, smooth, root):
    rho = np.ascontiguousarray(rho, dtype=np.float64)
    table = smooth(rho)
    if root != 0.0:
        _add_square_root(rho, root, table)
    return table


def _norm(factors, curvatures):
    return float(np.linalg.norm(np.multiply(factors, curvatures)))


def _stiffness_factors(table, density, embedding, root):
    """By how much (r V)'', f'' and F'' enter the stiffness of a bond between neighbours."""
    r, rho = _neighbour_distance(table), _typical_density(table, density)
    slope = _embedding_functions([rho], embedding, root)[0, 1]
    return 1.0 / r, 2.0 * slope, density(np.array([r]))[0, 1] ** 2


def _warn(name, report):
    consequences = []
    if report.fitted_noise > LARGEST_STIFFNESS_ERROR:
        consequences.append(
            f"its values are so noisy that the stiffness of a bond is uncertain by {report.fitted_noise:.1g} eV/Å² "
            f"even after refitting"
        )
    if report.missed > LARGEST_STIFFNESS_ERROR:
        consequences.append(
            f"it is so coarse (spacing {report.pair.spacing:.2g} Å) that the stiffness of a bond is uncertain by "
            f"{report.missed:.1g} eV/Å²"
        )
    if consequences:
        consequences.append("2e-3 eV/Å² in iron moves the formation entropy of a dumbbell by 0.5 k_B")
    for what, jump in (("V", report.jump_at_cutoff), ("f", report.density_jump_at_cutoff)):
        if abs(jump) > 1e-6:
            consequences.append(
                f"{what} ends at {jump:.1g} instead of zero, so that energies jump when a neighbour crosses the cutoff"
            )
    if consequences:
        warnings.warn(f"{name}: {'; '.join(consequences)}", CoarseTableWarning, stacklevel=4)


@njit(cache=True)
def _divide_by_distance(r, table):
    """r V, (r V)' and (r V)'' in the first three columns become V, V' and V''."""
    for k in range(r.shape[0]):
        value = table[k, 0] / r[k]
        slope = (table[k, 1] - value) / r[k]
        table[k, 0] = value
        table[k, 1] = slope
        table[k, 2] = (table[k, 2] - 2.0 * slope) / r[k]


@njit(cache=True)
def _add_square_root(rho, root, table):
    """Add c sqrt(rho); an atom without neighbours has no slope where the tangent is vertical."""
    for k in range(rho.shape[0]):
        if rho[k] > 0.0:
            s = sqrt(rho[k])
            table[k, 0] += root * s
            table[k, 1] += 0.5 * root / s
            table[k, 2] -= 0.25 * root / (s * rho[k])
        else:
            table[k, 1] = 0.0
            table[k, 2] = 0.0
