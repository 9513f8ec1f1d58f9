"""A small dataset from nothing: reproducible, resumable, true."""

import json

import numpy as np
import pytest

import ldml
from ldml.campaign import GenerationPlan, generate_dataset
from ldml.campaign.executors import task_map
from ldml.campaign.store import Store
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz
from ldml.potentials import perfect_crystal

PLAN = GenerationPlan("Fe-AM04", 3, {"V2": 2, "I1": 1}, n_local=2, seed=3)


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    # three attempts at a time keep the test short; the size of a batch is no part of the physics
    from ldml.campaign import generate

    patch = pytest.MonkeyPatch()
    patch.setattr(generate, "BATCH", 3)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return folder, generate_dataset("small", PLAN, store=folder)


def test_labels_are_exact_and_structures_are_what_they_say(made, am04):
    _, data = made
    bulk = perfect_crystal("Fe-AM04", 3)
    assert sorted(data.labels) == ["I1", "V2", "V2"]
    for i in range(len(data)):
        exact = ldml.formation_entropy(data[i], bulk, am04, local=True)
        assert data.formation_entropy[i] == pytest.approx(exact.value, abs=1e-8)
        assert data.max_force[i] <= 1e-6
        energy = am04.energy(data[i]) - len(data[i]) / len(bulk) * am04.energy(bulk)
        assert data.formation_energy[i] == pytest.approx(energy, abs=1e-8)
        defects = WignerSeitz(bulk)(data[i])
        assert defects.n_interstitials - defects.n_vacancies == {"I1": 1, "V2": -2}[data.labels[i]]
        local = data.local_entropy(i)
        if local is not None:
            np.testing.assert_allclose(local, exact.local, atol=1e-8)
    assert data.has_local.sum() == 2


def test_statistics_of_the_search_are_reported(made):
    search = made[1].metadata["search"]
    assert search["V2"]["attempts"] >= 2
    assert search["V2"]["distinct_energy_and_inertia"] <= search["V2"]["distinct_energy_or_inertia"]
    json.dumps(made[1].metadata)


def test_an_interrupted_run_continues_to_the_same_result(made, tmp_path):
    """Half the results gone, as after a kill; they come back the same, and what is there is not computed again."""
    folder, whole = made
    for k, file in enumerate(sorted(folder.iterdir())):
        if k % 2 or file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.npz")}
    again = generate_dataset("small", PLAN, store=tmp_path)
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in kept.items())
    assert list(again.names) == list(whole.names)
    assert np.array_equal(again.formation_entropy, whole.formation_entropy)
    assert all(np.array_equal(again[i].positions, whole[i].positions) for i in range(len(whole)))


def test_a_store_of_another_plan_is_not_mixed_in(made):
    with pytest.raises(InputError, match="another plan"):
        generate_dataset("small", GenerationPlan("Fe-AM04", 3, {"V2": 1}, seed=4), store=made[0])


def test_a_partial_file_is_no_result(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "a.123.partial").write_bytes(b"half")
    assert store.get("a") is None
    store.put("a", {"x": np.arange(3), "note": "text"})
    assert np.array_equal(store.get("a")["x"], np.arange(3))
    assert str(store.get("a")["note"]) == "text"


def test_worker_processes_keep_the_order():
    with task_map(2) as run:
        assert list(run(abs, [-3, 2, -1])) == [3, 2, 1]


def test_impossible_plans_are_refused():
    with pytest.raises(InputError, match="positive"):
        GenerationPlan("Fe-AM04", 3, {"V2": 0})
    with pytest.raises(InputError, match="defect class"):
        GenerationPlan("Fe-AM04", 3, {"Q2": 1})
