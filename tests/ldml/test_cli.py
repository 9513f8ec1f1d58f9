"""The command line, run as its users run it: in a process of its own where that matters."""

import json
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from click.testing import CliRunner

import ldml
from ldml.cli import main
from ldml.structures import interstitial_cluster, rattled


@pytest.fixture
def run():
    def call(*args):
        return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)

    return call


@pytest.fixture(scope="module")
def files(tmp_path_factory, vacancy4, crystal4, am04):
    folder = tmp_path_factory.mktemp("cli")
    saddle = ldml.relax(interstitial_cluster(crystal4, 1, axis="111"), am04, rattle=0.0, check_minimum=False).atoms
    other = vacancy4.copy()
    other.numbers[3] = 29
    structures = {
        "vacancy": vacancy4,
        "saddle": saddle,
        "shaken": rattled(vacancy4, 0.05, np.random.default_rng(0)),
        "copper": other,
    }
    for name, atoms in structures.items():
        ase.io.write(folder / f"{name}.xyz", atoms, format="extxyz")
    open_cell = vacancy4.copy()
    open_cell.pbc = False
    ase.io.write(folder / "cluster.xyz", open_cell, format="extxyz")
    (folder / "text.xyz").write_text("hello\n")
    return folder


def test_entropy(run, files, vacancy4, crystal4, am04, tmp_path):
    exact = ldml.formation_entropy(vacancy4, crystal4, am04, local=True)
    result = run("entropy", files / "vacancy.xyz", "--local", "--json", "--output", tmp_path / "out.xyz")
    report = json.loads(result.output)
    assert result.exit_code == 0
    assert report["class"] == "V1"
    # extended XYZ carries eight decimals
    assert report["formation_entropy"] == pytest.approx(exact.value, abs=1e-5)
    assert np.sum(report["local_entropy"]) == pytest.approx(report["formation_entropy"], abs=1e-8)
    written = ase.io.read(tmp_path / "out.xyz")
    np.testing.assert_allclose(written.arrays["local_entropy"], exact.local, atol=1e-5)
    text = run("entropy", files / "vacancy.xyz", "--local").output
    assert f"{exact.value:.4f} k_B" in text


def test_entropy_relaxes_on_request(run, files, vacancy4, crystal4, am04):
    exact = ldml.formation_entropy(vacancy4, crystal4, am04).value
    report = json.loads(run("entropy", files / "shaken.xyz", "--relax", "--json").output)
    assert report["formation_entropy"] == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["entropy", "text.xyz"], "not a structure file"),
        (["entropy", "absent.xyz"], "no file"),
        (["entropy", "shaken.xyz"], "not relaxed: the force on atom"),
        (["entropy", "saddle.xyz"], "saddle"),
        (["entropy", "copper.xyz"], "knows only Fe"),
        (["entropy", "cluster.xyz"], "pbc = F F F"),
        (["entropy", "vacancy.xyz", "--potential", "Fe-AM4"], "did you mean 'Fe-AM04'"),
        (["entropy", "vacancy.xyz", "--temperature", "-5"], "temperature"),
        (["fit", "nowhere.h5"], "no dataset"),
        (["fit", "nowhere.h5", "--test", "1.5"], "--test"),
        (["fit", "fe-am04-8a0", "-p", "cutoff"], "NAME=VALUE"),
        (["fit", "fe-am04-8a0", "-p", "cutoff=11.9"], "cutoff"),
        (["fit", "fe-am04-8a0", "--descriptor", "AFC"], "AFS"),
        (["predict", "absent.ldml", "vacancy.xyz"], "absent.ldml"),
        (["predict", "text.xyz", "vacancy.xyz"], "text.xyz"),
        (["generate", "out.h5", "--count", "I2"], "CLASS=N"),
        (["generate", "out.h5", "--count", "Q2=3"], "defect class"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(run, files, monkeypatch, arguments, word):
    monkeypatch.chdir(files)
    result = run(*arguments)
    assert result.exit_code == 2
    assert word in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_generate_fit_predict(run, tmp_path, files):
    data = tmp_path / "tiny.h5"
    made = run("generate", data, "--cell", 4, "--count", "V2=2", "--count", "I1=1", "--seed", 5, "--json")
    assert made.exit_code == 0
    assert json.loads(made.output)["n"] == 3
    assert ldml.load_dataset(data).metadata["command"].startswith("ldml ")
    model = tmp_path / "tiny.ldml"
    fitted = run(
        "fit", data, "--test", "0", "-p", "n_max=4", "-p", "l_max=2", "-p", "cutoff=4.5", "-o", model, "--json"
    )
    report = json.loads(fitted.output)
    assert report["train"]["n"] == 3
    predicted = json.loads(run("predict", model, files / "vacancy.xyz", "--local", "--std", "--json").output)
    (row,) = predicted["predictions"]
    assert np.sum(row["local_entropy"]) == pytest.approx(row["formation_entropy"], abs=1e-8)
    assert row["std"] > 0
    assert "k_B" in run("predict", model, files / "vacancy.xyz").output


def test_fit_on_the_sample_data(run):
    report = json.loads(run("fit", "fe-am04-8a0", "--json").output)
    assert report["n_features"] == 220
    assert report["test"]["n"] + report["train"]["n"] >= 1000
    # the labels spread by several k_B; a model that learnt nothing would miss by that
    assert report["test"]["rmse"] < 1.0
    assert report["train"]["rmse"] < report["test"]["rmse"]


@pytest.mark.parametrize("verb", ["entropy", "fit", "predict", "generate", "serve"])
def test_every_verb_explains_itself(run, verb):
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_library_does_not_import_panel():
    modules = "ldml, ldml.cli, ldml.campaign, ldml.regression.ldml, ldml.evaluation.splits"
    code = f"import sys, {modules}; sys.exit('panel' in sys.modules or 'bokeh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
