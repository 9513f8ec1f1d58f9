"""ART nouveau: modes against dense Hessians, saddles of order one, the known landscape of seven Lennard-Jones atoms."""

import numpy as np
import pytest
from ase import Atoms

import ldml
from ldml.errors import Cancelled, ConvergenceError, InputError
from ldml.landscape.art_nouveau import ArtSettings, find_event, lowest_curvature, same_minimum
from ldml.potentials import get_potential
from ldml.progress import NULL_PROGRESS
from ldml.relaxation import max_norm
from ldml.structures import rattled

LJ7_MINIMA = {-16.505384, -15.935043, -15.593211, -15.533060}
"""All minima of seven Lennard-Jones atoms, units of epsilon: C. J. Tsai and K. D. Jordan, J. Phys. Chem. 97, 11227 (1993)."""
REDUCED = ArtSettings(radius=1.5, push=0.06, threshold=-5.0, saddle_force=0.05, kick=0.03, minimum_force=1e-6)


@pytest.fixture(scope="module")
def vacancy(am04, crystal4):
    bulk = crystal4.copy()
    site = bulk.positions[0].copy()
    del bulk[0]
    return ldml.relax(bulk, am04, 1e-6).atoms, site


@pytest.fixture(scope="module")
def event(vacancy, am04):
    minimum, site = vacancy
    return find_event(minimum, am04, site, np.random.default_rng(1))


def test_lowest_curvature_is_that_of_the_hessian(event, am04):
    atoms = event.saddle.atoms
    forces_at = am04.evaluator(atoms).energy_and_forces
    guess = np.random.default_rng(0).normal(size=atoms.positions.shape)
    value, mode = lowest_curvature(lambda x: forces_at(x)[1], atoms.positions, guess, 80, tolerance=1e-8)
    values, vectors = np.linalg.eigh(am04.hessian(atoms).toarray())
    assert value == pytest.approx(values[0], rel=1e-5)
    assert event.eigenvalue == pytest.approx(values[0], rel=1e-3)
    assert abs(np.vdot(mode, vectors[:, 0])) == pytest.approx(1.0, abs=1e-4)


def test_the_saddle_is_of_order_one_between_two_minima(event, vacancy, am04):
    minimum, _ = vacancy
    values = np.linalg.eigvalsh(am04.hessian(event.saddle.atoms).toarray())
    assert max_norm(am04.forces(event.saddle.atoms)) < 1e-4
    assert (values < -1e-6).sum() == 1
    for end in event.ends:
        assert end.energy < event.saddle.energy
        assert (np.linalg.eigvalsh(am04.hessian(end.atoms).toarray()) < -1e-6).sum() == 0
    assert event.leads_back
    assert same_minimum(event.ends[0].atoms, event.ends[0].energy, minimum, am04.energy(minimum))
    assert event.barrier == pytest.approx(event.saddle.energy - event.ends[0].energy, abs=1e-6)
    assert event.reverse_barrier > 0


def test_the_vacancy_jumps_over_its_known_saddle(event, vacancy, am04):
    """The neighbour on its way into the vacancy, pushed by hand and climbed by Newton's method."""
    minimum, site = vacancy
    guess = minimum.copy()
    jumper = int(np.argmin(np.linalg.norm(guess.positions - site, axis=1)))
    guess.positions[jumper] += 0.35 * (site - guess.positions[jumper])
    known = ldml.landscape.saddle.refine_saddle(guess, am04)
    assert event.saddle.energy == pytest.approx(known.energy, abs=1e-5)


def test_all_minima_of_seven_atoms_are_found_and_no_other():
    lj, rng = get_potential("LJ"), np.random.default_rng(1)
    here = ldml.relax(Atoms("X7", positions=rng.normal(size=(7, 3))), lj, 1e-6, rattle=0.0, check_minimum=False).atoms
    found = set()
    for _ in range(60):
        try:
            event = find_event(here, lj, here.positions[rng.integers(7)], rng, settings=REDUCED)
        except (ConvergenceError, InputError):
            continue
        found |= {round(end.energy, 6) for end in event.ends}
        here = event.ends[rng.integers(2)].atoms
        if len(found) == len(LJ7_MINIMA):
            break
    assert sorted(found) == pytest.approx(sorted(LJ7_MINIMA), abs=2e-6)


def test_a_minimum_moved_as_a_whole_is_the_same(vacancy, am04):
    minimum, _ = vacancy
    energy = am04.energy(minimum)
    moved = minimum.copy()
    moved.translate((3.0, -20.0, 0.7))
    assert same_minimum(moved, energy, minimum, energy)
    assert not same_minimum(rattled(minimum, 0.2, np.random.default_rng(0)), energy, minimum, energy)
    assert not same_minimum(moved, energy + 0.1, minimum, energy)
    cluster = Atoms("X4", positions=np.random.default_rng(3).normal(size=(4, 3)))
    turned = cluster.copy()
    turned.rotate(70, (1, 2, 3))
    assert same_minimum(turned, 0.0, cluster, 0.0)


def test_same_seed_same_event(event, vacancy, am04):
    minimum, site = vacancy
    before = minimum.positions.copy()
    again = find_event(minimum, am04, site, np.random.default_rng(1))
    assert again.saddle.atoms.positions.tobytes() == event.saddle.atoms.positions.tobytes()
    assert (minimum.positions == before).all()


def test_what_goes_wrong_is_said(vacancy, am04):
    minimum, site = vacancy
    with pytest.raises(ConvergenceError, match="no negative curvature within 1 pushes"):
        find_event(minimum, am04, site, np.random.default_rng(0), settings=ArtSettings(max_pushes=1))
    with pytest.raises(ConvergenceError, match="no saddle within 1 steps"):
        find_event(minimum, am04, site, np.random.default_rng(0), settings=ArtSettings(max_steps=1))
    with pytest.raises(InputError, match="no atom lies within"):
        find_event(minimum, am04, site, np.random.default_rng(0), settings=ArtSettings(radius=0.1))

    class Stopped(type(NULL_PROGRESS)):
        def check(self):
            raise Cancelled

    with pytest.raises(Cancelled):
        find_event(minimum, am04, site, np.random.default_rng(0), progress=Stopped())
