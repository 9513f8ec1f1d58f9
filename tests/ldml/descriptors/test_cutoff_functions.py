"""Cutoff functions: closed forms, the compiled against the plain version, and how smoothly they vanish."""

import mpmath
import numpy as np
import pytest

from ldml.descriptors.cutoff_functions import CUTOFF_FUNCTION, NAMES, cutoff_function, cutoff_kind, cutoff_weight

CUTOFF = 5.0
EPSILON = np.finfo(float).eps


def closed_form(name, r):
    """As the module states it, in 50 digits."""
    with mpmath.workdps(50):
        t = 1 - mpmath.mpf(float(r)) / mpmath.mpf(CUTOFF)
        if name == "cosine":
            return float((1 + mpmath.cos(mpmath.pi * (1 - t))) / 2)
        return float(t**3 * (10 - 15 * t + 6 * t**2)) if name == "polynomial" else 1.0


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_closed_form(name):
    r = np.linspace(0.0, CUTOFF, 41)[:-1]
    expected = np.array([closed_form(name, x) for x in r])
    # t = (rc - r)/rc carries half a unit of rounding; f t'/f is at most 3
    np.testing.assert_allclose(cutoff_function(name, r, CUTOFF), expected, rtol=20 * EPSILON, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_equals_plain(name):
    r = np.linspace(0.0, CUTOFF, 101)[:-1]
    compiled = np.array([cutoff_weight(cutoff_kind(name), (CUTOFF - x) / CUTOFF) for x in r])
    # sine and powers of two libraries differ in the last digits
    np.testing.assert_allclose(compiled, cutoff_function(name, r, CUTOFF), rtol=10 * EPSILON, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_one_at_the_atom_zero_from_the_cutoff_on(name):
    assert cutoff_function(name, 0.0, CUTOFF) == 1.0
    np.testing.assert_array_equal(cutoff_function(name, [CUTOFF, CUTOFF + 1e-9, 7.0], CUTOFF), 0.0)
    assert cutoff_weight(cutoff_kind(name), 1.0) == 1.0


@pytest.mark.parametrize("name", ["cosine", "polynomial"])
def test_half_way_and_falling(name):
    assert cutoff_function(name, 0.5 * CUTOFF, CUTOFF) == pytest.approx(0.5, abs=2 * EPSILON)
    values = cutoff_function(name, np.linspace(0.0, CUTOFF, 201), CUTOFF)
    assert (np.diff(values) < 0).all()
    # both are odd about the middle
    np.testing.assert_allclose(values + values[::-1], 1.0, atol=4 * EPSILON)


@pytest.mark.parametrize(("name", "power"), [("cosine", 2), ("polynomial", 3)])
def test_order_of_the_zero_at_the_cutoff(name, power):
    """f ~ t^power: the last derivative that is continuous is that of order power - 1."""
    t = np.array([1e-3, 1e-4])
    near, nearer = cutoff_function(name, CUTOFF * (1 - t), CUTOFF)
    # the next term of the expansion is smaller by t = 1e-3 times 1.5
    assert np.log10(near / nearer) == pytest.approx(power, abs=1e-3)


def test_declared_choices_are_those_known():
    assert CUTOFF_FUNCTION.choices == NAMES
    assert CUTOFF_FUNCTION.default == "cosine"
    assert [cutoff_kind(name) for name in NAMES] == [0, 1, 2]
