"""``ldml fit``, ``predict`` and ``evaluate`` from a dataset to numbers, by themselves and as JSON."""

import json

import numpy as np
import pytest
from ase.io import write
from click.testing import CliRunner

import ldml
from ldml.campaign import GenerationPlan, run_campaign
from ldml.cli import main
from ldml.dataset import load_dataset

SMALL = ("-p", "n_max=3", "-p", "l_max=1", "-p", "cutoff=4.0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten small divacancies and dumbbells, a model on them, and a file of two structures."""
    folder = tmp_path_factory.mktemp("surrogate")
    plan = GenerationPlan("Fe-AM04", 3, {"V2": 6, "I1": 3}, n_local=4, seed=3, spreads=(1.0, 2.0))
    data = run_campaign("small", plan, store=folder / "store")
    data.save(folder / "small.h5")
    assert run("fit", folder / "small.h5", *SMALL, "--test", "0", "-o", folder / "m.ldml").exit_code == 0
    write(folder / "two.extxyz", [data[0], data[1]])
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def record(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_predictions_are_those_of_the_model(folder):
    model, data = ldml.load_model(folder / "m.ldml"), load_dataset(folder / "small.h5")
    rows = record("predict", folder / "m.ldml", folder / "two.extxyz", "--std", "--interval", "0.5", "--local")[
        "predictions"
    ]
    pair = data.subset([0, 1])
    expected, std = model.predict(pair, return_std=True)
    low, high = model.predict_interval(pair, 0.5)
    assert [row["frame"] for row in rows] == [0, 1]
    # extended XYZ keeps eight decimals
    np.testing.assert_allclose([row["formation_entropy"] for row in rows], expected, atol=1e-5)
    np.testing.assert_allclose([row["std"] for row in rows], std, rtol=1e-4)
    np.testing.assert_allclose([row["interval"] for row in rows], np.transpose([low, high]), atol=1e-4)
    np.testing.assert_allclose([sum(row["local_entropy"]) for row in rows], expected, atol=1e-5)
    assert all(row["extrapolation"] >= 0 for row in rows)
    assert "k_B" in run("predict", folder / "m.ldml", folder / "two.extxyz", "--interval", "0.5").output


def test_structures_far_outside_are_marked(folder):
    atoms = load_dataset(folder / "small.h5")[0]
    atoms.rattle(0.3, seed=1)
    write(folder / "far.extxyz", atoms)
    assert "outside the training set" in run("predict", folder / "m.ldml", folder / "far.extxyz").output


def test_local_targets_are_fitted_and_told(folder):
    report = record("fit", folder / "small.h5", *SMALL, "--test", "0", "--local-weight", "cross-validate")
    assert report["n_local"] == 4
    assert report["local_weight"] > 0
    assert "neither a number nor" in run("fit", folder / "small.h5", "--local-weight", "much").output


def test_evaluations_say_what_was_left_out(folder):
    report = record("evaluate", folder / "small.h5", *SMALL, "--repeats", "3", "--test", "0.3")
    assert list(report["evaluations"]) == ["random", "classes"]
    assert [fold["name"] for fold in report["evaluations"]["classes"]["folds"]] == ["I1", "V2"]
    assert report["evaluations"]["random"]["rmse"] > 0
    text = run("evaluate", folder / "small.h5", *SMALL, "--protocol", "classes").output
    assert "without V2" in text
    to_itself = record("evaluate", folder / "small.h5", *SMALL, "--to", folder / "small.h5")
    assert list(to_itself["evaluations"]) == ["small to small"]


def test_one_class_alone_is_said(folder):
    load_dataset(folder / "small.h5").subset(np.arange(6)).save(folder / "one.h5")
    assert "fitted on V2 alone" in run("fit", folder / "one.h5", *SMALL).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "small.h5", "--protocol", "classs"], "did you mean 'classes'"),
        (["evaluate", "small.h5", "--protocol", "sizes"], "needs at least two"),
        (["evaluate", "small.h5", "--test", "2"], "between 0 and 1"),
        (["predict", "m.ldml", "two.extxyz", "--interval", "90"], "no probability"),
        (["predict", "m.ldml", "two.extxyz", "--interval", "0.99"], "cannot tell an interval"),
    ],
)
def test_bad_input_is_one_line(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    extra = SMALL if arguments[0] == "evaluate" else ()
    result = run(*arguments, *extra)
    assert result.exit_code == 2
    assert message in result.output
