"""``ldml describe``: descriptors of structures into a file, and what descriptors there are."""

from __future__ import annotations

import inspect
import sys

import click

from ldml.cli.shared import (
    FilePath,
    TerminalProgress,
    check_output,
    chosen_descriptor,
    clear_errors,
    descriptor_options,
    json_option,
    print_result,
)
from ldml.errors import InputError

INTERRUPTED = 130
"""Exit code of a process ended by Ctrl+C, as shells have it."""


@click.command()
@click.argument("files", nargs=-1, type=FilePath)
@descriptor_options
@click.option("--total/--rows", "total", default=True, show_default=True, help="One sum a structure, or a row an atom.")
@click.option("--output", "-o", type=FilePath, help="Write the numbers here: .h5, .npz or .csv.")
@click.option("--list", "list_descriptors", is_flag=True, help="List the descriptors and their parameters instead.")
@click.option("--features", "list_features", is_flag=True, help="List the features of the descriptor instead.")
@json_option
@clear_errors
def describe(files, descriptor, parameters, total, output, list_descriptors, list_features, as_json):
    """Descriptors of the structures in FILES, in any common format, several structures a file included."""
    if list_descriptors and list_features:
        raise InputError("--list and --features ask for two different tables; give one of them")
    if (list_descriptors or list_features) and (files or output):
        raise InputError("--list and --features compute nothing; give no files with them")
    if list_descriptors:
        _print_descriptors(as_json)
        return
    chosen = chosen_descriptor(descriptor, parameters)
    if list_features:
        _print_features(chosen, as_json)
        return
    if not files:
        raise InputError("give at least one file with structures, or --list, or --features")
    if output is None:
        raise InputError("give the file to write the numbers to, such as: -o descriptors.h5")
    _describe_files(files, chosen, not total, output, as_json)


def _describe_files(files, descriptor, per_atom, output, as_json):
    from ldml.descriptors.table_files import check_table_path, table_writer, unfinished

    check_output(output)
    check_table_path(output, descriptor, 0)
    structures, failures = _found_in(files)
    n_rows = sum(stored.n_atoms for stored in structures) if per_atom else len(structures)
    check_table_path(output, descriptor, n_rows)
    done: list[dict] = []
    progress = TerminalProgress()
    try:
        with table_writer(output, descriptor, per_atom=per_atom) as table:
            for k, stored in enumerate(structures):
                progress.update(k, len(structures), f"{descriptor.name}, {stored.name}")
                found = _described(stored, descriptor, per_atom)
                if isinstance(found, Exception):
                    failures.append((stored.name, found))
                else:
                    table.add(stored.name, *found)
                    done.append({"name": stored.name, "n_atoms": found[0]})
    except BaseException as reason:
        progress.finish()
        if done:
            click.echo(
                f"stopped: {_counted(len(done), 'finished structure')} kept in {str(unfinished(output))!r}", err=True
            )
        if isinstance(reason, KeyboardInterrupt):
            sys.exit(INTERRUPTED)
        raise
    progress.finish()
    if len(failures) == 1 and not done and isinstance(failures[0][1], InputError):
        raise failures[0][1]
    _report(descriptor, per_atom, output, done, failures, as_json)


def _found_in(files):
    """Structures of all files, and the files that cannot be read with their errors."""
    from ldml.structure_formats import structures_in

    structures, failures = [], []
    unique = len({file.name for file in files}) == len(files)
    for file in files:
        name = file.name if unique else str(file)
        try:
            structures += structures_in(file, name=name)
        except InputError as error:
            failures.append((name, error))
    return structures, failures


def _described(stored, descriptor, per_atom):
    """Number of atoms and features of a structure, or the error it met."""
    from ldml.descriptors.tables import described

    try:
        atoms = stored.read()
        return len(atoms), described(atoms, descriptor, per_atom=per_atom)
    except Exception as error:  # one structure must not cost the others what they took
        return error


def _report(descriptor, per_atom, output, done, failures, as_json):
    """Print what was finished, then what was not; with failures the exit code is 1."""
    failed = [{"name": name, "message": _message(error)} for name, error in failures]
    notes = []
    if per_atom and not descriptor.is_local:
        notes.append(
            f"{descriptor.name} is not local: its rows are shares of the total, not descriptions of a neighbourhood"
        )
    report = {
        "output": str(output) if done else None,
        "content": "rows" if per_atom else "totals",
        "descriptor": descriptor.to_dict(),
        "fingerprint": descriptor.fingerprint,
        "n_features": descriptor.n_features,
        "structures": done,
        "failures": failed,
        "notes": notes,
        "units": {"length": "Å"},
    }
    n_atoms = sum(structure["n_atoms"] for structure in done)
    what = "rows of the atoms" if per_atom else "totals"
    lines = []
    if done:
        lines.append(f"{output}: {what} of {_counted(len(done), 'structure')}, {_counted(n_atoms, 'atom')}")
        lines.append(f"  {descriptor!r}, {descriptor.n_features} features")
    lines += [f"  note: {note}" for note in notes]
    lines += [f"failed: {failure['name']}: {failure['message']}" for failure in failed]
    print_result(report, as_json, lines)
    if failed:
        raise SystemExit(1)


def _counted(n, thing):
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _message(error):
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _print_descriptors(as_json):
    from ldml.descriptors import DESCRIPTORS

    records = [_record(kind) for kind in DESCRIPTORS.values()]
    lines = []
    for record in records:
        where = "local" if record["is_local"] else "not local"
        lines.append(f"{record['name']}   {record['doc']} {record['n_features']} features by default, {where}.")
        declared = DESCRIPTORS[record["name"]].declared_parameters
        rows = [(p.name, p.symbol, _default(p), p.allowed()) for p in declared]
        head, *rows = _columns([("parameter", "symbol", "default", "allowed"), *rows])
        lines.append(f"  {head}")
        for row, parameter in zip(rows, declared, strict=True):
            lines += [f"  {row}", f"      {parameter.doc}"]
        lines.append("")
    print_result({"descriptors": records}, as_json, lines[:-1])


def _record(kind):
    default = kind()
    return {
        "name": kind.name,
        "version": kind.version,
        "doc": inspect.getdoc(kind).splitlines()[0],
        "is_local": kind.is_local,
        "n_features": default.n_features,
        "parameters": [
            {
                "name": p.name,
                "symbol": p.symbol,
                "default": p.default,
                "unit": p.unit,
                "allowed": p.allowed(),
                "doc": p.doc,
            }
            for p in kind.declared_parameters
        ],
    }


def _default(parameter):
    text = parameter.to_text(parameter.default) or "none"
    return f"{text} {parameter.unit}" if parameter.unit else text


def _print_features(descriptor, as_json):
    from ldml.descriptors.tables import feature_table

    table = feature_table(descriptor)
    keys = list(table[0]["indices"])
    rows = [
        (
            str(row["column"]),
            row["name"],
            *(str(row["indices"][key]) for key in keys),
            "trivial" if row["trivial"] else "",
        )
        for row in table
    ]
    lines = [f"{descriptor!r}, {descriptor.n_features} features", *_columns([("column", "name", *keys, ""), *rows])]
    report = {"descriptor": descriptor.to_dict(), "fingerprint": descriptor.fingerprint, "features": table}
    print_result(report, as_json, lines)


def _columns(rows):
    """Rows of text, their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
