"""``ldml data``: the datasets that are there, and whether their labels hold."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.cluster import Icosahedron
from click.testing import CliRunner

import ldml
from ldml import sample_data
from ldml.cli import main
from ldml.dataset import Dataset, Entry, load_dataset
from ldml.entropy import formation_energy
from ldml.potentials import perfect_crystal
from ldml.structures import strained, vacancy_cluster
from ldml.verification import random_sample


@pytest.fixture
def run():
    def call(*args):
        return CliRunner().invoke(main, ["data", *(str(a) for a in args)], catch_exceptions=False)

    return call


def _labelled(bulks, structures, potential, *, local=()):
    """A dataset of these relaxed structures, (atoms, number of their crystal), with their exact labels."""
    potential, entries = ldml.get_potential(potential), []
    for k, (atoms, bulk) in enumerate(structures):
        f = ldml.formation_entropy(atoms, bulks[bulk], potential, local=k in local)
        energy = formation_energy(potential.energy(atoms), len(atoms), potential.energy(bulks[bulk]), len(bulks[bulk]))
        entries.append(Entry(atoms, "V1", f"s{k}", f.value, energy, f.defect.max_force, f.local, bulk))
    metadata = {
        "potential": potential.name,
        "potential_fingerprint": potential.fingerprint,
        "convention": "equal (...)",
    }
    return Dataset.from_entries("made", bulks, entries, metadata)


@pytest.fixture(scope="module")
def iron(am04, crystal4, vacancy4):
    """A vacancy in two crystals, one of them strained, with the local entropies of one structure."""
    wide = strained(crystal4, 0.01)
    stretched = ldml.relax(vacancy_cluster(wide, 1), am04).atoms
    return _labelled([crystal4, wide], [(vacancy4, 0), (stretched, 1)], "Fe-AM04", local=[1])


@pytest.fixture(scope="module")
def clusters():
    """The icosahedron of 13 atoms and another minimum, their entropies against the former."""
    lj = ldml.get_potential("LJ")
    shells = Icosahedron("Cu", 2).positions
    shells -= shells.mean(axis=0)
    shells *= 2 ** (1 / 6) / np.linalg.norm(shells, axis=1).max()
    start = shells.copy()
    start[12] = 1.8 * shells[1]  # from the shell to a place on top of it
    atoms = [ldml.relax(Atoms(["X"] * 13, positions=positions), lj, 1e-9).atoms for positions in (shells, start)]
    entropies = [ldml.harmonic_entropy(a, lj).total for a in atoms]
    energies = [lj.energy(a) for a in atoms]
    assert energies[0] == pytest.approx(-44.326801, abs=1e-6)  # Cambridge Cluster Database
    assert energies[1] > energies[0] + 1
    entries = [
        Entry(a, "LJ13", f"m{k}", entropies[k] - entropies[0], energies[k] - energies[0]) for k, a in enumerate(atoms)
    ]
    metadata = {"potential": "LJ", "units": {"length": "sigma", "energy": "epsilon"}, "convention": "difference of two"}
    return Dataset.from_entries("lj13", [atoms[0]], entries, metadata)


@pytest.fixture
def saved(tmp_path):
    def save(data):
        data.save(tmp_path / "d.h5", compact=True)
        return tmp_path / "d.h5"

    return save


def _changed(data, k, **labels):
    entries = [replace(entry, **labels) if i == k else entry for i, entry in enumerate(data.entries)]
    return Dataset.from_entries(data.name, data.bulks, entries, data.metadata)


def test_labels_that_hold(run, saved, iron):
    result = run("verify", saved(iron), "--json")
    report = json.loads(result.output)
    assert result.exit_code == 0
    assert [row["name"] for row in report["recomputed"]] == ["s0", "s1"]
    assert report["different"] == []
    # positions of 3e-6 Å: a tenth of what is allowed; the energy is flat at a minimum
    assert report["worst"]["entropy_difference"] < 1e-4
    assert report["worst"]["energy_difference"] < 1e-7
    assert report["worst"]["local_difference"] < 1e-4
    assert report["recomputed"][0]["local_difference"] is None
    text = run("verify", saved(iron), "--sample", 1, "--tolerance", 0.01).output
    assert "1 of 2 structures recomputed with Fe-AM04" in text
    assert "all agree within 0.01 k_B" in text


def test_a_sample_has_local_entropies_if_any_structure_has(iron):
    for seed in range(5):
        assert random_sample(iron, 1, np.random.default_rng(seed)) == [1]
    assert random_sample(iron, 9, np.random.default_rng(0)) == [0, 1]


def test_labels_that_hold_of_meam(run, saved):
    crystal = perfect_crystal("Fe-EtesamiAsadi2018", 3)
    vacancy = ldml.relax(vacancy_cluster(crystal, 1), "Fe-EtesamiAsadi2018").atoms
    assert run("verify", saved(_labelled([crystal], [(vacancy, 0)], "Fe-EtesamiAsadi2018"))).exit_code == 0


def test_labels_that_hold_of_clusters(run, saved, clusters):
    report = json.loads(run("verify", saved(clusters), "--json").output)
    assert report["different"] == []
    assert report["worst"]["entropy_difference"] < 1e-4
    assert report["worst"]["local_difference"] is None
    assert "epsilon/sigma" in run("verify", saved(clusters)).output


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ({"formation_entropy": 1.0}, "1 of 2 differ: s1"),
        ({"formation_energy": 1.0}, "1 of 2 differ: s1"),
        ({"local_entropy": np.zeros(127)}, "1 of 2 differ: s1"),
    ],
)
def test_labels_that_do_not_hold(run, saved, iron, labels, word):
    result = run("verify", saved(_changed(iron, 1, **labels)))
    assert result.exit_code == 1
    assert word in result.output


def test_the_tolerance_decides(run, saved, iron):
    path = saved(_changed(iron, 0, formation_entropy=iron.formation_entropy[0] + 2e-3))
    assert run("verify", path).exit_code == 1
    assert run("verify", path, "--tolerance", 3e-3).exit_code == 0


def test_positions_that_are_no_minimum(run, saved, iron):
    shaken = iron[0]
    shaken.positions[0] += 0.1
    result = run("verify", saved(_changed(iron, 0, atoms=shaken)))
    assert result.exit_code == 1
    assert "s0" in result.output
    assert "eV/Å" in result.output


def test_structures_without_an_entropy_are_compared_by_their_energy(run, saved, iron):
    saddle = _changed(iron, 0, formation_entropy=float("nan"))
    report = json.loads(run("verify", saved(saddle), "--json", "--no-local").output)
    assert report["different"] == []
    assert report["recomputed"][0]["entropy"] is None
    assert report["recomputed"][0]["energy_difference"] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ({}, "which potential"),
        ({"potential": "Fe-AM05"}, "Fe-AM05"),
        ({"potential": "Fe-AM04", "potential_fingerprint": "0"}, "another potential"),
    ],
)
def test_verify_refuses(run, saved, iron, metadata, word):
    result = run("verify", saved(Dataset.from_entries("d", iron.bulks, iron.entries, metadata)))
    assert result.exit_code == 2
    assert word in result.output


@pytest.mark.parametrize("where", ["label_check", "LabelCheck.__call__"])
def test_an_interrupt(run, saved, iron, monkeypatch, where):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"ldml.verification.{where}", interrupted)
    assert run("verify", saved(iron)).exit_code == 130


def test_show(run, saved, iron):
    path = saved(Dataset.merged([iron, Dataset.from_entries("none", iron.bulks, [], iron.metadata)]))
    shown = json.loads(run("show", path, "--json").output)
    assert shown["classes"]["V1"]["structures"] == 2
    assert shown["classes"]["V1"]["mean"] == pytest.approx(iron.formation_entropy.mean())
    assert shown["classes"]["V1"]["max"] == iron.formation_entropy.max()
    assert [crystal["atoms"] for crystal in shown["crystals"]] == [128, 128]
    assert shown["with_local_entropies"] == 1
    assert "potential: Fe-AM04" in run("show", path).output
    assert run("show", path.with_name("nothing.h5")).exit_code == 2


def test_what_ships_is_listed(run):
    listed = {record["name"]: record for record in json.loads(run("list", "--json").output)["datasets"]}
    assert listed["fe-am04-8a0"]["structures"] == sum(listed["fe-am04-8a0"]["classes"].values())
    assert listed["fe-am04-8a0"]["missing"] == []
    assert "fe-am04-8a0: " in run("list").output


def test_export(run, saved, iron, tmp_path):
    path = saved(iron)
    assert run("export", path, "-o", tmp_path / "x.extxyz").exit_code == 0
    assert list(load_dataset(tmp_path / "x.extxyz").formation_entropy) == pytest.approx(iron.formation_entropy)
    assert run("export", path, "-o", tmp_path / "x.h5").exit_code == 0
    with h5py.File(tmp_path / "x.h5") as file:
        assert "positions" in file["structures"]
    assert run("export", path, "-o", tmp_path / "x.cif").exit_code == 2
    assert run("export", path, "-o", tmp_path / "nowhere" / "x.xyz").exit_code == 2


def test_pack(run, saved, iron, tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "manifest.json").write_text('{"format": 2, "datasets": {}}')
    monkeypatch.setattr(sample_data, "sample_directory", lambda: folder)
    path = saved(iron)
    missing = run("pack", path, "--name", "mine", "--no-descriptors")
    assert missing.exit_code == 2
    assert "--title" in missing.output
    packed = run("pack", path, "--name", "mine", "--title", "Mine", "--origin", "by hand", "--no-descriptors")
    assert packed.exit_code == 0
    assert "mine: 2 structures in 1 files" in packed.output
    assert "no record" not in packed.output
    (folder / "old.h5").touch()
    again = run("pack", path, "--name", "mine", "--no-descriptors")
    assert "in no record, so best removed: old.h5" in again.output
    assert run("verify", "mine", "--sample", 1, "--no-local").exit_code == 0
    assert "title: Mine" in run("show", "mine").output
