"""Uploaded files: what they hold is read right, what they lack is asked for, what is wrong is said, and nothing else happens."""

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from dashboards.received import Receiver
from dashboards.state import default_descriptor
from dashboards.uploads import (
    BUILT,
    FIRST,
    LAST,
    MARKED,
    OPEN,
    REDUCED,
    Meaning,
    crystal_sources,
    dataset_of,
    default_meaning,
    preview,
    read_upload,
    safe_name,
    unlabelled,
)
from ldml.errors import Cancelled, InputError
from ldml.potentials import perfect_crystal
from ldml.progress import NULL_PROGRESS
from ldml.structure_files import write_extxyz
from ldml.structures import interstitial_cluster, vacancy_cluster

AM04 = BUILT + "Fe-AM04"


@pytest.fixture(scope="module")
def defects():
    """A crystal of 4a0, two vacancies and a dumbbell in it."""
    bulk = perfect_crystal("Fe-AM04", 4)
    return bulk, vacancy_cluster(bulk, 2), interstitial_cluster(bulk, 1)


def read(path, content=None):
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        path.write_bytes(content)
    return read_upload(NULL_PROGRESS, path, path.name)


def opened(upload, **said):
    return dataset_of(upload, Meaning(**said))


@pytest.fixture(scope="module")
def hdf5(linear_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("upload") / "linear.h5"
    linear_dataset.save(path)
    return path.read_bytes()


def test_an_hdf5_dataset_comes_back_with_its_descriptors(linear_dataset, hdf5, tmp_path):
    upload = read(tmp_path / "my data.h5", hdf5)
    data = dataset_of(upload, Meaning())
    assert (data.names == linear_dataset.names).all()
    assert data.formation_entropy == pytest.approx(linear_dataset.formation_entropy, abs=0)
    assert data.has_descriptor(default_descriptor())
    told = dict(preview(upload))
    assert (told["structures"], told["classes"], told["S_f known"]) == ("24", "I2 (12), V2 (12)", "24")
    assert unlabelled(upload, Meaning()) == ""


def test_an_extxyz_dataset_says_everything_by_itself(linear_dataset, tmp_path):
    write_extxyz(linear_dataset, tmp_path / "some.extxyz")
    upload = read(tmp_path / "some.extxyz")
    meaning = default_meaning(upload, None)
    assert (meaning.entropy, meaning.energy, meaning.crystal) == ("formation_entropy", "formation_energy", MARKED)
    data = dataset_of(upload, meaning)
    assert data.name == "some"
    assert (data.labels == linear_dataset.labels).all()
    assert data.formation_entropy == pytest.approx(linear_dataset.formation_entropy, abs=1e-7)
    assert data.local_entropy(0) == pytest.approx(linear_dataset.local_entropy(0), abs=1e-7)
    assert not upload.warnings


def test_fields_are_mapped_to_labels_and_units_are_kept(defects, tmp_path):
    bulk, vacancy, dumbbell = defects
    for k, atoms in enumerate((vacancy, dumbbell)):
        atoms = atoms.copy()
        atoms.info = {"entropy_kB": 2.5 + k, "dE": 1.5 + k, "tag": "x"}
        ase.io.write(tmp_path / "two.xyz", atoms, format="extxyz", append=k > 0)
    upload = read(tmp_path / "two.xyz")
    assert {(f.name, f.n, f.low, f.high) for f in upload.fields} == {
        ("entropy_kB", 2, 2.5, 3.5),
        ("dE", 2, 1.5, 2.5),
    }
    assert default_meaning(upload, None).entropy == ""
    data = opened(upload, entropy="entropy_kB", energy="dE", crystal=AM04, units=REDUCED)
    assert data.formation_entropy.tolist() == [2.5, 3.5]
    assert data.formation_energy.tolist() == [1.5, 2.5]
    assert data.labels.tolist() == ["V2", "I1"]
    assert data.metadata["units"]["energy"] == "epsilon"
    (built,) = data.bulks
    assert np.abs(built.get_distances(0, range(len(built)), mic=True)).max() == pytest.approx(
        bulk.get_distances(0, range(len(bulk)), mic=True).max()
    )


def test_without_labels_structures_are_kept_without(defects, tmp_path):
    ase.io.write(tmp_path / "plain.extxyz", defects[1:], format="extxyz")
    upload = read(tmp_path / "plain.extxyz")
    assert "2 structures have no S_f" in unlabelled(upload, Meaning())
    data = opened(upload, crystal=AM04)
    assert np.isnan(data.formation_entropy).all()
    assert "role=bulk" in upload.warnings[0]


def test_the_crystal_can_be_a_structure_of_the_file_or_that_of_the_open_dataset(defects, linear_dataset, tmp_path):
    bulk, vacancy, dumbbell = defects
    ase.io.write(tmp_path / "a.extxyz", [bulk, vacancy, dumbbell], format="extxyz")
    upload = read(tmp_path / "a.extxyz")
    assert opened(upload, crystal=FIRST).labels.tolist() == ["V2", "I1"]
    assert opened(upload, crystal=LAST).labels.tolist() == ["V1", "V3"]  # one atom fewer than a dumbbell, three fewer
    assert next(iter(crystal_sources(upload, linear_dataset).values())) == OPEN
    data = dataset_of(upload, Meaning(crystal=OPEN), linear_dataset)
    assert data.labels.tolist() == ["bulk", "V2", "I1"]
    assert (data.entries[1].atoms.cell.array == linear_dataset.bulks[0].cell.array).all()


def test_a_structure_of_another_cell_is_named(defects, tmp_path):
    other = vacancy_cluster(perfect_crystal("Fe-AM04", 5), 1)
    ase.io.write(tmp_path / "mixed.extxyz", [defects[0], defects[1], other], format="extxyz")
    upload = read(tmp_path / "mixed.extxyz")
    with pytest.raises(InputError, match=r"structure 1 has the cell 14\.277"):
        opened(upload, crystal=FIRST)
    assert len(opened(upload, crystal=AM04).bulks) == 2


def test_a_crystal_of_other_elements_is_refused(defects, tmp_path):
    copper = defects[1].copy()
    copper.numbers[:] = 29
    ase.io.write(tmp_path / "cu.extxyz", [defects[0], copper], format="extxyz")
    with pytest.raises(InputError, match="is of Cu, its perfect crystal of Fe"):
        opened(read(tmp_path / "cu.extxyz"), crystal=FIRST)


def test_a_cell_that_no_crystal_fills_is_refused(tmp_path):
    odd = Atoms("Fe2", positions=[[0, 0, 0], [2.5, 0, 0]], cell=[7.1, 6.3, 9.9], pbc=True)
    ase.io.write(tmp_path / "odd.extxyz", odd, format="extxyz")
    with pytest.raises(InputError, match="no whole number"):
        opened(read(tmp_path / "odd.extxyz"), crystal=AM04)


def test_clusters_need_no_cell(tmp_path):
    atoms = Atoms("Ar3", positions=[[0, 0, 0], [1.1, 0, 0], [0, 1.1, 0]])
    ase.io.write(tmp_path / "c.xyz", [atoms, atoms], format="extxyz")
    upload = read(tmp_path / "c.xyz")
    assert set(crystal_sources(upload, None).values()) == {FIRST, LAST}
    data = opened(upload, crystal=FIRST, units=REDUCED)
    assert len(data) == 1
    assert not data.bulks[0].pbc.any()


@pytest.mark.parametrize("name", ["POSCAR", "a.vasp", "lammps.data", "with_masses.data"])
def test_files_of_other_programs(name, defects, tmp_path):
    path = tmp_path / name
    if "data" in name:
        ase.io.write(path, defects[1], format="lammps-data", masses=name == "with_masses.data")
    else:
        ase.io.write(path, defects[1], format="vasp")
    upload = read(path)
    assert upload.needs_elements == (name == "lammps.data")
    elements = ("Fe",) if upload.needs_elements else ()
    data = opened(upload, crystal=AM04, elements=elements)
    assert data.labels.tolist() == ["V2"]
    assert set(data[0].symbols) == {"Fe"}
    assert dict(preview(upload))["structures"] == "1"


DUMP = """ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0 5
0 5
0 5
ITEM: ATOMS id type x y z
1 1 0 0 0
2 2 2.5 2.5 2.5
"""


def test_a_dump_holds_frames_of_types_that_need_elements(tmp_path):
    upload = read(tmp_path / "run.dump", DUMP.format(step=0) + DUMP.format(step=1))
    assert len(upload.structures) == 2
    assert "names no elements" in " ".join(upload.warnings)
    with pytest.raises(InputError, match=r"2 types of atoms; give as many elements .* not 'Fe'"):
        opened(upload, crystal=FIRST, elements=("Fe",))
    with pytest.raises(InputError, match="not 'Fe, Xx'"):
        opened(upload, crystal=FIRST, elements=("Fe", "Xx"))
    data = opened(upload, crystal=FIRST, elements=("Fe", "Cr"))
    assert data[0].get_chemical_symbols() == ["Fe", "Cr"]


@pytest.mark.parametrize(
    "content",
    [b"", b"not a dataset", b"\x89HDF\r\n\x1a\n" + b"\0" * 200, bytes(range(256)) * 8, b"\x1f\x8b" + b"x" * 99],
)
@pytest.mark.parametrize("name", ["x.h5", "x.extxyz", "x", "POSCAR", "x.dump", "x.data"])
def test_what_holds_no_structures_is_refused_in_words_that_name_the_file(content, name, tmp_path):
    with pytest.raises(InputError, match=name):
        read(tmp_path / name, content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("POSCAR", "x\n1.0\n5 0 0\n0 5 0\n0 0 5\nFe\n3000000000\nDirect\n0 0 0\n"),
        ("a.dump", DUMP.format(step=0).replace("ATOMS\n2", "ATOMS\n99999999999")),
        (
            "a.data",
            "LAMMPS\n\n5000000000 atoms\n1 atom types\n0 5 xlo xhi\n0 5 ylo yhi\n0 5 zlo zhi\n\nAtoms\n\n1 1 0 0 0\n",
        ),
        ("a.xyz", "4000000000\n\nFe 0 0 0\n"),
    ],
)
def test_headers_that_announce_more_than_there_is_are_refused_at_once(name, content, tmp_path):
    with pytest.raises(InputError, match=r"announces [\d,]+ atoms but"):
        read(tmp_path / name, content)


def test_a_dataset_cut_short_is_refused(hdf5, tmp_path):
    with pytest.raises(InputError, match=r"half\.h5"):
        read(tmp_path / "half.h5", hdf5[: len(hdf5) // 2])


def test_a_small_file_that_announces_huge_arrays_is_refused(hdf5, tmp_path):
    path = tmp_path / "bomb.h5"
    path.write_bytes(hdf5)
    with h5py.File(path, "a") as file:
        del file["structures/positions"]
        file["structures"].create_dataset(
            "positions", shape=(10**11, 3), dtype="f8", chunks=(1024, 3), compression="gzip"
        )
    assert path.stat().st_size < 10_000_000
    with pytest.raises(InputError, match="unpacks to"):
        read(path)


def test_a_structure_that_makes_no_sense_is_named(hdf5, defects, tmp_path):
    path = tmp_path / "nan.h5"
    path.write_bytes(hdf5)
    with h5py.File(path, "a") as file:
        file["structures/positions"][3] = np.nan
    with pytest.raises(InputError, match="V2-0"):
        read(path)
    bad = defects[1].copy()
    bad.positions[1] = bad.positions[0]
    ase.io.write(tmp_path / "bad.extxyz", [defects[1], bad], format="extxyz")
    with pytest.raises(InputError, match=r"bad\.extxyz\[1\]"):
        read(tmp_path / "bad.extxyz")


def test_a_dataset_without_structures_is_refused(linear_dataset, tmp_path):
    write_extxyz(linear_dataset.subset(np.zeros(len(linear_dataset), dtype=bool)), tmp_path / "none.extxyz")
    with pytest.raises(InputError, match="no structures"):
        read(tmp_path / "none.extxyz")


def test_names_that_repeat_are_found_before_the_file_is_opened(defects, tmp_path):
    atoms = defects[1].copy()
    atoms.info = {"name": "same"}
    ase.io.write(tmp_path / "same.extxyz", [atoms, atoms], format="extxyz")
    upload = read(tmp_path / "same.extxyz")
    assert "'same'" in upload.warnings[0]
    with pytest.raises(InputError, match="names must be unique"):
        opened(upload, crystal=AM04)


def test_reading_can_be_cancelled(defects, tmp_path):
    class Cancelling:
        def update(self, done, total, stage=""):
            self.done = done

        def check(self):
            if self.done == 1:
                raise Cancelled

    ase.io.write(tmp_path / "many.extxyz", [defects[1]] * 4, format="extxyz")
    with pytest.raises(Cancelled):
        read_upload(Cancelling(), tmp_path / "many.extxyz", "many.extxyz")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\run.dump", "run.dump"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("a b;$(x)\0\n.xyz", "a_b_x_.xyz"),
        ("", "upload"),
        ("..", "upload"),
        ("é" * 300 + ".h5", "h5"),
        ("x" * 300 + ".h5", "x" * 77 + ".h5"),
    ],
)
def test_hostile_names_are_made_harmless(name, safe):
    assert safe_name(name) == safe


def test_a_file_arrives_in_pieces_whatever_its_name():
    receiver, content = Receiver(1000), bytes(range(200))
    for k in range(4):
        receiver.take("../../x.xyz", k + 1, 4, content[50 * k : 50 * (k + 1)])
        assert receiver.fraction == (k + 1) / 4
    receiver.finish()
    assert receiver.done.checked_path().read_bytes() == content
    assert receiver.done.checked_path().name == "x.xyz"
    assert receiver.done.name == "../../x.xyz"


@pytest.mark.parametrize(
    ("pieces", "failure"),
    [
        ([(1, 3, b"x" * 60), (2, 3, b"x" * 60), (3, 3, b"x")], "100"),  # more than the limit
        ([(1, 3, b"x"), (3, 3, b"x")], "lost"),
        ([(2, 2, b"x")], "lost"),
        ([(1, 3, b"x"), (2, 3, b"x")], "in full"),
        ([], "empty"),
    ],
)
def test_a_file_that_does_not_arrive_is_refused_and_the_next_one_is_taken(pieces, failure):
    receiver = Receiver(100_000_000 if failure != "100" else 100)
    for piece in pieces:
        receiver.take("a.xyz", *piece)
    receiver.finish()
    with pytest.raises(InputError, match="" if failure == "100" else failure):
        receiver.done.checked_path()
    receiver.take("b.xyz", 1, 1, b"good")
    receiver.finish()
    assert receiver.done.checked_path().read_bytes() == b"good"


def test_a_broken_hdf5_file_is_called_one(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF but no more")
    with pytest.raises(InputError, match=r"'bad.h5' is no HDF5 file"):
        read_upload(NULL_PROGRESS, tmp_path / "bad.h5", "bad.h5")


def test_crystals_are_offered_for_the_elements_of_the_file(tmp_path):
    ase.io.write(tmp_path / "cu.extxyz", bulk("Cu", cubic=True).repeat(3), format="extxyz")
    upload = read_upload(NULL_PROGRESS, tmp_path / "cu.extxyz", "cu.extxyz")
    assert not [source for source in crystal_sources(upload, None) if "Fe" in source]
