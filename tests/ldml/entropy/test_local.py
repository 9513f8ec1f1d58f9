"""Local entropies without eigenvectors: the ring in closed form, mpmath for the logarithm, eigenvectors for iron."""

import mpmath
import numpy as np
import pytest
import scipy.sparse
from ase import Atoms

import ldml
from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix
from ldml.entropy.harmonic import entropy_of, log_determinant, log_determinant_and_inverse
from ldml.entropy.local import local_logarithms, rational_logarithm
from ldml.errors import Cancelled, ConvergenceError, InputError, NotAMinimumError


@pytest.fixture(scope="module")
def iron(am04, vacancy4):
    return dynamical_matrix(am04.hessian(vacancy4), vacancy4)


def ring(n):
    laplacian = 2 * np.eye(n) - np.roll(np.eye(n), 1, axis=0) - np.roll(np.eye(n), -1, axis=0)
    atoms = Atoms(f"H{n}", positions=np.arange(n)[:, None] * [1.0, 0, 0], cell=[n, 9, 9], pbc=True, masses=np.ones(n))
    return dynamical_matrix(scipy.sparse.bsr_array(np.kron(laplacian, np.eye(3)), blocksize=(3, 3)), atoms)


def free_cluster(rng, n=6):
    """Atoms of different masses, all joined by springs at rest: three translations and three rotations are free."""
    atoms = Atoms(f"H{n}", positions=rng.normal(scale=2.0, size=(n, 3)), masses=rng.uniform(1, 4, n))
    hessian = np.zeros((n, 3, n, 3))
    for i in range(n):
        for j in range(i):
            bond = atoms.positions[i] - atoms.positions[j]
            block = np.outer(bond, bond) / (bond @ bond)
            hessian[i, :, i] += block
            hessian[j, :, j] += block
            hessian[i, :, j] -= block
            hessian[j, :, i] -= block
    return dynamical_matrix(hessian.reshape(3 * n, 3 * n), atoms)


@pytest.mark.parametrize("ratio", [1.5, 40.0, 150.0, 1e4, 1e6])
def test_the_rational_logarithm_keeps_its_error(ratio):
    """Against 40-digit logarithms at points the fit never saw; the bound was measured on 4001 points between others."""
    lowest = 0.37
    logarithm = rational_logarithm(lowest, lowest * ratio, tolerance=1e-7)
    assert logarithm.error <= 1e-7
    assert (logarithm.shifts > 0).all()
    assert (logarithm.residues < 0).all()
    points = lowest * ratio ** np.linspace(0, 1, 777)
    with mpmath.workdps(40):
        exact = np.array([float(mpmath.log(mpmath.mpf(float(x)))) for x in points])
    # 1e-11: rounding of terms that cancel
    assert np.abs(logarithm(points) - exact).max() <= 1.01 * logarithm.error + 1e-11


def test_each_pole_gains_what_theory_says():
    """exp(2 pi^2 / ln(16 kappa)) a pole: 12.6 at a condition number of 150."""
    errors = [rational_logarithm(1.0, 150.0, tolerance=10.0**-k) for k in (2, 3, 4, 5, 6, 7, 8)]
    n_poles = np.array([len(e.shifts) for e in errors])
    slope = np.polyfit(n_poles, np.log([e.error for e in errors]), 1)[0]
    assert -slope == pytest.approx(2 * np.pi**2 / np.log(16 * 150), rel=0.1)
    with pytest.raises(ConvergenceError, match="rational approximation"):
        rational_logarithm(1.0, 150.0, tolerance=1e-17)


@pytest.mark.parametrize("n", [10, 57])
@pytest.mark.parametrize("method", ["shifts", "cholesky+lanczos", "lanczos"])
def test_ring_shares_are_equal(n, method):
    result = entropy_of(ring(n), local=True, method=method, local_tolerance=1e-9)
    exact = entropy_of(ring(n))
    np.testing.assert_allclose(result.local, exact.total / n, atol=result.error + 1e-11)
    assert result.error <= 1e-9
    assert result.total == pytest.approx(exact.total, abs=n * 1e-9)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("method", ["shifts", "lanczos"])
def test_the_bound_holds_against_eigenvectors(iron, method, tolerance):
    exact = entropy_of(iron, local=True, method="eigenvectors")
    result = entropy_of(iron, local=True, method=method, local_tolerance=tolerance)
    assert result.method == method
    assert 0 < result.error <= tolerance
    assert np.abs(result.local - exact.local).max() <= result.error + 1e-11
    assert result.local.sum() == pytest.approx(result.total, abs=1e-9)
    assert result.total == pytest.approx(exact.total, abs=1e-9 if method == "shifts" else 127 * tolerance)


def test_quantum_shares_by_lanczos(iron):
    exact = entropy_of(iron, local=True, method="eigenvectors", statistics="quantum", temperature=120.0)
    result = entropy_of(iron, local=True, method="lanczos", statistics="quantum", temperature=120.0)
    assert np.abs(result.local - exact.local).max() <= result.error + 1e-11
    assert result.error <= 1e-7
    with pytest.raises(InputError, match="needs 'eigenvectors' or 'lanczos'"):
        entropy_of(iron, local=True, method="shifts", statistics="quantum")


def test_a_free_cluster_leaves_out_its_rotations(rng):
    dynamics = free_cluster(rng)
    assert dynamics.n_zero_modes == 6
    exact = entropy_of(dynamics, local=True, method="eigenvectors")
    for method in ("shifts", "lanczos"):
        result = entropy_of(dynamics, local=True, method=method)
        assert np.abs(result.local - exact.local).max() <= result.error + 1e-10


def test_chosen_atoms_are_those_of_the_whole(am04, vacancy4):
    whole = ldml.harmonic_entropy(vacancy4, am04, local=True)
    chosen = [5, 0, 120]
    for method in ("auto", "eigenvectors", "shifts", "cholesky+lanczos", "lanczos"):
        some = ldml.harmonic_entropy(vacancy4, am04, local_atoms=chosen, method=method)
        np.testing.assert_array_equal(some.local_atoms, chosen)
        assert np.abs(some.local - whole.local[chosen]).max() <= some.error + 1e-10
        if method == "lanczos":
            assert some.total is None
        else:
            assert some.total == pytest.approx(whole.total, abs=1e-9)
    assert whole.local_atoms is None


def test_a_spectrum_outside_its_interval_is_found_out(iron, monkeypatch):
    """A lowest eigenvalue that was missed makes the shares miss their known sum."""
    values = np.linalg.eigvalsh(iron.matrix.toarray())[3:]
    monkeypatch.setattr("ldml.entropy.local.spectral_bounds", lambda *_, **__: (2.0 * values[0], 1.05 * values[-1]))
    with pytest.raises(ConvergenceError, match="miss their sum"):
        local_logarithms(iron, *log_determinant_and_inverse(iron), tolerance=1e-9)


def test_a_very_soft_mode_is_bounded_by_the_trace(iron, monkeypatch):
    """One mode a thousand times softer than the rest: 1/tr D^-1 takes over where Lanczos steps would be too many."""
    values, vectors = np.linalg.eigh(iron.matrix.toarray())
    soft = vectors[:, 3:4]
    softened = iron.matrix.toarray() - (1 - 1e-3) * values[3] * soft @ soft.T
    dynamics = DynamicalMatrix(scipy.sparse.bsr_array(softened, blocksize=(3, 3)), iron.rigid_motions, iron.masses)
    exact = entropy_of(dynamics, local=True, method="eigenvectors")
    monkeypatch.setattr("ldml.entropy.lanczos.FLOOR_STEPS", 20)
    result = entropy_of(dynamics, local=True, method="shifts")
    assert np.abs(result.local - exact.local).max() <= result.error + 1e-10
    assert result.error <= 1e-7


def test_packed_and_square_factors_agree(iron):
    for dynamics in (iron, ring(4), ring(5)):
        assert log_determinant(dynamics) == pytest.approx(log_determinant_and_inverse(dynamics)[0], abs=1e-9)


def test_blocks_listed_in_parts_are_added_up(am04, vacancy4, iron):
    hessian = am04.hessian(vacancy4)
    rows = np.repeat(np.arange(127), np.diff(hessian.indptr))
    order = np.argsort(np.concatenate([rows, rows]), kind="stable")
    data = np.concatenate([0.3 * hessian.data, 0.7 * hessian.data])[order]
    columns = np.concatenate([hessian.indices, hessian.indices])[order]
    parted = dynamical_matrix(scipy.sparse.bsr_array((data, columns, 2 * hessian.indptr), shape=(381, 381)), vacancy4)
    np.testing.assert_allclose(parted.dense(), iron.matrix.toarray(), atol=1e-14)
    assert log_determinant(parted) == pytest.approx(log_determinant(iron), abs=1e-10)


def test_the_inverse_has_the_diagonal_of_the_inverse(iron):
    scale, rigid = iron.scale, iron.rigid_motions
    inverse = np.linalg.inv(iron.matrix.toarray() + scale * rigid @ rigid.T)
    np.testing.assert_allclose(log_determinant_and_inverse(iron)[1], np.diag(inverse), rtol=1e-10)


def test_saddles_are_named_by_every_method(am04, crystal4):
    saddle = ldml.relax(
        ldml.structures.interstitial_cluster(crystal4, 1, axis="111"), am04, rattle=0.0, check_minimum=False
    )
    for method in ("shifts", "cholesky+lanczos", "lanczos"):
        with pytest.raises(NotAMinimumError, match="saddle"):
            ldml.harmonic_entropy(saddle.atoms, am04, local=True, method=method)


def test_local_work_reports_and_stops(am04, vacancy4):
    class Watcher:
        def __init__(self, stop_at):
            self.stages, self.stop_at = [], stop_at

        def update(self, done, total, stage=""):
            assert 0 <= done <= total
            self.stages.append(stage)

        def check(self):
            if self.stages.count("local entropies") >= self.stop_at:
                raise Cancelled

    for method in ("shifts", "lanczos"):
        watcher = Watcher(99)
        ldml.harmonic_entropy(vacancy4, am04, local=True, method=method, progress=watcher)
        assert watcher.stages.count("local entropies") >= 3
        with pytest.raises(Cancelled):
            ldml.harmonic_entropy(vacancy4, am04, local=True, method=method, progress=Watcher(1))
