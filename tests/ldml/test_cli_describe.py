"""``ldml describe``: what it writes is what the library computes, and what it refuses it refuses in one line."""

import csv
import json
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner

from ldml.cli import descriptors as verb
from ldml.cli import main
from ldml.cli.shared import TerminalProgress
from ldml.descriptors import AFS, get_descriptor
from ldml.descriptors.table_files import read_descriptors, unfinished

SMALL = ("-p", "n_max=3", "-p", "l_max=2", "-p", "cutoff=4")
DESCRIPTOR = get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)


@pytest.fixture
def run():
    def call(*args):
        return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)

    return call


def crystal(seed=0, repeats=2):
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(repeats)
    atoms.rattle(0.05, seed=seed)
    return atoms


def vacancy():
    atoms = crystal(1)
    del atoms[4]
    return atoms


def spoilt(change):
    atoms = crystal(2)
    change(atoms)
    return atoms


def not_finite(atoms):
    atoms.positions[3, 1] = np.nan


def coincident(atoms):
    atoms.positions[5] = atoms.positions[2] + 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("describe")
    good = [crystal(), vacancy()]
    ase.io.write(folder / "good.xyz", good, format="extxyz")
    ase.io.write(folder / "one.xyz", crystal(), format="extxyz")
    ase.io.write(folder / "nan.xyz", spoilt(not_finite), format="extxyz")
    ase.io.write(folder / "coincident.xyz", spoilt(coincident), format="extxyz")
    ase.io.write(folder / "mixed.xyz", [crystal(), spoilt(not_finite), spoilt(coincident), vacancy()], format="extxyz")
    ase.io.write(folder / "POSCAR", crystal(), format="vasp")
    ase.io.write(folder / "good.traj", good)
    (folder / "no_atoms.xyz").write_text('0\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"\n')
    (folder / "short.xyz").write_text("5\n\nFe 0 0 0\n")
    (folder / "empty.xyz").write_text("")
    (folder / "text.xyz").write_text("hello\n")
    (folder / "packed.xyz.gz").write_bytes(b"\x1f\x8b")
    (folder / "huge.json").write_text('{"1": {"numbers": {"__ndarray__": [[200000000], "int64", []]}}}')
    return folder


def as_read(path):
    return ase.io.read(path, index=":", format="extxyz")


@pytest.mark.parametrize("ending", ["h5", "npz"])
@pytest.mark.parametrize("content", ["--total", "--rows"])
def test_files_hold_what_the_library_computes(run, folder, tmp_path, ending, content):
    out = tmp_path / f"out.{ending}"
    result = run("describe", folder / "good.xyz", folder / "one.xyz", content, *SMALL, "-o", out, "--json")
    assert result.exit_code == 0
    report = json.loads(result.output)
    structures = as_read(folder / "good.xyz") + as_read(folder / "one.xyz")
    table = read_descriptors(out)
    assert table.descriptor == DESCRIPTOR
    assert table.names == ("good.xyz[0]", "good.xyz[1]", "one.xyz")
    assert [done["n_atoms"] for done in report["structures"]] == table.n_atoms.tolist() == [16, 15, 16]
    assert report["fingerprint"] == DESCRIPTOR.fingerprint
    for k, atoms in enumerate(structures):
        expected = DESCRIPTOR.compute(atoms) if content == "--rows" else DESCRIPTOR.total(atoms)[None]
        np.testing.assert_array_equal(table.rows_of(k), expected)
    assert not unfinished(out).exists()


@pytest.mark.parametrize("content", ["--total", "--rows"])
def test_csv_keeps_all_digits(run, folder, tmp_path, content):
    out = tmp_path / "out.csv"
    assert run("describe", folder / "good.xyz", content, *SMALL, "-o", out).exit_code == 0
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["structure", "atom" if content == "--rows" else "n_atoms", *DESCRIPTOR.feature_names]
    structures = as_read(folder / "good.xyz")
    if content == "--rows":
        expected = np.concatenate([DESCRIPTOR.compute(atoms) for atoms in structures])
        assert [int(row[1]) for row in rows] == [*range(16), *range(15)]
    else:
        expected = np.array([DESCRIPTOR.total(atoms) for atoms in structures])
        assert [int(row[1]) for row in rows] == [16, 15]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], dtype=float), expected)
    assert {row[0] for row in rows} == {"good.xyz[0]", "good.xyz[1]"}


@pytest.mark.parametrize("name", ["POSCAR", "good.traj"])
def test_other_formats(run, folder, tmp_path, name):
    out = tmp_path / "out.h5"
    assert run("describe", folder / name, *SMALL, "-o", out).exit_code == 0
    expected = [DESCRIPTOR.total(atoms) for atoms in ase.io.read(folder / name, index=":")]
    np.testing.assert_allclose(read_descriptors(out).features, expected, rtol=1e-12)


def test_a_bad_structure_does_not_cost_the_others(run, folder, tmp_path):
    out = tmp_path / "out.h5"
    files = [folder / name for name in ("mixed.xyz", "text.xyz", "absent.xyz", "one.xyz")]
    result = run("describe", *files, *SMALL, "-o", out, "--json")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert [done["name"] for done in report["structures"]] == ["mixed.xyz[0]", "mixed.xyz[3]", "one.xyz"]
    failed = {failure["name"]: failure["message"] for failure in report["failures"]}
    assert "finite" in failed["mixed.xyz[1]"]
    assert "atoms 2 and 5" in failed["mixed.xyz[2]"]
    assert "not a structure file" in failed["text.xyz"]
    assert "no file" in failed["absent.xyz"]
    assert read_descriptors(out).names == ("mixed.xyz[0]", "mixed.xyz[3]", "one.xyz")
    text = run("describe", *files, *SMALL, "-o", out).output
    assert "failed: mixed.xyz[1]: " in text


def test_nothing_finished_leaves_the_old_file_alone(run, folder, tmp_path):
    out = tmp_path / "out.h5"
    assert run("describe", folder / "one.xyz", *SMALL, "-o", out).exit_code == 0
    before = out.read_bytes()
    result = run("describe", folder / "nan.xyz", folder / "coincident.xyz", *SMALL, "-o", out)
    assert result.exit_code == 1
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out.h5"]


@pytest.mark.parametrize("ending", ["h5", "npz", "csv"])
def test_an_interrupt_keeps_what_was_finished(run, folder, tmp_path, monkeypatch, ending):
    genuine = verb._described

    def interrupted(stored, *options):
        if stored.name == "good.xyz[1]":
            raise KeyboardInterrupt
        return genuine(stored, *options)

    monkeypatch.setattr(verb, "_described", interrupted)
    out = tmp_path / f"out.{ending}"
    out.write_text("what was there")
    result = run("describe", folder / "good.xyz", *SMALL, "-o", out)
    assert result.exit_code == 130
    assert f"1 finished structure kept in '{unfinished(out)}'" in result.output
    assert out.read_text() == "what was there"
    if ending == "csv":
        assert len(unfinished(out).read_text().splitlines()) == 2
    else:
        assert read_descriptors(unfinished(out)).names == ("good.xyz[0]",)


def test_what_nobody_foresaw_is_reported(run, folder, tmp_path, monkeypatch):
    def surprise(self, atoms):
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(AFS, "_total", surprise)
    result = run("describe", folder / "one.xyz", *SMALL, "-o", tmp_path / "out.h5")
    assert result.exit_code == 1
    assert result.output == "failed: one.xyz: ZeroDivisionError: surprise\n"


def test_rows_that_are_shares_are_noted(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(AFS, "is_local", False)
    arguments = ("describe", folder / "one.xyz", *SMALL, "-o", tmp_path / "out.h5")
    assert "note: AFS is not local" in run(*arguments, "--rows").output
    assert "note" not in run(*arguments, "--total").output


def test_equal_file_names_are_told_apart_by_their_folders(run, folder, tmp_path):
    twin = tmp_path / "one.xyz"
    twin.write_bytes((folder / "one.xyz").read_bytes())
    out = tmp_path / "out.npz"
    run("describe", folder / "one.xyz", twin, *SMALL, "-o", out)
    assert read_descriptors(out).names == (str(folder / "one.xyz"), str(twin))


def test_progress_names_the_structures(run, folder, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(TerminalProgress, "update", lambda self, *report: seen.append(report))
    run("describe", folder / "good.xyz", *SMALL, "-o", tmp_path / "out.h5")
    assert seen == [(0, 2, "AFS, good.xyz[0]"), (1, 2, "AFS, good.xyz[1]")]


def test_progress_stays_on_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    TerminalProgress().update(1, 2, "a_very_long_name" * 9)
    line = capsys.readouterr().err.rpartition("\033[K")[2]
    assert len(line) == 49
    assert line.startswith("[############------------] 1/2 a_very_long_name")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "at least one file"),
        (["one.xyz"], "-o descriptors.h5"),
        (["absent.xyz", "-o", "out.h5"], "no file 'absent.xyz'"),
        (["nan.xyz", "-o", "out.h5"], "finite"),
        (["coincident.xyz", "-o", "out.h5"], "atoms 2 and 5"),
        (["no_atoms.xyz", "-o", "out.h5"], "no atoms"),
        (["empty.xyz", "-o", "out.h5"], "empty"),
        (["short.xyz", "-o", "out.h5"], "announces 5 atoms"),
        (["text.xyz", "-o", "out.h5"], "not a structure file"),
        (["packed.xyz.gz", "-o", "out.h5"], "compressed"),
        (["huge.json", "-o", "out.h5"], "format 'json', which is not read"),
        (["one.xyz", "-o", "out.dat"], ".h5, .hdf5, .npz, .csv"),
        (["one.xyz", "-o", "nowhere/out.h5"], "no folder"),
        (["one.xyz", "-o", "."], "is a folder"),
        (["one.xyz", "-o", "out.h5", "--list"], "give no files"),
        (["--list", "--features"], "two different tables"),
        (["one.xyz", "-o", "out.h5", "--descriptor", "AFC"], "did you mean 'AFS'"),
        (["--features", "-p", "cutoff"], "NAME=VALUE, such as cutoff=5"),
        (["--features", "-p", "=5"], "NAME=VALUE"),
        (["--features", "-p", "cutof=5"], "no parameter 'cutof'; did you mean 'cutoff'?"),
        (["--features", "-p", "r_cut=5"], "did you mean 'cutoff'?"),
        (["--features", "-p", "f=none"], "did you mean 'cutoff_function'?"),
        (["--features", "-p", "cutoff=5", "-p", "cutoff=4"], "given twice"),
        (["--features", "-p", "cutoff=0"], "use a value above 0 up to 12 Å"),
        (["--features", "-p", "cutoff=-1"], "cutoff = -1.0 is out of range"),
        (["--features", "-p", "cutoff=99"], "cutoff = 99.0 is out of range"),
        (["--features", "-p", "cutoff=nan"], "not finite"),
        (["--features", "-p", "cutoff=five"], "cutoff = 'five' is not a number"),
        (["--features", "-p", "cutoff="], "cutoff = '' is not a number"),
        (["--features", "-p", "n_max=31"], "n_max = 31 is out of range; use a value from 1 up to 30"),
        (["--features", "-p", "n_max=2.5"], "not a whole number"),
        (["--features", "-p", "l_max=-1"], "l_max = -1 is out of range"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(run, folder, monkeypatch, arguments, word):
    monkeypatch.chdir(folder)
    result = run("describe", *arguments)
    assert result.exit_code == 2
    assert word in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (folder / "out.h5").exists()


def test_fit_reads_parameters_the_same_way(run):
    result = run("fit", "fe-am04-8a0", "-p", "nmax=4")
    assert result.exit_code == 2
    assert "did you mean 'n_max'?" in result.output


def test_rows_too_large_for_npz_are_refused_before_work(run, folder, tmp_path, monkeypatch):
    from ldml.descriptors import table_files

    monkeypatch.setattr(table_files, "NPZ_BYTES", 2000)
    result = run("describe", folder / "one.xyz", "--rows", *SMALL, "-o", tmp_path / "out.npz")
    assert result.exit_code == 0  # 16 rows of 9 features are 1152 bytes
    with monkeypatch.context() as before_work:
        before_work.setattr(verb, "_described", lambda *_: pytest.fail("work was started"))
        result = run("describe", folder / "good.xyz", "--rows", *SMALL, "-o", tmp_path / "big.npz")
    assert result.exit_code == 2
    assert "write .h5" in result.output
    assert not (tmp_path / "big.npz").exists()
    assert run("describe", folder / "good.xyz", *SMALL, "-o", tmp_path / "big.npz").exit_code == 0


def test_list_and_features(run):
    listed = json.loads(run("describe", "--list", "--json").output)["descriptors"]
    cutoff = next(p for d in listed if d["name"] == "AFS" for p in d["parameters"] if p["name"] == "cutoff")
    assert cutoff["default"] == 5.0
    assert cutoff["unit"] == "Å"
    assert cutoff["symbol"] == "r_cut"
    text = run("describe", "--list").output
    for record in listed:
        assert record["name"] in text
        assert all(p["name"] in text and p["doc"] in text for p in record["parameters"])
    report = json.loads(run("describe", "--features", *SMALL, "--json").output)
    assert report["fingerprint"] == DESCRIPTOR.fingerprint
    assert [row["name"] for row in report["features"]] == list(DESCRIPTOR.feature_names)
    assert report["features"][4] == {"column": 4, "name": "A[n=2,l=1]", "indices": {"n": 2, "l": 1}, "trivial": False}
    lines = run("describe", "--features", *SMALL).output.splitlines()
    assert lines[1].split() == ["column", "name", "n", "l"]
    assert lines[6].split() == ["4", "A[n=2,l=1]", "2", "1"]


def test_spaces_around_a_parameter_do_not_matter(run):
    assert "cutoff_function='polynomial'" in run("describe", "--features", "-p", " cutoff_function = polynomial").output


def test_help(run):
    assert "--features" in run("describe", "--help").output


def test_a_lone_cluster_without_cell(run, tmp_path):
    atoms = Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 2.0)])
    ase.io.write(tmp_path / "pair.xyz", atoms, format="extxyz")
    assert run("describe", tmp_path / "pair.xyz", *SMALL, "-o", tmp_path / "out.h5").exit_code == 0
    np.testing.assert_array_equal(read_descriptors(tmp_path / "out.h5").features[0], DESCRIPTOR.total(atoms))
