"""Lanczos quadrature: chains and rings in closed form, moments, brackets."""

import mpmath
import numpy as np
import pytest
import scipy.sparse
from ase import Atoms

from ldml.entropy.dynamical_matrix import DynamicalMatrix, dynamical_matrix
from ldml.entropy.harmonic import mode_entropy
from ldml.entropy.lanczos import LanczosRecursion, spectral_bounds, three_terms
from ldml.errors import Cancelled, ConvergenceError


def chain(n_atoms):
    """The 3 n degrees of freedom in a row between walls, springs of one: eigenvalues 2 - 2 cos(pi k/(3 n + 1))."""
    size = 3 * n_atoms
    matrix = scipy.sparse.diags_array([-np.ones(size - 1), 2 * np.ones(size), -np.ones(size - 1)], offsets=[-1, 0, 1])
    return DynamicalMatrix(
        scipy.sparse.bsr_array(matrix.tocsr(), blocksize=(3, 3)), np.zeros((size, 0)), np.ones(n_atoms)
    )


def ring(n):
    laplacian = 2 * np.eye(n) - np.roll(np.eye(n), 1, axis=0) - np.roll(np.eye(n), -1, axis=0)
    atoms = Atoms(f"H{n}", positions=np.arange(n)[:, None] * [1.0, 0, 0], cell=[n, 9, 9], pbc=True, masses=np.ones(n))
    return dynamical_matrix(scipy.sparse.bsr_array(np.kron(laplacian, np.eye(3)), blocksize=(3, 3)), atoms)


def first_unit_vector(size):
    return np.eye(size, 1)


def quantum(eigenvalues):
    return mode_entropy(eigenvalues, 150.0, "quantum")


def test_nodes_and_weights_of_the_chain_in_closed_form():
    """Seen from the wall K steps leave a chain of K masses: nodes 2 - 2 cos t, weights 2/(K+1) sin^2 t, t = pi k/(K+1)."""
    recursion = LanczosRecursion(chain(40), first_unit_vector(120))
    recursion.advance(25)
    t = [mpmath.pi * k / 26 for k in range(1, 26)]
    expected = mpmath.fsum(mpmath.mpf(2) / 26 * mpmath.sin(x) ** 2 * mpmath.log(2 - 2 * mpmath.cos(x)) for x in t)
    assert recursion.gauss(np.log)[0] == pytest.approx(float(expected), abs=1e-13)
    np.testing.assert_allclose(recursion.diagonals[:, 0], 2.0, rtol=1e-13)
    np.testing.assert_allclose(recursion.couplings[:, 0], 1.0, rtol=1e-13)


def test_both_rules_close_in_on_the_endless_chain():
    """The endless chain gives (2/pi) int sin^2 t ln(2 - 2 cos t) dt = 1/2 (mpmath agrees); its spectrum begins at zero."""
    integral = 2 * mpmath.quad(
        lambda t: 2 / mpmath.pi * mpmath.sin(2 * t) ** 2 * 2 * mpmath.log(2 * mpmath.sin(t)), [0, mpmath.pi / 2]
    )
    assert float(integral) == pytest.approx(0.5, abs=1e-12)
    recursion = LanczosRecursion(chain(60), first_unit_vector(180))
    widths = []
    for _ in range(5):
        # up to 40 steps never see the far wall
        recursion.advance(8)
        upper, lower = recursion.gauss(np.log)[0], recursion.radau(np.log, 0.0 + 1e-12)[0]
        assert lower < 0.5 < upper
        widths.append(upper - lower)
    # algebraic convergence at a spectrum that touches zero, as K^-2 at the slowest
    assert widths[-1] < widths[0] / 25


def test_gauss_is_exact_for_polynomials(am04, vacancy4, rng):
    """K steps integrate degree 2K - 1 exactly, Radau one degree more; rounding relative to the largest eigenvalue."""
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    start = rng.normal(size=(3 * len(vacancy4), 4))
    recursion = LanczosRecursion(dynamics, start)
    recursion.advance(4)
    inside = start - dynamics.rigid_motions @ (dynamics.rigid_motions.T @ start)
    dense = dynamics.matrix.toarray()
    for degree in range(9):
        expected = np.einsum("ij,ij->j", inside, np.linalg.matrix_power(dense, degree) @ inside)
        rules = [recursion.radau(lambda x, p=degree: x**p, 0.01)]
        if degree <= 7:
            rules.append(recursion.gauss(lambda x, p=degree: x**p))
        for rule in rules:
            np.testing.assert_allclose(rule, expected, rtol=1e-11)
    assert abs(recursion.gauss(lambda x: x**8) / expected - 1).min() > 1e-6


@pytest.mark.parametrize("n", [3, 10, 57])
def test_ring_from_all_unit_vectors(n):
    """The recursions end when the ring's few distinct eigenvalues are used up; then ln det' D = 2 ln N in each direction."""
    recursion = LanczosRecursion(ring(n), np.eye(3 * n))
    recursion.advance(n)
    logs = recursion.gauss(np.log)
    # rounding of a recursion that ran past its end
    np.testing.assert_allclose(logs, 2 * np.log(n) / n, atol=1e-11)
    np.testing.assert_allclose(recursion.radau(np.log, 0.5 * np.sin(np.pi / n) ** 2), logs, atol=1e-11)


@pytest.mark.parametrize("function", [np.log, quantum])
def test_gauss_and_radau_bracket_the_truth(am04, vacancy4, function):
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    values, vectors = np.linalg.eigh(dynamics.matrix.toarray())
    truth = np.square(vectors[:30, 3:]) @ function(values[3:])
    recursion = LanczosRecursion(dynamics, np.eye(3 * len(vacancy4), 30))
    # the logarithm rises, entropies fall
    sign = 1 if function is np.log else -1
    widths = []
    for _ in range(6):
        recursion.advance(2)
        gauss, radau = recursion.gauss(function), recursion.radau(function, 0.9 * values[3])
        assert (sign * (gauss - truth) > 0).all()
        assert (sign * (truth - radau) > 0).all()
        widths.append(np.abs(gauss - radau).max())
    ratio = np.sqrt(values[-1] / values[3])
    # the brackets close at the rate of the conjugate gradients, squared
    assert widths[-1] / widths[1] < 4 * ((ratio - 1) / (ratio + 1)) ** (2 * 8)


def test_entropies_have_derivatives_of_alternating_sign():
    """What the bracket rests on, for quantum statistics: derivatives of s in lambda = x^2 by mpmath, to the ninth order."""

    def entropy(square):
        x = mpmath.sqrt(square)
        return x / mpmath.expm1(x) - mpmath.log(-mpmath.expm1(-x))

    with mpmath.workdps(60):
        for square in (0.01, 1.0, 9.0, 100.0):
            coefficients = mpmath.taylor(entropy, mpmath.mpf(square), 9)
            assert all((-1) ** k * c > 0 for k, c in enumerate(coefficients))


def test_bounds_hold_the_spectrum(am04, vacancy4):
    for n in (10, 57):
        lowest, highest = spectral_bounds(ring(n))
        assert 0.8 * 4 * np.sin(np.pi / n) ** 2 < lowest < 4 * np.sin(np.pi / n) ** 2
        assert 4 * np.sin(np.pi * (n // 2) / n) ** 2 < highest < 4.5
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    values = np.linalg.eigvalsh(dynamics.matrix.toarray())[3:]
    lowest, highest = spectral_bounds(dynamics)
    assert 0.8 * values[0] < lowest < values[0]
    assert values[-1] < highest < 1.2 * values[-1]


def test_long_recursions_stay_clear_of_the_rigid_motions(am04, vacancy4):
    """Rounding must not bring the zero modes back as Ritz values, however many steps are done."""
    dynamics = dynamical_matrix(am04.hessian(vacancy4), vacancy4)
    recursion = LanczosRecursion(dynamics, np.eye(3 * len(vacancy4), 1))
    recursion.advance(250)
    lowest = np.linalg.eigvalsh(dynamics.matrix.toarray())[3]
    assert recursion.extremes()[0][0] > lowest * (1 - 1e-9)


def test_a_negative_eigenvalue_shows_and_a_tiny_one_is_not_guessed(monkeypatch):
    unstable = ring(10)
    shifted = unstable.matrix - 0.5 * scipy.sparse.eye_array(30)
    bent = DynamicalMatrix(shifted.tobsr(blocksize=(3, 3)), unstable.rigid_motions, unstable.masses)
    assert spectral_bounds(bent)[0] < 0
    monkeypatch.setattr("ldml.entropy.lanczos.BOUND_STEPS", 40)
    with pytest.raises(ConvergenceError, match="very soft mode"):
        spectral_bounds(chain(400))


def test_the_compiled_step_is_three_terms(am04, vacancy4, rng):
    matrix = dynamical_matrix(am04.hessian(vacancy4), vacancy4).matrix
    vectors, previous, couplings = rng.normal(size=(381, 5)), rng.normal(size=(381, 5)), rng.normal(size=5)
    expected = matrix.toarray() @ vectors - couplings * previous
    dots = three_terms(matrix.indptr, matrix.indices, matrix.data, vectors, couplings, previous)
    np.testing.assert_allclose(previous, expected, atol=1e-13)
    np.testing.assert_allclose(dots, np.einsum("ij,ij->j", vectors, expected), atol=1e-12)


def test_a_recursion_can_be_cancelled():
    class Stop:
        def check(self):
            raise Cancelled

    with pytest.raises(Cancelled):
        LanczosRecursion(ring(10), np.eye(30)).advance(3, Stop())
