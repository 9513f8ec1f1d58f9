"""Potentials from files: which reader a file wants, and the short notation for files on the command line.

    FILE[:ELEMENT]                      an EAM table of LAMMPS (eam/fs or eam/alloy)
    LIBRARY,PARAMETERS:ELEMENT          a MEAM potential of LAMMPS, from its pair of files; LIBRARY:ELEMENT for the defaults

The kind of a file is read off its first lines; its name decides nothing but the flavour of an EAM table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ldml.errors import InputError
from ldml.potentials.base import Potential

KNOWN = "EAM tables (.eam.fs, .eam.alloy) and MEAM libraries with their parameter file"
ELSEWHERE = "anything that LAMMPS reads can be had with ldml.potentials.lammps.Lammps"
EAM_STYLES = {".fs": "fs", ".alloy": "alloy"}
OTHER_STYLES = {".adp": "adp", ".cdeam": "eam/cd", ".he": "eam/he"}
"""Kinds of table that begin like an EAM table and hold something else."""
HEAD = 4096
"""Bytes looked at to tell the kind of a file."""


@dataclass(frozen=True)
class PotentialFiles:
    """What the short notation names.

    Attributes
    ----------
    path : str
        The EAM table or the MEAM library.
    parameters : str or None
        The MEAM parameter file.
    element : str or None
    """

    path: str
    parameters: str | None = None
    element: str | None = None


def parse_potential_files(text: str) -> PotentialFiles:
    """Read ``FILE[:ELEMENT]`` or ``LIBRARY,PARAMETERS:ELEMENT``; nothing is opened.

    Raises
    ------
    InputError
        If a part is empty or there are more than two files.
    """
    files, element = text.strip(), None
    # an element has no separators, so that the colon of C:\\potentials\\Fe.eam.fs is left alone
    match = re.fullmatch(r"(.*):\s*([A-Za-z][A-Za-z0-9]*)", files)
    if match:
        files, element = match.groups()
    elif files.endswith(":"):
        raise InputError(f"{text!r} names no element after its colon; write FILE:Fe, or leave the colon out")
    paths = [part.strip() for part in files.split(",")]
    if len(paths) > 2 or not all(paths):
        raise InputError(f"{text!r} is not of the form FILE[:ELEMENT] or LIBRARY,PARAMETERS:ELEMENT")
    return PotentialFiles(paths[0], paths[1] if len(paths) == 2 else None, element)


def potential_from_argument(text: str) -> Potential:
    """The potential that an argument names: a registered one, or files in the short notation.

    Raises
    ------
    InputError
        If it is neither; for a misspelt name the message suggests the nearest.
    """
    from ldml.potentials import POTENTIALS, get_potential

    if text in POTENTIALS:
        return get_potential(text)
    files = parse_potential_files(text)
    looks_like_a_file = Path(files.path).exists() or files.parameters or re.search(r"[/\\:]|\.[a-z]", text)
    if not looks_like_a_file:
        return get_potential(text)
    return potential_from_file(files.path, element=files.element, parameters=files.parameters)


def potential_from_file(
    path: str | Path, *, element: str | None = None, parameters: str | Path | None = None
) -> Potential:
    """Read a potential, whatever of the known kinds the file is.

    Parameters
    ----------
    path : path
        An EAM table or a MEAM library.
    element : str, optional
        Needed where the file holds several, and for MEAM.
    parameters : path, optional
        The parameter file that goes with a MEAM library.

    Raises
    ------
    InputError
        If the file cannot be read or is of no known kind; the message shows its first line.
    """
    path = Path(path).expanduser()
    lines = _first_lines(path)
    if _is_meam_library(lines):
        from ldml.potentials.meam import Meam

        if element is None:
            raise InputError(f"{path} is a MEAM library; say which element to take from it, as in {path.name}:Fe")
        return Meam.from_files(path, None if parameters is None else Path(parameters).expanduser(), element)
    if _is_eam_table(lines):
        from ldml.potentials.eam_tables import EamTable

        other = OTHER_STYLES.get(path.suffix.lower())
        if other is not None:
            raise InputError(f"{path} is a table for pair style {other}; {ELSEWHERE}, known here are {KNOWN}")
        if parameters is not None:
            raise InputError(f"{path} is an EAM table, which needs no parameter file; leave {parameters} out")
        return EamTable.from_file(path, element, style=EAM_STYLES.get(path.suffix.lower()))
    raise InputError(_unknown_kind(path, lines))


def _first_lines(path):
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise InputError(f"the potential file {path} cannot be read: {error.strerror or error}") from None
    return head.decode("utf-8", errors="replace").splitlines()


def _is_eam_table(lines):
    """Three comments, the elements, then N_rho, d rho, N_r, dr and the cutoff."""
    if len(lines) < 5:
        return False
    elements, grid = lines[3].split(), lines[4].split()
    counted = bool(elements) and elements[0].isdigit() and int(elements[0]) == len(elements) - 1
    return counted and len(grid) >= 5 and grid[0].isdigit() and grid[2].isdigit() and all(map(_is_number, grid[:5]))


def _is_meam_library(lines):
    """After comments an entry: name, lattice, number of neighbours, atomic number, mass."""
    words = next((line.split("#")[0].split() for line in lines if line.split("#")[0].strip()), [])
    return (
        len(words) >= 5
        and re.fullmatch(r"'[^']+'|\"[^\"]+\"", words[0]) is not None
        and re.fullmatch(r"['\"]?[a-z][a-z0-9]*['\"]?", words[1]) is not None
        and all(map(_is_number, words[2:5]))
    )


def _is_number(word):
    try:
        float(word.replace("d", "e").replace("D", "e"))
    except ValueError:
        return False
    return True


def _unknown_kind(path, lines):
    first = next((line.strip() for line in lines if line.strip()), "")
    shown = f"begins with {first[:60]!r}" if first.isprintable() and first else "holds no text"
    if any(
        re.match(r"\s*(rc|delr|Cmin|Cmax|ialloy|nn2|augt1|erose_form|zbl|attrac|repuls)\b.*=", line) for line in lines
    ):
        hint = (
            "it looks like the parameter file of a MEAM potential, which goes after its library: LIBRARY,PARAMETERS:Fe"
        )
    else:
        hint = f"known are {KNOWN}; {ELSEWHERE}"
    return f"{path} is no potential of a known kind: it {shown}; {hint}"
