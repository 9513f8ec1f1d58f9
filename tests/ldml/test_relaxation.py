"""Relaxation: to the minimum, away from saddles, with clear failures."""

import numpy as np
import pytest
from ase import Atoms

import ldml
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.entropy.harmonic import is_minimum
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import Cancelled, ConvergenceError, InputError, NotAMinimumError
from ldml.landscape import insertion_seed
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, rattled


def test_a_rattled_crystal_returns_to_its_sites(am04, crystal4, rng):
    relaxed = ldml.relax(rattled(crystal4, 0.1, rng), am04)
    assert relaxed.energy == pytest.approx(am04.energy(crystal4), abs=1e-9)
    shift = relaxed.atoms.positions - crystal4.positions
    np.testing.assert_allclose(shift - shift.mean(axis=0), 0.0, atol=1e-6)
    assert relaxed.max_force <= 1e-6
    assert relaxed.is_minimum


def test_the_saddle_is_left(am04, crystal4):
    """From the symmetric <111> dumbbell, with no rattle to help: a kick along the imaginary mode finds a minimum."""
    start = interstitial_cluster(crystal4, 1, axis="111")
    saddle = ldml.relax(start, am04, rattle=0.0, check_minimum=False)
    relaxed = ldml.relax(start, am04, rattle=0.0)
    assert relaxed.n_kicks >= 1
    assert relaxed.energy < saddle.energy - 0.01
    assert is_minimum(dynamical_matrix(am04.hessian(relaxed.atoms), relaxed.atoms))
    assert np.linalg.norm(am04.forces(relaxed.atoms), axis=1).max() == pytest.approx(
        relaxed.max_force, rel=1e-6, abs=1e-9
    )


def test_a_saddle_that_cannot_be_left_is_an_error(am04, crystal4):
    with pytest.raises(NotAMinimumError, match="imaginary"):
        ldml.relax(interstitial_cluster(crystal4, 1, axis="111"), am04, rattle=0.0, max_tries=1)


@pytest.mark.parametrize("label", ["V2", "I2"])
def test_the_elastic_response_of_the_crystal_shortens_the_way(am04, crystal4, label, rng):
    """Same minimum, fewer steps: forces of 1e-6 eV/Å leave positions uncertain by that over the softest stiffness."""
    start = insertion_seed(crystal4, label, rng)
    near = ldml.relax(start, am04, 0.05, rattle=0.0, check_minimum=False).atoms
    lattice = LatticeGreen(perfect_crystal(am04, 1), 4, am04)
    plain = ldml.relax(near, am04, rattle=0.0)
    helped = ldml.relax(near, am04, rattle=0.0, lattice=lattice)
    assert helped.n_steps < 0.6 * plain.n_steps
    assert helped.energy == pytest.approx(plain.energy, abs=1e-9)
    shift = helped.atoms.positions - plain.atoms.positions
    np.testing.assert_allclose(shift - shift.mean(axis=0), 0.0, atol=2e-5)


def test_a_structure_of_another_crystal_is_refused(am04, crystal4, vacancy4):
    with pytest.raises(InputError, match="cell"):
        ldml.relax(vacancy4, am04, lattice=LatticeGreen(perfect_crystal(am04, 1), 3, am04))


def test_no_convergence_is_an_error(am04, crystal4):
    with pytest.raises(ConvergenceError, match="after 3 steps"):
        ldml.relax(interstitial_cluster(crystal4, 1), am04, max_steps=3)


def test_input_is_untouched_and_seeded(am04, crystal4):
    start = interstitial_cluster(crystal4, 1)
    before = start.positions.copy()
    first, second = (ldml.relax(start, am04, 1e-4, seed=7) for _ in range(2))
    assert np.array_equal(start.positions, before)
    assert start.calc is None
    assert first.atoms.calc is None
    assert np.array_equal(first.atoms.positions, second.atoms.positions)
    np.testing.assert_array_equal(first.atoms.cell.array, start.cell.array)


def test_a_nonsense_tolerance_is_refused(am04, crystal4):
    with pytest.raises(InputError, match="fmax"):
        ldml.relax(crystal4, am04, 0.0)


def test_cancel(am04, crystal4):
    class Impatient:
        n = 0

        def update(self, done, total, stage=""):
            self.n += 1

        def check(self):
            if self.n > 4:
                raise Cancelled

    watcher = Impatient()
    with pytest.raises(Cancelled):
        ldml.relax(interstitial_cluster(crystal4, 1), am04, progress=watcher)
    assert watcher.n == 5


def test_lennard_jones_clusters_relax_from_random_starts():
    """In reduced units the bonds are stiffer than those of any metal in eV and Å: steps chosen for iron would diverge."""
    lj = ldml.get_potential("LJ")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        grid = 1.2 * np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:13]
        start = Atoms("X13", positions=grid + rng.normal(scale=0.15, size=(13, 3)))
        relaxed = ldml.relax(start, lj, 1e-6, seed=seed)
        assert relaxed.is_minimum
        # the icosahedron, the lowest of LJ13 (Cambridge Cluster Database), bounds every other minimum from below
        assert -44.326802 < relaxed.energy < -35.0


def test_one_atom_has_nothing_to_relax_and_no_vibrations(am04):
    crystal = Atoms("Fe", cell=2.85 / 2 * (np.ones((3, 3)) - 2 * np.eye(3)), pbc=True)
    assert ldml.relax(crystal, am04).is_minimum
    with pytest.raises(InputError, match="no vibrations"):
        ldml.harmonic_entropy(crystal, am04)


def test_forces_below_their_rounding_are_not_promised(vacancy4, am04):
    with pytest.raises(ConvergenceError, match="rounding"):
        ldml.relax(vacancy4, am04, 1e-16)


@pytest.mark.parametrize(
    ("options", "words"), [({"rattle": -1.0}, "-1.0 Å is negative"), ({"max_tries": 0}, "max_tries")]
)
def test_senseless_options_are_refused(vacancy4, am04, options, words):
    with pytest.raises(InputError, match=words):
        ldml.relax(vacancy4, am04, **options)
