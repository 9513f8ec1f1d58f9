"""Refitted tables against the smooth functions they were rounded from."""

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.potentials.smooth_table import rounding_noise, smooth_table

SPACING = 1e-3
R = SPACING * np.arange(5001)


def _morse(r):
    """A Morse well cut off smoothly at 5 by (1 - r/5)^4: value and second derivative."""
    h = 1e-4

    def value(x):
        return (np.exp(-2 * 1.4 * (x - 2.2)) - 2 * np.exp(-1.4 * (x - 2.2))) * np.maximum(1 - x / 5, 0.0) ** 4

    second = (-value(r + 2 * h) + 16 * value(r + h) - 30 * value(r) + 16 * value(r - h) - value(r - 2 * h)) / (
        12 * h * h
    )
    return value(r), second


def _curvature_errors(rounded, exact_second, fitted, inside):
    raw = (np.diff(rounded, 2, prepend=0.0, append=0.0) / SPACING**2 - exact_second)[inside]
    refit = fitted(R[inside])[:, 2] - exact_second[inside]
    return np.sqrt(np.mean(raw**2)), np.sqrt(np.mean(refit**2))


@pytest.mark.parametrize("decimals", [6, 8, 10])
def test_second_derivatives_of_rounded_values(decimals):
    values, second = _morse(R)
    rounded = np.round(values, decimals)
    fitted = smooth_table(rounded, SPACING, start=500, end=5.0, report_range=(1.5, 5.0))
    inside = (R > 1.5) & (R < 4.9)
    raw, refit = _curvature_errors(rounded, second, fitted, inside)
    assert refit < 3e-2 * raw
    # the noise is uniform within half a digit, and what is left is what the report says, within a factor for the bias
    assert fitted.noise.value == pytest.approx(10.0**-decimals / np.sqrt(12), rel=0.5)
    assert raw == pytest.approx(fitted.noise.table_curvature, rel=0.5)
    assert fitted.noise.fitted_curvature < refit * 3 + 1e-7
    assert refit < 30 * fitted.noise.fitted_curvature + 1e-7
    assert fitted.noise.residual == pytest.approx(1.0, abs=0.2)
    assert fitted.noise.unresolved == 0.0


def test_significant_digits():
    """Ten digits of a function over four decades: the noise follows its size."""
    values = np.exp(-2.0 * R) * 3e3
    unit = 10.0 ** (np.floor(np.log10(values)) - 9)
    rounded = np.round(values / unit) * unit
    noise = rounding_noise(rounded)
    assert np.median(noise / (unit / np.sqrt(12))) == pytest.approx(1.0, abs=0.2)
    fitted = smooth_table(rounded, SPACING)
    inside = slice(100, -100)
    np.testing.assert_allclose(fitted(R[inside])[:, 2], 4.0 * values[inside], rtol=2e-5)


@pytest.mark.parametrize(
    ("order", "jump"),
    [(1, 0.5), (2, -13.0), (3, 70.0)],
)
def test_joins_are_kept(order, jump):
    """A derivative that jumps off the grid is found where it is, with its jump, and the rest of the function stays smooth."""
    position = 2.05037
    values, second = _morse(R)
    ramp = np.maximum(R - position, 0.0)
    values = values + jump * ramp**order / [1, 1, 2, 6][order] * (R < 6)
    rounded = np.round(values, 10)
    fitted = smooth_table(rounded, SPACING)
    (join,) = [j for j in fitted.noise.joins if abs(j.position - position) < 0.1]
    assert join.order == order
    assert join.position == pytest.approx(position, abs=2e-5)
    assert join.jump == pytest.approx(jump, rel=1e-3)
    near = np.array([position - 2e-4, position + 2e-4])
    expected = np.interp(near, R, second) + np.where(near > position, {1: 0.0, 2: jump, 3: jump * 2e-4}[order], 0.0)
    # the third derivative of the well over the step, and the position, bound this
    np.testing.assert_allclose(fitted(near)[:, 2], expected, atol=5e-3)


def test_cutoff_between_grid_points():
    """(r_c - r)^3 printed with ten decimals and then zeros: r_c is found to a hundredth of the spacing."""
    cutoff = 4.20035
    values = np.round(0.47 * np.maximum(cutoff - R, 0.0) ** 3, 10)
    fitted = smooth_table(values, SPACING, start=500, end=5.0)
    assert fitted.breakpoints[-1] == pytest.approx(cutoff, abs=2e-5)
    assert fitted.end_order == 3
    assert np.array_equal(fitted([cutoff + 1e-3, 9.0]), np.zeros((2, 3)))
    np.testing.assert_allclose(
        fitted([4.19])[0], [0.47 * 0.01035**3, -3 * 0.47 * 0.01035**2, 6 * 0.47 * 0.01035], atol=1e-4
    )


def test_a_table_that_does_not_vanish_keeps_its_end():
    values = np.round(np.exp(-R), 12)
    fitted = smooth_table(values, SPACING, start=500, end=5.0)
    assert fitted.end_order == 0
    assert fitted([5.0 - 1e-9])[0, 0] == pytest.approx(np.exp(-5.0), abs=1e-10)


def test_derivatives_are_those_of_the_values():
    """Value, slope and curvature belong together everywhere, also beyond the ends, where the tangent goes on."""
    values, _ = _morse(R)
    fitted = smooth_table(np.round(values, 8), SPACING, start=500)
    x, h = np.array([0.3, 0.52, 1.0001, 2.7183, 4.9, 5.4]), 1e-4
    m2, m1, at, p1, p2 = (fitted(x + k * h) for k in (-2, -1, 0, 1, 2))
    slopes = (8 * (p1 - m1) - (p2 - m2)) / (12 * h)
    np.testing.assert_allclose(at[:, 1:], slopes[:, :2], rtol=1e-6, atol=1e-6)
    assert (at[[0, -1], 2] == 0.0).all()


def test_lookup_finds_the_piece():
    """The index of pieces by cells gives what a search gives."""
    values = np.round(_morse(R)[0] + 5.0 * np.maximum(R - 2.05037, 0.0) ** 2, 10)
    fitted = smooth_table(values, SPACING)
    x = np.random.default_rng(0).uniform(0.0, 5.0, 5000)
    piece = np.clip(np.searchsorted(fitted.breakpoints, x, side="right") - 1, 0, len(fitted.coefficients) - 1)
    powers = (x - fitted.breakpoints[piece])[:, None] ** np.arange(6)
    np.testing.assert_allclose(fitted(x)[:, 0], (powers * fitted.coefficients[piece]).sum(axis=1), atol=1e-13)


def test_coarse_tables_say_so():
    """A wave of three values per period cannot be told from noise by any spline; the report must not claim success."""
    fitted = smooth_table(np.sin(2.1 * np.arange(400)) + np.linspace(0, 1, 400), 0.01)
    assert fitted.noise.unresolved > 0.5 or fitted.noise.value > 0.3


def test_refusals():
    with pytest.raises(InputError, match="at least 40"):
        smooth_table(np.zeros(500), 0.01, end=4.0)
    with pytest.raises(InputError, match="short of its cutoff"):
        smooth_table(np.exp(-R), SPACING, end=6.0)
