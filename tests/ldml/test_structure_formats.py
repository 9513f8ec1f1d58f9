"""Structures out of files of several formats, one frame at a time where the format allows it."""

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from ldml.errors import InputError, StructureError
from ldml.structure_formats import structures_in


def frames():
    atoms = bulk("Fe", a=2.8553, cubic=True).repeat(2)
    atoms.rattle(0.05, seed=3)
    atoms.wrap()  # as some formats do
    return [atoms, atoms[:9]]


@pytest.mark.parametrize(
    ("name", "format", "digits"),
    [("a.xyz", "extxyz", 8), ("b.extxyz", "extxyz", 8), ("c@1.traj", "traj", 15), ("POSCAR", "vasp", 12), ("e.cif", "cif", 4),
     ("f.gen", "gen", 8), ("g.xsf", "xsf", 8), ("i.pdb", "proteindatabank", 3), ("j.cfg", "cfg", 6)],
)  # fmt: skip
def test_formats(tmp_path, name, format, digits):
    several = format in ("extxyz", "traj")
    written = frames() if several else frames()[:1]
    ase.io.write(tmp_path / name, written if several else written[0], format=format)
    found = structures_in(tmp_path / name)
    assert [stored.n_atoms for stored in found] == [len(atoms) for atoms in written]
    assert [stored.name for stored in found] == ([f"{name}[0]", f"{name}[1]"] if several else [name])
    for stored, atoms in zip(found, written, strict=True):
        # the digits that the format carries; scaled coordinates lose one
        np.testing.assert_allclose(stored.read().positions, atoms.positions, atol=10.0 ** (1 - digits))


def test_frames_are_read_on_request_and_in_any_order(tmp_path):
    ase.io.write(tmp_path / "a.xyz", frames(), format="extxyz")
    found = structures_in(tmp_path / "a.xyz", name="run")
    assert [len(stored.read()) for stored in found[::-1]] == [9, 16]
    assert [stored.name for stored in found] == ["run[0]", "run[1]"]


def test_blank_lines_between_frames_are_passed(tmp_path):
    text = '1\nLattice="5 0 0 0 5 0 0 0 5"\nFe 0 0 0\n'
    (tmp_path / "a.xyz").write_text(text + "\n \n" + text + "\n")
    assert [len(stored.read()) for stored in structures_in(tmp_path / "a.xyz")] == [1, 1]


def test_a_broken_frame_costs_itself_and_what_cannot_be_found_behind_it(tmp_path):
    ase.io.write(tmp_path / "a.xyz", frames(), format="extxyz")
    text = (tmp_path / "a.xyz").read_text()
    (tmp_path / "a.xyz").write_text(text + "what\n" + text)
    first, second, broken = structures_in(tmp_path / "a.xyz")
    assert (len(first.read()), len(second.read())) == (16, 9)
    with pytest.raises(InputError, match=r"'a.xyz\[2\]' is not a structure file"):
        broken.read()


def test_a_count_without_atoms_is_found_by_counting_lines(tmp_path):
    (tmp_path / "a.xyz").write_text("999999999999\ncomment\nFe 0 0 0\n")
    (stored,) = structures_in(tmp_path / "a.xyz")
    with pytest.raises(InputError, match="announces 999999999999 atoms but only 1 lines follow"):
        stored.read()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", b"", "is empty"),
        ("a.json", b"{}", "format 'json', which is not read"),
        ("a.db", b"SQLite format 3\0", "which is not read"),
        ("a.gpw", b"-", "which is not read"),
        ("a.xyz.gz", b"-", "unpack it first"),
        ("POSCAR", b"nonsense", "not a valid vasp file"),
        ("a.traj", b"- of UlmASE-Trajectory\0", "not a valid traj file"),
        ("strange", b"nothing known", "no format known"),
    ],
)
def test_what_is_not_read_is_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        structures_in(tmp_path / name)


def test_structures_of_all_formats_are_checked(tmp_path):
    atoms = frames()[0]
    atoms.positions[3] = atoms.positions[8]
    ase.io.write(tmp_path / "POSCAR", atoms, format="vasp")
    (stored,) = structures_in(tmp_path / "POSCAR")
    with pytest.raises(StructureError, match="'POSCAR': atoms 3 and 8"):
        stored.read()


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="no file"):
        structures_in(tmp_path / "absent.xyz")


@pytest.mark.parametrize("name", ["vacancy.lmp", "data.vacancy", "vacancy.data", "vacancy.lammps-data"])
def test_lammps_data_is_known_by_its_content(tmp_path, name):
    iron = bulk("Fe", a=2.8553, cubic=True).repeat(2)
    ase.io.write(tmp_path / name, iron, format="lammps-data", masses=True)
    (stored,) = structures_in(tmp_path / name)
    read = stored.read()
    np.testing.assert_allclose(read.positions, iron.positions, atol=1e-9)
    assert str(read.symbols) == "Fe16"


def test_a_folder_is_called_one(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        structures_in(tmp_path)
