"""Newton relaxation preconditioned with the lattice Green's function, against L-BFGS and itself."""

import numpy as np
import pytest

import ldml
from ldml import newton
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import Cancelled, ConvergenceError, InputError, NotAMinimumError
from ldml.newton import embed, relax_newton
from ldml.point_defects import WignerSeitz
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, vacancy_cluster


@pytest.fixture(scope="module")
def lattice8(am04, unit):
    return LatticeGreen(unit, 8, am04)


def test_ends_where_lbfgs_ends(am04, lattice8, vacancy8, dumbbell8, crystal8):
    """Energies agree to their rounding, forces are two orders smaller, in some hundred times fewer steps."""
    for seed, reference in ((vacancy_cluster(crystal8, 1), vacancy8), (interstitial_cluster(crystal8, 1), dumbbell8)):
        relaxed = relax_newton(seed, lattice8, fmax=1e-9)
        assert relaxed.energy == pytest.approx(reference.energy, abs=1e-9)
        assert relaxed.max_force < 1e-9
        assert np.linalg.norm(am04.forces(relaxed.atoms), axis=1).max() < 1.1e-9
        assert relaxed.n_steps < 12 < reference.n_steps
        assert (relaxed.is_minimum, relaxed.n_kicks) == (True, 0)


def test_the_cell_does_not_change_the_number_of_inner_steps(am04, unit, monkeypatch):
    """The preconditioned matrix is the identity but for the defect, wherever the walls are."""
    counts = []
    apply = newton.ExtendedCrystal.apply_green_flat
    for n in (4, 6, 10):
        calls = []
        monkeypatch.setattr(newton.ExtendedCrystal, "apply_green_flat", lambda *a, c=calls: c.append(1) or apply(*a))
        lattice = LatticeGreen(unit, n, am04)
        relax_newton(vacancy_cluster(lattice.crystal(), 1), lattice, check_minimum=False)
        counts.append(len(calls))
    assert max(counts) < 1.3 * min(counts)


def test_a_saddle_is_left(am04, lattice4, crystal4):
    """The symmetric <111> dumbbell of AM04 is a saddle; the minimum next to it is <110>."""
    seed = interstitial_cluster(crystal4, 1, axis="111")
    saddle = relax_newton(seed, lattice4, check_minimum=False)
    assert not saddle.is_minimum
    relaxed = relax_newton(seed, lattice4)
    assert relaxed.n_kicks >= 1
    assert relaxed.energy < saddle.energy - 0.01
    assert np.linalg.eigvalsh(am04.hessian(relaxed.atoms).toarray())[3] > 0.01
    with pytest.raises(NotAMinimumError, match="saddle") as caught:
        relax_newton(seed, lattice4, max_tries=1)
    lowest = np.linalg.eigvalsh(am04.hessian(saddle.atoms).toarray())[0]
    expected = -ldml.units.THZ * np.sqrt(-lowest / seed.get_masses()[0])
    assert caught.value.lowest_frequency == pytest.approx(expected, rel=1e-2)  # of LOBPCG


def test_the_start_is_left_alone(lattice4, crystal4):
    seed = vacancy_cluster(crystal4, 1)
    before = seed.positions.copy()
    relaxed = relax_newton(seed, lattice4)
    assert np.array_equal(seed.positions, before)
    assert relaxed.atoms.calc is None


def test_too_few_steps_and_bad_options(am04, lattice4, crystal4):
    seed = interstitial_cluster(crystal4, 1)
    with pytest.raises(ConvergenceError, match="stopped after 2 steps"):
        relax_newton(seed, lattice4, max_steps=2)
    with pytest.raises(InputError, match="fmax"):
        relax_newton(seed, lattice4, fmax=0.0)
    with pytest.raises(InputError, match=r"cells .* differ"):
        relax_newton(vacancy_cluster(perfect_crystal(am04, 3), 1), lattice4)


def test_progress_and_cancel(lattice4, crystal4):
    class Watcher:
        def __init__(self):
            self.stages = []

        def update(self, done, total, stage=""):
            assert 0 <= done <= total
            self.stages.append(stage)

        def check(self):
            if "testing" in self.stages[-1]:
                raise Cancelled

    watcher = Watcher()
    with pytest.raises(Cancelled):
        relax_newton(vacancy_cluster(crystal4, 1), lattice4, progress=watcher)
    assert "largest force" in watcher.stages[0]


@pytest.mark.parametrize("kind", ["V2", "I2"])
def test_embedding_keeps_the_defect_whole(am04, unit, crystal4, kind):
    """A cluster across the cell's faces, moved and shuffled, lands in one piece in the middle of the larger cell."""
    make = vacancy_cluster if kind == "V2" else interstitial_cluster
    small = ldml.relax(make(crystal4, 2), am04, check_minimum=False).atoms
    small.positions += [0.4, -0.2, 5.0]
    large = embed(small, unit, 4, (8, 7, 6))
    crystal = unit.repeat((8, 7, 6))
    assert len(large) - len(crystal) == len(small) - len(crystal4)
    found = WignerSeitz(crystal)(large)
    assert np.abs(found.drift).max() < 0.05
    assert (found.n_vacancies, found.n_interstitials) == ((2, 0) if kind == "V2" else (0, 2))
    centre = crystal.positions[found.occupancy != 1].mean(axis=0)
    assert np.abs(centre - 0.5 * crystal.cell.lengths()).max() < am04.lattice_constant
    # the core is what it was: the atoms that moved most, next to the defect, moved as far
    moves = [
        np.sort(np.linalg.norm(_displacements(*pair), axis=1))[-6:] for pair in ((crystal4, small), (crystal, large))
    ]
    np.testing.assert_allclose(moves[0], moves[1], atol=1e-9)


def _displacements(crystal, atoms):
    assign = WignerSeitz(crystal)
    return assign.nearest_sites(atoms.positions - assign(atoms).drift)[1]


def test_embedding_saves_newton_steps(am04, unit, lattice8, vacancy4, vacancy8):
    start = embed(vacancy4, unit, 4, 8)
    relaxed = relax_newton(start, lattice8, fmax=1e-8)
    assert relaxed.energy == pytest.approx(vacancy8.energy, abs=1e-9)
    assert relaxed.n_steps <= 4
    same = embed(vacancy4, unit, 4, 4)
    assert am04.energy(same) == pytest.approx(am04.energy(vacancy4), abs=1e-9)
    with pytest.raises(InputError, match="does not fit"):
        embed(vacancy4, unit, 4, (8, 3, 8))
