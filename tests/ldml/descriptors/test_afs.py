"""AFS against the sum over pairs it stands for."""

import functools
import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ldml.descriptors import AFS, descriptor_from_dict, local
from ldml.descriptors.afs import PAIRS
from ldml.descriptors.cutoff_functions import NAMES, cutoff_function
from ldml.descriptors.make_tables import DIGITS, inverse_square_root, overlap
from ldml.descriptors.radial_basis import radial_functions
from ldml.errors import InputError, StructureError
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
    f = cutoff_function(descriptor.cutoff_function, r, descriptor.cutoff)
    return radial_functions(r, descriptor.n_max, descriptor.cutoff) * f[:, None]


def counted(n, pairs):
    """(n, n) mask of the pairs k, k' that the definition sums over."""
    return {"all": np.ones((n, n)), "without_self": 1 - np.eye(n), "distinct": np.triu(np.ones((n, n)), 1)}[pairs]


def pair_sum(vectors, descriptor, mask=1.0):
    """A_nl as defined, over pairs of one atom's neighbours; shape (n_max, l_max + 1). And its scale (sum |g f|)^2."""
    r = np.linalg.norm(vectors, axis=1)
    h = weights(r, descriptor)
    cosine = np.clip((vectors @ vectors.T) / np.outer(r, r), -1.0, 1.0)
    angles = np.cos(np.arange(descriptor.l_max + 1)[:, None, None] * np.arccos(cosine))
    angles *= counted(len(r), descriptor.pairs) * mask
    return np.einsum("kn,jn,lkj->nl", h, h, angles, optimize=True), abs(h).sum(axis=0) ** 2


def assert_equals_pair_sum(rows, neighbours, descriptor):
    for row, vectors in zip(rows, neighbours, strict=True):
        expected, scale = pair_sum(vectors, descriptor)
        # arccos in double precision loses half the digits near parallel neighbours, cos(l theta) wins them back;
        # away from the atom the last g_n of a large basis are tiny, their rounding is not
        tolerance = 1e-12 if descriptor.n_max <= 20 else 3e-12
        assert (abs(row.reshape(expected.shape) - expected) <= tolerance * scale[:, None]).all()


def neighbours_of(atoms, cutoff):
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    return np.split(pairs.vectors, pairs.offsets[1:-1])


@pytest.fixture(scope="module")
def paper():
    return AFS(n_max=20, l_max=10, cutoff=CUTOFF)


@functools.lru_cache
def loewdin(n_max):
    """S^(-1/2)."""
    with mpmath.workdps(DIGITS):
        return inverse_square_root(overlap(n_max))


def defined_sum(vectors, n_max, l_max, f, n_pairs):
    """The definition with S^(-1/2) phi and acos in high precision, nothing shared with the library but S.

    Pairs k, j count ``n_pairs(k, j)`` times. Returns the sum and its scale (sum |g f|)^2.
    """
    with mpmath.workdps(DIGITS):
        rc = mpmath.mpf(CUTOFF)
        exact = [[mpmath.mpf(float(x)) for x in vector] for vector in vectors]
        r = [mpmath.sqrt(mpmath.fdot(vector, vector)) for vector in exact]
        h = []
        for distance in r:
            phi = [
                (rc - distance) ** (a + 2) / mpmath.sqrt(rc ** (2 * a + 5) / (2 * a + 5)) for a in range(1, n_max + 1)
            ]
            h.append([mpmath.fdot(loewdin(n_max)[n, :], phi) * f(distance / rc) for n in range(n_max)])
    with mpmath.workdps(40):
        expected = mpmath.zeros(n_max, l_max + 1)
        for k, u in enumerate(exact):
            for j, v in enumerate(exact):
                theta = mpmath.acos(mpmath.fdot(u, v) / (r[k] * r[j])) if j != k else mpmath.mpf(0)
                for l in range(l_max + 1) if n_pairs(k, j) else ():
                    cosine = n_pairs(k, j) * mpmath.cos(l * theta)
                    for n in range(n_max):
                        expected[n, l] += h[k][n] * h[j][n] * cosine
        scale = np.array([float(sum(abs(row[n]) for row in h) ** 2) for n in range(n_max)])
    return np.array(expected.tolist(), dtype=float), scale


@pytest.mark.parametrize(("n_max", "l_max", "n_neighbours"), [(20, 10, 7), (20, 10, 12), (30, 20, 5)])
def test_equals_the_pair_sum_in_high_precision(n_max, l_max, n_neighbours):
    vectors = random_vectors(n_neighbours, np.random.default_rng(n_neighbours))
    expected, scale = defined_sum(vectors, n_max, l_max, lambda x: (1 + mpmath.cos(mpmath.pi * x)) / 2, lambda k, j: 1)
    got = AFS(n_max=n_max, l_max=l_max, cutoff=CUTOFF).compute(cluster(vectors))[0].reshape(expected.shape)
    # rounding of r where g_n oscillates fastest, 4e-13 for n = 20; beyond r = 1.5 Å g_28 is tiny, its rounding is not
    assert (abs(got - expected) / scale[:, None]).max() < (1e-12 if n_max == 20 else 3e-12)


@pytest.mark.parametrize("n_max", [1, 4, 8])
def test_distinct_pairs_without_a_cutoff_function_are_miladys_definition(n_max):
    """k < k' and f = 1, for the sizes at which double precision can still make S^(-1/2)."""
    vectors = random_vectors(9, np.random.default_rng(n_max))
    expected, scale = defined_sum(vectors, n_max, 6, lambda x: 1, lambda k, j: int(k < j))
    descriptor = AFS(n_max=n_max, l_max=6, cutoff=CUTOFF, cutoff_function="none", pairs="distinct")
    got = descriptor.compute(cluster(vectors))[0].reshape(expected.shape)
    assert (abs(got - expected) / scale[:, None]).max() < 1e-13
    assert abs(expected).max() > 1e-2 * scale.max()


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


@pytest.mark.parametrize("cutoff_function", NAMES)
@pytest.mark.parametrize("pairs", PAIRS)
def test_every_variant_equals_the_pair_sum(pairs, cutoff_function):
    descriptor = AFS(n_max=9, l_max=5, pairs=pairs, cutoff_function=cutoff_function)
    vectors = [random_vectors(n, np.random.default_rng(n)) for n in (1, 2, 17, 70)]
    rows = [descriptor.compute(cluster(some))[0] for some in vectors]
    assert_equals_pair_sum(rows, vectors, descriptor)


def test_pairs_differ_by_the_self_pairs(paper):
    """all - without self = sum_j (g_n f)^2 for every l; distinct is half of what is left."""
    vectors = random_vectors(12, np.random.default_rng(4))
    a = {pairs: AFS(pairs=pairs).compute(cluster(vectors))[0].reshape(20, 11) for pairs in PAIRS}
    h = weights(np.linalg.norm(vectors, axis=1), paper)
    rounding = 1e-12 * (abs(h).sum(axis=0) ** 2).max()
    np.testing.assert_allclose(
        a["all"] - a["without_self"], np.repeat((h**2).sum(axis=0)[:, None], 11, axis=1), rtol=0, atol=rounding
    )
    np.testing.assert_array_equal(2 * a["distinct"], a["without_self"])


def test_a_lone_neighbour_makes_no_pair(paper):
    """What the subtraction leaves is rounding of the self pair it takes out."""
    lone = cluster([(0.0, 2.4, 1.0)])
    assert abs(AFS(pairs="without_self").compute(lone)[0]).max() < 4e-13 * paper.compute(lone).max()


def test_what_was_recorded_before_the_variants_keeps_its_fingerprint():
    """Datasets and models name the descriptor by it."""
    assert AFS().fingerprint == "88414dcacddd169d150f878f1c9e41decdfbce5326709dabb6f07074bd89ae00"
    assert AFS().to_dict()["parameters"] == {"n_max": 20, "l_max": 10, "cutoff": 5.0}


def test_every_choice_changes_the_fingerprint_and_is_recorded():
    choices = [{"pairs": "distinct"}, {"cutoff_function": "none"}, {"species": ("Fe",)}, {"species": ("Fe", "Cu")}, {}]
    made = [AFS(**choice) for choice in choices]
    assert len({descriptor.fingerprint for descriptor in made}) == len(choices)
    assert [descriptor_from_dict(descriptor.to_dict()) for descriptor in made] == made


def alloy_vectors(n, rng):
    """Neighbours of an atom and the species of each, 0, 1 or 2."""
    return random_vectors(n, rng), rng.integers(0, 3, n)


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("n_neighbours", [2, 30, 230])
def test_channels_equal_the_pair_sum_over_their_species(pairs, n_neighbours):
    """Any order of the species; 230 neighbours fill more than one chunk of each."""
    species = ("Cu", "Fe", "Ni")
    descriptor = AFS(n_max=5, l_max=3, pairs=pairs, species=species)
    vectors, kinds = alloy_vectors(n_neighbours, np.random.default_rng(n_neighbours))
    for centre in range(3):
        atoms = cluster(vectors)
        atoms.symbols = [species[kind] for kind in (centre, *kinds)]
        row = descriptor.compute(atoms)[0].reshape(3, 6, 5, 4)
        assert not np.delete(row, centre, axis=0).any()
        for channel, (a, b) in enumerate([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]):
            mask = np.array([[{x, y} == {a, b} for x in kinds] for y in kinds])
            expected, scale = pair_sum(vectors, descriptor, mask)
            assert (abs(row[centre, channel] - expected) <= 1e-12 * scale[:, None]).all()


def alloy(symbols):
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat((4, 3, 2))
    atoms.rattle(0.1, seed=4)
    atoms.symbols = np.random.default_rng(0).choice(symbols, len(atoms))
    return atoms


@pytest.mark.parametrize("pairs", PAIRS)
def test_channels_add_up_to_the_elemental_descriptor(pairs):
    atoms = alloy(["Fe", "Cu", "Ni"])
    elemental = AFS(pairs=pairs).compute(atoms)
    resolved = AFS(pairs=pairs, species=("Fe", "Cu", "Ni")).compute(atoms)
    np.testing.assert_allclose(
        resolved.reshape(len(atoms), 18, 220).sum(axis=1), elemental, rtol=0, atol=1e-12 * abs(elemental).max()
    )


@pytest.mark.parametrize("pairs", PAIRS)
def test_one_species_has_the_bits_and_names_of_the_elemental_descriptor(pairs):
    atoms = alloy(["Fe"])
    elemental, named = AFS(pairs=pairs), AFS(pairs=pairs, species=("Fe",))
    assert named.feature_names == elemental.feature_names
    assert named.compute(atoms).tobytes() == elemental.compute(atoms).tobytes()
    assert named.total(atoms).tobytes() == elemental.total(atoms).tobytes()


def test_a_species_that_is_absent_leaves_its_channels_empty():
    atoms = alloy(["Fe", "Ni"])
    two, three = AFS(species=("Fe", "Ni")), AFS(species=("Fe", "Cu", "Ni"))
    names = list(three.feature_names)
    columns = [names.index(name) for name in two.feature_names]
    rows = three.compute(atoms)
    assert rows[:, columns].tobytes() == two.compute(atoms).tobytes()
    assert not np.delete(rows, columns, axis=1).any()


def test_names_of_channels():
    names = AFS(n_max=1, l_max=1, species=("Fe", "Cu")).feature_names
    assert len(names) == AFS(n_max=1, l_max=1, species=("Fe", "Cu")).n_features == 2 * 3 * 2
    assert names[:4] == (
        "A[centre=Fe,pair=Fe-Fe,n=1,l=0]",
        "A[centre=Fe,pair=Fe-Fe,n=1,l=1]",
        "A[centre=Fe,pair=Fe-Cu,n=1,l=0]",
        "A[centre=Fe,pair=Fe-Cu,n=1,l=1]",
    )
    assert names[-1] == "A[centre=Cu,pair=Cu-Cu,n=1,l=1]"


def test_an_unlisted_species_is_refused():
    with pytest.raises(StructureError, match=r"is Ni, but .* species = Fe,Cu"):
        AFS(species=("Fe", "Cu")).total(alloy(["Fe", "Ni"]))


def test_more_species_than_memory_are_refused():
    with pytest.raises(InputError, match=r"10 species .* 121,000 features.*fewer species"):
        AFS(species=("Al", "Co", "Cr", "Cu", "Fe", "Mn", "Mo", "Ni", "Ti", "V"))


def test_batches_of_a_total_change_rounding_only(paper, monkeypatch):
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat((9, 9, 8))
    atoms.rattle(0.1, seed=3)
    at_once = paper.total(atoms)
    monkeypatch.setattr(local, "BATCH_SIZE", 1)  # 8 blocks of 64 atoms; 1296 atoms leave the last batch incomplete
    np.testing.assert_allclose(paper.total(atoms), at_once, rtol=0, atol=1e-13 * abs(at_once).max())


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
