"""What every verb shares: errors in one line, progress on the terminal, reports as text or JSON, structures from files."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click
from ase import Atoms

from ldml.errors import ConvergenceError, InputError
from ldml.potentials.base import Potential

if TYPE_CHECKING:
    from ldml.descriptors.base import Descriptor

FilePath = click.Path(path_type=Path)


class _OneLine(click.ClickException):
    exit_code = 2


def clear_errors(command):
    @wraps(command)
    def wrapped(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except (InputError, ConvergenceError) as error:
            raise _OneLine(" ".join(str(error).split())) from error

    return wrapped


class TerminalProgress:
    """One line on a terminal's standard error, rewritten as work goes on; silent elsewhere."""

    def __init__(self):
        self._shown = sys.stderr.isatty()

    def update(self, done: int, total: int, stage: str = "") -> None:
        if self._shown:
            width = 24
            filled = width * done // max(total, 1)
            line = f"[{'#' * filled}{'-' * (width - filled)}] {done}/{total} {stage}"
            shown = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps could not be rewritten
            click.echo(f"\r\033[K{shown}", err=True, nl=False)

    def check(self) -> None:
        pass

    def finish(self) -> None:
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)


def print_result(result: dict, as_json: bool, lines: list[str]) -> None:
    click.echo(json.dumps(result, allow_nan=False) if as_json else "\n".join(lines))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
potential_option = click.option(
    "--potential",
    default="Fe-AM04",
    show_default=True,
    help="Name, such as Fe-EtesamiAsadi2018; or FILE[:ELEMENT], an EAM table; or LIBRARY,PARAMETERS:ELEMENT of MEAM.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes, one structure each."
)


def descriptor_options(command):
    """``--descriptor NAME`` and ``-p NAME=VALUE``, for `chosen_descriptor`."""
    command = click.option(
        "--parameter",
        "-p",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="Of the descriptor, such as cutoff=5.5; repeatable.",
    )(command)
    return click.option("--descriptor", default="AFS", show_default=True, help="'ldml describe --list' lists them.")(
        command
    )


def chosen_descriptor(name: str, pairs: Iterable[str]) -> Descriptor:
    """The descriptor that a name and the texts ``NAME=VALUE`` of its parameters say."""
    from ldml.descriptors import DESCRIPTORS

    kind = DESCRIPTORS[name]
    declared = {parameter.name: parameter for parameter in kind.declared_parameters}
    values = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"--parameter {pair!r} is not of the form NAME=VALUE, such as {_example(key, declared)}")
        if key not in declared:
            raise InputError(
                f"{kind.name} has no parameter {key!r}; {_nearest(key, declared)}it has {', '.join(declared)}"
            )
        if key in values:
            raise InputError(f"--parameter {key} is given twice; give one value")
        values[key] = declared[key].from_text(text.strip())
    return kind(**values)


def _example(key, declared):
    parameter = declared.get(key) or next(iter(declared.values()))
    return f"{parameter.name}={parameter.to_text(parameter.default)}"


def _nearest(key, declared):
    """ "did you mean 'cutoff'? " by name, or by the symbol of the formulas."""
    known = {p.symbol.lower(): p.name for p in declared.values()} | {name.lower(): name for name in declared}
    near = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {known[near[0]]!r}? " if near else ""


def single_structure(file: Path) -> Atoms:
    """The structure in a file that must hold one."""
    from ldml.structure_files import read_structures

    frames = read_structures(file)
    if len(frames) != 1:
        raise InputError(f"{file.name!r} holds {len(frames)} structures; give a file with one")
    return frames[0]


def crystal_for(atoms: Atoms, potential, bulk_file: Path | None) -> Atoms:
    """The perfect crystal given, or the one that fills the cell of `atoms`."""
    from ldml.structures import matching_crystal

    if bulk_file is not None:
        return single_structure(bulk_file)
    if potential.lattice_constant is None:
        raise InputError(
            f"{potential.name} names no ground-state crystal for a defect to be in; give the perfect crystal with --bulk "
            f"(clusters have no formation entropy: ldml.harmonic_entropy gives their entropy)"
        )
    bulk = matching_crystal(atoms, potential.lattice_constant, lattice=potential.lattice)
    if bulk is None:
        raise InputError(
            f"no {potential.lattice} crystal of {potential.name} fills the cell {atoms.cell.lengths().round(3).tolist()} Å; "
            f"give the perfect crystal with --bulk"
        )
    return bulk


def chosen_potential(text: str) -> Potential:
    """The potential that an option names; what its files make us warn of goes to standard error, one line each."""
    from ldml.potentials.files import potential_from_argument

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        potential = potential_from_argument(text)
    for warning in caught:
        click.echo(f"warning: {' '.join(str(warning.message).split())}", err=True)
    return potential


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done for it."""
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{str(path)!r} cannot be written; choose another place")
