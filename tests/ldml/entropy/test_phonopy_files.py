"""Force constants exchanged with phonopy, and bulk supercells against it."""

import h5py
import numpy as np
import pytest
from ase import Atoms

from ldml.entropy import bulk_entropy, harmonic_entropy
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.entropy.harmonic import entropy_of
from ldml.entropy.phonopy_files import read_force_constants, write_force_constants
from ldml.errors import InputError
from ldml.potentials import perfect_crystal

phonopy = pytest.importorskip("phonopy")


def to_phonopy(atoms):
    from phonopy.structure.atoms import PhonopyAtoms

    return PhonopyAtoms(symbols=atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell.array)


def from_phonopy(atoms):
    return Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)


@pytest.fixture(scope="module")
def phonons(am04):
    """Phonopy's own supercell of 4 x 4 x 4 conventional cells, with force constants from its displacements and our forces."""
    unit = perfect_crystal(am04, 1)
    primitive = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
    phonons = phonopy.Phonopy(to_phonopy(unit), 4 * np.eye(3, dtype=int), primitive_matrix=primitive, log_level=0)
    phonons.generate_displacements(distance=1e-3)
    phonons.forces = [am04.forces(from_phonopy(cell)) for cell in phonons.supercells_with_displacements]
    phonons.produce_force_constants()
    return phonons


@pytest.fixture(scope="module")
def supercell(phonons):
    return from_phonopy(phonons.supercell)


@pytest.fixture(scope="module")
def hessian(supercell, am04):
    return am04.hessian(supercell).toarray()


def test_force_constants_agree_with_phonopys(phonons, hessian):
    """Both signs of each displacement are not made for a symmetric one, so phonopy's differences err by h: 1e-3 of V'''."""
    constants = phonons.force_constants
    if constants.shape[0] < constants.shape[1]:
        from phonopy.harmonic.force_constants import compact_fc_to_full_fc

        constants = compact_fc_to_full_fc(phonons.primitive, constants)
    blocks = hessian.reshape(128, 3, 128, 3).transpose(0, 2, 1, 3)
    assert np.abs(constants - blocks).max() < 2e-5 * np.abs(blocks).max()


def test_entropy_of_a_bulk_supercell_agrees_with_phonopy(phonons, supercell, hessian, am04):
    """The modes of the supercell are those of the primitive cell on the commensurate mesh; zero modes apart."""
    blocks = hessian.reshape(128, 3, 128, 3).transpose(0, 2, 1, 3)
    phonons.force_constants = blocks
    # the supercell's reciprocal lattice within the primitive Brillouin zone: 4 x 4 x 4 points of the conventional cell, and
    # as many again one reciprocal vector on, which is none of the primitive cell
    steps = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    conventional = np.concatenate([steps, steps + np.array([4, 0, 0])]) / 4.0
    wave_vectors = conventional @ np.linalg.inv(phonons.unitcell.cell).T
    phonons.run_qpoints(wave_vectors @ phonons.primitive.cell.T)
    frequencies = np.sort(phonons.qpoints.frequencies.ravel())
    ours = harmonic_entropy(supercell, am04, spectrum=True)
    np.testing.assert_allclose(ours.frequencies, frequencies[3:], rtol=1e-5)


def test_thermal_properties_agree_with_phonopy(phonons, hessian, am04):
    """Quantum entropy at 300 K over a Gamma-centred mesh of 12 x 12 x 12, phonopy's in J/(K mol) of primitive cells."""
    from ase.build import bulk

    phonons.force_constants = hessian.reshape(128, 3, 128, 3).transpose(0, 2, 1, 3)
    phonons.run_mesh([12, 12, 12], is_gamma_center=True, is_mesh_symmetry=False)
    phonons.run_thermal_properties(t_min=300, t_max=300, t_step=1, cutoff_frequency=1e-3)
    expected = phonons.thermal_properties.entropy[0] / 8.314462618
    iron = bulk("Fe", "bcc", a=am04.lattice_constant)
    plain = Atoms(iron.numbers, positions=iron.positions, cell=iron.cell, pbc=True)
    ours = bulk_entropy(plain, 12, am04, statistics="quantum")
    # our force constants reach 8.4 Å, those of the small supercell are folded back: 5.7 Å in part
    assert ours.total / 12**3 == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize("name", ["FORCE_CONSTANTS", "force_constants.hdf5"])
def test_round_trip_keeps_the_entropy(tmp_path, vacancy4, am04, name):
    original = am04.hessian(vacancy4)
    write_force_constants(tmp_path / name, original)
    constants = read_force_constants(tmp_path / name)
    assert not constants.is_compact
    restored = constants.hessian()
    np.testing.assert_allclose(restored, original.toarray(), atol=1e-14)
    expected = harmonic_entropy(vacancy4, am04).total
    assert entropy_of(dynamical_matrix(restored, vacancy4)).total == pytest.approx(expected, abs=1e-9)


def test_phonopy_reads_what_we_write(tmp_path, hessian):
    from phonopy.file_IO import parse_FORCE_CONSTANTS, read_force_constants_hdf5

    write_force_constants(tmp_path / "FORCE_CONSTANTS", hessian)
    write_force_constants(tmp_path / "fc.hdf5", hessian)
    blocks = hessian.reshape(128, 3, 128, 3).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(parse_FORCE_CONSTANTS(str(tmp_path / "FORCE_CONSTANTS")), blocks, atol=1e-14)
    read = read_force_constants_hdf5(str(tmp_path / "fc.hdf5"))
    np.testing.assert_array_equal(read[0] if isinstance(read, tuple) else read, blocks)


@pytest.mark.parametrize("suffix", ["text", "hdf5"])
def test_we_read_phonopys_compact_form(tmp_path, phonons, supercell, hessian, suffix):
    from phonopy.file_IO import write_FORCE_CONSTANTS, write_force_constants_to_hdf5

    rows = phonons.primitive.p2s_map
    compact = hessian.reshape(128, 3, 128, 3).transpose(0, 2, 1, 3)[rows]
    path = tmp_path / suffix
    if suffix == "text":
        write_FORCE_CONSTANTS(compact, filename=str(path), p2s_map=rows)
    else:
        write_force_constants_to_hdf5(compact, filename=str(path), p2s_map=rows)
    constants = read_force_constants(path)
    assert constants.is_compact
    np.testing.assert_allclose(constants.hessian(supercell), hessian, atol=1e-9)
    with pytest.raises(InputError, match="give the supercell"):
        constants.hessian()
    with pytest.raises(InputError, match="no translations"):
        constants.hessian(
            Atoms(supercell.numbers, positions=np.random.default_rng(0).random((128, 3)) * 11, cell=supercell.cell)
        )


def test_damaged_files_are_refused(tmp_path, hessian):
    path = tmp_path / "FORCE_CONSTANTS"
    write_force_constants(path, hessian[:12, :12])
    lines = path.read_text().splitlines(keepends=True)
    cases = {
        "truncated: block 16 of 16": lines[:-2],
        "line 3: expected three numbers": [*lines[:2], "1.0 spam 2.0\n", *lines[3:]],
        "do not fit in this file": ["90000 90000\n", *lines[1:]],
        "line 1: expected whole numbers": ["phonopy:\n", *lines[1:]],
        "line 6: block 4 2 is out of order": [*lines[:5], "4 2\n", *lines[6:]],
        "not finite": [*lines[:2], "nan 0.0 0.0\n", *lines[3:]],
    }
    for words, content in cases.items():
        path.write_text("".join(content))
        with pytest.raises(InputError, match=words):
            read_force_constants(path)
    with pytest.raises(InputError, match="no file"):
        read_force_constants(tmp_path / "nothing")
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["other"] = 1.0
    with pytest.raises(InputError, match="no dataset 'force_constants'; it holds other"):
        read_force_constants(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["force_constants"] = np.zeros((4, 3))
    with pytest.raises(InputError, match=r"shape \(4, 3\)"):
        read_force_constants(tmp_path / "b.hdf5")
    with pytest.raises(InputError, match=r"shape \(3N, 3N\)"):
        write_force_constants(path, np.zeros((4, 4)))
