"""A small dataset from nothing: its labels are true."""

import json

import numpy as np
import pytest

import ldml
from ldml.campaign import GenerationPlan, run_campaign
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz
from ldml.potentials import perfect_crystal

PLAN = GenerationPlan("Fe-AM04", 3, {"V2": 2, "I1": 1}, n_local=2, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    return folder, run_campaign("small", PLAN, store=folder)


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


def test_impossible_plans_are_refused():
    with pytest.raises(InputError, match="positive"):
        GenerationPlan("Fe-AM04", 3, {"V2": 0})
    with pytest.raises(InputError, match="defect class"):
        GenerationPlan("Fe-AM04", 3, {"Q2": 1})
