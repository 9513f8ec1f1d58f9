"""``ldml figure``: the paper's figures and tables."""

from __future__ import annotations

from pathlib import Path

import click

from ldml.cli.shared import FilePath, TerminalProgress, check_output, clear_errors, json_option, print_result
from ldml.errors import InputError


@click.command()
@click.argument("name", required=False)
@click.option(
    "--data", "sources", multiple=True, metavar="NAME|FILE",
    help="Dataset, by its name in the sample data or its file; repeatable for tables [default: those of the paper's figure].",
)  # fmt: skip
@click.option(
    "--output", "-o", type=FilePath,
    help="File: .png, .svg or .pdf of a figure, .md or .csv of a table [default: a figure goes to figure-NAME.png].",
)  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List what there is.")
@json_option
@clear_errors
def figure(name, sources, output, listing, as_json):
    """Make a figure or a table of databases: NAME is 2a to 2d, 3a, 3b, 4, 5, 6a, 6b, 7, table1 or landscape.

    The numbers behind it are printed; with --json all of them, and a picture only where --output says.
    """
    from ldml.figures import FIGURES, as_record
    from ldml.figures.style import write_figure

    if listing:
        return _list(FIGURES, as_json)
    if name is None:
        raise InputError(f"say which figure: {', '.join(FIGURES)}; 'ldml figure --list' describes them")
    kind = FIGURES[name]
    if output is None and kind.draw and not as_json:
        output = Path(f"figure-{kind.name}{kind.suffixes[0]}")
    if output is not None:
        _check_kind_of_file(kind, output)
        check_output(output)
    progress = TerminalProgress()
    datasets, missing = _datasets(kind, sources)
    result = kind.compute(datasets, progress=progress)
    progress.finish()
    lines = [*kind.report(result), *(f"left out: {name} is not among the sample data" for name in missing)]
    record = {"figure": kind.name, "title": kind.title, "units": _units(), "missing": missing, **as_record(result)}
    if output is not None:
        if kind.draw:
            write_figure(kind.draw(result), output)
        else:
            _write_text(output, kind.tabulate(result, output.suffix.lower()))
        record["output"] = str(output)
        lines.append(f"written to {output}")
    print_result(record, as_json, lines)
    return None


def _list(figures, as_json):
    described = {kind.name: {"title": kind.title, "datasets": list(kind.datasets)} for kind in figures.values()}
    lines = [f"{kind.name:10s} {kind.title} [{', '.join(kind.datasets)}]" for kind in figures.values()]
    print_result({"figures": described}, as_json, lines)


def _units():
    from ldml.dataset import UNITS

    return UNITS


def _check_kind_of_file(kind, output):
    if output.suffix.lower() not in kind.suffixes:
        raise InputError(
            f"{output.name!r}: {kind.name} cannot be written to that kind of file; end it in {', '.join(kind.suffixes)}"
        )


def _datasets(kind, sources):
    """The datasets asked for; of those meant by default, the ones that are there, and the names of the others."""
    from ldml.dataset import load_dataset
    from ldml.sample_data import sample_manifest

    if sources:
        return [load_dataset(source) for source in sources], []
    shipped = sample_manifest()
    present = [name for name in kind.datasets if name in shipped]
    if not present:
        raise InputError(
            f"the sample data do not hold {' or '.join(kind.datasets)}; give a dataset with --data NAME or --data FILE"
        )
    return [load_dataset(name) for name in present], [name for name in kind.datasets if name not in shipped]


def _write_text(path, text):
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
