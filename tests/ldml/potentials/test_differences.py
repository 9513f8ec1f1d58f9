"""Hessians by differences against closed forms, the analytic Hessian of Fe-AM04 and the same differences one by one."""

from math import exp

import numpy as np
import pytest
from ase import Atoms

import ldml
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.errors import Cancelled, ConvergenceError, InputError
from ldml.neighbours import neighbour_list
from ldml.potentials import AcklandMendelev2004, perfect_crystal
from ldml.potentials.base import Evaluator
from ldml.potentials.differences import STEPS, DifferencePotential, difference_hessian
from ldml.structures import rattled, vacancy_cluster

DEPTH, STIFFNESS, LENGTH = 0.5, 1.7, 2.2  # of the Morse bonds, eV, 1/Å, Å


class Bonds(DifferencePotential):
    """Morse bonds between neighbours: V = D (1 - e^-a(r - r0))² - D, cut off abruptly far from every distance in use."""

    name, citation = "bonds", "this test"
    elements = frozenset({"Ar"})
    needs_crystal = False

    def __init__(self, cutoff=1e3, hessian_range=np.inf):
        self.cutoff, self.hessian_range = cutoff, hessian_range

    def parameters(self):
        return {"cutoff": self.cutoff}

    def evaluator(self, atoms):
        return _BondsEvaluator(atoms, self.cutoff)


class _BondsEvaluator(Evaluator):
    def __init__(self, atoms, cutoff):
        self.cell, self.pbc, self.cutoff = atoms.cell.array, atoms.pbc, cutoff

    def energy_and_forces(self, positions):
        pairs = neighbour_list(positions, self.cell, self.pbc, self.cutoff)
        decay = np.exp(-STIFFNESS * (pairs.distances - LENGTH))
        slope = 2 * DEPTH * STIFFNESS * decay * (1 - decay)
        pulls = (slope / pairs.distances)[:, None] * pairs.vectors
        forces = np.zeros_like(positions)
        np.add.at(forces, np.repeat(np.arange(len(positions)), np.diff(pairs.offsets)), pulls)
        return 0.5 * float(np.sum(DEPTH * (1 - decay) ** 2 - DEPTH)), forces


def morse_derivative(r, order):
    """d^n V/dr^n = D [(-2a)^n e^(-2a(r - r0)) - 2 (-a)^n e^(-a(r - r0))]."""
    a, x = STIFFNESS, r - LENGTH
    return DEPTH * ((-2 * a) ** order * exp(-2 * a * x) - 2 * (-a) ** order * exp(-a * x))


class Springs(DifferencePotential):
    """E = 1/2 u·K u with u the displacement from given positions: differences are then exact but for rounding."""

    name, citation = "springs", "this test"
    elements = frozenset({"Ar"})
    needs_crystal = False

    def __init__(self, atoms, stiffness, hessian_range):
        self.start, self.stiffness, self.hessian_range = atoms.positions.copy(), stiffness, hessian_range

    def parameters(self):
        return {}

    def evaluator(self, atoms):
        potential = self

        class Linear(Evaluator):
            def energy_and_forces(self, positions):
                u = (positions - potential.start).ravel()
                return 0.5 * u @ potential.stiffness @ u, -(potential.stiffness @ u).reshape(-1, 3)

        return Linear()


class Perturbed(AcklandMendelev2004):
    """Fe-AM04 whose forces pass through `change` on their way out."""

    def __init__(self, change=lambda forces: forces, hessian_range=8.4):
        self.change, self.hessian_range = change, hessian_range

    def evaluator(self, atoms):
        exact, change = super().evaluator(atoms), self.change

        class Changed(Evaluator):
            def energy_and_forces(self, positions):
                energy, forces = exact.energy_and_forces(positions)
                return energy, change(forces)

        return Changed()


@pytest.fixture
def small(rng):
    return rattled(vacancy_cluster(perfect_crystal("Fe-AM04", 2), 1), 0.03, rng)


@pytest.fixture
def long_cell(rng):
    """96 atoms, 34 Å long: far enough for atoms to be displaced together."""
    cell = perfect_crystal("Fe-AM04", 2).repeat((1, 1, 6))
    return rattled(cell, 0.03, rng)


def ring(n, spacing=1.0, pbc=(True, False, False)):
    """A periodic row of atoms."""
    positions = np.zeros((n, 3))
    positions[:, 0] = spacing * np.arange(n)
    return Atoms(f"Ar{n}", positions=positions, cell=[n * spacing, 0, 0], pbc=pbc)


def ring_stiffness(n):
    """Springs of 1 eV/Å² between neighbours in a ring, the same along x, y and z."""
    shift = np.roll(np.eye(n), 1, axis=0)
    return np.kron(2 * np.eye(n) - shift - shift.T, np.eye(3))


@pytest.mark.parametrize("scheme", ["coloured", "extrapolated", "paper"])
def test_springs_come_out_exactly(scheme):
    atoms = ring(12)
    stiffness = ring_stiffness(12)
    result = difference_hessian(Springs(atoms, stiffness, 1.2), atoms, scheme=scheme, step=1e-2)
    # forces of 1e-2 eV/Å rounded at 1e-16, divided by 1e-2 Å
    np.testing.assert_allclose(result.matrix.toarray(), stiffness, atol=1e-12)
    assert max(result.error, result.asymmetry, result.acoustic) < 1e-12
    assert result.matrix.blocksize == (3, 3)


@pytest.mark.parametrize(("n", "n_groups"), [(12, 3), (15, 3), (13, 4), (5, 5), (2, 2)])
def test_atoms_move_together_unless_a_third_is_coupled_to_both(n, n_groups):
    """On a ring coupled to first neighbours, equal colours must be three apart: the square of a cycle needs 3 colours
    where 3 divides N, 4 for 13, and all of N = 5 and below."""
    atoms = ring(n)
    result = difference_hessian(Springs(atoms, ring_stiffness(n), 1.2), atoms, step=1e-2, check=False)
    assert result.n_groups == n_groups
    assert result.n_force_calls == 6 * n_groups
    assert result.error is None
    np.testing.assert_allclose(result.matrix.toarray(), ring_stiffness(n), atol=1e-12)


def test_together_gives_the_same_as_one_by_one(long_cell):
    together = difference_hessian(Perturbed(), long_cell, step=1e-3, check=False)
    alone = difference_hessian(Perturbed(hessian_range=np.inf), long_cell, step=1e-3, check=False)
    assert together.n_groups < alone.n_groups == len(long_cell)
    # the same forces but for the order of sums: 1e-14 eV/Å over 2e-3 Å
    np.testing.assert_allclose(together.matrix.toarray(), alone.matrix.toarray(), atol=1e-10)


def test_no_atom_answers_to_two_of_a_group(triclinic_iron):
    """Brute force over images, in a skewed cell."""
    atoms = triclinic_iron.repeat((1, 5, 1))
    reach = 3.0
    moved = []

    class Watched(Perturbed):
        def evaluator(self, atoms):
            start = atoms.positions.copy()

            class Recorder(Evaluator):
                def energy_and_forces(self, positions):
                    moved.append(np.flatnonzero(np.any(positions != start, axis=1)))
                    return 0.0, np.zeros_like(positions)

            return Recorder()

    difference_hessian(Watched(hessian_range=reach), atoms, step=1e-3, check=False)
    images = np.array([[i, j, k] for i in range(-2, 3) for j in (-1, 0, 1) for k in range(-2, 3)]) @ atoms.cell.array
    vectors = atoms.positions[:, None, None] - atoms.positions[None, :, None] + images
    coupled = np.linalg.norm(vectors, axis=3).min(axis=2) < reach
    assert max(len(group) for group in moved) > 1
    for group in moved:
        assert coupled[:, group].sum(axis=1).max() == 1
    assert sorted(np.concatenate(moved)) == sorted(6 * list(range(len(atoms))))


def test_against_the_analytic_hessian(am04, long_cell):
    exact = am04.hessian(long_cell)
    result = difference_hessian(am04, long_cell)
    # V''' of the published potential jumps at its knots; a bond that passes one adds an error of order h
    assert abs(result.matrix - exact).max() < 1e-4
    assert result.asymmetry < 1e-4
    assert abs(result.matrix - result.matrix.T).max() == 0.0
    assert result.error < 1e-5
    assert result.acoustic == pytest.approx(np.abs(result.matrix @ np.tile(np.eye(3), (len(long_cell), 1))).max())


def _dimer(r=2.5):
    return Atoms("Ar2", positions=[[0.0, 0.0, 0.0], [r, 0.0, 0.0]])


@pytest.mark.parametrize(("h", "r"), [(2e-2, 2.5), (1e-2, 2.5), (1e-2, 2.1)])
def test_central_differences_err_by_the_fourth_derivative(h, r):
    result = difference_hessian(Bonds(), _dimer(r), step=h, check=False).matrix.toarray()
    error = morse_derivative(r, 4) * h**2 / 6
    # the next term of the series is h^4 V^(6)/120
    assert result[0, 0] - morse_derivative(r, 2) == pytest.approx(error, abs=h**4 * abs(morse_derivative(r, 6)) / 60)
    assert result[0, 3] == pytest.approx(-result[0, 0], abs=1e-12)


def test_forward_differences_err_by_the_third_derivative():
    h, r = 1e-3, 2.5
    result = difference_hessian(Bonds(), _dimer(r), scheme="paper", check=False).matrix.toarray()
    # displaced along +x, atom 0 shortens the bond and atom 1 lengthens it
    error = 0.5 * h * morse_derivative(r, 3)
    assert result[0, 0] - morse_derivative(r, 2) == pytest.approx(-error, rel=1e-2)
    assert result[3, 3] - morse_derivative(r, 2) == pytest.approx(error, rel=1e-2)


def test_extrapolation_leaves_the_fourth_order():
    r = 2.5
    errors = []
    for h in (4e-2, 2e-2):
        matrix = difference_hessian(Bonds(), _dimer(r), scheme="extrapolated", step=h, check=False).matrix
        errors.append(abs(matrix.toarray()[0, 0] - morse_derivative(r, 2)))
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.1)


def test_extrapolation_reports_the_whole_error_it_removes():
    r, h = 2.5, 1e-2
    result = difference_hessian(Bonds(), _dimer(r), scheme="extrapolated", step=h, check=False)
    plain = difference_hessian(Bonds(), _dimer(r), step=h, check=False).matrix.toarray()[0, 0]
    assert result.error == pytest.approx(abs(plain - morse_derivative(r, 2)), rel=1e-2)
    assert result.n_force_calls == 24


def test_the_papers_protocol(small):
    """3N + 1 force calls, each atom by itself by 1e-3 Å, forward, then symmetrised."""
    potential = Perturbed(hessian_range=3.0)
    result = difference_hessian(potential, small, scheme="paper", check=False)
    n = 3 * len(small)
    assert (result.step, result.n_groups, result.n_force_calls) == (1e-3, len(small), n + 1)
    columns = np.empty((n, n))
    rest = potential.forces(small)
    for k in range(n):
        moved = small.copy()
        moved.positions[k // 3, k % 3] += 1e-3
        columns[:, k] = (rest - potential.forces(moved)).ravel() / 1e-3
    np.testing.assert_allclose(result.matrix.toarray(), (columns + columns.T) / 2, atol=1e-9)
    assert result.asymmetry == pytest.approx(np.abs(columns - columns.T).max(), rel=1e-6)


def test_the_step_grows_with_the_noise(small, rng):
    exact = AcklandMendelev2004().hessian(small)
    steps = []
    for noise in (0.0, 1e-7, 2e-6):
        noisy = Perturbed(lambda f, s=noise: f + rng.normal(scale=s, size=f.shape))
        result = difference_hessian(noisy, small)
        steps.append(result.step)
        # the reported error comes from three atoms only
        assert abs(result.matrix - exact).max() < max(4 * result.error, 1e-4)
    assert steps[0] < steps[1] < steps[2] <= STEPS[-1]


def test_single_precision_is_good_enough_with_a_long_step(small):
    rounded = Perturbed(lambda f: f.astype(np.float32).astype(float))
    result = difference_hessian(rounded, small)
    exact = AcklandMendelev2004().hessian(small)
    assert abs(result.matrix - exact).max() < 1e-3 * abs(exact).max()


def test_noise_is_refused_with_its_level_and_a_better_step(small, rng):
    noisy = Perturbed(lambda f: f + rng.normal(scale=1e-5, size=f.shape))
    with pytest.raises(ConvergenceError, match=r"scatter by about (9e-06|1e-05) eV/Å; a step of 0.01 Å would do"):
        difference_hessian(noisy, small, step=1e-4)
    assert difference_hessian(noisy, small, step=1e-4, check=False).error is None
    hopeless = Perturbed(lambda f: f + rng.normal(scale=1e-3, size=f.shape))
    with pytest.raises(
        ConvergenceError, match=r"scatter by about (0.0009|0.001) eV/Å; the best of .* double precision"
    ):
        difference_hessian(hopeless, small)
    assert difference_hessian(hopeless, small, tolerance=1.0).error > 1e-2


def test_a_range_that_is_too_short_is_noticed(small):
    with pytest.raises(InputError, match="hessian_range of Fe-AM04 is too short"):
        difference_hessian(Perturbed(hessian_range=2.6), small)


def test_forces_that_are_not_finite_are_refused(small):
    def spoil(forces):
        forces = forces.copy()
        forces[3, 1] = np.nan
        return forces

    with pytest.raises(InputError, match="on atom 3"):
        difference_hessian(Perturbed(spoil), small)


def test_nearest_frees_translations_with_the_smallest_change(small, rng):
    crooked = Perturbed(lambda f: f + rng.normal(scale=1e-5, size=f.shape))
    step = {"step": 1e-2, "check": False}
    state = rng.bit_generator.state
    raw = difference_hessian(crooked, small, **step)
    rng.bit_generator.state = state
    nearest = difference_hessian(crooked, small, acoustic_sum="nearest", **step).matrix
    rng.bit_generator.state = state
    diagonal = difference_hessian(crooked, small, acoustic_sum="diagonal", **step).matrix
    translations = np.tile(np.eye(3), (len(small), 1))
    assert raw.acoustic > 1e-4
    assert np.abs(nearest @ translations).max() < 1e-12
    assert abs(nearest - nearest.T).max() == 0.0
    # what is left of the sums of rows is antisymmetric
    left = (diagonal @ translations).reshape(-1, 3, 3)
    np.testing.assert_allclose(left, -left.transpose(0, 2, 1), atol=1e-12)
    off_diagonal = (diagonal - raw.matrix).toarray().reshape(len(small), 3, len(small), 3)
    for i in range(len(small)):
        off_diagonal[i, :, i] = 0.0
    assert np.abs(off_diagonal).max() < 1e-14
    # smallest: the change is orthogonal to every symmetric change that keeps translations free
    change = (nearest - raw.matrix).toarray()
    laplacian = np.kron(_laplacian(rng, len(small)), np.diag([1.0, 2.0, -1.0]))
    assert abs(np.sum(change * laplacian)) < 1e-10 * np.linalg.norm(laplacian) * np.linalg.norm(change) + 1e-12


def _laplacian(rng, n):
    weights = rng.normal(size=(n, n))
    weights = weights + weights.T
    return np.diag(weights.sum(axis=1)) - weights


def test_rotations_of_a_cluster_are_free():
    """Four bonds of a tetrahedron: three stretching frequencies known in closed form, six rigid motions."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * LENGTH / np.sqrt(8)
    cluster = Atoms("Ar4", positions=corners)
    dynamics = dynamical_matrix(Bonds().hessian(cluster), cluster)
    assert dynamics.n_zero_modes == 6
    k = 2 * DEPTH * STIFFNESS**2
    values = np.linalg.eigvalsh(dynamics.matrix.toarray()) * cluster.get_masses()[0]
    # 4k breathing, 2k three times, k twice; the step leaves an error of order h² V''''
    np.testing.assert_allclose(values[6:], k * np.array([1, 1, 2, 2, 2, 4]), rtol=1e-6)
    np.testing.assert_allclose(values[:6], 0.0, atol=1e-10)


def test_turning_a_strained_cluster_turns_its_forces(rng):
    """Away from a minimum H (w x r) = -w x F, which "nearest" keeps instead of calling rotations free."""
    cluster = Atoms("Ar5", positions=rng.normal(scale=1.8, size=(5, 3)))
    hessian = Bonds().hessian(cluster)
    forces = Bonds().forces(cluster)
    for axis in np.eye(3):
        turned = (hessian @ np.cross(axis, cluster.positions).ravel()).reshape(-1, 3)
        np.testing.assert_allclose(turned, -np.cross(axis, forces), atol=1e-9 * abs(hessian).max())


def test_entropy_of_a_potential_without_second_derivatives(am04, vacancy4):
    class ForcesOnly(DifferencePotential):
        name, elements, citation = "forces of Fe-AM04", am04.elements, am04.citation
        cutoff, hessian_range = am04.cutoff, am04.hessian_range

        def evaluator(self, atoms):
            return am04.evaluator(atoms)

        def parameters(self):
            return am04.parameters()

    potential = ForcesOnly()
    assert not potential.analytic_hessian
    exact = ldml.harmonic_entropy(vacancy4, am04).total
    # errors of 1e-5 of the stiffness, of either sign, over 380 modes
    assert ldml.harmonic_entropy(vacancy4, potential).total == pytest.approx(exact, abs=1e-4)


def test_progress_and_cancelling(small):
    seen = []

    class Impatient:
        def update(self, done, total, stage=""):
            assert 0 <= done <= total
            seen.append(stage)

        def check(self):
            if len(seen) > 12:
                raise Cancelled

    with pytest.raises(Cancelled):
        difference_hessian(AcklandMendelev2004(), small, progress=Impatient())
    assert {stage.split(" by ")[0] for stage in seen} == {"comparing steps", "displacing atoms"}


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"scheme": "fast"}, "scheme 'fast'"),
        ({"acoustic_sum": "yes"}, "'yes'"),
        ({"step": -1.0}, "-1"),
        ({"step": 2.0}, "2"),
    ],
)
def test_bad_arguments(small, argument, words):
    with pytest.raises(InputError, match=words):
        difference_hessian(AcklandMendelev2004(), small, **argument)


def test_the_structure_is_left_alone(small):
    before = small.positions.copy()
    difference_hessian(AcklandMendelev2004(), small)
    assert np.array_equal(small.positions, before)
