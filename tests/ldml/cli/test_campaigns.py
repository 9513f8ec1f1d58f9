"""``ldml campaign``: what is planned is done, stopped work goes on to the same bytes, and everything is said."""

import json
import os
import shlex
import signal

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import ldml
from ldml.campaign import GenerationPlan, Runner
from ldml.campaign.clusters import ClusterPlan
from ldml.campaign.databases import DATABASES, Database
from ldml.campaign.derive import CopyPlan
from ldml.campaign.plan_files import plan_from_record, plan_record
from ldml.cli import main

CLUSTERS = {"plan": "clusters", "n_atoms": 13, "count": 8, "n_steps": 4}
"""Minima of 13 atoms: several short walks, none of which finds all."""
DEFECTS = {"plan": "generation", "potential": "Fe-AM04", "repeats": 3, "counts": {"V2": 1}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Gives a command in a folder that holds the plans."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clusters.json").write_text(json.dumps(CLUSTERS))

    def call(*arguments):
        return CliRunner().invoke(main, ["campaign", *map(str, arguments)], catch_exceptions=False)

    return call


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of the file of clusters, made without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "clusters.json").write_text(json.dumps(CLUSTERS))
    previous = os.getcwd()
    os.chdir(folder)
    try:
        arguments = ["campaign", "run", "clusters.json", "-o", "out.h5", "--no-descriptors"]
        assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 0
    finally:
        os.chdir(previous)
    return (folder / "out.h5").read_bytes()


def clusters(run, *options):
    return run("run", "clusters.json", "-o", "out.h5", "--no-descriptors", *options)


def test_every_database_is_listed_with_its_parts(run):
    listed = json.loads(run("list", "--json").output)
    assert {name: entry["parts"] for name, entry in listed.items()} == {
        name: list(database.parts) for name, database in DATABASES.items()
    }
    text = run("list").output
    assert all(name in text and database.title in text for name, database in DATABASES.items())


@pytest.mark.parametrize("name", DATABASES)
def test_a_plan_survives_its_file(name):
    for plan in DATABASES[name].parts.values():
        assert plan_from_record(json.loads(json.dumps(plan_record(plan)))) == plan


def test_a_printed_plan_can_be_given_back(run):
    printed = json.loads(run("plan", "fe-am04-8a0", "--part", "I3").output)
    assert plan_from_record(printed) == DATABASES["fe-am04-8a0"].parts["I3"]
    assert plan_from_record(json.loads(run("plan", "lj38").output)) == DATABASES["lj38"].parts["LJ38"]


def test_fields_left_out_have_their_defaults():
    assert plan_from_record(DEFECTS) == GenerationPlan("Fe-AM04", 3, {"V2": 1})
    copies = {"plan": "copies", "source": "x", "repeats": 8, "counts": {"I2": 1}, "crystals": [[10, 0], [8, 0.01]]}
    assert plan_from_record(copies) == CopyPlan("x", 8, {"I2": 1}, ((10, 0.0), (8, 0.01)))
    assert plan_from_record(CLUSTERS | {"temperatures": [1, 0.5]}) == ClusterPlan(13, 8, 4, (1.0, 0.5))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ([1], "JSON object"),
        ({"repeats": 3}, "generation, copies"),
        ({"plan": "generations"}, "did you mean 'generation'"),
        (DEFECTS | {"sead": 1}, "did you mean 'seed'"),
        ({"plan": "generation", "potential": "Fe-AM04"}, "lacks repeats, counts"),
        (DEFECTS | {"repeats": 3.5}, "repeats = 3.5 of the plan does not fit: give a whole number"),
        (DEFECTS | {"repeats": True}, "whole number"),
        (DEFECTS | {"potential": 4}, "give a text"),
        (DEFECTS | {"highest_energy": "8"}, "give a number"),
        (DEFECTS | {"counts": ["I2"]}, "give an object"),
        (DEFECTS | {"counts": {"I2": "many"}}, "whole number"),
        (DEFECTS | {"counts": {"Q2": 1}}, "defect class"),
        (DEFECTS | {"spreads": 1.0}, "give a list"),
        (DEFECTS | {"spreads": [None]}, "give a number"),
        ({"plan": "copies", "source": "x", "repeats": 8, "counts": {}, "crystals": [[10]]}, "give 2 values"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_line(run, tmp_path, record, words):
    (tmp_path / "bad.json").write_text(json.dumps(record))
    result = run("run", "bad.json")
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "bad.h5.store").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "absent.json"], "cannot be read"),
        (["run", "broken.json"], "not JSON"),
        (["run", "fe-am04-8a1"], "did you mean 'fe-am04-8a0'"),
        (["run", "fe-am04-8a0", "--part", "I9"], "known: I2"),
        (["run", "clusters.json", "--part", "I2"], "has no parts"),
        (["run", "clusters.json", "-o", "nowhere/out.h5"], "no folder"),
        (["run", "clusters.json", "--shard", "half"], "I/N"),
        (["run", "clusters.json", "--shard", "3/2"], "shard 3/2 does not exist"),
        (["run", "clusters.json", "--shard", "0/2"], "shard 0/2 does not exist"),
        (["run", "clusters.json", "--store", "broken.json"], "cannot be written"),
        (["status", "nowhere"], "no store"),
        (["summary", "nowhere"], "no store"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(run, tmp_path, arguments, words):
    (tmp_path / "broken.json").write_text("{")
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_recorded_command_makes_the_same_file_again(run, tmp_path, whole):
    (tmp_path / "out.h5").write_bytes(whole)
    data = ldml.load_dataset(tmp_path / "out.h5")
    assert len(data) == CLUSTERS["count"]
    assert data.formation_energy.min() == 0.0
    words = shlex.split(data.metadata["command"])
    assert words[:3] == ["ldml", "campaign", "run"]
    assert run(*words[2:], "--no-descriptors", "--json").exit_code == 0
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_a_report_says_what_was_found(run):
    report = json.loads(clusters(run, "--json").output)
    assert report["n"] == CLUSTERS["count"]
    assert report["search"]["LJ13"]["attempts"] >= 3 * CLUSTERS["n_steps"]
    assert report["failures"] == {}
    text = run("summary", "out.h5.store").output
    assert "clusters: ClusterPlan" in text
    summary = json.loads(run("summary", "out.h5.store", "--json").output)
    assert summary["stages"]["walk"]["done"] * CLUSTERS["n_steps"] == report["search"]["LJ13"]["attempts"]
    assert summary["stages"]["walk"]["hours"] > 0


def test_a_campaign_out_of_time_goes_on_to_the_same_bytes(run, tmp_path, whole):
    stopped = clusters(run, "--minutes", "0.00001")
    assert stopped.exit_code == 3
    assert "results are safe in 'out.h5.store'; give the same command again" in stopped.output
    assert not (tmp_path / "out.h5").exists()
    assert clusters(run, "--minutes", "10").exit_code == 0
    assert (tmp_path / "out.h5").read_bytes() == whole


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "job scheduler"])
def test_an_interrupted_campaign_goes_on_to_the_same_bytes(run, tmp_path, monkeypatch, whole, which):
    report = Runner.report

    def interrupted(self, *arguments):
        report(self, *arguments)
        signal.raise_signal(which)

    # a shell that runs the tests in the background has them ignore Ctrl+C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Runner, "report", interrupted)
            stopped = clusters(run)
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.exit_code == 130
    assert "stopped: 1 results are safe" in stopped.output
    # a later signal is no longer the campaign's
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    status = json.loads(run("status", "out.h5.store", "--json").output)
    assert [member["state"] for member in status["members"]] == ["stopped"]
    assert status["stages"]["walk"]["done"] == 1
    assert clusters(run).exit_code == 0
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_shares_of_a_job_array_are_assembled_by_a_last_run(run, tmp_path, whole):
    for share in ("1/2", "2/2"):
        done = clusters(run, "--shard", share)
        assert done.exit_code == 0
        assert "give the command without --shard" in done.output
        assert not (tmp_path / "out.h5").exists()
    assert clusters(run).exit_code == 0
    assert (tmp_path / "out.h5").read_bytes() == whole


def test_damaged_results_are_reported_and_made_again(run, tmp_path, whole):
    clusters(run)
    for file in (tmp_path / "out.h5.store" / "walk").glob("*/*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    again = clusters(run)
    assert again.exit_code == 0
    assert "damaged results were set aside" in again.output
    assert (tmp_path / "out.h5").read_bytes() == whole
    assert "damaged" in run("status", "out.h5.store").output


def test_what_fails_is_counted_with_an_example(run, tmp_path):
    """No vacancy pair lies within 0.02 eV of the crystal, so that every attempt fails."""
    plan = DEFECTS | {"highest_energy": 0.01, "attempts_per_minimum": 2}
    (tmp_path / "high.json").write_text(json.dumps(plan))
    result = run("run", "high.json", "--no-descriptors")
    assert result.exit_code == 0
    assert "0 of 2 attempts" in result.output
    assert "HighEnergyError x 2" in result.output
    failures = json.loads(run("status", "high.h5.store", "--json").output)["failures"]
    assert failures["HighEnergyError"]["count"] == 2
    assert "above the crystal" in failures["HighEnergyError"]["example"]


def test_parts_of_a_database_become_one_dataset(run, tmp_path, monkeypatch):
    parts = {label: GenerationPlan("Fe-AM04", 3, {label: 1}) for label in ("V1", "V2")}
    monkeypatch.setitem(DATABASES, "small", Database("two classes", parts))
    assert run("run", "small", "--part", "V2", "--no-descriptors").exit_code == 0
    one = ldml.load_dataset(tmp_path / "small-V2.h5")
    assert one.labels.tolist() == ["V2"]
    assert one.metadata["command"] == "ldml campaign run small --part V2 -o small-V2.h5"
    # positions are stored in steps from the sites, not as they are
    with h5py.File(tmp_path / "small-V2.h5") as file:
        kept = []
        file.visititems(lambda name, item: kept.append((item.shape, item.dtype)) if hasattr(item, "shape") else None)
    assert ((len(one[0]), 3), np.dtype(float)) not in kept
    assert run("run", "small", "--store", "small-V2.h5.store", "--no-descriptors").exit_code == 0
    both = ldml.load_dataset(tmp_path / "small.h5")
    assert both.labels.tolist() == ["V1", "V2"]
    assert len(both.bulks) == 1
    assert both.formation_entropy[1] == one.formation_entropy[0]


def test_status_of_a_campaign_at_work(run, tmp_path, monkeypatch):
    """Asked from within: this process is alive, and says how far it is."""
    report, seen = Runner.report, []

    def watched(self, *arguments):
        report(self, *arguments)
        self.activity.write(at_once=True)
        seen.append(json.loads(run("status", "out.h5.store", "--json").output))

    monkeypatch.setattr(Runner, "report", watched)
    clusters(run)
    (member,) = seen[0]["members"]
    assert member["state"] == "working"
    assert member["at"]["total"] == CLUSTERS["count"]
    assert 0 < member["at"]["done"] <= CLUSTERS["count"]
    assert seen[0]["stages"]["walk"]["per_minute"] > 0
    assert "complete" in run("status", "out.h5.store").output
