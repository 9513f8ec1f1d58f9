"""AFS against the sum over pairs it stands for."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldml.descriptors import AFS
from ldml.descriptors.make_tables import inverse_square_root, overlap
from ldml.descriptors.radial_basis import cosine_cutoff, radial_functions
from ldml.neighbours import neighbour_list

CUTOFF = 5.0


def cluster(vectors):
    """One atom at the origin and its neighbours, without any cell."""
    return Atoms(f"Fe{len(vectors) + 1}", positions=[(0.0, 0.0, 0.0), *vectors])


def random_vectors(n, rng, low=1.5, high=4.9):
    directions = rng.normal(size=(n, 3))
    return directions / np.linalg.norm(directions, axis=1)[:, None] * rng.uniform(low, high, (n, 1))


def weights(r, descriptor):
    """g_n(r) f(r), shape (len(r), n_max)."""
    return radial_functions(r, descriptor.n_max, descriptor.cutoff) * cosine_cutoff(r, descriptor.cutoff)[:, None]


def pair_sum(vectors, descriptor):
    """A_nl as printed, all pairs of one atom's neighbours; shape (n_max, l_max + 1). And its scale (sum |g f|)^2."""
    r = np.linalg.norm(vectors, axis=1)
    h = weights(r, descriptor)
    cosine = np.clip((vectors @ vectors.T) / np.outer(r, r), -1.0, 1.0)
    angles = np.cos(np.arange(descriptor.l_max + 1)[:, None, None] * np.arccos(cosine))
    return np.einsum("kn,jn,lkj->nl", h, h, angles, optimize=True), abs(h).sum(axis=0) ** 2


def assert_equals_pair_sum(rows, neighbours, descriptor):
    for row, vectors in zip(rows, neighbours, strict=True):
        expected, scale = pair_sum(vectors, descriptor)
        # arccos in double precision loses half the digits near parallel neighbours, cos(l theta) wins them back
        assert (abs(row.reshape(expected.shape) - expected) <= 1e-12 * scale[:, None]).all()


def neighbours_of(atoms, cutoff):
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    return np.split(pairs.vectors, pairs.offsets[1:-1])


@pytest.fixture(scope="module")
def paper():
    return AFS(n_max=20, l_max=10, cutoff=CUTOFF)


@pytest.mark.parametrize("n_neighbours", [7, 12])
def test_equals_the_pair_sum_in_50_digits(paper, n_neighbours):
    """The definition with S^(-1/2) phi, acos and all pairs, nothing shared with the library but S."""
    vectors = random_vectors(n_neighbours, np.random.default_rng(n_neighbours))
    with mpmath.workdps(120):
        loewdin = inverse_square_root(overlap(paper.n_max))
    with mpmath.workdps(50):
        rc = mpmath.mpf(CUTOFF)
        exact = [[mpmath.mpf(float(x)) for x in vector] for vector in vectors]
        r = [mpmath.sqrt(mpmath.fdot(vector, vector)) for vector in exact]
        h = []
        for distance in r:
            f = (1 + mpmath.cos(mpmath.pi * distance / rc)) / 2
            with mpmath.workdps(120):
                phi = [
                    (rc - distance) ** (a + 2) / mpmath.sqrt(rc ** (2 * a + 5) / (2 * a + 5))
                    for a in range(1, paper.n_max + 1)
                ]
                g = [mpmath.fdot(loewdin[n, :], phi) for n in range(paper.n_max)]
            h.append([value * f for value in g])
        expected = mpmath.zeros(paper.n_max, paper.l_max + 1)
        for k, u in enumerate(exact):
            for j, v in enumerate(exact):
                theta = mpmath.acos(mpmath.fdot(u, v) / (r[k] * r[j])) if j != k else mpmath.mpf(0)
                for l in range(paper.l_max + 1):
                    cosine = mpmath.cos(l * theta)
                    for n in range(paper.n_max):
                        expected[n, l] += h[k][n] * h[j][n] * cosine
        scale = np.array([float(sum(abs(row[n]) for row in h) ** 2) for n in range(paper.n_max)])
    expected = np.array(expected.tolist(), dtype=float)
    got = paper.compute(cluster(vectors))[0].reshape(expected.shape)
    # rounding of r where g_20 oscillates fastest; 4e-13 is typical of the worst feature
    assert (abs(got - expected) / scale[:, None]).max() < 1e-12


def test_one_neighbour_sees_no_angle(paper):
    """A_nl = (g_n f)^2 for every l."""
    h = weights(np.array([2.4]), paper)[0]
    a = paper.compute(cluster([(0.0, 2.4, 0.0)]))[0].reshape(20, 11)
    np.testing.assert_allclose(a, np.repeat(h[:, None] ** 2, 11, axis=1), rtol=0, atol=4e-13 * (h**2).max())


@pytest.mark.parametrize("degrees", [0.0, 37.0, 90.0, 180.0])
def test_two_neighbours_interfere(paper, degrees):
    """A_nl = h_1^2 + h_2^2 + 2 h_1 h_2 cos(l theta)."""
    theta = np.radians(degrees)
    r = np.array([2.2, 3.1])
    vectors = [(0.0, 0.0, r[0]), (r[1] * np.sin(theta), 0.0, r[1] * np.cos(theta))]
    h = weights(r, paper)
    a = paper.compute(cluster(vectors))[0].reshape(20, 11)
    expected = (h**2).sum(axis=0)[:, None] + 2 * np.outer(h[0] * h[1], np.cos(np.arange(11) * theta))
    np.testing.assert_allclose(a, expected, rtol=0, atol=4e-13 * (abs(h).sum(axis=0) ** 2).max())


def test_no_neighbours_gives_zeros(paper):
    for atoms in (Atoms("Fe"), Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 5.0)]), Atoms("Fe", cell=[9, 9, 9], pbc=True)):
        assert not paper.compute(atoms).any()
        assert not paper.total(atoms).any()


@pytest.mark.parametrize(("n_max", "l_max"), [(1, 0), (1, 1), (2, 0), (3, 2), (5, 20), (30, 20)])
def test_every_size_equals_the_pair_sum(n_max, l_max):
    """Sizes that leave parts of the kernel's tiles empty."""
    descriptor = AFS(n_max=n_max, l_max=l_max, cutoff=4.0)
    vectors = random_vectors(11, np.random.default_rng(0), high=3.9)
    assert_equals_pair_sum(descriptor.compute(cluster(vectors))[:1], [vectors], descriptor)


@pytest.mark.parametrize("n_neighbours", [7, 8, 9, 63, 64, 65, 130])
def test_any_number_of_neighbours(n_neighbours):
    """Around the sizes at which registers and chunks of neighbours fill up."""
    descriptor = AFS(n_max=6, l_max=4)
    vectors = random_vectors(n_neighbours, np.random.default_rng(n_neighbours))
    assert_equals_pair_sum(descriptor.compute(cluster(vectors))[:1], [vectors], descriptor)


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, True), (False, False, False)])
def test_triclinic_cell_equals_explicit_images(pbc):
    """A sheared cell thinner than the cutoff, against a sum over every image within reach."""
    rng = np.random.default_rng(5)
    cell = np.array([[4.1, 0.0, 0.0], [1.7, 3.6, 0.0], [-1.2, 0.9, 4.4]])
    atoms = Atoms("Fe5", scaled_positions=rng.uniform(-0.3, 1.1, (5, 3)), cell=cell, pbc=pbc)
    shifts = np.array([np.array(s) - 4 for s in np.ndindex(9, 9, 9)])
    shifts = shifts[(shifts[:, ~np.array(pbc)] == 0).all(axis=1)] @ cell
    images = (atoms.positions[None] + shifts[:, None]).reshape(-1, 3)
    neighbours = []
    for centre in atoms.positions:
        vectors = images - centre
        r = np.linalg.norm(vectors, axis=1)
        neighbours.append(vectors[(r > 1e-9) & (r < CUTOFF)])
    descriptor = AFS(n_max=8, l_max=6)
    assert_equals_pair_sum(descriptor.compute(atoms), neighbours, descriptor)


def test_bulk_with_defects_equals_the_pair_sum(paper):
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(4)
    atoms.rattle(0.2, seed=1)
    del atoms[[5, 17]]
    some = slice(0, None, 8)
    assert_equals_pair_sum(paper.compute(atoms)[some], neighbours_of(atoms, CUTOFF)[some], paper)


def test_cell_smaller_than_the_cutoff_equals_its_supercell(paper):
    primitive = bulk("Fe", a=2.8553)
    expected = paper.compute(primitive.repeat(6))
    scale = abs(expected).max()
    np.testing.assert_allclose(np.repeat(paper.compute(primitive), 216, axis=0), expected, atol=1e-12 * scale, rtol=0)


def test_longest_cutoff_and_largest_basis_stay_finite():
    descriptor = AFS(n_max=30, l_max=20, cutoff=12.0)
    atoms = bulk("Fe", a=2.8553, cubic=True)
    assert_equals_pair_sum(descriptor.compute(atoms), neighbours_of(atoms, 12.0), descriptor)


def test_features_run_over_l_first():
    descriptor = AFS(n_max=2, l_max=2)
    assert descriptor.feature_names == tuple(f"A[n={n},l={l}]" for n in (1, 2) for l in (0, 1, 2))
    assert descriptor.n_features == 6


PRINT_HASHES = """
import hashlib
from ase.build import bulk
from ldml.descriptors import AFS
atoms = bulk("Fe", a=2.8553, cubic=True).repeat(6)
atoms.rattle(0.1, seed=2)
for values in (AFS().compute(atoms), AFS().total(atoms)):
    print(hashlib.sha256(values.tobytes()).hexdigest())
"""


def test_same_bits_for_any_number_of_threads_compiled_or_cached(tmp_path):
    """One process compiles and runs one thread, the next loads the compiled code and runs three."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT_HASHES],
            env=os.environ | {"NUMBA_NUM_THREADS": str(n), "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (1, 3)
    ]
    assert printed[0] == printed[1]
    assert len(set(printed[0].split())) == 2


def test_mpmath_is_not_needed_to_compute():
    command = "import sys; from ldml.descriptors import AFS; AFS(); print('mpmath' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
