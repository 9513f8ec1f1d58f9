"""Basin hopping against the known lowest minima of Lennard-Jones clusters."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldml.errors import Cancelled, InputError
from ldml.landscape.basin_hopping import Hopping, HoppingStatistics, _direction, _remember, hop
from ldml.potentials import get_potential
from ldml.progress import NULL_PROGRESS
from ldml.relaxation import max_norm

LJ13_LOWEST = -44.326801
LJ38_LOWEST = -173.928427
"""Units of epsilon: D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997), Table 1."""


def scattered(n, seed=0):
    edge = int(np.ceil(np.cbrt(n)))
    grid = 1.2 * np.array(list(np.ndindex(edge, edge, edge))[:n])
    return Atoms(f"X{n}", positions=grid + np.random.default_rng(seed).uniform(-0.2, 0.2, (n, 3)))


def walk(n_atoms, n_steps, seed=0, **options):
    statistics = HoppingStatistics()
    found = hop(
        scattered(n_atoms, seed),
        "LJ",
        np.random.default_rng(seed),
        hopping=Hopping(n_steps=n_steps, **options),
        statistics=statistics,
    )
    return list(found), statistics


@pytest.fixture(scope="module")
def thirteen():
    return walk(13, 60)


def test_the_icosahedron_of_thirteen_is_found(thirteen):
    minima, _ = thirteen
    assert min(minimum.energy for minimum in minima) == pytest.approx(LJ13_LOWEST, abs=1e-6)


def test_every_minimum_is_one_and_none_is_met_twice(thirteen):
    minima, statistics = thirteen
    lj = get_potential("LJ")
    energies = sorted(minimum.energy for minimum in minima)
    for minimum in minima:
        assert max_norm(lj.forces(minimum.atoms)) < 1e-8
        values = np.linalg.eigvalsh(lj.hessian(minimum.atoms).toarray())
        assert (values > 1e-3).sum() == 3 * 13 - 6
        assert values.min() > -1e-6
        assert minimum.energy == pytest.approx(lj.energy(minimum.atoms), abs=1e-12)
    assert np.diff(energies).min() > 1e-6
    assert len(statistics.distinct) == len(minima)
    assert statistics.n_attempts == 60
    assert 0 < statistics.n_accepted <= 60 - statistics.n_failed


def test_the_truncated_octahedron_is_where_a_walk_at_rest_stays():
    """The fcc minimum of 38 atoms; without temperature and with small moves nothing lower is found."""
    crystal = bulk("X", "fcc", a=1.55, cubic=True).repeat(5)
    crystal.positions -= crystal.positions.mean(axis=0) + np.array([0.25, 0.25, 0.25]) * 1.55
    octahedron = crystal[np.argsort(np.linalg.norm(crystal.positions, axis=1))[:38]]
    octahedron.pbc = False
    walk = hop(
        octahedron,
        "LJ",
        np.random.default_rng(0),
        hopping=Hopping(n_steps=5, temperature=1e-9, step=0.05, surface_moves=0.0),
    )
    assert [minimum.energy for minimum in walk] == pytest.approx([LJ38_LOWEST], abs=1e-6)


def test_same_seed_same_walk(thirteen):
    again, _ = walk(13, 60)
    assert [m.atoms.positions.tobytes() for m in again] == [m.atoms.positions.tobytes() for m in thirteen[0]]


def test_known_minima_are_not_given_again(thirteen):
    _, statistics = thirteen
    before = len(statistics.distinct)
    again = list(hop(scattered(13), "LJ", np.random.default_rng(0), hopping=Hopping(n_steps=30), statistics=statistics))
    assert again == []
    assert len(statistics.distinct) == before


def test_a_cluster_that_falls_apart_is_counted_and_left():
    minima, statistics = walk(13, 20, largest_radius=0.5)
    assert minima == []
    assert statistics.n_failed == 20


def test_restarts(thirteen):
    _, statistics = walk(5, 40, restart_after=10)
    assert statistics.n_restarts == 3


def test_bad_input_and_cancelling():
    crystal = bulk("X", "fcc", a=1.55, cubic=True)
    with pytest.raises(InputError, match="structure is periodic"):
        next(hop(crystal, "LJ", np.random.default_rng(0)))

    class Stopped(type(NULL_PROGRESS)):
        def check(self):
            raise Cancelled

    with pytest.raises(Cancelled):
        next(hop(scattered(5), "LJ", np.random.default_rng(0), progress=Stopped()))


def test_the_recursion_is_the_inverse_hessian_of_bfgs(rng):
    """B <- (1 - s y^T/s.y) B (1 - y s^T/s.y) + s s^T/s.y for the last steps s and changes of the gradient y, oldest first."""
    size, held, scale = 9, 5, 0.3
    steps, changes, weights = np.zeros((held, size)), np.zeros((held, size)), np.zeros(held)
    stiffness = rng.normal(size=(size, size))
    stiffness = stiffness @ stiffness.T + np.eye(size)
    pairs, n_held = [], 0
    for _ in range(8):
        step = rng.normal(size=size)
        pairs.append((step, stiffness @ step))
        n_held, newest_scale = _remember(*pairs[-1], steps, changes, weights, n_held, scale)
    inverse = scale * np.eye(size)
    for step, change in pairs[-held:]:
        turn = np.eye(size) - np.outer(change, step) / (step @ change)
        inverse = turn.T @ inverse @ turn + np.outer(step, step) / (step @ change)
    forces = rng.normal(size=size)
    direction, kept = _direction(forces, steps, changes, weights, n_held, scale, np.inf)
    np.testing.assert_allclose(direction, inverse @ forces, rtol=1e-9)
    assert kept == n_held
    assert newest_scale == pytest.approx(step @ change / (change @ change))
    cut, _ = _direction(forces, steps, changes, weights, n_held, scale, 0.1)
    assert np.abs(cut).max() == pytest.approx(0.1)
    # a step along which the energy is not convex is not remembered
    assert _remember(step, -change, steps, changes, weights, n_held, scale) == (n_held, scale)
