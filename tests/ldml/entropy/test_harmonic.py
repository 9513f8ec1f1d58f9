"""Harmonic entropies: a ring of springs in closed form, iron against independent routes."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.constants as codata
import scipy.linalg
import scipy.sparse
from ase import Atoms
from lattice_models import ring_of_springs

import ldml
from ldml import units
from ldml.entropy.dynamical_matrix import dynamical_matrix, lowest_modes
from ldml.entropy.harmonic import (
    available_memory,
    choose_method,
    entropy_of,
    is_minimum,
    log_determinant,
    mode_entropy,
)
from ldml.errors import Cancelled, InputError, NotAMinimumError, StructureError, UnrelaxedError
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster, rattled, vacancy_cluster


def test_units_agree_with_codata():
    assert pytest.approx(codata.k / codata.e, rel=1e-12) == units.BOLTZMANN
    assert pytest.approx(codata.hbar / codata.e, rel=1e-12) == units.HBAR
    assert (
        pytest.approx(np.sqrt(codata.e / codata.physical_constants["atomic mass constant"][0]) * 1e10, rel=1e-8)
        == units.ANGULAR_FREQUENCY
    )
    assert pytest.approx(15.6333, abs=1e-4) == units.THZ  # the conversion factor phonon codes quote


@pytest.mark.parametrize("n", [3, 10, 57])
def test_ring_of_springs_in_closed_form(n):
    """The eigenvalues 4 sin^2(pi k/N) of the ring multiply to N^2, so ln det' D = 2 ln N in each direction."""
    dynamics = ring_of_springs(n)
    assert dynamics.n_zero_modes == 3
    assert log_determinant(dynamics) == pytest.approx(3 * 2 * np.log(n), rel=1e-12)
    by_modes = entropy_of(dynamics, local=True, method="eigenvectors")
    assert entropy_of(dynamics).total == pytest.approx(by_modes.total, abs=1e-10)
    np.testing.assert_allclose(by_modes.local, by_modes.total / n, atol=1e-10)
    expected = np.sort(np.repeat(4 * np.sin(np.pi * np.arange(1, n) / n) ** 2, 3))
    np.testing.assert_allclose(by_modes.frequencies, units.THZ * np.sqrt(expected), rtol=1e-9)


def test_mass_and_stiffness_shift_every_mode_alike():
    light, heavy = ring_of_springs(20), ring_of_springs(20, mass=4.0, stiffness=9.0)
    gain = 57 * 0.5 * np.log(4.0 / 9.0)
    assert entropy_of(heavy).total - entropy_of(light).total == pytest.approx(gain, rel=1e-12)


def test_one_oscillator_against_the_partition_function():
    """S = -dF/dT with F = k_B T ln(2 sinh(x/2)), differentiated numerically."""
    eigenvalue = 0.2
    omega = units.ANGULAR_FREQUENCY * np.sqrt(eigenvalue)

    def free_energy(t):
        return units.BOLTZMANN * t * np.log(2 * np.sinh(0.5 * units.HBAR * omega / (units.BOLTZMANN * t)))

    for t in (80.0, 300.0, 1200.0):
        h = 1e-3 * t
        slope = (8 * (free_energy(t + h) - free_energy(t - h)) - (free_energy(t + 2 * h) - free_energy(t - 2 * h))) / (
            12 * h
        )
        assert mode_entropy(eigenvalue, t, "quantum") == pytest.approx(-slope / units.BOLTZMANN, rel=1e-9)
    classical, quantum = (mode_entropy(eigenvalue, 30000.0, s) for s in ("classical", "quantum"))
    assert classical == pytest.approx(quantum, abs=1e-5)
    assert mode_entropy(eigenvalue, 1.0, "quantum") < 1e-20  # third law


def test_cholesky_equals_the_spectrum(am04, vacancy4):
    total = ldml.harmonic_entropy(vacancy4, am04)
    spectrum = ldml.harmonic_entropy(vacancy4, am04, spectrum=True)
    assert (total.method, spectrum.method) == ("cholesky", "eigenvalues")
    assert total.total == pytest.approx(spectrum.total, abs=1e-9)
    assert total.n_modes == 3 * 127 - 3 == len(spectrum.frequencies)
    dense = am04.hessian(vacancy4).toarray() / vacancy4.get_masses()[0]
    values = np.linalg.eigvalsh(dense)[3:]
    np.testing.assert_allclose(spectrum.frequencies, units.THZ * np.sqrt(values), rtol=1e-7)


def test_local_entropies_sum_and_see_the_defect(am04, vacancy4, crystal4):
    result = ldml.harmonic_entropy(vacancy4, am04, local=True)
    assert result.local.sum() == pytest.approx(result.total, abs=1e-9)
    distance = np.sort(np.linalg.norm(crystal4.get_distances(0, range(1, 128), mic=True, vector=True), axis=1))
    first_shell = np.argsort(-np.abs(result.local - np.median(result.local)))[:8]
    # the eight nearest neighbours of the vacancy (atom 0 of the crystal) differ most
    away = crystal4.get_distances(0, first_shell + 1, mic=True)
    np.testing.assert_allclose(away, distance[0], atol=1e-6)


def test_local_entropies_are_the_diagonal_of_the_logarithm(am04, vacancy4):
    """S_i = const - 1/2 sum_a [ln D]_ia,ia, by a matrix logarithm that never sees our eigenvectors."""
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    rigid = dynamics.rigid_motions
    dense = dynamics.matrix.toarray() + rigid @ rigid.T  # ln 1 = 0: lifted translations drop out of the logarithm
    logarithm = scipy.linalg.logm(dense)
    vibrating = 3 - 3 / len(vacancy4)  # modes an atom takes part in, the translations taken off
    expected = vibrating * mode_entropy(1.0, 300.0) - 0.5 * np.diag(logarithm).real.reshape(-1, 3).sum(axis=1)
    np.testing.assert_allclose(ldml.harmonic_entropy(vacancy4, am04, local=True).local, expected, atol=1e-8)


def test_published_vacancy_and_dumbbell(am04, crystal8, vacancy8, dumbbell8):
    """2.616 and 1.722 k_B in the 8a0 cell by an independent dense calculation with the closed-form potential."""
    bulk = ldml.harmonic_entropy(crystal8, am04)
    for relaxed, expected in ((vacancy8, 2.61600), (dumbbell8, 1.72190)):
        f = ldml.formation_entropy(relaxed.atoms, crystal8, am04, bulk_entropy=bulk)
        assert f.value == pytest.approx(expected, abs=2e-5)


def test_equal_convention_is_free_of_temperature_and_mass(am04, crystal4, vacancy4):
    values = [ldml.formation_entropy(vacancy4, crystal4, am04, temperature=t).value for t in (50.0, 300.0, 2000.0)]
    assert np.ptp(values) < 1e-9
    h_defect, h_bulk = (np.linalg.eigvalsh(am04.hessian(a).toarray())[3:] for a in (vacancy4, crystal4))
    by_hand = -0.5 * (np.log(h_defect).sum() - 127 / 128 * np.log(h_bulk).sum())
    assert values[0] == pytest.approx(by_hand, abs=1e-8)


def test_paper_convention_is_equation_three(am04, crystal4, vacancy4):
    f = ldml.formation_entropy(vacancy4, crystal4, am04, convention="paper", temperature=600.0, local=True)
    s_d, s_b = (ldml.harmonic_entropy(a, am04, temperature=600.0).total for a in (vacancy4, crystal4))
    assert f.value == pytest.approx(s_d - 127 / 128 * s_b, abs=1e-9)
    assert f.local.sum() == pytest.approx(f.value, abs=1e-9)
    equal = ldml.formation_entropy(vacancy4, crystal4, am04, temperature=600.0, local=True)
    assert equal.value - f.value == pytest.approx(3 / 128 * f.defect.free_mode, abs=1e-9)
    assert equal.local.sum() == pytest.approx(equal.value, abs=1e-9)


def test_quantum_meets_classical_when_hot(am04, crystal4, vacancy4):
    classical = ldml.formation_entropy(vacancy4, crystal4, am04)
    quantum = ldml.formation_entropy(vacancy4, crystal4, am04, temperature=20000.0, statistics="quantum")
    assert quantum.value == pytest.approx(classical.value, abs=2e-4)


def test_supercell_of_the_bulk_equals_reciprocal_space(am04, crystal4, crystal8):
    unit = perfect_crystal(am04, 1)
    for crystal, repeats in ((crystal4, 4), (crystal8, 8)):
        direct, summed = ldml.harmonic_entropy(crystal, am04), ldml.bulk_entropy(unit, repeats, am04)
        assert summed.total == pytest.approx(direct.total, abs=1e-8)
        assert (summed.n_modes, summed.n_zero_modes) == (direct.n_modes, 3)
    slab = ldml.bulk_entropy(unit, (2, 3, 5), am04)
    assert slab.total == pytest.approx(ldml.harmonic_entropy(unit.repeat((2, 3, 5)), am04).total, abs=1e-8)


def test_bulk_entropy_per_atom_converges(am04):
    unit = perfect_crystal(am04, 1)
    per_atom = [ldml.bulk_entropy(unit, n, am04).total / (2 * n**3) for n in (8, 16, 24)]
    assert abs(per_atom[2] - per_atom[1]) < 0.2 * abs(per_atom[1] - per_atom[0])


def test_a_rigid_molecule_has_six_zero_modes():
    """Two atoms and a spring along x: one vibration with lambda = 2 k/m; translations and two rotations are free."""
    k, m = 3.0, 2.0
    block = np.zeros((6, 6))
    block[0, 0] = block[3, 3] = k
    block[0, 3] = block[3, 0] = -k
    atoms = Atoms("H2", positions=[[0, 0, 0], [1, 0, 0]], masses=[m, m])
    dynamics = dynamical_matrix(block, atoms)
    assert dynamics.n_zero_modes == 5
    assert entropy_of(dynamics, method="eigenvalues").frequencies == pytest.approx(units.THZ * np.sqrt(2 * k / m))


def test_a_free_atom_is_not_averaged_away(am04, crystal4):
    """An atom without neighbours has three zero modes that are no rigid motion of the whole."""
    gas = crystal4.copy()
    gas.set_cell([60.0, 60.0, 60.0])
    gas = gas[[0, 1]]
    gas.positions[1] = [30, 30, 30]
    with pytest.raises(InputError, match="nearly zero frequency"):
        ldml.harmonic_entropy(gas, am04)


def test_a_saddle_is_named_as_such(am04, crystal4):
    """The symmetric <111> dumbbell of AM04 is a saddle."""
    saddle = ldml.relax(interstitial_cluster(crystal4, 1, axis="111"), am04, rattle=0.0, check_minimum=False)
    assert not saddle.is_minimum
    dynamics = dynamical_matrix(am04.hessian(saddle.atoms), saddle.atoms)
    assert not is_minimum(dynamics)
    values, vectors = lowest_modes(dynamics, 3)
    dense = np.linalg.eigvalsh(dynamics.matrix.toarray())
    n_imaginary = int((dense < -1e-6).sum())
    assert values[0] == pytest.approx(dense[0], rel=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-8)
    for options in ({}, {"spectrum": True}, {"local": True}):
        with pytest.raises(NotAMinimumError, match="saddle") as caught:
            ldml.harmonic_entropy(saddle.atoms, am04, **options)
        assert caught.value.n_imaginary == n_imaginary
        assert caught.value.lowest_frequency == pytest.approx(-units.THZ * np.sqrt(-dense[0]), rel=1e-6)


def test_an_unrelaxed_structure_is_refused_with_its_force(am04, crystal4, rng):
    shaken = rattled(crystal4, 0.05, rng)
    with pytest.raises(UnrelaxedError, match="not relaxed") as caught:
        ldml.harmonic_entropy(shaken, am04)
    assert caught.value.max_force == pytest.approx(np.linalg.norm(am04.forces(shaken), axis=1).max())


def test_bad_options_are_refused(am04, crystal4, vacancy4):
    for options, word in (
        ({"temperature": 0.0}, "temperature"),
        ({"statistics": "bose"}, "statistics"),
        ({"method": "guess"}, "method"),
        ({"method": "cholesky", "local": True}, "needs 'eigenvectors'"),
        ({"method": "cholesky", "spectrum": True}, "needs 'eigenvalues'"),
        ({"method": "shifts", "local": True, "spectrum": True}, "needs 'eigenvectors'"),
        ({"method": "shifts"}, "ask for them with local"),
        ({"local": True, "local_tolerance": 0.0}, "local_tolerance"),
        ({"local_atoms": []}, "local_atoms"),
        ({"local_atoms": [0.5]}, "local_atoms"),
        ({"local_atoms": [3, 3]}, "different atoms"),
        ({"local_atoms": [127]}, "0 to 126"),
        ({"hessian": "guess"}, "hessian"),
    ):
        with pytest.raises(InputError, match=word):
            ldml.harmonic_entropy(vacancy4, am04, **options)
    with pytest.raises(InputError, match="convention"):
        ldml.formation_entropy(vacancy4, crystal4, am04, convention="mine")
    with pytest.raises(InputError, match="constant volume"):
        ldml.formation_entropy(vacancy4, perfect_crystal(am04, 5), am04)
    cluster = vacancy4.copy()
    cluster.pbc = False
    with pytest.raises(StructureError, match="pbc"):
        ldml.formation_entropy(cluster, crystal4, am04)


@pytest.mark.parametrize(
    ("n_atoms", "asked", "method"),
    [
        (20000, {}, "cholesky"),
        (20000, {"statistics": "quantum"}, "eigenvalues"),
        (1024, {"spectrum": True}, "eigenvalues"),
        (1024, {"spectrum": True, "local": True}, "eigenvectors"),
        (128, {"local": True}, "eigenvectors"),
        (1024, {"local": True}, "shifts"),
        (1024, {"local": True, "statistics": "quantum"}, "eigenvectors"),
        (1024, {"chosen": np.arange(20)}, "cholesky+lanczos"),
        (1024, {"chosen": np.arange(500)}, "shifts"),
        (16000, {"chosen": np.arange(20)}, "lanczos"),
        (16000, {"local": True, "statistics": "quantum"}, "lanczos"),
        (16000, {"local": True}, "lanczos"),  # 24 GB of shifted matrices do not fit into the 20 of this test
        (10000, {"local": True}, "shifts"),
    ],
)
def test_the_method_follows_from_size_and_wish(monkeypatch, n_atoms, asked, method):
    monkeypatch.setattr("ldml.entropy.harmonic.available_memory", lambda: 20 * 10**9)
    wish = {"local": False, "chosen": None, "spectrum": False, "statistics": "classical"} | asked
    assert choose_method("auto", n_atoms, **wish) == method


def test_too_little_memory_is_said_before_the_work_begins(am04, vacancy4, monkeypatch):
    assert 0 < available_memory() < 1e15
    monkeypatch.setattr("ldml.entropy.harmonic.available_memory", lambda: 10**5)
    monkeypatch.setattr(am04, "hessian", None)
    with pytest.raises(
        InputError, match=r"'cholesky' needs 0\.000813 GB for 127 atoms, but 0\.0001 GB.*lanczos.*green"
    ):
        ldml.harmonic_entropy(vacancy4, am04)
    monkeypatch.undo()
    monkeypatch.setattr("ldml.entropy.harmonic.available_memory", lambda: None)
    assert ldml.harmonic_entropy(vacancy4, am04).method == "cholesky"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak memory from /proc")
def test_a_total_takes_less_than_one_dense_matrix():
    """Half a matrix for the packed triangle, the sparse Hessian, LAPACK's buffers; measured 0.8 at 1024 atoms."""
    script = """
import ldml
from ldml.potentials import perfect_crystal

def memory(field):
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))

small, large = (perfect_crystal("Fe-AM04", n) for n in (4, 8))
ldml.harmonic_entropy(small, "Fe-AM04")
before = memory("VmRSS")
ldml.harmonic_entropy(large, "Fe-AM04")
print((memory("VmHWM") - before) / (72 * len(large) ** 2))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert 0.5 < float(done.stdout) < 1.0


def test_the_source_of_the_hessian_is_recorded(am04, vacancy4, monkeypatch):
    assert ldml.harmonic_entropy(vacancy4, am04).hessian == "analytic"
    assert entropy_of(ring_of_springs(5)).hessian == "given"
    monkeypatch.setattr(am04, "analytic_hessian", False, raising=False)
    assert ldml.harmonic_entropy(vacancy4, am04).hessian == "differences"
    with pytest.raises(InputError, match="closed form"):
        ldml.harmonic_entropy(vacancy4, am04, hessian="analytic")


def test_differences_of_forces_give_the_same_entropy(am04, vacancy4):
    """Central differences of well-chosen step err by 1.4e-6 k_B here, the paper's forward differences of 1e-3 Å by 1.7e-4."""
    exact = ldml.harmonic_entropy(vacancy4, am04).total
    for source, tolerance in (("differences", 1e-5), ("paper", 1e-3)):
        result = ldml.harmonic_entropy(vacancy4, am04, hessian=source)
        assert result.hessian == source
        assert result.total == pytest.approx(exact, abs=tolerance)


def test_a_hessian_that_resists_translation_is_refused(crystal4):
    with pytest.raises(InputError, match="rigid translation"):
        dynamical_matrix(scipy.sparse.eye_array(3 * len(crystal4), format="csr"), crystal4)


def test_progress_is_told_and_can_cancel(am04, vacancy4):
    class Watcher:
        def __init__(self, stop_at):
            self.stages, self.stop_at = [], stop_at

        def update(self, done, total, stage=""):
            self.stages.append(stage)

        def check(self):
            if len(self.stages) >= self.stop_at:
                raise Cancelled

    watcher = Watcher(99)
    ldml.harmonic_entropy(vacancy4, am04, progress=watcher)
    assert watcher.stages == ["forces", "Hessian", "factorisation", "done"]
    with pytest.raises(Cancelled):
        ldml.harmonic_entropy(vacancy4, am04, progress=Watcher(2))


def test_vacancy_cluster_is_more_than_its_parts(am04, crystal4):
    """A divacancy binds: its formation energy is below twice that of a vacancy (known of bcc iron)."""
    bulk = am04.energy(crystal4)
    one, two = (
        ldml.entropy.formation_energy(ldml.relax(vacancy_cluster(crystal4, n), am04).energy, 128 - n, bulk, 128)
        for n in (1, 2)
    )
    assert 0 < 2 * one - two < 0.5
