"""Exploring by any method: the outcome is a function of the seed, what is kept is distinct, and the counts add up."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from ldml.errors import Cancelled
from ldml.landscape import (
    ArtNouveau,
    ArtSettings,
    Budget,
    Dynamics,
    FoundMinimum,
    FoundSaddle,
    Insertion,
    Landscape,
    MolecularDynamics,
    SearchStatistics,
    attempt,
    choose_parent,
    explore,
)
from ldml.progress import NULL_PROGRESS
from ldml.relaxation import max_norm

HOT = MolecularDynamics(Dynamics(temperature=1800.0), n_steps=60)


@pytest.fixture(scope="module")
def divacancies(crystal4, am04):
    return Landscape(crystal4, "V2", am04)


@pytest.fixture(scope="module")
def inserted(divacancies):
    statistics = SearchStatistics()
    search = explore(divacancies, Insertion(spreads=(1.0, 2.0)), seed=4, budget=Budget(8), statistics=statistics)
    return list(search), statistics


def test_what_is_kept_is_distinct_and_relaxed(inserted, divacancies, am04, crystal4):
    found, statistics = inserted
    assert [one.number for one in found] == list(range(len(found)))
    for one in found:
        atoms = one.minimum.atoms
        assert max_norm(am04.forces(atoms)) < divacancies.final_force
        expected = am04.energy(atoms) - 126 / 128 * am04.energy(crystal4)
        assert one.minimum.energy == pytest.approx(expected, abs=1e-9)
        assert divacancies.crystal(atoms).n_vacancies == 2
    for k, one in enumerate(found):
        for other in found[:k]:
            apart = abs(one.minimum.energy - other.minimum.energy)
            turned = abs(one.minimum.inertia - other.minimum.inertia)
            assert apart > 0.01 or turned > 0.02 * one.minimum.inertia
    assert len(statistics.distinct) == len(found) > 1


def test_the_counts_add_up(inserted):
    found, statistics = inserted
    record = statistics.record()
    assert record["attempts"] == 8 == record["minima"] + sum(record["failures"].values())
    assert record["distinct_energy_or_inertia"] == len(found) <= record["minima"]
    assert record["distinct_energy_and_inertia"] <= record["distinct_energy_or_inertia"]


@pytest.mark.parametrize("method", [Insertion(), HOT])
def test_workers_do_not_change_the_outcome(divacancies, inserted, method):
    starts = [found.minimum.atoms for found in inserted[0]]

    def outcome(run):
        search = explore(divacancies, method, seed=1, budget=Budget(4), batch=4, run=run, starts=starts[:1])
        return [(found.number, found.attempt, found.minimum.atoms.positions.tobytes()) for found in search]

    with ThreadPoolExecutor(2) as threads:
        assert outcome(map) == outcome(threads.map)


def test_vacancies_met_again_are_copies(crystal4, am04):
    """All single vacancies are one."""
    statistics = SearchStatistics()
    search = explore(
        Landscape(crystal4, "V1", am04),
        Insertion(),
        seed=0,
        budget=Budget(4),
        tell_copies=True,
        statistics=statistics,
    )
    assert len(list(search)) == 1
    assert (statistics.n_copies, statistics.n_lookalikes) == (3, 0)


def test_an_attempt_is_a_function_of_its_number(divacancies):
    one, again, other = (attempt(divacancies, Insertion(), 7, number) for number in (3, 3, 4))
    assert one.minimum.atoms.positions.tobytes() == again.minimum.atoms.positions.tobytes()
    assert not np.allclose(one.minimum.atoms.positions, other.minimum.atoms.positions)
    assert one.minimum.energy == attempt(divacancies, Insertion(), 7, 3).minimum.energy


def test_saddles_come_with_their_minima_and_barriers(divacancies, inserted, am04, crystal4):
    starts = [inserted[0][0].minimum.atoms]
    statistics = SearchStatistics()
    search = explore(
        divacancies,
        ArtNouveau(ArtSettings(minimum_force=1e-3)),
        seed=0,
        budget=Budget(6, saddles=2),
        starts=starts,
        keep_saddles=True,
        statistics=statistics,
    )
    found = list(search)
    saddles = [one for one in found if isinstance(one, FoundSaddle)]
    minima = [one for one in found if isinstance(one, FoundMinimum)]
    assert len(saddles) >= 1
    assert statistics.n_saddles >= len(statistics.distinct_saddles) >= len(saddles)
    pool = {0: starts[0]} | {one.number: one.minimum.atoms for one in minima}
    for one in saddles:
        values = np.linalg.eigvalsh(am04.hessian(one.event.saddle.atoms).toarray())
        assert (values < -1e-4).sum() == 1
        assert one.event.eigenvalue == pytest.approx(values[0], rel=1e-2)
        assert one.event.barrier == pytest.approx(
            am04.energy(one.event.saddle.atoms) - am04.energy(pool[one.parent]), abs=1e-6
        )
        expected = am04.energy(one.event.saddle.atoms) - 126 / 128 * am04.energy(crystal4)
        assert one.energy == pytest.approx(expected, abs=1e-9)


def test_a_failure_is_a_result(divacancies, inserted):
    stuck = ArtNouveau(ArtSettings(max_pushes=1, push=0.01))
    statistics = SearchStatistics()
    starts = [inserted[0][0].minimum.atoms]
    assert not list(explore(divacancies, stuck, seed=0, budget=Budget(2), starts=starts, statistics=statistics))
    assert statistics.failures == {"StillInBasinError": 2}
    too_low = replace(divacancies, highest_energy=0.1)
    made = attempt(too_low, Insertion(), 0, 0)
    assert made.failure == "HighEnergyError"
    assert "above the crystal" in made.message
    assert made.minimum is None


def test_the_budget_ends_the_search(divacancies):
    search = explore(divacancies, Insertion(spreads=(1.0, 2.0)), seed=4, budget=Budget(50, minima=2))
    assert len(list(search)) == 2


def test_half_of_the_parents_are_low():
    rng = np.random.default_rng(0)
    energies = np.random.default_rng(1).permutation(10.0 * np.arange(10))
    chosen = np.array([energies[choose_parent(energies, rng)] for _ in range(4000)]) / 10
    # uniform for half, and floor(10 u²) for the other half: P(0) = (0.1 + sqrt(0.1)) / 2
    assert np.mean(chosen == 0) == pytest.approx((0.1 + np.sqrt(0.1)) / 2, abs=0.025)
    assert np.mean(chosen == 9) == pytest.approx((0.1 + 1 - np.sqrt(0.9)) / 2, abs=0.015)


def test_a_search_can_be_stopped(divacancies):
    class Stopped(type(NULL_PROGRESS)):
        def check(self):
            raise Cancelled

    with pytest.raises(Cancelled):
        list(explore(divacancies, Insertion(), seed=0, budget=Budget(3), progress=Stopped()))
