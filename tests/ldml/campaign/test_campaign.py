"""Whole campaigns: the same bytes however often they are killed, however many work on them, and wherever."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ldml.campaign import GenerationPlan, campaign_status, run_campaign
from ldml.campaign import executors as executors_module
from ldml.campaign.clusters import ClusterPlan
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz
from ldml.potentials import get_potential

CLUSTERS = ClusterPlan(13, 60, n_steps=12, seed=1)
DEFECTS = GenerationPlan("Fe-AM04", 3, {"V2": 3, "I1": 2}, n_local=2, seed=3)

KILLED = """
import os, random, signal, sys, time
from ldml.campaign import run_campaign
from ldml.campaign.clusters import ClusterPlan

plan, folder = eval(sys.argv[1]), sys.argv[2]
run_campaign("warm", plan, store=folder + "/warm")  # compiled before anything is timed
moments = random.Random(0)
n_killed = 0
for moment in range(12):
    child = os.fork()
    if child == 0:
        run_campaign("clusters", plan, store=folder + "/store")
        os._exit(0)
    time.sleep(moments.uniform(0.0, 0.06))
    os.kill(child, signal.SIGKILL)
    n_killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
run_campaign("clusters", plan, store=folder + "/store").save(folder + "/killed.h5", compact=True)
print(n_killed)
"""


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.npz")}


def saved(data, path):
    data.save(path, compact=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clusters")
    data = run_campaign("clusters", CLUSTERS, store=folder / "store")
    return folder / "store", saved(data, folder / "whole.h5"), data


@pytest.fixture(scope="module")
def defects(tmp_path_factory):
    folder = tmp_path_factory.mktemp("defects")
    data = run_campaign("defects", DEFECTS, store=folder / "store")
    return folder / "store", saved(data, folder / "whole.h5"), data


def test_killed_again_and_again_it_ends_with_the_same_bytes(clusters, tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, repr(CLUSTERS), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 8
    assert (tmp_path / "killed.h5").read_bytes() == clusters[1]
    assert files(tmp_path / "store") == files(clusters[0])


def test_two_processes_and_a_dask_cluster_bring_the_same_bytes(defects, tmp_path):
    for name, options in (("processes", {"n_workers": 2}), ("dask", {"n_workers": 2, "dask": "local"})):
        data = run_campaign("defects", DEFECTS, store=tmp_path / name, **options)
        assert saved(data, tmp_path / f"{name}.h5") == defects[1], name
        # workers may have gone ahead of what was needed; what both have done is the same
        wanted, found = files(defects[0]), files(tmp_path / name)
        assert wanted.items() <= found.items(), name


def test_members_of_a_job_array_at_the_same_time(clusters, tmp_path):
    code = (
        "import sys; from ldml.campaign import run_campaign; from ldml.campaign.clusters import ClusterPlan\n"
        "run_campaign('clusters', eval(sys.argv[1]), store=sys.argv[2], shard=(int(sys.argv[3]), 2))"
    )
    members = [
        subprocess.Popen([sys.executable, "-c", code, repr(CLUSTERS), str(tmp_path / "store"), str(i)]) for i in (1, 2)
    ]
    assert [member.wait() for member in members] == [0, 0]
    before = files(tmp_path / "store")
    assert len(before) >= 2
    assert saved(run_campaign("clusters", CLUSTERS, store=tmp_path / "store"), tmp_path / "a.h5") == clusters[1]
    assert before.items() <= files(tmp_path / "store").items()


def test_damaged_results_are_made_again(clusters, tmp_path):
    for path, content in files(clusters[0]).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content[: len(content) // 2])
    assert saved(run_campaign("clusters", CLUSTERS, store=tmp_path), tmp_path / "again.h5") == clusters[1]
    assert campaign_status(tmp_path).stages["walk"]["damaged"] > 0


def test_an_unreachable_scheduler_is_said_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(executors_module, "CONNECT_TIMEOUT", 1.0)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        run_campaign("clusters", CLUSTERS, store=tmp_path, dask="tcp://127.0.0.1:9")
    assert time.monotonic() - begun < 15.0


@pytest.fixture
def dask_scheduler(tmp_path):
    """A scheduler and a worker in processes of their own: the first process, and its address."""
    file = tmp_path / "scheduler.json"
    options = ["--no-dashboard", "--scheduler-file", str(file)]
    commands = (
        ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *options],
        ["distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", *options],
    )
    processes = [subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL) for command in commands]
    while not file.exists() or not file.stat().st_size:
        time.sleep(0.05)
    yield processes[0], json.loads(file.read_text())["address"]
    for process in processes:
        process.kill()
        process.wait()


def test_a_scheduler_that_dies_loses_nothing_finished(defects, dask_scheduler, tmp_path):
    process, address = dask_scheduler
    store = tmp_path / "store"

    def kill_after_the_first_result():
        while not files(store):
            time.sleep(0.02)
        process.kill()

    watcher = threading.Thread(target=kill_after_the_first_result, daemon=True)
    watcher.start()
    with pytest.raises(InputError, match=r"scheduler at .* is gone; what was finished is in the store"):
        run_campaign("defects", DEFECTS, store=store, dask=address)
    finished = files(store)
    assert finished
    assert saved(run_campaign("defects", DEFECTS, store=store), tmp_path / "resumed.h5") == defects[1]
    assert finished.items() <= files(store).items()


def test_a_status_says_what_was_done(defects):
    status = campaign_status(defects[0])
    assert status.stages["minimum"]["done"] >= 5
    assert status.stages["local"]["done"] == 2
    assert [member["state"] for member in status.members] == ["complete"]
    with pytest.raises(InputError, match="no store"):
        campaign_status(defects[0] / "elsewhere")


def test_clusters_are_distinct_minima_relative_to_the_lowest(clusters):
    """The icosahedron of 13 atoms, -44.326801 ε (Cambridge Cluster Database), is among them and stands for the crystal."""
    data = clusters[2]
    lj = get_potential("LJ")
    assert len(data) == 60
    assert data.metadata["lowest_energy"] == pytest.approx(-44.326801, abs=1e-6)
    for i in (0, 17, 59):
        assert lj.energy(data[i]) - lj.energy(data.bulk) == pytest.approx(data.formation_energy[i], abs=1e-9)
        assert np.abs(lj.forces(data[i])).max() < 1e-5
    assert np.diff(np.sort(data.formation_energy)).min() >= 0.0


def test_what_is_generated_is_what_it_says(defects, am04):
    data = defects[2]
    crystal = WignerSeitz(data.bulk)
    assert sorted(data.labels) == ["I1", "I1", "V2", "V2", "V2"]
    for i in range(len(data)):
        found = crystal(data[i])
        assert found.n_interstitials - found.n_vacancies == {"I1": 1, "V2": -2}[data.labels[i]]


def test_a_process_killed_leaves_no_workers_behind(tmp_path):
    """Workers end with their parent, so that a job system finds the node empty."""
    code = (
        "import sys, time\nfrom ldml.campaign.executors import Processes\n"
        "if __name__ == '__main__':\n"
        "    pool = Processes(2); print(*{pool.submit(__import__('os').getpid).result() for _ in range(4)}, flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20.0
    while any(_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers
    assert not any(_alive(pid) for pid in workers)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().split()[2] != "Z"
