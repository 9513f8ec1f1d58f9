"""``ldml figure``, run as its users run it, on small databases."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from ldml.cli import main
from ldml.dataset import Dataset, Entry
from ldml.descriptors import get_descriptor
from ldml.figures import FIGURES
from ldml.figures.parity import draw_parity
from ldml.structures import interstitial_cluster, strained, vacancy_cluster


@pytest.fixture
def run():
    def call(*args):
        return CliRunner().invoke(main, ["figure", *(str(a) for a in args)], catch_exceptions=False)

    return call


@pytest.fixture(scope="module")
def database(tmp_path_factory, crystal4):
    entries = [
        Entry(vacancy_cluster(crystal4, 2), "V2", "a", 4.0, 3.0),
        Entry(vacancy_cluster(crystal4, 3), "V3", "b", 6.0, 4.0),
        Entry(interstitial_cluster(crystal4, 2), "I2", "c", 5.0, 7.0),
    ]
    path = tmp_path_factory.mktemp("figures") / "mine.h5"
    Dataset.from_entries("mine", [crystal4], entries, {"potential": "Fe-AM04"}).save(path)
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory, crystal4):
    """Two databases of the paper's classes, at rest and strained, with totals of all descriptors made up."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("learned")
    paths = []
    for name, crystal in (("mine", crystal4), ("stretched", strained(crystal4, 0.01))):
        seeds = [vacancy_cluster(crystal, 4), interstitial_cluster(crystal, 2)] * 15
        entries = [
            Entry(atoms, "V4" if k % 2 == 0 else "I2", f"{name}{k}", float(rng.normal(10.0)))
            for k, atoms in enumerate(seeds)
        ]
        data = Dataset.from_entries(name, [crystal], entries, {"potential": "Fe-AM04"})
        for descriptor in map(get_descriptor, ("AFS", "BSO4", "Scattering")):
            data.with_features(
                descriptor, rng.normal(size=(30, descriptor.n_features)), np.zeros((1, descriptor.n_features))
            )
        paths.append(folder / f"{name}.h5")
        data.save(paths[-1])
    return paths


@pytest.fixture
def sources(database, learned, monkeypatch):
    """The options that name the data of a figure; few repeats, since thirty structures split in no time only once."""
    monkeypatch.setattr("ldml.figures.parity.N_REPEATS", 1)

    def of(name):
        kind = FIGURES[name]
        if kind.draw is not draw_parity:
            return ("--data", database)
        return tuple(word for path in learned[: len(kind.datasets)] for word in ("--data", path))

    return of


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_in_every_format(name, run, sources, tmp_path):
    beginnings = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".md": b"**Fe-AM04**", ".csv": b"dataset,"}
    for suffix in FIGURES[name].suffixes:
        file = tmp_path / f"it{suffix}"
        result = run(name, *sources(name), "-o", file)
        assert result.exit_code == 0, result.output
        assert file.read_bytes().startswith(beginnings[suffix])
        assert f"written to {file}" in result.output
    assert {file.stem for file in tmp_path.iterdir()} == {"it"}, "no half-written file is left"


@pytest.mark.parametrize("name", FIGURES)
def test_json_holds_the_numbers_and_draws_nothing(name, run, sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = json.loads(run(name, *sources(name), "--json").output)
    assert record["figure"] == name
    assert record["units"]["entropy"] == "k_B"
    assert "output" not in record
    assert list(tmp_path.iterdir()) == []


def test_numbers(run, database):
    counts = json.loads(run("4", "--data", database, "--json").output)
    assert (counts["vacancies"], counts["interstitials"]) == ([2, 3, 0], [0, 0, 2])
    distances = json.loads(run("5", "--data", database, "--json").output)
    assert distances["n_pairs"] == 1 + 3 + 1
    assert distances["formation_entropy"] == [4.0, 6.0, 5.0]
    rows = json.loads(run("table1", "--data", database, "--json").output)["rows"]
    assert [(row["label"], row["n_sites"], row["entropy"]["mean"]) for row in rows] == [
        ("I2", 128, 5.0), ("V2", 128, 4.0), ("V3", 128, 6.0),
    ]  # fmt: skip
    np.testing.assert_allclose([row["strain"] for row in rows], 0.0, atol=1e-12)


def test_a_figure_goes_to_a_file_named_after_it(run, database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("landscape", "--data", database).exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["figure-landscape.png"]


def test_the_same_picture_has_the_same_bytes(run, database, tmp_path):
    for suffix in (".png", ".svg", ".pdf"):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        run("4", "--data", database, "-o", first)
        run("4", "--data", database, "-o", second)
        assert first.read_bytes() == second.read_bytes()


def test_list(run):
    listed = json.loads(run("--list", "--json").output)["figures"]
    assert {"4", "5", "table1", "landscape"} <= set(listed)
    assert all(name in run("--list").output for name in listed)


def test_datasets_that_are_not_there(run, monkeypatch, database, tmp_path):
    monkeypatch.setattr("ldml.sample_data.sample_manifest", dict)
    result = run("4", "-o", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "fe-meam-random" in result.output
    assert "--data" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["6x"], "unknown figure '6x'"),
        ([], "say which figure"),
        (["4", "-o", "a.gif"], ".png, .svg, .pdf"),
        (["table1", "-o", "a.png"], ".md, .csv"),
        (["4", "-o", "no_such_folder/a.png"], "no folder"),
        (["4", "--data", "no_such_file.h5"], "no dataset"),
    ],
)
def test_bad_input_gives_one_line(arguments, says, run, database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = arguments if "--data" in arguments or not arguments else [*arguments, "--data", database]
    result = run(*given)
    assert result.exit_code == 2
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_one_figure_one_database(run, database, tmp_path):
    result = run("4", "--data", database, "--data", database, "-o", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "give --data once" in result.output


def test_matplotlib_waits_until_something_is_drawn():
    code = "import sys, ldml.cli, ldml.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
