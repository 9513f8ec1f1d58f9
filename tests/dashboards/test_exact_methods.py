"""The ways to an exact entropy: their costs grow as stated, and what does not fit is not offered."""

import pytest

from dashboards import exact_methods
from dashboards.exact_methods import DIAGONALISATION, EXACT_METHODS, FACTORISATION

DENSE = EXACT_METHODS[DIAGONALISATION]


def test_the_cost_is_that_of_the_measured_size_and_grows_as_stated():
    seconds, size = DENSE.cost(exact_methods.MEASURED_ATOMS)
    assert seconds == DENSE.seconds
    assert size == 3 * (3 * 1024) ** 2 * 8
    assert DENSE.cost(2048)[0] == pytest.approx(8 * seconds)
    assert DENSE.cost(2048)[1] == pytest.approx(4 * size)
    assert EXACT_METHODS[FACTORISATION].cost(1024)[0] < seconds


def test_the_estimate_in_words():
    assert "under a second" in DENSE.cost_sentence(127)
    assert "about 5 s" in DENSE.cost_sentence(1024)
    assert "226 MB" in DENSE.cost_sentence(1024)
    assert "min" in DENSE.cost_sentence(3456)
    assert "estimated" in DENSE.cost_sentence(10)


def test_what_does_not_fit_the_machine_is_not_offered(monkeypatch):
    monkeypatch.setattr(exact_methods.os, "sysconf", lambda name: 1_000_000 if name == "SC_PHYS_PAGES" else 4096)
    assert DENSE.refusal(1024) == ""
    assert "choose a smaller cell or another method" in DENSE.refusal(4000)
