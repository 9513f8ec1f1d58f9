"""What every registered descriptor must do; a new one is tested by being registered.

Descriptors of minima are held to less, in ``test_descriptors_of_minima``: any structure will not do for them.
"""

import inspect

import numba
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from ldml.descriptors import DESCRIPTORS, Number, descriptor_from_dict, get_descriptor
from ldml.errors import InputError, StructureError

GEOMETRIC = sorted(name for name, kind in DESCRIPTORS.items() if not kind.needs_minimum)
SMALLER = {"Scattering": {"scales": (0.0, 1.5), "l_max": 2}}
"""Where the defaults take seconds a structure: one fine and one coarse scale do the same work."""


def made(name, **parameters):
    return get_descriptor(name, **{**SMALLER.get(name, {}), **parameters})


@pytest.fixture(params=GEOMETRIC, scope="module")
def descriptor(request):
    return made(request.param)


def defected_crystal():
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(4)
    atoms.rattle(0.1, seed=7)
    del atoms[3]
    return atoms


def triclinic_cell():
    rng = np.random.default_rng(8)
    cell = np.array([[6.0, 0.3, 0.0], [2.0, 5.5, 0.0], [-1.5, 1.0, 6.2]])
    grid = np.array(list(np.ndindex(2, 2, 3))) / (2, 2, 3)
    return Atoms("Fe12", scaled_positions=grid + rng.uniform(-0.03, 0.03, (12, 3)), cell=cell, pbc=True)


def slab():
    atoms = defected_crystal()
    atoms.pbc = (True, True, False)
    return atoms


def free_cluster():
    atoms = defected_crystal()[:40]
    atoms.pbc = False
    return atoms


STRUCTURES = [defected_crystal, triclinic_cell, slab, free_cluster]


@pytest.fixture(params=STRUCTURES, ids=lambda make: make.__name__, scope="module")
def atoms(request):
    return request.param()


def assert_same(descriptor, got, expected):
    """The same numbers to what the descriptor claims, relative to the largest."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=descriptor.invariance * abs(expected).max())


def test_shape_type_and_finiteness(descriptor, atoms):
    rows, total = descriptor.compute(atoms), descriptor.total(atoms)
    assert rows.shape == (len(atoms), descriptor.n_features)
    assert total.shape == (descriptor.n_features,)
    assert rows.dtype == total.dtype == np.float64
    assert np.isfinite(rows).all()
    assert abs(rows).max() > 0
    assert len(set(descriptor.feature_names)) == descriptor.n_features


def test_total_is_the_sum(descriptor, atoms):
    rows = descriptor.compute(atoms)
    np.testing.assert_allclose(
        descriptor.total(atoms), rows.sum(axis=0), rtol=0, atol=1e-12 * abs(rows).sum(axis=0).max()
    )


def test_rotation(descriptor, atoms):
    turn = Rotation.from_euler("zyz", [0.4, 1.1, -2.0]).as_matrix()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ turn.T)
    turned.positions = atoms.positions @ turn.T
    assert_same(descriptor, descriptor.compute(turned), descriptor.compute(atoms))


def test_reflection(descriptor, atoms):
    mirror = np.diag([1.0, -1.0, 1.0])
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell.array @ mirror)
    mirrored.positions = atoms.positions @ mirror
    assert_same(descriptor, descriptor.compute(mirrored), descriptor.compute(atoms))


def test_translation(descriptor, atoms):
    moved = atoms.copy()
    moved.translate((11.3, -7.9, 0.613))
    assert_same(descriptor, descriptor.compute(moved), descriptor.compute(atoms))


def test_permutation(descriptor, atoms):
    order = np.random.default_rng(1).permutation(len(atoms))
    assert_same(descriptor, descriptor.compute(atoms[order]), descriptor.compute(atoms)[order])
    assert_same(descriptor, descriptor.total(atoms[order]), descriptor.total(atoms))


def test_wrapping(descriptor, atoms):
    scattered = atoms.copy()
    images = np.random.default_rng(2).integers(-2, 3, (len(atoms), 3)) * atoms.pbc
    scattered.positions += images @ atoms.cell.array
    assert_same(descriptor, descriptor.compute(scattered), descriptor.compute(atoms))


@pytest.mark.parametrize("make", [defected_crystal, triclinic_cell])
def test_supercells_add_up(descriptor, make):
    cell = make()
    large = cell.repeat((2, 1, 1))
    assert_same(descriptor, descriptor.compute(large), np.tile(descriptor.compute(cell), (2, 1)))
    assert_same(descriptor, descriptor.total(large), 2 * descriptor.total(cell))


def test_another_choice_of_cell_vectors(descriptor):
    atoms = triclinic_cell()
    other = atoms.copy()
    other.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]]) @ atoms.cell.array)
    assert_same(descriptor, descriptor.compute(other), descriptor.compute(atoms))


def test_smooth_where_an_atom_crosses_the_cutoff(descriptor):
    """D(rc + h) - 2 D(rc) + D(rc - h) falls as h^2 or faster; a jump would stay, a kink fall as h."""
    radius = descriptor.parameters.get("cutoff", 5.0)
    frame = np.array([[0.0, 0.0, 0.0], [0.3 * radius, 0.35 * radius, 0.0], [0.0, -0.4 * radius, 0.3 * radius]])

    def with_atom_at(r):
        return descriptor.compute(Atoms("Fe4", positions=[*frame, (0.0, 0.6 * r, 0.8 * r)]))[0]

    middle = with_atom_at(radius)
    curvature = [abs(with_atom_at(radius + h) - 2 * middle + with_atom_at(radius - h)).max() for h in (1e-2, 1e-3)]
    assert curvature[1] <= 10**-1.9 * curvature[0] + 1e-14 * abs(middle).max()


def test_smooth_everywhere_else(descriptor):
    """Same test along a path between the atoms, through the faces of a periodic cell."""
    atoms = triclinic_cell()

    def moved(s):
        path = atoms.copy()
        path.positions[0] += s * np.array([0.3, -0.5, 0.2])
        return descriptor.total(path)

    curvature = [abs(moved(0.1 + h) - 2 * moved(0.1) + moved(0.1 - h)).max() for h in (1e-2, 1e-3)]
    assert curvature[1] <= 10**-1.9 * curvature[0] + 1e-13 * abs(moved(0.1)).max()


def alloy():
    atoms = triclinic_cell()
    atoms.symbols[::3] = "Cu"
    return atoms


def test_one_species_gives_the_elemental_numbers(descriptor):
    """Bit for bit, and in the same columns; without species, elements are not told apart."""
    named = made(descriptor.name, species=("Fe",))
    assert named.n_features == descriptor.n_features
    assert named.compute(triclinic_cell()).tobytes() == descriptor.compute(triclinic_cell()).tobytes()
    assert descriptor.compute(alloy()).tobytes() == descriptor.compute(triclinic_cell()).tobytes()


def test_species_are_told_apart(descriptor):
    """Renaming elements together with the channels changes nothing; exchanging them in the structure does."""
    both = made(descriptor.name, species=("Fe", "Cu"))
    swapped = made(descriptor.name, species=("Cu", "Fe"))
    exchanged = alloy()
    exchanged.symbols = ["Cu" if symbol == "Fe" else "Fe" for symbol in exchanged.symbols]
    assert len(set(both.feature_names)) == both.n_features
    assert both.total(alloy()).tobytes() == swapped.total(exchanged).tobytes()
    assert abs(both.total(exchanged) - both.total(alloy())).max() > 1e-3 * abs(both.total(alloy())).max()


def test_an_element_that_is_not_listed_is_refused(descriptor):
    with pytest.raises(StructureError, match=r"atom 0 is Cu.*species = Fe"):
        made(descriptor.name, species=("Fe",)).compute(alloy())


def test_trivial_features_only_count_atoms(descriptor):
    rng = np.random.default_rng(3)
    here, there = triclinic_cell(), triclinic_cell()
    there.positions += rng.uniform(-0.3, 0.3, there.positions.shape)
    before, after = descriptor.total(here), descriptor.total(there)
    change = abs(after - before) / np.maximum(abs(before), 1e-9 * abs(before).max())
    trivial = descriptor.trivial_features
    assert change[trivial].max(initial=0) < 1e-6
    assert np.median(change[~trivial]) > 1e-3


def test_input_is_left_alone_and_calls_repeat(descriptor, atoms):
    before = atoms.copy()
    first = descriptor.compute(atoms)
    assert atoms == before
    assert first.tobytes() == descriptor.compute(atoms).tobytes()
    assert descriptor.total(atoms).tobytes() == descriptor.total(atoms).tobytes()
    assert atoms == before


def test_serial_equals_parallel(descriptor, atoms):
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        serial = descriptor.compute(atoms).tobytes(), descriptor.total(atoms).tobytes()
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        assert serial == (descriptor.compute(atoms).tobytes(), descriptor.total(atoms).tobytes())
    finally:
        numba.set_num_threads(threads)


def test_lone_atom_is_finite(descriptor):
    for alone in (Atoms("Fe"), Atoms("Fe", cell=[30.0, 30.0, 30.0], pbc=True)):
        assert np.isfinite(descriptor.compute(alone)).all()


def bad_structures():
    good = defected_crystal()
    nan, infinite, singular, coincident, across = (good.copy() for _ in range(5))
    nan.positions[4, 1] = np.nan
    infinite.positions[4, 1] = np.inf
    singular.cell[2] = singular.cell[1]
    coincident.positions[9] = coincident.positions[4] + 1e-5
    across.positions[9] = across.positions[4] + across.cell.array[0]
    return {
        "empty": (Atoms(cell=[9, 9, 9], pbc=True), "no atoms"),
        "nan": (nan, "atom 4 .* not finite"),
        "infinite": (infinite, "atom 4 .* not finite"),
        "singular": (singular, "singular"),
        "no extent": (Atoms("Fe", pbc=True), "no extent"),
        "coincident": (coincident, "atoms 4 and 9 coincide"),
        "coincident image": (across, "atoms 4 and 9 coincide"),
    }


@pytest.mark.parametrize("case", bad_structures())
@pytest.mark.parametrize("method", ["compute", "total"])
def test_bad_structures_are_refused(descriptor, case, method):
    structure, message = bad_structures()[case]
    with pytest.raises(StructureError, match=message):
        getattr(descriptor, method)(structure)


def test_not_a_structure_is_refused(descriptor):
    with pytest.raises(InputError, match=r"must be an ase\.Atoms"):
        descriptor.compute(np.zeros((3, 3)))


def test_declared_parameters_are_complete(descriptor):
    kind = DESCRIPTORS[descriptor.name]
    assert list(descriptor.parameters) == [p.name for p in kind.declared_parameters]
    assert list(inspect.signature(kind).parameters) == list(descriptor.parameters)
    for parameter in kind.declared_parameters:
        assert parameter.symbol
        assert parameter.doc.endswith(".")
        assert parameter.allowed()
        assert parameter.checked(parameter.default) == parameter.default
        assert parameter.from_text(parameter.to_text(parameter.default)) == parameter.default
        assert getattr(kind(), parameter.name) == parameter.default


def test_parameters_out_of_bounds_are_refused(descriptor):
    for parameter in (p for p in descriptor.declared_parameters if type(p) is Number):
        low, high = parameter.bounds
        for value in (low - 1, high + 1):
            with pytest.raises(InputError, match=f"{parameter.name} = .* is out of range"):
                get_descriptor(descriptor.name, **{parameter.name: value})


def test_record_gives_the_same_descriptor(descriptor):
    twin = descriptor_from_dict(descriptor.to_dict())
    assert twin == descriptor
    assert twin.fingerprint == descriptor.fingerprint
    atoms = triclinic_cell()
    assert twin.compute(atoms).tobytes() == descriptor.compute(atoms).tobytes()
