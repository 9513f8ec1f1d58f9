"""The command line: ``ldml <verb>``.

Every verb prints a short report, or one JSON object with ``--json``; progress goes to the terminal only. Bad input gives one
line and exit code 2.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from functools import wraps
from pathlib import Path

import click

from ldml.errors import ConvergenceError, InputError


class _OneLine(click.ClickException):
    exit_code = 2


def _clear_errors(command):
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
            click.echo(f"\r\033[K[{'#' * filled}{'-' * (width - filled)}] {done}/{total} {stage}", err=True, nl=False)

    def check(self) -> None:
        pass

    def finish(self) -> None:
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)


def _print(result: dict, as_json: bool, lines: list[str]) -> None:
    click.echo(json.dumps(result) if as_json else "\n".join(lines))


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ldml")
def main():
    """Vibrational entropy of crystal defects: exact, and learned by a linear model."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--potential", default="Fe-AM04", show_default=True, help="Name of the potential.")
@click.option(
    "--bulk", "bulk_file", type=click.Path(path_type=Path), help="Perfect crystal [default: built to fill the cell]."
)
@click.option("--relax", "relax_first", is_flag=True, help="Relax to a minimum first.")
@click.option("--local", is_flag=True, help="Also the entropy of each atom.")
@click.option("--temperature", default=300.0, show_default=True, help="K")
@click.option("--statistics", type=click.Choice(["classical", "quantum"]), default="classical", show_default=True)
@click.option(
    "--convention", type=click.Choice(["equal", "paper"]), default="equal", show_default=True,
    help="How zero modes are counted in S_f.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write the structure with its entropies as extended XYZ."
)
@json_option
@_clear_errors
def entropy(file, potential, bulk_file, relax_first, local, temperature, statistics, convention, output, as_json):
    """Exact harmonic entropy of the relaxed structure in FILE (extended XYZ)."""
    from ldml.entropy import formation_energy, formation_entropy
    from ldml.potentials import get_potential
    from ldml.relaxation import relax
    from ldml.structure_files import defect_label

    potential = get_potential(potential)
    atoms = _single_structure(file)
    potential.check(atoms, name=file.name)
    bulk = _crystal_for(atoms, potential, bulk_file)
    progress = TerminalProgress()
    if relax_first:
        atoms = relax(atoms, potential, progress=progress).atoms
    result = formation_entropy(
        atoms, bulk, potential, local=local, temperature=temperature, statistics=statistics,
        convention=convention, progress=progress,
    )  # fmt: skip
    progress.finish()
    energy = formation_energy(potential.energy(atoms), len(atoms), potential.energy(bulk), len(bulk))
    label = defect_label(len(atoms), len(bulk))
    report = {
        "file": str(file),
        "potential": potential.name,
        "class": label,
        "n_atoms": len(atoms),
        "n_bulk": len(bulk),
        "formation_entropy": result.value,
        "formation_energy": energy,
        "total_entropy": result.defect.total,
        "bulk_entropy": result.bulk.total,
        "n_modes": result.defect.n_modes,
        "max_force": result.defect.max_force,
        "temperature": temperature,
        "statistics": statistics,
        "convention": convention,
        "units": {"entropy": "k_B", "energy": "eV", "force": "eV/Å", "temperature": "K"},
    }
    if local:
        report["local_entropy"] = result.local.tolist()
    if output:
        _write_structure(output, atoms, report, result.local)
    lines = [
        f"{file.name}: {label}, {len(atoms)} atoms in a crystal of {len(bulk)} sites, {potential.name}",
        f"  S_f   {result.value:12.4f} k_B   formation, constant volume, convention {convention!r}, {statistics}",
        f"  E_f   {energy:12.4f} eV",
        f"  S     {result.defect.total:12.4f} k_B   total at {temperature:g} K, {result.defect.n_modes} modes",
        f"  max force {result.defect.max_force:.1e} eV/Å",
    ]
    if local:
        lines += _hottest_atoms(result.local)
    _print(report, as_json, lines)


@main.command()
@click.argument("dataset")
@click.option("--descriptor", default="AFS", show_default=True)
@click.option(
    "--parameter",
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the descriptor, such as cutoff=5.5; repeatable.",
)
@click.option(
    "--test", "test_proportion", default=0.1, show_default=True, help="Proportion held out at random; 0 fits on all."
)
@click.option("--seed", default=0, show_default=True, help="Of the random split.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the model here (.ldml).")
@json_option
@_clear_errors
def fit(dataset, descriptor, parameters, test_proportion, seed, output, as_json):
    """Fit the linear model to DATASET (a name of the sample data, or a path)."""
    import numpy as np

    from ldml.dataset import load_dataset
    from ldml.descriptors import get_descriptor
    from ldml.evaluation.metrics import mae, rmse
    from ldml.evaluation.splits import random_test_set
    from ldml.regression.ldml import LDML

    if not 0 <= test_proportion < 1:
        raise InputError(f"--test {test_proportion} must be at least 0 and below 1")
    data = load_dataset(dataset)
    data = data.subset(np.isfinite(data.formation_entropy))
    descriptor = get_descriptor(descriptor, **_parameters(parameters))
    test = random_test_set(len(data), test_proportion, seed) if test_proportion else np.zeros(len(data), dtype=bool)
    progress = TerminalProgress()
    LDML(descriptor).training_rows(data, progress=progress)
    model = LDML(descriptor).fit(data.subset(~test))
    progress.finish()
    report = {
        "dataset": data.name,
        "descriptor": descriptor.name,
        "parameters": descriptor.parameters,
        "n_features": descriptor.n_features,
        "units": {"rmse": "k_B", "mae": "k_B"},
    }
    lines = [f"{data.name}: {len(data)} structures, {descriptor!r}, {descriptor.n_features} features"]
    for part, chosen in (("train", ~test), ("test", test)):
        if chosen.any():
            true, predicted = data.formation_entropy[chosen], model.predict(data.subset(chosen))
            n, errors = int(chosen.sum()), (rmse(true, predicted), mae(true, predicted))
            report[part] = {"n": n, "rmse": errors[0], "mae": errors[1]}
            lines.append(f"  {part:5s} {n:6d} structures   RMSE {errors[0]:.3f} k_B   MAE {errors[1]:.3f} k_B")
    if output:
        model.save(output)
        report["model"] = str(output)
        lines.append(f"  model written to {output}")
    _print(report, as_json, lines)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--local", is_flag=True, help="Also the share of each atom.")
@click.option("--std", is_flag=True, help="Also the standard deviation of the posterior (it underestimates the error).")
@json_option
@_clear_errors
def predict(model, files, local, std, as_json):
    """Formation entropies of the structures in FILES (extended XYZ) by MODEL (.ldml)."""
    from ldml.regression.model_file import load_model
    from ldml.structure_files import read_structures

    fitted = load_model(model)
    rows = []
    for file in files:
        for frame, atoms in enumerate(read_structures(file)):
            row = {"file": str(file), "frame": frame, "n_atoms": len(atoms)}
            if std:
                value, deviation = fitted.predict_structures([atoms], return_std=True)
                row.update(formation_entropy=float(value[0]), std=float(deviation[0]))
            else:
                row["formation_entropy"] = float(fitted.predict_structures([atoms])[0])
            if local:
                row["local_entropy"] = fitted.predict_local(atoms).tolist()
            rows.append(row)
    lines = [
        f"{Path(row['file']).name}[{row['frame']}]  {row['n_atoms']:7d} atoms   S_f {row['formation_entropy']:10.4f} k_B"
        + (f" ± {row['std']:.4f}" if std else "")
        for row in rows
    ]
    _print({"predictions": rows, "units": {"entropy": "k_B"}}, as_json, lines)


@main.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--potential", default="Fe-AM04", show_default=True)
@click.option("--cell", "repeats", default=8, show_default=True, help="Edge of the cubic cell in lattice constants.")
@click.option(
    "--count", "counts", multiple=True, metavar="CLASS=N", default=("I2=20", "V4=20"), show_default=True,
    help="Distinct minima wanted of a class; repeatable.",
)  # fmt: skip
@click.option("--local", "n_local", default=0, show_default=True, help="Structures to get exact local entropies.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--spread",
    "spreads",
    multiple=True,
    type=float,
    default=(1.0,),
    show_default=True,
    help="Ball sizes drawn from; 1 is compact.",
)
@click.option(
    "--attempts", default=20, show_default=True, help="Attempts for each minimum wanted before a class is given up."
)
@click.option("--workers", default=1, show_default=True, help="Processes.")
@click.option("--store", type=click.Path(path_type=Path), help="Folder for finished results [default: OUTPUT.store].")
@click.option(
    "--descriptors/--no-descriptors",
    default=True,
    show_default=True,
    help="Store the totals of the default descriptor.",
)
@json_option
@_clear_errors
def generate(
    output, potential, repeats, counts, n_local, seed, spreads, attempts, workers, store, descriptors, as_json
):
    """Make a dataset of distinct relaxed defects with exact entropies and write it to OUTPUT (.h5).

    Finished results are kept in the store: a command that was interrupted continues when it is given again.
    """
    from ldml.campaign import GenerationPlan, generate_dataset
    from ldml.descriptors import get_descriptor

    plan = GenerationPlan(
        potential=potential, repeats=repeats, counts=_counts(counts), n_local=n_local, seed=seed,
        spreads=tuple(spreads), attempts_per_minimum=attempts,
    )  # fmt: skip
    progress = TerminalProgress()
    data = generate_dataset(
        output.stem,
        plan,
        store=store or output.with_name(output.name + ".store"),
        n_workers=workers,
        command=_generating_command(plan, output.name),
        progress=progress,
    )
    if descriptors:
        data.descriptor_differences(get_descriptor("AFS"), progress=progress)
    progress.finish()
    data.save(output, compact=True)
    search = data.metadata["search"]
    lines = [f"{output}: {len(data)} distinct minima, {int(data.has_local.sum())} with exact local entropies"]
    for label, tally in search.items():
        chosen = data.formation_entropy[data.labels == label]
        lines.append(
            f"  {label:4s} {len(chosen):5d} of {tally['attempts']} attempts"
            + (
                f"   S_f {chosen.mean():.2f} ± {chosen.std():.2f} [{chosen.min():.2f}, {chosen.max():.2f}] k_B"
                if len(chosen)
                else ""
            )
            + f"   distinct by energy or inertia {tally['distinct_energy_or_inertia']}, and {tally['distinct_energy_and_inertia']}"
        )
    _print({"output": str(output), "n": len(data), "search": search}, as_json, lines)


@main.command()
@click.option("--port", default=5006, show_default=True)
@click.option("--data", "dataset", help="Dataset to open with: a name of the sample data, or a path.")
@click.option("--show", is_flag=True, help="Open a browser.")
@_clear_errors
def serve(port, dataset, show):
    """Serve the dashboard on this machine (needs the extra 'app')."""
    from importlib.util import find_spec

    if find_spec("panel") is None or find_spec("dashboards") is None:
        raise InputError("the dashboard is not installed; install it with: pip install 'ldml[app]'")
    environment = dict(os.environ)
    if dataset:
        environment["LDML_APP_DATASET"] = dataset
    application = Path(find_spec("dashboards").origin).with_name("serve.py")
    command = [
        sys.executable,
        "-m",
        "panel",
        "serve",
        str(application),
        "--port",
        str(port),
        "--index",
        "serve",
        "--warm",
    ]
    click.echo(f"Open http://localhost:{port} in a browser; stop with Ctrl+C.")
    sys.exit(subprocess.call(command + (["--show"] if show else []), env=environment))


def _single_structure(file):
    from ldml.structure_files import read_structures

    frames = read_structures(file)
    if len(frames) != 1:
        raise InputError(f"{file.name!r} holds {len(frames)} structures; give a file with one")
    return frames[0]


def _crystal_for(atoms, potential, bulk_file):
    from ldml.structures import matching_crystal

    if bulk_file is not None:
        return _single_structure(bulk_file)
    bulk = matching_crystal(atoms, potential.lattice_constant, lattice=potential.lattice)
    if bulk is None:
        raise InputError(
            f"no {potential.lattice} crystal of {potential.name} fills the cell {atoms.cell.lengths().round(3).tolist()} Å; "
            f"give the perfect crystal with --bulk"
        )
    return bulk


def _write_structure(path, atoms, report, local):
    import ase.io

    frame = atoms.copy()
    frame.info.update(
        {key: report[key] for key in ("formation_entropy", "formation_energy", "total_entropy", "max_force")}
    )
    frame.info["label"] = report["class"]
    if local is not None:
        frame.set_array("local_entropy", local)
    ase.io.write(path, frame, format="extxyz")


def _hottest_atoms(local, n=5):
    import numpy as np

    order = np.argsort(-np.abs(local))[:n]
    return ["  largest shares of S_f (k_B): " + ", ".join(f"atom {i} {local[i]:+.3f}" for i in order)]


def _parameters(pairs):
    parameters = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            parameters[name] = json.loads(text)
        except json.JSONDecodeError:
            equals = ""
        if not equals:
            raise InputError(f"--parameter {pair!r} is not of the form NAME=VALUE with a number, such as cutoff=5.5")
    return parameters


def _generating_command(plan, output):
    """What to type to get the same dataset again: the plan, without where and on how many processes it ran."""
    words = ["ldml", "generate", output, "--potential", plan.potential, "--cell", plan.repeats]
    words += [word for label, count in plan.counts.items() for word in ("--count", f"{label}={count}")]
    words += ["--local", plan.n_local, "--seed", plan.seed]
    words += [word for spread in plan.spreads for word in ("--spread", spread)]
    words += ["--attempts", plan.attempts_per_minimum]
    return shlex.join(str(word) for word in words)


def _counts(pairs):
    counts = {}
    for pair in pairs:
        label, _, number = pair.partition("=")
        if not number.isdigit():
            raise InputError(f"--count {pair!r} is not of the form CLASS=N, such as I3=300")
        counts[label] = int(number)
    return counts
