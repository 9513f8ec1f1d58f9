"""Exact answers on disk: found again by what was asked, whole, and harmless when damaged."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
from ase import Atoms

from dashboards import tasks
from dashboards.cache_files import cache_folder
from dashboards.reference_cache import reference_key
from ldml.potentials import get_potential, perfect_crystal
from ldml.progress import NULL_PROGRESS
from ldml.structures import vacancy_cluster


@pytest.fixture
def vacancy():
    return vacancy_cluster(perfect_crystal("Fe-AM04", 4), 1)


@pytest.fixture
def computed(monkeypatch):
    """The structures that were computed, as they come."""
    seen, compute = [], tasks.formation_entropy
    monkeypatch.setattr(
        tasks, "formation_entropy", lambda atoms, *a, **k: (seen.append(atoms), compute(atoms, *a, **k))[1]
    )
    return seen


def ask(atoms, *, relax_first=True, temperature=300.0, total_only=False):
    method = ("cholesky", False) if total_only else ("eigenvectors", True)
    return tasks.reference(NULL_PROGRESS, atoms, "Fe-AM04", relax_first, temperature, *method)


def assert_equal(one, other):
    assert type(one) is type(other)
    if is_dataclass(one):
        for field in fields(one):
            if field.name != "known":
                assert_equal(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert (one == other).all()
    elif isinstance(one, Atoms):
        assert one == other
        assert (one.get_masses() == other.get_masses()).all()
    else:
        assert one == other


@pytest.mark.parametrize("total_only", [False, True])
def test_what_was_computed_is_found_again_to_the_last_bit(vacancy, computed, total_only):
    first = ask(vacancy, total_only=total_only)
    again = ask(vacancy.copy(), total_only=total_only)
    assert len(computed) == 1
    assert (first.known, again.known) == (False, True)
    assert_equal(again, first)


def test_another_question_has_another_answer(vacancy, computed):
    relaxed = ask(vacancy).atoms
    ask(relaxed, relax_first=False)
    ask(relaxed, relax_first=False, temperature=600.0)
    ask(relaxed, relax_first=False, total_only=True)
    heavier = relaxed.copy()
    heavier.set_masses(relaxed.get_masses() + 1.0)
    ask(heavier, relax_first=False)
    assert len(computed) == 5
    iron = get_potential("Fe-AM04"), get_potential("Fe-EtesamiAsadi2018")
    assert len({reference_key(vacancy, potential, method="cholesky") for potential in iron}) == 2


def test_a_damaged_file_is_computed_and_kept_again(vacancy, computed):
    first = ask(vacancy)
    (path,) = cache_folder("references").iterdir()
    path.write_bytes(path.read_bytes()[:2000])
    assert_equal(ask(vacancy), first)
    assert len(computed) == 2
    assert ask(vacancy).known


def test_a_record_that_does_not_fit_is_no_answer(vacancy, computed):
    ask(vacancy)
    (path,) = cache_folder("references").iterdir()
    np.savez(path, record=np.array('{"label": "V1"}'))
    assert not ask(vacancy).known


def test_nothing_is_kept_where_nothing_may_be(vacancy, computed, monkeypatch):
    monkeypatch.setenv("LDML_CACHE", "")
    ask(vacancy)
    assert not ask(vacancy).known
