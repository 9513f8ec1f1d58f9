"""Datasets made from a dataset: copies, disorder and events are what they say, and know where they come from."""

import numpy as np
import pytest

import ldml
from ldml.campaign import GenerationPlan, run_campaign
from ldml.campaign.derive import CopyPlan, DisorderPlan, EventPlan
from ldml.dataset import load_dataset
from ldml.errors import InputError
from ldml.point_defects import WignerSeitz
from ldml.potentials import perfect_crystal
from ldml.structures import strained

LABEL_ERROR = (
    1e-6  # k_B or eV: the starts went through a file in small steps, the labels are of the structures themselves
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("derived")


@pytest.fixture(scope="module")
def source(folder):
    """Two divacancies and a dumbbell in 4a0, as a file."""
    plan = GenerationPlan("Fe-AM04", 4, {"V2": 2, "I1": 1}, seed=3)
    run_campaign("source", plan, store=folder / "source").save(folder / "source.h5", compact=True)
    return str(folder / "source.h5")


def check_labels(data, am04, which):
    for i in which:
        crystal = data.bulk_of(i)
        exact = ldml.formation_entropy(data[i], crystal, am04)
        energy = am04.energy(data[i]) - len(data[i]) / len(crystal) * am04.energy(crystal)
        assert data.formation_entropy[i] == pytest.approx(exact.value, abs=LABEL_ERROR)
        assert data.formation_energy[i] == pytest.approx(energy, abs=LABEL_ERROR)
        assert data.max_force[i] <= 1e-6


def net_defects(data, i):
    defects = WignerSeitz(data.bulk_of(i))(data[i])
    return defects.n_interstitials - defects.n_vacancies


def test_copies_are_minima_of_their_crystal_and_know_their_parent(folder, source, am04):
    plan = CopyPlan(source, 4, {"V2": 2, "I1": 1}, ((4, 0.01), (5, 0.0)), seed=1)
    data = run_campaign("copies", plan, store=folder / "copies")
    at_rest = perfect_crystal(am04, 4)
    assert len(data) == 6
    np.testing.assert_allclose(data.bulks[0].cell.array, strained(at_rest, 0.01).cell.array, rtol=1e-12)
    np.testing.assert_allclose(data.bulks[1].cell.array, 1.25 * at_rest.cell.array, rtol=1e-12)
    check_labels(data, am04, range(6))
    assert [net_defects(data, i) for i in range(6)] == [{"V2": -2, "I1": 1}[label] for label in data.labels]
    parents = load_dataset(source)
    assert set(data.parents) == set(parents.names)
    for i in range(6):
        # a copy in a larger cell is the same defect: its energy has nearly converged
        parent = parents.index(data.parents[i])
        if len(data.bulk_of(i)) == 250:
            assert data.formation_energy[i] == pytest.approx(parents.formation_energy[parent], abs=0.3)
    assert len(set(data.names)) == 6


def test_disorder_makes_frenkel_pairs_and_differs_from_part_to_part(folder, source, am04):
    def part(first):
        plan = DisorderPlan(source, 4, ("V2",), 2, 5, (3, 6), (6.0, None), (3.0, 4.0), seed=1, first=first)
        return run_campaign(f"disorder-{first}", plan, store=folder / "disorder")

    data, other = part(0), part(100)
    check_labels(data, am04, [0])
    assert [net_defects(data, i) for i in range(2)] == [-2, -2]
    defects = WignerSeitz(data.bulks[0])(data[0])
    assert data.quantity("n_vacancies")[0] == defects.n_vacancies
    assert data.quantity("n_interstitials")[0] == defects.n_interstitials
    assert set(data.parents) <= set(load_dataset(source).names)
    assert set(data.names).isdisjoint(other.names)
    assert np.abs(np.subtract.outer(data.formation_energy, other.formation_energy)).min() > 1e-3


def test_events_join_two_minima_over_one_saddle(folder, source, am04):
    data = run_campaign("events", EventPlan(source, 4, {"V2": 1}, seed=1), store=folder / "events")
    start, saddle, end = (
        next(i for i, name in enumerate(data.names) if name.endswith(place)) for place in ("start", "saddle", "end")
    )
    check_labels(data, am04, [start, end])
    energies = data.formation_energy
    assert energies[saddle] > max(energies[start], energies[end])
    assert data.quantity("barrier")[saddle] == pytest.approx(energies[saddle] - energies[start], abs=1e-9)
    assert data.quantity("reverse_barrier")[saddle] == pytest.approx(energies[saddle] - energies[end], abs=1e-9)
    eigenvalues = np.linalg.eigvalsh(am04.hessian(data[saddle]).toarray())
    assert (eigenvalues < -1e-6).sum() == 1
    assert data.quantity("lowest_eigenvalue")[saddle] == pytest.approx(eigenvalues[0], abs=1e-3)
    assert np.isnan(data.formation_entropy[saddle])


def test_plans_say_what_is_wrong_with_their_source(folder, source):
    with pytest.raises(InputError, match="2 structures of V2, not 3"):
        run_campaign("many", CopyPlan(source, 4, {"V2": 3}, ((4, 0.0),)), store=folder / "bad")
    with pytest.raises(InputError, match="not in one cell of 5 lattice constants"):
        run_campaign("cell", CopyPlan(source, 5, {"V2": 1}, ((5, 0.0),)), store=folder / "bad")
    with pytest.raises(InputError, match="no structure of class 'V3'"):
        run_campaign("none", EventPlan(source, 4, {"V3": 1}), store=folder / "bad")
