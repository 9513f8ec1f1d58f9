"""``ldml data``: what datasets there are, where they come from, and whether their labels hold."""

from __future__ import annotations

import sys
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import click
import numpy as np

from ldml.cli.shared import (
    FilePath,
    TerminalProgress,
    check_output,
    chosen_descriptor,
    chosen_potential,
    clear_errors,
    descriptor_options,
    json_option,
    print_result,
    workers_option,
)
from ldml.errors import InputError

INTERRUPTED = 130
"""Exit code of a process ended by Ctrl+C, as shells have it."""
DIFFERENT = 1
HDF5_SUFFIXES, XYZ_SUFFIXES = (".h5", ".hdf5"), (".extxyz", ".xyz")


@click.group()
def data():
    """Datasets: list, show, verify, export.

    A dataset is meant by its name in the sample data, or by the path of its HDF5 or extended XYZ file.
    """


@data.command("list")
@json_option
@clear_errors
def list_datasets(as_json):
    """List the datasets that come with the software."""
    from ldml.sample_data import sample_directory, sample_manifest

    found = []
    for name, record in sample_manifest().items():
        files = [sample_directory() / part["file"] for part in record["files"]]
        kept = ("title", "structures", "classes", "potential", "origin", "licence")
        found.append(
            {
                "name": name,
                **{key: record[key] for key in kept},
                "megabytes": round(sum(file.stat().st_size for file in files if file.is_file()) / 1e6, 2),
                "missing": [file.name for file in files if not file.is_file()],
            }
        )
    lines = [line for record in found for line in _described(record)]
    print_result({"datasets": found}, as_json, lines or ["there are none"])


@data.command()
@click.argument("source", metavar="NAME|FILE")
@json_option
@clear_errors
def show(source, as_json):
    """Show where a dataset comes from and what is in it."""
    from ldml.dataset import load_dataset
    from ldml.sample_data import generating_command, sample_manifest

    chosen = load_dataset(source)
    shipped = sample_manifest().get(source, {})
    classes = {label: _class_summary(chosen, label) for label in dict.fromkeys(chosen.labels.tolist())}
    summary = {
        "name": chosen.name,
        "structures": len(chosen),
        "classes": classes,
        "crystals": [{"atoms": len(bulk), "cell": bulk.cell.lengths().tolist()} for bulk in chosen.bulks],
        "parents": len(set(chosen.parents)),
        "with_local_entropies": int(chosen.has_local.sum()),
        "quantities": {key: chosen.metadata.get("quantities", {}).get(key, "") for key in chosen.quantity_names},
        "command": generating_command(chosen),
        **{key: shipped[key] for key in ("title", "origin") if key in shipped},
        **{
            key: chosen.metadata[key]
            for key in ("potential", "potential_citation", "convention", "units", "licence", "origin", "search")
            if key in chosen.metadata
        },
    }
    print_result(summary, as_json, _summary_lines(summary))


@data.command()
@click.argument("source", metavar="NAME|FILE")
@click.option("--sample", default=12, show_default=True, type=click.IntRange(min=1), help="Structures to recompute.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the random choice.")
@click.option("--tolerance", default=1e-3, show_default=True, type=click.FloatRange(min=0), help="Of entropies, k_B.")
@click.option(
    "--local/--no-local", default=True, show_default=True, help="Compare local entropies too, for one structure."
)
@workers_option
@json_option
@clear_errors
def verify(source, sample, seed, tolerance, local, workers, as_json):
    """Recompute the labels of some structures from their stored positions and compare.

    Energies, entropies and forces come from the potential that the dataset names. The exit code is 1 if any differs.
    """
    try:
        report = _verified(source, sample, seed, tolerance, local, workers)
    except KeyboardInterrupt:
        # click would end with 1, which here says that labels differ
        click.echo("stopped", err=True)
        sys.exit(INTERRUPTED)
    print_result(report, as_json, _comparison_lines(report))
    if report["different"]:
        sys.exit(DIFFERENT)


def _verified(source, sample, seed, tolerance, local, workers):
    from ldml.dataset import load_dataset
    from ldml.verification import label_check, random_sample

    chosen = load_dataset(source)
    if len(chosen) == 0:
        raise InputError(f"dataset {chosen.name!r} has no structures to recompute")
    if not chosen.metadata.get("potential"):
        raise InputError(f"dataset {chosen.name!r} does not say which potential it was made with")
    check = label_check(chosen, chosen_potential(chosen.metadata["potential"]))
    numbers = random_sample(chosen, sample, np.random.default_rng(seed))
    with_local = next((i for i in numbers if local and chosen.has_local[i]), None)
    tasks = [(chosen.entries[i], i == with_local) for i in numbers]
    return _comparison(chosen, _recomputed(check, tasks, workers), tolerance, seed)


@data.command()
@click.argument("source", metavar="NAME|FILE")
@click.option("--output", "-o", required=True, type=FilePath, help="File: .extxyz or .xyz, or .h5.")
@clear_errors
def export(source, output):
    """Write a dataset to one file: extended XYZ, for any other code, or HDF5."""
    from ldml.dataset import load_dataset
    from ldml.structure_files import write_extxyz

    if output.suffix not in HDF5_SUFFIXES + XYZ_SUFFIXES:
        raise InputError(f"{output.name!r} ends in {output.suffix!r}; datasets are written as .extxyz, .xyz or .h5")
    check_output(output)
    chosen = load_dataset(source)
    if output.suffix in HDF5_SUFFIXES:
        chosen.save(output)
    else:
        write_extxyz(chosen, output)
    click.echo(f"{output}: {len(chosen)} structures, {len(chosen.bulks)} crystals")


@data.command(hidden=True)
@click.argument("files", nargs=-1, required=True, type=FilePath)
@click.option("--name", required=True, help="Of the dataset; a record of this name is replaced.")
@click.option("--title", default="", help="[default: that of the record replaced]")
@click.option("--origin", default="", help="How it was made [default: that of the record replaced].")
@click.option(
    "--descriptors/--no-descriptors", default=True, show_default=True,
    help="Store the totals of the default descriptor.",
)  # fmt: skip
@clear_errors
def pack(files, name, title, origin, descriptors):
    """Put FILES, the parts of one dataset, among the sample data of this checkout, and write its record.

    Files that lie there already stay as they are.
    """
    from ldml.dataset import load_dataset
    from ldml.descriptors import get_descriptor
    from ldml.sample_data import pack_sample, sample_directory, unlisted_files

    progress = TerminalProgress()
    parts = [(file.with_suffix(".h5").name, load_dataset(file)) for file in files]
    if descriptors:
        for _, part in parts:
            part.descriptor_differences(get_descriptor("AFS"), progress=progress)  # at hand in files that are kept
    progress.finish()
    kept = [file.name for file in files if file.resolve().parent == sample_directory()]
    record = pack_sample(name, parts, title=title, origin=origin, kept=kept)
    sizes = [(sample_directory() / part["file"]).stat().st_size for part in record["files"]]
    shipped = sum(file.stat().st_size for file in sample_directory().iterdir())
    click.echo(
        f"{name}: {record['structures']} structures in {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB "
        f"({sum(sizes) / record['structures'] / 1e3:.2f} kB each); sample data {shipped / 1e6:.1f} MB"
    )
    if unlisted_files():
        click.echo(f"in no record, so best removed: {', '.join(unlisted_files())}")


@data.command(hidden=True)
@click.argument("name")
@descriptor_options
@clear_errors
def describe(name, descriptor, parameters):
    """Ship the totals of one more descriptor of the sample dataset NAME."""
    from ldml.sample_data import keep_sample_totals, load_sample

    chosen, known = chosen_descriptor(descriptor, parameters), load_sample(name)
    if getattr(chosen, "parts", ()):
        raise InputError(f"totals are kept for each descriptor alone; name one of {descriptor!r} at a time")
    progress = TerminalProgress()
    known.descriptor_differences(chosen, progress=progress)
    progress.finish()
    path = keep_sample_totals(known, chosen)
    click.echo(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def _described(record):
    classes = ", ".join(f"{label} {count}" for label, count in record["classes"].items())
    yield f"{record['name']}: {record['title']}"
    yield f"    {record['structures']} structures ({classes}), {record['megabytes']} MB, {record['licence']}"
    yield f"    {record['origin']}"
    if record["missing"]:
        yield f"    missing: {', '.join(record['missing'])}"


def _class_summary(chosen, label):
    entropy = chosen.formation_entropy[chosen.labels == label]
    known = entropy[~np.isnan(entropy)]
    summary = {"structures": len(entropy)}
    if len(known):
        summary |= {
            "mean": float(known.mean()),
            "std": float(known.std()),
            "min": float(known.min()),
            "max": float(known.max()),
        }
    return summary


def _summary_lines(summary):
    lines = [f"{summary['name']}: {summary['structures']} structures"]
    for label, found in summary["classes"].items():
        line = f"  {label:10s} {found['structures']:6d}"
        if "mean" in found:
            line += "   S_f {mean:.2f} ± {std:.2f} [{min:.2f}, {max:.2f}] k_B".format(**found)
        lines.append(line)
    lines.append(f"{summary['with_local_entropies']} with local entropies, {summary['parents']} distinct parents")
    lines += [f"crystal of {c['atoms']} atoms, {np.round(c['cell'], 4).tolist()}" for c in summary["crystals"]]
    lines += [f"quantity {key} ({unit or 'no unit given'})" for key, unit in summary["quantities"].items()]
    if "units" in summary:
        lines.append("units: " + ", ".join(f"{key} {unit}" for key, unit in summary["units"].items()))
    told = ("title", "potential", "potential_citation", "convention", "licence", "origin", "command")
    return lines + [f"{key.replace('_', ' ')}: {summary[key]}" for key in told if summary.get(key)]


def _recomputed(check, tasks, workers):
    from ldml.campaign.executors import task_map

    progress, found = TerminalProgress(), []
    try:
        with task_map(min(workers, len(tasks))) as run:
            for result in run(partial(_recompute, check), tasks):
                found.append(result)
                progress.update(len(found), len(tasks), "structures recomputed")
    except BrokenProcessPool as error:
        raise InputError(
            "a worker process was ended by the system, perhaps for want of memory; use fewer workers"
        ) from error
    finally:
        progress.finish()
    return found


def _recompute(check, task):
    entry, local = task
    return check(entry, local=local)


def _comparison(chosen, found, tolerance, seed):
    """The comparison as plain numbers, None where there was nothing to compare."""
    from ldml.dataset import UNITS

    rows = [
        {
            "name": one.name,
            "label": one.label,
            "stored_entropy": _number(one.stored_entropy),
            "entropy": _number(one.entropy),
            "entropy_difference": _number(one.entropy_difference),
            "energy_difference": _number(one.energy_difference),
            "stored_energy": _number(one.stored_energy),
            "energy": _number(one.energy),
            "stored_force": _number(one.stored_force),
            "max_force": _number(one.max_force),
            "local_difference": _number(one.local_difference),
            "failure": one.failure,
            "agrees": one.agrees(tolerance),
        }
        for one in found
    ]
    worst = {
        key: max((abs(row[key]) for row in rows if row[key] is not None), default=None)
        for key in ("entropy_difference", "energy_difference", "local_difference", "max_force")
    }
    return {
        "dataset": chosen.name,
        "structures": len(chosen),
        "potential": chosen.metadata["potential"],
        "units": {**UNITS, **chosen.metadata.get("units", {})},
        "seed": seed,
        "tolerance": tolerance,
        "recomputed": rows,
        "worst": worst,
        "different": [row["name"] for row in rows if not row["agrees"]],
    }


def _comparison_lines(report):
    rows, worst = report["recomputed"], report["worst"]
    energy, length = report["units"]["energy"], report["units"]["length"].replace("angstrom", "Å")
    force = f"{energy}/{length}"
    width = max(len(row["name"]) for row in rows)
    lines = [
        f"{report['dataset']}: {len(rows)} of {report['structures']} structures recomputed with {report['potential']}",
        f"  {'':{width}s}  {'S_f, k_B':>12s}  {'recomputed':>12s}  {'difference':>10s}  "
        f"{f'ΔE_f, {energy}':>14s}  {f'force, {force}':>22s}",
    ]
    for row in rows:
        line = f"  {row['name']:{width}s}  {_text(row['stored_entropy'], '12.6f')}  {_text(row['entropy'], '12.6f')}"
        line += f"  {_text(row['entropy_difference'], '+10.1e')}  {_text(row['energy_difference'], '+14.1e')}"
        lines.append(f"{line}  {_text(row['max_force'], '22.1e')}{'' if row['agrees'] else '  differs'}")
        if row["failure"]:
            lines.append(f"    {row['failure']}")
    lines.append(
        f"worst: S_f {_text(worst['entropy_difference'], '.1e')} k_B, E_f {_text(worst['energy_difference'], '.1e')} {energy}, "
        f"S_i {_text(worst['local_difference'], '.1e')} k_B; forces up to {_text(worst['max_force'], '.1e')} {force}"
    )
    different = report["different"]
    lines.append(
        f"{len(different)} of {len(rows)} differ: {', '.join(different)}"
        if different
        else f"all agree within {report['tolerance']:g} k_B"
    )
    return lines


def _number(value):
    return None if np.isnan(value) else float(value)


def _text(value, form):
    width = int(form.strip("+").partition(".")[0] or 0)
    return format(value, form) if value is not None else f"{'-':>{width}s}"
