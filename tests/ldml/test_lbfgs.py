"""L-BFGS: to the minimum of known functions, never uphill, and out of rounding with a clear error."""

import numpy as np
import pytest

from ldml.errors import ConvergenceError
from ldml.lbfgs import ENERGY_NOISE, max_norm, minimise


class Function:
    """An energy and its gradient in the place of a potential, remembering the energies it was asked for."""

    def __init__(self, energy, gradient):
        self.energy, self.gradient = energy, gradient
        self.energies = []

    def energy_and_forces(self, positions):
        self.energies.append(float(self.energy(positions)))
        return self.energies[-1], -self.gradient(positions)


def quadratic(n_atoms=6, seed=0):
    """1/2 (x - c)^T A (x - c) with eigenvalues of A from 0.1 to 50."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3 * n_atoms, 3 * n_atoms)))[0]
    matrix = axes @ np.diag(np.geomspace(0.1, 50.0, 3 * n_atoms)) @ axes.T
    centre = rng.normal(size=(n_atoms, 3))
    shape = centre.shape
    function = Function(
        lambda x: 0.5 * (x - centre).ravel() @ matrix @ (x - centre).ravel(),
        lambda x: (matrix @ (x - centre).ravel()).reshape(shape),
    )
    return function, matrix, centre


def test_a_quadratic_ends_at_its_centre():
    function, _, centre = quadratic()
    found = minimise(function, np.zeros_like(centre), 1e-9, lambda f: f / 50.0)
    # a force of 1e-9 and the softest eigenvalue of 0.1 bound the distance
    np.testing.assert_allclose(found.positions, centre, atol=1e-7)
    assert max_norm(found.forces) <= 1e-9


def test_the_exact_inverse_hessian_needs_one_step():
    function, matrix, centre = quadratic()
    inverse = np.linalg.inv(matrix)
    found = minimise(
        function, np.zeros_like(centre), 1e-9, lambda f: (inverse @ f.ravel()).reshape(f.shape), max_displacement=1e3
    )
    assert found.n_steps == 1


def test_steps_are_cut():
    function, _, centre = quadratic()
    moves, last = [], [np.zeros_like(centre)]

    def watched(x, gradient=function.gradient):
        moves.append(max_norm(x - last[0]))
        last[0] = x.copy()
        return gradient(x)

    function.gradient = watched
    minimise(function, np.zeros_like(centre), 1e-6, lambda f: f, max_displacement=0.05)
    assert max(moves) <= 0.05 * (1 + 1e-12)


def test_the_energy_never_rises_at_a_step():
    """A narrow valley: the two-dimensional function of Rosenbrock, whose minimum is (1, 1)."""
    function = Function(
        lambda x: (1 - x[0, 0]) ** 2 + 100 * (x[0, 1] - x[0, 0] ** 2) ** 2,
        lambda x: np.array(
            [
                [
                    -2 * (1 - x[0, 0]) - 400 * x[0, 0] * (x[0, 1] - x[0, 0] ** 2),
                    200 * (x[0, 1] - x[0, 0] ** 2),
                    0.0,
                ]
            ]
        ),
    )
    accepted = []
    found = minimise(
        function,
        np.array([[-1.2, 1.0, 0.0]]),
        1e-8,
        lambda f: f / 100.0,
        report=lambda force: accepted.append(function.energies[-1]),
    )
    np.testing.assert_allclose(found.positions[0, :2], 1.0, atol=1e-6)
    assert np.all(np.diff(accepted) <= ENERGY_NOISE * np.abs(accepted[:-1]) + 1e-300)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_beside_a_saddle_it_stays_on_its_side(side):
    """(x^2 - 1)^2: minima at -1 and 1, and between them a hill that quadratic guesses overshoot from."""
    function = Function(lambda x: np.sum((x[:, 0] ** 2 - 1) ** 2), lambda x: 4 * x * (x**2 - 1) * [1, 0, 0])
    found = minimise(function, np.array([[0.01 * side, 0.0, 0.0]]), 1e-8, lambda f: 50.0 * f, max_displacement=0.9)
    assert found.positions[0, 0] == pytest.approx(side, abs=1e-8)


def test_forces_that_are_rounding_end_it():
    function, _, centre = quadratic()
    gradient, rng = function.gradient, np.random.default_rng(1)
    function.gradient = lambda x: gradient(x) + 1e-3 * rng.normal(size=x.shape)
    with pytest.raises(ConvergenceError, match=r"below fmax = 1e-06 eV/Å.*rounding"):
        minimise(function, centre + 0.1, 1e-6, lambda f: f / 50.0)


def test_what_is_not_finite_is_said():
    function = Function(lambda x: np.nan, lambda x: np.full_like(x, np.nan))
    with pytest.raises(ConvergenceError, match="not finite"):
        minimise(function, np.zeros((2, 3)), 1e-3, lambda f: f)
