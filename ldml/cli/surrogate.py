"""``ldml fit`` and ``ldml predict``: the linear model."""

from __future__ import annotations

from pathlib import Path

import click

from ldml.cli.shared import (
    FilePath,
    TerminalProgress,
    chosen_descriptor,
    clear_errors,
    descriptor_options,
    json_option,
    print_result,
)
from ldml.errors import InputError


@click.command()
@click.argument("dataset")
@descriptor_options
@click.option(
    "--test", "test_proportion", default=0.1, show_default=True, help="Proportion held out at random; 0 fits on all."
)
@click.option("--seed", default=0, show_default=True, help="Of the random split.")
@click.option("--output", "-o", type=FilePath, help="Write the model here (.ldml).")
@json_option
@clear_errors
def fit(dataset, descriptor, parameters, test_proportion, seed, output, as_json):
    """Fit the linear model to DATASET (a name of the sample data, or a path)."""
    import numpy as np

    from ldml.dataset import load_dataset
    from ldml.evaluation.metrics import mae, rmse
    from ldml.evaluation.splits import random_test_set
    from ldml.regression.ldml import LDML

    if not 0 <= test_proportion < 1:
        raise InputError(f"--test {test_proportion} must be at least 0 and below 1")
    descriptor = chosen_descriptor(descriptor, parameters)
    data = load_dataset(dataset)
    data = data.subset(np.isfinite(data.formation_entropy))
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
    print_result(report, as_json, lines)


@click.command()
@click.argument("model", type=FilePath)
@click.argument("files", nargs=-1, required=True, type=FilePath)
@click.option("--local", is_flag=True, help="Also the share of each atom.")
@click.option("--std", is_flag=True, help="Also the standard deviation of the posterior (it underestimates the error).")
@json_option
@clear_errors
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
    print_result({"predictions": rows, "units": {"entropy": "k_B"}}, as_json, lines)
