"""Stochastic estimators: exact over all unit vectors, within their error bars over random ones."""

import mpmath
import numpy as np
import pytest
import scipy.sparse
from ase import Atoms

import ldml
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.entropy.harmonic import log_determinant
from ldml.entropy.stochastic import (
    formation_samples,
    log_determinant_samples,
    logarithm_coefficients,
    stochastic_formation_entropy,
)
from ldml.errors import Cancelled, InputError
from ldml.potentials import perfect_crystal
from ldml.structures import interstitial_cluster

ESTIMATORS = ("lanczos", "chebyshev")


@pytest.fixture(scope="module")
def dumbbell4(crystal4, am04):
    return ldml.relax(interstitial_cluster(crystal4, 1, axis="110"), am04).atoms


def ring(n):
    laplacian = 2 * np.eye(n) - np.roll(np.eye(n), 1, axis=0) - np.roll(np.eye(n), -1, axis=0)
    atoms = Atoms(f"H{n}", positions=np.arange(n)[:, None] * [1.0, 0, 0], cell=[n, 9, 9], pbc=True, masses=np.ones(n))
    return dynamical_matrix(scipy.sparse.bsr_array(np.kron(laplacian, np.eye(3)), blocksize=(3, 3)), atoms)


def test_chebyshev_coefficients_of_the_logarithm():
    """Against mpmath's integrals (2/pi) int ln(lambda(cos t)) cos(kt) dt."""
    low, high = 0.02, 0.9
    coefficients = logarithm_coefficients(low, high, 6)
    for k in range(7):
        integral = mpmath.quad(
            lambda t, k=k: (
                mpmath.log((low + high) / 2 + (high - low) / 2 * mpmath.cos(t)) * mpmath.cos(k * t) * 2 / mpmath.pi
            ),
            [0, mpmath.pi / 2, mpmath.pi],
        )
        assert coefficients[k] == pytest.approx(float(integral) * (0.5 if k == 0 else 1.0), abs=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_all_unit_vectors_give_the_exact_trace_of_the_ring(estimator):
    """ln det' D = 3 x 2 ln N; the error left is that of the polynomials, of degree 240 here."""
    samples, _ = log_determinant_samples(ring(11), np.eye(33), n_steps=120, estimator=estimator)
    assert samples.sum() == pytest.approx(6 * np.log(11), abs=1e-10)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_all_unit_vectors_give_the_exact_trace_of_iron(am04, vacancy4, estimator):
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    samples, halved = log_determinant_samples(dynamics, np.eye(381), n_steps=40, estimator=estimator)
    exact = log_determinant(dynamics)
    assert samples.sum() == pytest.approx(exact, abs=1e-9)
    # what halving shows is the error of the half, and far above that of the whole
    assert 1e-12 < abs(halved.sum() - exact) < 1e-6


def test_many_steps_do_not_wake_the_rigid_motions(am04, vacancy4):
    """T_2K grows to 1e690 at a zero mode of this cell: nothing of one may come back by rounding."""
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    values, vectors = np.linalg.eigh(dynamics.matrix.toarray())
    samples, _ = log_determinant_samples(dynamics, np.eye(381, 2), n_steps=1500, estimator="chebyshev")
    np.testing.assert_allclose(samples, np.square(vectors[:2, 3:]) @ np.log(values[3:]), atol=1e-11)


def test_exact_determinants_make_the_exact_formation_entropy(am04, crystal4, vacancy4):
    matrices = tuple(dynamical_matrix(am04.hessian(atoms), atoms) for atoms in (vacancy4, crystal4))
    exact = formation_samples(np.array([[log_determinant(dynamics)] for dynamics in matrices]), matrices)
    assert exact[0] == pytest.approx(ldml.formation_entropy(vacancy4, crystal4, am04).value, abs=1e-9)


def test_chebyshev_error_obeys_its_tail(am04, vacancy4):
    """What is cut off the series is at most 2 q^(2K+1)/((2K + 1)(1 - q)) for each mode."""
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    interval = (0.025, 0.39)
    q = (np.sqrt(interval[1]) - np.sqrt(interval[0])) / (np.sqrt(interval[1]) + np.sqrt(interval[0]))
    exact = log_determinant(dynamics)
    for n_steps in (6, 12):
        samples, _ = log_determinant_samples(
            dynamics, np.eye(381), n_steps=n_steps, estimator="chebyshev", interval=interval
        )
        tail = 2 * q ** (2 * n_steps + 1) / ((2 * n_steps + 1) * (1 - q))
        assert abs(samples.sum() - exact) < 378 * tail


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", ["vacancy4", "dumbbell4"])
def test_formation_entropy_within_its_error_bar(am04, crystal4, request, estimator, kind):
    """Four standard errors: a fixed seed, which a right answer leaves with a chance of 1 in 16,000."""
    defect = request.getfixturevalue(kind)
    exact = ldml.formation_entropy(defect, crystal4, am04).value
    rng = np.random.default_rng(7)
    result = stochastic_formation_entropy(
        defect, crystal4, am04, n_vectors=300, n_steps=40, estimator=estimator, rng=rng
    )
    assert abs(result.value - exact) < 4 * result.standard_error
    assert result.value == pytest.approx(result.samples.mean())
    assert result.n_vectors == 300
    # common random numbers: without them the scatter at 128 atoms is near 9 k_B a vector
    assert result.samples.std() < (2.2 if kind == "vacancy4" else 4.5)
    assert abs(result.bias) < 1e-3


def test_both_estimators_see_the_same_vectors(am04, crystal4, vacancy4):
    first, second = (
        stochastic_formation_entropy(
            vacancy4, crystal4, am04, n_vectors=5, n_steps=40, estimator=e, rng=np.random.default_rng(3)
        )
        for e in ESTIMATORS
    )
    # both have converged in K, so that only the vectors are left to differ
    np.testing.assert_allclose(first.samples, second.samples, atol=1e-6)


def test_bias_shows_too_few_steps(am04, crystal4, dumbbell4):
    few, many = (
        stochastic_formation_entropy(dumbbell4, crystal4, am04, n_vectors=8, n_steps=k, rng=np.random.default_rng(3))
        for k in (8, 48)
    )
    assert abs(few.bias) > abs(few.value - many.value) > 100 * abs(many.bias)


def test_bad_requests_are_refused(am04, crystal4, vacancy4):
    rng = np.random.default_rng(0)
    for options, word in (({"n_vectors": 1}, "at least 2"), ({"n_steps": 3}, "n_steps"), ({"estimator": "x"}, "'x'")):
        with pytest.raises(InputError, match=word):
            stochastic_formation_entropy(vacancy4, crystal4, am04, rng=rng, **options)
    with pytest.raises(InputError, match="constant volume"):
        stochastic_formation_entropy(vacancy4, perfect_crystal(am04, 5), am04, rng=rng)


def test_it_reports_and_can_be_cancelled(am04, crystal4, vacancy4):
    class Watcher:
        done = 0

        def update(self, done, total, stage=""):
            self.done = done

        def check(self):
            if self.done >= 32:
                raise Cancelled

    watcher = Watcher()
    with pytest.raises(Cancelled):
        stochastic_formation_entropy(
            vacancy4, crystal4, am04, n_vectors=64, n_steps=4, rng=np.random.default_rng(0), progress=watcher
        )
    assert watcher.done == 32
