"""What every registered potential must satisfy; adding one to the registry adds it here."""

import numpy as np
import pytest
from ase import Atoms
from ase.cluster import Icosahedron
from scipy.spatial.transform import Rotation

from ldml.errors import StructureError
from ldml.potentials import POTENTIALS, get_potential, perfect_crystal
from ldml.structures import rattled

STEP = 1e-4  # Å; central differences are then good to about 1e-8 eV/Å


@pytest.fixture(params=list(POTENTIALS))
def potential(request):
    return get_potential(request.param)


@pytest.fixture
def structures(potential, rng):
    """A rattled crystal, and a skewed cell thinner than twice the cutoff; two rattled clusters if there is no crystal."""
    if potential.lattice is None:
        return [rattled(cluster, 0.03, rng) for cluster in (_cluster(potential), _cluster(potential)[:7])]
    crystal = rattled(perfect_crystal(potential, 2), 0.08, rng)
    skewed = rattled(perfect_crystal(potential, 1), 0.05, rng)
    skewed.set_cell(
        skewed.cell.array @ np.array([[1.05, 0.1, 0.0], [0.0, 0.97, 0.15], [0.08, 0.0, 1.02]]), scale_atoms=True
    )
    return [crystal, skewed]


def _cluster(potential):
    """An icosahedron whose bonds have the length of the dimer."""
    (element,) = potential.elements
    lengths = np.linspace(0.6, 4.0, 400)
    energies = [potential.energy(Atoms([element] * 2, positions=[[0, 0, 0], [r, 0, 0]])) for r in lengths]
    bond = lengths[int(np.argmin(energies))]
    positions = Icosahedron("Cu", 2, latticeconstant=np.sqrt(2) * bond).positions
    return Atoms([element] * len(positions), positions=positions)


def _needs_lattice(potential):
    if potential.lattice is None:
        pytest.skip(f"{potential.name} is for clusters")


def _moved(atoms, i, axis, step):
    copy = atoms.copy()
    copy.positions[i, axis] += step
    return copy


def test_forces_are_minus_the_gradient(potential, structures):
    for atoms in structures:
        forces = potential.forces(atoms)
        # truncation and rounding are both near 1e-9 eV/Å at a step of 1e-5 Å for stiffnesses like iron's, 20 eV/Å²
        tolerance = 5e-10 * abs(potential.hessian(atoms)).max()
        for i in range(min(len(atoms), 4)):
            for axis in range(3):
                lower, upper = (potential.energy(_moved(atoms, i, axis, h)) for h in (-1e-5, 1e-5))
                assert forces[i, axis] == pytest.approx((lower - upper) / 2e-5, abs=tolerance)
        np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-11)


def test_hessian_is_the_derivative_of_the_forces(potential, structures):
    for atoms in structures:
        hessian = potential.hessian(atoms).toarray()
        numerical = np.empty_like(hessian)
        for i in range(len(atoms)):
            for axis in range(3):
                plus, minus = (potential.forces(_moved(atoms, i, axis, h)) for h in (STEP, -STEP))
                numerical[:, 3 * i + axis] = ((minus - plus) / (2 * STEP)).ravel()
        np.testing.assert_allclose(hessian, numerical, atol=2e-6 * np.abs(hessian).max())


def test_hessian_without_storing_it(potential, structures, rng):
    """As an operator and in stacks of rows it is the same matrix."""
    for atoms in structures:
        hessian = potential.hessian(atoms).toarray()
        tolerance = 1e-12 * np.abs(hessian).max() * len(hessian)
        for vectors in (rng.normal(size=len(hessian)), rng.normal(size=(len(hessian), 4))):
            np.testing.assert_allclose(potential.hessian_operator(atoms) @ vectors, hessian @ vectors, atol=tolerance)
        stacked = np.zeros_like(hessian)
        for first, rows in potential.hessian_row_blocks(atoms):
            stacked[3 * first : 3 * first + rows.shape[0]] += rows.toarray()
        np.testing.assert_allclose(stacked, hessian, atol=tolerance)


def test_hessian_differences_converge_to_second_order(potential, structures):
    atoms = structures[0]
    column = potential.hessian(atoms).toarray()[:, 0]
    errors = []
    for h in (4e-3, 2e-3, 1e-3):
        plus, minus = (potential.forces(_moved(atoms, 0, 0, s)) for s in (h, -h))
        errors.append(np.abs(((minus - plus) / (2 * h)).ravel() - column).max())
    assert 3.0 < errors[0] / errors[1] < 5.0
    assert 3.0 < errors[1] / errors[2] < 5.0


def test_hessian_is_symmetric_and_free_of_translations(potential, structures):
    for atoms in structures:
        hessian = potential.hessian(atoms)
        scale = abs(hessian).max()
        assert abs(hessian - hessian.T).max() < 1e-13 * scale
        assert np.abs(hessian @ np.tile(np.eye(3), (len(atoms), 1))).max() < 1e-12 * scale


def test_hessian_range_is_declared(potential):
    _needs_lattice(potential)
    crystal = perfect_crystal(potential, 8)
    hessian = potential.hessian(crystal)
    coupled = hessian.indices[hessian.indptr[0] : hessian.indptr[1]][
        np.abs(hessian.data[: hessian.indptr[1]]).max(axis=(1, 2)) > 0
    ]
    assert crystal.get_distances(0, coupled, mic=True).max() <= potential.hessian_range


def test_energy_is_invariant_and_extensive(potential, structures):
    for atoms in structures:
        energy = potential.energy(atoms)
        turned = atoms.copy()
        rotation = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
        turned.set_cell(atoms.cell.array @ rotation.T)
        scale = np.abs(potential.forces(atoms)).max()
        turned.positions = atoms.positions @ rotation.T + [0.3, 5.0, -7.0]
        assert potential.energy(turned) == pytest.approx(energy, rel=1e-12)
        np.testing.assert_allclose(
            potential.forces(turned), potential.forces(atoms) @ rotation.T, atol=1e-10 * max(scale, 1.0)
        )
        if atoms.pbc.all():
            assert potential.energy(atoms.repeat((2, 1, 3))) == pytest.approx(6 * energy, rel=1e-12)
        order = np.random.default_rng(1).permutation(len(atoms))
        np.testing.assert_allclose(potential.forces(atoms[order]), potential.forces(atoms)[order], atol=1e-11)


def test_energy_is_smooth_at_the_cutoff(potential):
    """A pair pulled apart through the cutoff: the energy changes by no more than a smooth tail can."""
    if not np.isfinite(potential.cutoff):
        pytest.skip(f"{potential.name} has no cutoff")
    _needs_lattice(potential)
    atoms = perfect_crystal(potential, 1)[:1]
    pair = atoms + atoms.copy()
    pair.set_cell(np.eye(3) * 30)
    energies = []
    for r in potential.cutoff + np.array([-2e-4, -1e-4, 0.0, 1e-4]):
        pair.positions[1] = pair.positions[0] + [r, 0, 0]
        energies.append(potential.energy(pair))
    assert np.abs(np.diff(energies)).max() < 1e-9


def test_evaluator_follows_atoms_far(potential, rng):
    """The list of neighbours is refreshed in time: a long walk gives the energies of fresh calculations."""
    crystal = potential.lattice is not None
    atoms = rattled(perfect_crystal(potential, 3) if crystal else _cluster(potential), 0.02, rng)
    evaluator = potential.evaluator(atoms)
    for _ in range(8):
        atoms.positions += rng.normal(scale=0.12 if crystal else 0.03, size=atoms.positions.shape)
        energy, forces = evaluator.energy_and_forces(atoms.positions)
        assert energy == pytest.approx(potential.energy(atoms), rel=1e-12)
        np.testing.assert_allclose(forces, potential.forces(atoms), atol=1e-9)


def test_the_structure_is_left_alone(potential, structures):
    atoms = structures[0]
    before = atoms.copy()
    potential.energy(atoms), potential.hessian(atoms)
    assert np.array_equal(before.positions, atoms.positions)
    assert np.array_equal(before.cell.array, atoms.cell.array)


def test_ground_state_lattice_has_no_pressure(potential):
    _needs_lattice(potential)
    a = potential.lattice_constant

    def energy(scale):
        crystal = perfect_crystal(potential, 2)
        crystal.set_cell(crystal.cell * scale, scale_atoms=True)
        return potential.energy(crystal) / len(crystal)

    h = 1e-4
    slope = (8 * (energy(1 + h) - energy(1 - h)) - (energy(1 + 2 * h) - energy(1 - 2 * h))) / (12 * h)
    curvature = (energy(1 + 10 * h) - 2 * energy(1) + energy(1 - 10 * h)) / (10 * h) ** 2
    assert abs(slope / curvature) * a < 1e-7  # Å from the true lattice constant


def test_documents_itself(potential):
    assert potential.citation
    assert potential.elements
    assert len(potential.fingerprint) == 16
    assert potential.fingerprint == get_potential(potential.name).fingerprint


def test_bad_structures_are_refused(potential, structures):
    good = structures[0]
    cases = {words: good.copy() for words in ("finite", "apart", "knows only")}
    cases["finite"].positions[3, 1] = np.nan
    cases["apart"].positions[1] = cases["apart"].positions[0] + 0.01
    cases["knows only"].numbers[0] = 6
    cases["no atoms"] = good[:0]
    if potential.needs_crystal:
        cases |= {"pbc": good.copy(), "singular": good.copy()}
        cases["pbc"].pbc = (True, True, False)
        cases["singular"].set_cell([[1, 0, 0], [2, 0, 0], [0, 0, 1]])
    for words, atoms in cases.items():
        with pytest.raises(StructureError, match=words):
            potential.energy(atoms)
        with pytest.raises(StructureError, match=words):
            potential.hessian(atoms)
