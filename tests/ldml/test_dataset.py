"""The dataset container and its files."""

import h5py
import numpy as np
import pytest

import ldml
from ldml.dataset import Dataset, Entry, load_dataset
from ldml.descriptors import get_descriptor
from ldml.entropy import formation_energy
from ldml.errors import Cancelled, InputError
from ldml.structure_files import defect_label, read_structures, write_extxyz
from ldml.structures import interstitial_cluster


@pytest.fixture(scope="module")
def data(am04, crystal4, vacancy4):
    dumbbell = ldml.relax(interstitial_cluster(crystal4, 1), am04)
    entries = []
    for atoms, label, local in ((vacancy4, "V1", True), (dumbbell.atoms, "I1", False)):
        f = ldml.formation_entropy(atoms, crystal4, am04, local=local)
        energy = formation_energy(am04.energy(atoms), len(atoms), am04.energy(crystal4), 128)
        entries.append(Entry(atoms, label, f"{label}-0", f.value, energy, f.defect.max_force, f.local))
    entries.append(Entry(vacancy4, "V1", "unknown"))
    return Dataset.from_entries("iron", [crystal4], entries, {"potential": "Fe-AM04", "seed": 1})


@pytest.fixture(scope="module")
def small_afs():
    return get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)


def _same(one, other, tolerance):
    assert list(one.names) == list(other.names)
    assert list(one.labels) == list(other.labels)
    for key in ("formation_entropy", "formation_energy", "max_force"):
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))
    for i in range(len(one)):
        np.testing.assert_allclose(one[i].positions, other[i].positions, rtol=0, atol=tolerance)
        np.testing.assert_array_equal(one[i].numbers, other[i].numbers)
        np.testing.assert_allclose(one[i].cell.array, other[i].cell.array, atol=1e-8)
        assert one[i].pbc.all()
        a, b = one.local_entropy(i), other.local_entropy(i)
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, atol=1e-8)


def test_hdf5_keeps_every_bit(data, small_afs, tmp_path):
    differences = data.descriptor_differences(small_afs)
    data.save(tmp_path / "d.h5")
    back = load_dataset(tmp_path / "d.h5")
    _same(data, back, 0.0)
    assert back.fingerprint == data.fingerprint
    assert dict(back.metadata) == dict(data.metadata)
    assert back.has_descriptor(small_afs)
    np.testing.assert_array_equal(back.descriptor_differences(small_afs), differences)
    np.testing.assert_array_equal(back.bulk.positions, data.bulk.positions)
    assert [p.name for p in tmp_path.iterdir()] == ["d.h5"]


def test_compact_positions_reproduce_the_entropy(data, am04, crystal4, tmp_path):
    data.save(tmp_path / "d.h5", compact=True)
    back = load_dataset(tmp_path / "d.h5")
    for i in (0, 1):
        images = np.linalg.solve(crystal4.cell.array.T, (back[i].positions - data[i].positions).T)
        assert np.abs((images - np.rint(images)) * crystal4.cell.lengths()[:, None]).max() < 1e-7
        f = ldml.formation_entropy(back[i], crystal4, am04)
        assert f.value == pytest.approx(data.formation_entropy[i], abs=1e-5)
        assert f.defect.max_force < 1e-5


def test_extxyz_there_and_back(data, tmp_path):
    write_extxyz(data, tmp_path / "iron.extxyz")
    _same(data, load_dataset(tmp_path / "iron.extxyz"), 1e-7)


def test_differences_are_to_the_crystal(data, small_afs, crystal4):
    rows = data.descriptor_differences(small_afs)
    total, bulk = small_afs.total(data[1]), small_afs.total(crystal4)
    np.testing.assert_allclose(rows[1], total - 129 / 128 * bulk, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(data.bulk_descriptor(small_afs), bulk / 128)


def test_subsets_keep_what_was_computed(data, small_afs):
    rows = data.descriptor_differences(small_afs)
    chosen = data.subset(np.array([False, True, True]))
    assert list(chosen.names) == ["I1-0", "unknown"]
    assert chosen.has_descriptor(small_afs)
    np.testing.assert_array_equal(chosen.descriptor_differences(small_afs), rows[1:])
    assert list(data.subset([2, 0]).names) == ["unknown", "V1-0"]
    assert len(data.subset([])) == 0


def test_items_are_copies(data):
    data[0].positions += 1
    data.local_entropy(0)[:] = 0
    assert not np.allclose(data[0].positions, data[0].positions + 1)
    assert data.local_entropy(0).any()


def test_descriptors_can_be_cancelled_half_way(data):
    class Watcher:
        def update(self, done, total, stage=""):
            self.done = done

        def check(self):
            if getattr(self, "done", 0) >= 1:
                raise Cancelled

    descriptor = get_descriptor("AFS", n_max=2, l_max=1, cutoff=3.0)
    with pytest.raises(Cancelled):
        data.descriptor_differences(descriptor, progress=Watcher())
    assert not data.has_descriptor(descriptor)


def test_extending(data, vacancy4, crystal4):
    longer = data.extended([Entry(vacancy4, "V1", "another")])
    assert len(longer) == len(data) + 1
    assert longer.index("another") == len(data)
    with pytest.raises(InputError, match="unique"):
        data.extended([Entry(vacancy4, "V1", "V1-0")])
    with pytest.raises(InputError, match="crystal 1 of 1"):
        data.extended([Entry(vacancy4, "V1", "b", bulk=1)])
    with pytest.raises(InputError, match="127 atoms but local"):
        data.extended([Entry(vacancy4, "V1", "c", local_entropy=np.zeros(3))])
    two = data.extended([Entry(vacancy4, "V1", "d", bulk=1)], bulks=[crystal4])
    with pytest.raises(InputError, match="2 perfect crystals"):
        two.bulk  # noqa: B018
    assert len(two.bulk_of(len(data))) == 128


def _damage(path, how):
    with h5py.File(path, "r+") as file:
        how(file)


@pytest.mark.parametrize(
    ("how", "word"),
    [
        (lambda f: f.attrs.__setitem__("format", "other"), "not an ldml dataset"),
        (lambda f: f.attrs.__setitem__("format_version", 99), "upgrade ldml"),
        (lambda f: f["structures"].__delitem__("formation_entropy"), "not a complete"),
        (lambda f: f["structures/n_atoms"].__setitem__(0, 5), "damaged"),
        (lambda f: f["structures/site"].__setitem__(0, 10**6), "does not exist"),
    ],
)
def test_damaged_files_are_refused(data, tmp_path, how, word):
    path = tmp_path / "d.h5"
    data.save(path, compact=True)
    _damage(path, how)
    with pytest.raises(InputError, match=word):
        load_dataset(path)


def test_links_out_of_the_file_are_refused(data, tmp_path):
    path = tmp_path / "d.h5"
    data.save(path)

    def link(file):
        del file["structures/cell"]
        file["structures/cell"] = h5py.ExternalLink("/etc/hostname", "/")

    _damage(path, link)
    with pytest.raises(InputError, match="another file"):
        load_dataset(path)


def test_a_truncated_file_is_refused(data, tmp_path):
    path = tmp_path / "d.h5"
    data.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError):
        load_dataset(path)


def test_unknown_datasets(tmp_path):
    with pytest.raises(InputError, match="no dataset at"):
        load_dataset(tmp_path / "nothing.h5")
    with pytest.raises(InputError, match="did you mean 'fe-am04-8a0'"):
        load_dataset("fe-am4-8a0")


GOOD = b'2\nLattice="2.9 0 0 0 2.9 0 0 0 2.9" Properties=species:S:1:pos:R:3 pbc="T T T"\nFe 0 0 0\nFe 1.45 1.45 1.45\n'


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00\x01", "not text"),
        (b"<html>no structure</html>", "should be a number of atoms"),
        (b"999999999999\nx\nFe 0 0 0\n", "only 1 lines follow"),
        (b"0\n\n\n1\n\nFe 0 0 0", "no atoms"),
        (GOOD.replace(b"pos:R:3", b"pos:R:1000000000"), "malformed columns"),
        (GOOD.replace(b"pos:R:3", b"pos:R:63"), "64 columns|columns but its first atom"),
        (GOOD.replace(b"1.45 1.45 1.45", b"1.45 nan 1.45"), "finite"),
        (GOOD.replace(b"1.45 1.45 1.45", b"0.0 0.0 0.1"), "apart"),
        (GOOD.replace(b"2.9 0 0 0 2.9 0 0 0 2.9", b"2.9 0 0 2.9 0 0 0 0 2.9"), "singular"),
        (GOOD.replace(b"Fe 1.45 1.45 1.45", b"Fe 1.45 1.45"), "not a valid"),
        (GOOD.replace(b"Fe 1.45", b"Qq 1.45"), "not a valid"),
        (GOOD + b"garbage", "should be a number of atoms"),
    ],
)
def test_files_that_are_no_structures(content, word):
    with pytest.raises(InputError, match=word):
        read_structures(content, name="upload.xyz")


def test_size_limit_and_missing_file(tmp_path):
    with pytest.raises(InputError, match="above the limit"):
        read_structures(GOOD, max_bytes=10)
    with pytest.raises(InputError, match="no file"):
        read_structures(tmp_path / "absent.xyz")
    assert len(read_structures(GOOD)[0]) == 2


def test_a_dataset_needs_its_crystal(tmp_path):
    path = tmp_path / "d.extxyz"
    path.write_bytes(GOOD)
    with pytest.raises(InputError, match="role=bulk"):
        load_dataset(path)


def test_labels_by_count():
    assert [defect_label(n, 128) for n in (130, 124, 128)] == ["I2", "V4", "bulk"]
