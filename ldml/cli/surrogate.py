"""``ldml fit``, ``ldml predict`` and ``ldml evaluate``: the linear model."""

from __future__ import annotations

import math
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

UNITS = {"rmse": "k_B", "mae": "k_B", "half_width": "k_B", "entropy": "k_B"}


class LocalWeight(click.ParamType):
    """A positive number, or a word for choosing it."""

    name = "number|cross-validate"

    def convert(self, value, param, ctx):
        """A number, or the word."""
        if value == "cross-validate" or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            return self.fail(f"{value!r} is neither a number nor 'cross-validate'", param, ctx)


@click.command()
@click.argument("dataset")
@descriptor_options
@click.option(
    "--test", "test_proportion", default=0.1, show_default=True,
    help="Proportion of the structures, with all copies of their parents, held out at random; 0 fits on all.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the random split.")
@click.option(
    "--local-weight", type=LocalWeight(),
    help="Fit exact local entropies beside the totals, with this weight or one chosen by cross-validation.",
)  # fmt: skip
@click.option("--output", "-o", type=FilePath, help="Write the model here (.ldml).")
@json_option
@clear_errors
def fit(dataset, descriptor, parameters, test_proportion, seed, local_weight, output, as_json):
    """Fit the linear model to DATASET (a name of the sample data, or a path)."""
    import numpy as np

    from ldml.dataset import load_dataset
    from ldml.evaluation.metrics import mae, rmse
    from ldml.evaluation.protocols import COVERAGE, PROTOCOLS
    from ldml.regression.ldml import LDML

    if not 0 <= test_proportion < 1:
        raise InputError(f"--test {test_proportion} must be at least 0 and below 1")
    descriptor = chosen_descriptor(descriptor, parameters)
    data = load_dataset(dataset)
    data = data.subset(np.isfinite(data.formation_entropy))
    train, test = np.arange(len(data)), np.arange(0)
    if test_proportion:
        ((_, train, test),) = PROTOCOLS["parents"].splits(data, test_proportion=test_proportion, n_repeats=1, seed=seed)
    progress = TerminalProgress()
    LDML(descriptor).training_rows(data, progress=progress)
    model = LDML(descriptor).fit(data.subset(train), local_weight=local_weight, progress=progress)
    progress.finish()
    report = {
        "dataset": data.name,
        "descriptor": descriptor.name,
        "parameters": descriptor.parameters,
        "n_features": descriptor.n_features,
        "units": UNITS,
    }
    lines = [f"{data.name}: {len(data)} structures, {descriptor!r}, {descriptor.n_features} features"]
    if local_weight is not None:
        report |= {key: model.training_[key] for key in ("local_weight", "n_local")}
        lines.append(f"  local entropies of {report['n_local']} structures, weight {report['local_weight']:g}")
    for part, chosen in (("train", train), ("test", test)):
        if len(chosen):
            held = data.subset(chosen)
            true, predicted = held.formation_entropy, model.predict(held)
            report[part] = {"n": len(chosen), "rmse": rmse(true, predicted), "mae": mae(true, predicted)}
            lines.append(f"  {part:5s} {len(chosen):6d} structures   {_errors(report[part])}")
    if len(test) and model.calibration_.largest_coverage >= COVERAGE:
        low, high = model.predict_interval(held, COVERAGE)
        report["test"]["covered"] = float(np.mean((low <= true) & (true <= high)))
        lines.append(
            f"  {100 * report['test']['covered']:.0f} % of the test structures are inside their 90 % intervals"
        )
    if len(test):
        model.training_["held_out"] = report["test"]
    if len(set(data.labels)) == 1:
        lines.append(f"  fitted on {data.labels[0]} alone: other classes are extrapolation")
    if output:
        model.save(output)
        report["model"] = str(output)
        lines.append(f"  model written to {output}")
    print_result(report, as_json, lines)


@click.command()
@click.argument("model", type=FilePath)
@click.argument("files", nargs=-1, required=True, type=FilePath)
@click.option("--local", is_flag=True, help="Also the share of each atom.")
@click.option("--std", is_flag=True, help="Also the calibrated standard deviation.")
@click.option("--interval", type=float, metavar="COVERAGE", help="Also the interval of this probability, such as 0.9.")
@json_option
@clear_errors
def predict(model, files, local, std, interval, as_json):
    """Formation entropies of the structures in FILES (any format of 'ldml describe') by MODEL (.ldml), one after the other.

    A structure further from the training set than nearly all of it is marked: its prediction is a guess.
    """
    from ldml.regression.model_file import load_model
    from ldml.structure_formats import structures_in

    fitted = load_model(model)
    rows = []
    for file in files:
        for frame, stored in enumerate(structures_in(file)):
            atoms = stored.read()
            row = {"file": str(file), "frame": frame, "n_atoms": len(atoms)}
            row |= _prediction(fitted, atoms, local=local, std=std, interval=interval)
            rows.append(row)
            if not as_json:
                click.echo(_told(row))
    if as_json:
        print_result({"predictions": rows, "units": {"entropy": "k_B"}}, True, [])


def _prediction(fitted, atoms, *, local, std, interval):
    """What is asked for of one structure, computed from one descriptor."""
    X = fitted.structure_differences([atoms])
    row = {"formation_entropy": float(fitted.predict(X)[0])}
    if std:
        row["std"] = float(fitted.predict(X, return_std=True)[1][0])
    if interval is not None:
        low, high = fitted.predict_interval(X, interval)
        row["interval"] = [float(low[0]), float(high[0])]
    if fitted.calibration_ is not None:
        row["extrapolation"] = float(fitted.extrapolation(X)[0])
    if local:
        row["local_entropy"] = fitted.predict_local(atoms).tolist()
    return row


def _told(row):
    text = f"{Path(row['file']).name}[{row['frame']}]  {row['n_atoms']:7d} atoms   S_f {row['formation_entropy']:10.4f}"
    if "std" in row:
        text += f" ± {row['std']:.4f}"
    if "interval" in row:
        text += " [{:.4f}, {:.4f}]".format(*row["interval"])
    outside = row.get("extrapolation", 0.0) > 1
    return text + " k_B" + (f"   outside the training set ({row['extrapolation']:.1f})" if outside else "")


@click.command()
@click.argument("dataset")
@descriptor_options
@click.option(
    "--protocol", "protocols", multiple=True, metavar="NAME",
    help="random, parents, classes, sizes or strains; repeatable [default: all that the dataset allows].",
)  # fmt: skip
@click.option("--to", "target", metavar="DATASET", help="Fit on DATASET and predict this one instead.")
@click.option("--test", "test_proportion", default=0.1, show_default=True, help="Proportion held out in each repeat.")
@click.option("--repeats", "n_repeats", default=10, show_default=True, help="Of random protocols.")
@click.option("--seed", default=0, show_default=True, help="Of random protocols.")
@json_option
@clear_errors
def evaluate(dataset, descriptor, parameters, protocols, target, test_proportion, n_repeats, seed, as_json):
    """How good the linear model is on what is left out of DATASET: at random, whole parents, classes, sizes, strains."""
    import numpy as np

    from ldml.dataset import load_dataset
    from ldml.evaluation.protocols import PROTOCOLS, evaluate, transfer
    from ldml.regression.ldml import LDML

    model = LDML(chosen_descriptor(descriptor, parameters))
    data = load_dataset(dataset)
    data = data.subset(np.isfinite(data.formation_entropy))
    options = {"test_proportion": test_proportion, "n_repeats": n_repeats, "seed": seed}
    progress, found = TerminalProgress(), []
    if target:
        other = load_dataset(target)
        found.append(transfer(data, other.subset(np.isfinite(other.formation_entropy)), model, progress=progress))
    else:
        for name in protocols or _allowed(data):
            PROTOCOLS[name]
            found.append(evaluate(data, model, name, progress=progress, **options))
    progress.finish()
    shown = {id(e): e for one in found for e in (one, one.beside) if e is not None}
    unique = {e.protocol: e for e in shown.values()}
    report = {
        "dataset": data.name,
        "descriptor": model.descriptor.name,
        "parameters": model.descriptor.parameters,
        "evaluations": {name: _evaluation_record(e) for name, e in unique.items()},
        "units": UNITS,
    }
    lines = [f"{data.name}: {len(data)} structures, {model.descriptor!r}"]
    for name, e in unique.items():
        lines += _evaluation_lines(name, e)
    print_result(report, as_json, lines)


def _allowed(data):
    """Protocols with at least two groups to leave out; parents only where they have copies."""
    import numpy as np

    from ldml.evaluation.protocols import PROTOCOLS

    return [
        name
        for name, protocol in PROTOCOLS.items()
        if protocol.groups is None or (name != "parents" and len(np.unique(protocol.groups(data))) > 1)
    ]


def _evaluation_record(evaluation):
    """As JSON holds it; null where there are no intervals."""
    return {
        "rmse": evaluation.rmse,
        "mae": evaluation.mae,
        "covered": _known(evaluation.covered),
        "folds": [{key: _known(value) for key, value in vars(fold).items()} for fold in evaluation.folds],
    }


def _known(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _evaluation_lines(name, evaluation):
    covered = "" if math.isnan(evaluation.covered) else f"   in 90 % intervals {100 * evaluation.covered:.1f} %"
    yield f"  {name:10s} {len(evaluation.true):6d} predictions   {_errors(vars(evaluation) | _total(evaluation))}{covered}"
    if any(fold.name.startswith("repeat ") for fold in evaluation.folds):
        return
    for fold in evaluation.folds:
        flagged = f"   outside {100 * fold.outside:.0f} %" if fold.outside > 0 else ""
        inside = "" if math.isnan(fold.covered) else f"   in intervals {100 * fold.covered:.1f} %"
        yield f"    without {fold.name:10s} {fold.n_test:6d}   {_errors(vars(fold))}{inside}{flagged}"


def _total(evaluation):
    return {"rmse": evaluation.rmse, "mae": evaluation.mae}


def _errors(values):
    return f"RMSE {values['rmse']:.3f} k_B   MAE {values['mae']:.3f} k_B"
