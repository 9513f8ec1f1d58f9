"""The dataset container and its files."""

import contextlib

import h5py
import numpy as np
import pytest
from ase import Atoms

import ldml
from ldml.dataset import Dataset, Entry, load_dataset
from ldml.dataset_files import LOCAL_ENTROPY_STEP, POSITION_STEP
from ldml.descriptors import get_descriptor
from ldml.entropy import formation_energy
from ldml.errors import Cancelled, InputError
from ldml.regression import LDML
from ldml.structure_files import defect_label, read_structures, write_extxyz
from ldml.structures import interstitial_cluster, rattled, strained


@pytest.fixture(scope="module")
def data(am04, crystal4, vacancy4):
    dumbbell = ldml.relax(interstitial_cluster(crystal4, 1), am04)
    entries = []
    for atoms, label, local in ((vacancy4, "V1", True), (dumbbell.atoms, "I1", False)):
        f = ldml.formation_entropy(atoms, crystal4, am04, local=local)
        energy = formation_energy(am04.energy(atoms), len(atoms), am04.energy(crystal4), 128)
        entries.append(Entry(atoms, label, f"{label}-0", f.value, energy, f.defect.max_force, f.local))
    entries.append(Entry(vacancy4, "V1", "unknown", parent="V1-0", quantities={"barrier": 0.65, "n_steps": 3}))
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
        assert one.entries[i].parent == other.entries[i].parent
        assert dict(one.entries[i].quantities) == dict(other.entries[i].quantities)
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


def _shift(one, other):
    """Displacements (3, N) in Å between two structures, whole cells left out."""
    images = np.linalg.solve(one.cell.array.T, (other.positions - one.positions).T)
    return (images - np.rint(images)) * one.cell.lengths()[:, None]


def test_compact_positions_reproduce_the_entropy(data, am04, crystal4, tmp_path):
    data.save(tmp_path / "d.h5", compact=True)
    back = load_dataset(tmp_path / "d.h5")
    for i in (0, 1):
        # half a step, and the rounding of sums of lengths of 10 Å
        assert np.abs(_shift(data[i], back[i])).max() < POSITION_STEP / 2 + 1e-12
        f = ldml.formation_entropy(back[i], crystal4, am04)
        # a tenth of what is allowed; forces are 30 eV/Å² times the step
        assert f.value == pytest.approx(data.formation_entropy[i], abs=1e-4)
        assert f.defect.max_force < 1e-3
    assert np.abs(back.local_entropy(0) - data.local_entropy(0)).max() < LOCAL_ENTROPY_STEP / 2 + 1e-15
    assert back.local_entropy(0).sum() == pytest.approx(back.formation_entropy[0], abs=127 * LOCAL_ENTROPY_STEP / 2)


def test_compact_files_hold_what_they_say(tmp_path, crystal4):
    atoms = crystal4[[0, 1, 3, 2, 5]]
    steps = np.array([[0, -1, 1], [-2, 2, 10**5], [0, 0, 0], [7, 0, 0], [0, 0, -(2**8)]])
    atoms.positions += steps * POSITION_STEP
    Dataset.from_entries("d", [crystal4], [Entry(atoms, "x", "x")]).save(tmp_path / "d.h5", compact=True)
    with h5py.File(tmp_path / "d.h5") as file:
        stored = file["structures/displacement"]
        assert stored.attrs["step"] == POSITION_STEP
        np.testing.assert_array_equal(stored[()], np.where(steps < 0, -2 * steps - 1, 2 * steps))
        np.testing.assert_array_equal(file["structures/site"][()], [0, 2, 4, 1, 6])  # 0, +1, +2, -1, +3


def test_compact_twice_is_compact_once(data, tmp_path):
    data.save(tmp_path / "a.h5", compact=True)
    once = load_dataset(tmp_path / "a.h5")
    once.save(tmp_path / "b.h5", compact=True)
    _same(once, load_dataset(tmp_path / "b.h5"), 1e-12)


def test_a_compact_file_written_again_has_the_same_bytes(data, small_afs, tmp_path):
    data.descriptor_differences(small_afs)
    data.save(tmp_path / "a.h5", compact=True)
    load_dataset(tmp_path / "a.h5").save(tmp_path / "b.h5", compact=True)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_compact_clusters_stay_where_they_are(tmp_path, rng):
    lowest = Atoms(["X"] * 7, positions=rng.uniform(-3, 3, (7, 3)))
    other = Atoms(["X"] * 7, positions=rng.uniform(40, 50, (7, 3)))
    data = Dataset.from_entries("c", [lowest], [Entry(lowest, "LJ7", "a"), Entry(other, "LJ7", "b", 1.5)])
    data.save(tmp_path / "c.h5", compact=True)
    back = load_dataset(tmp_path / "c.h5")
    for i in range(2):
        np.testing.assert_allclose(back[i].positions, data[i].positions, atol=0.51e-7)
        np.testing.assert_array_equal(back[i].numbers, 0)
        assert not back[i].pbc.any()


def test_positions_that_are_not_finite_are_not_stored_in_steps(data, vacancy4, tmp_path):
    broken = vacancy4.copy()
    broken.positions[3, 1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        data.extended([Entry(broken, "V1", "broken")]).save(tmp_path / "d.h5", compact=True)
    assert list(tmp_path.iterdir()) == []


def test_compact_totals_give_the_same_model(crystal4, small_afs, tmp_path, rng):
    entries = []
    for k in range(40):
        atoms = crystal4.copy()
        del atoms[: k % 4 + 1]
        entries.append(Entry(rattled(atoms, 0.1, rng), "V", str(k), float(rng.normal(10.0, 2.0))))
    data = Dataset.from_entries("d", [crystal4], entries)
    known = LDML(small_afs).fit(data).predict(data)
    data.save(tmp_path / "d.h5", compact=True)
    back = load_dataset(tmp_path / "d.h5")
    assert back.has_descriptor(small_afs)
    found = LDML(small_afs).fit(back).predict(back)
    # features to 2^-27 of their spread
    np.testing.assert_allclose(found, known, atol=1e-6)


def _write_format_1(path, data):
    """The first version of the file, as it was written for the first release."""
    text, step = h5py.string_dtype(), 1e-7
    with h5py.File(path, "w") as file:
        file.attrs.update(format="ldml-dataset", format_version=1, name="old", units="{}", metadata='{"seed": 3}')
        for key, values in {"numbers": data.bulk.numbers, "positions": data.bulk.positions}.items():
            file[f"bulks/0/{key}"] = values
        file["bulks/0/cell"], file["bulks/0/pbc"] = data.bulk.cell.array, data.bulk.pbc
        group = file.create_group("structures")
        group.create_dataset("name", data=data.names.astype(object), dtype=text)
        group.create_dataset("label", data=data.labels.astype(object), dtype=text)
        group["bulk"], group["n_atoms"] = np.zeros(len(data), dtype=np.int32), data.n_atoms
        for key in ("formation_entropy", "formation_energy", "max_force"):
            group[key] = getattr(data, key)
        group["cell"] = np.array([a.cell.array for a in data])
        group["pbc"] = np.ones((len(data), 3), dtype=bool)
        group["numbers"] = np.concatenate([a.numbers for a in data]).astype(np.uint8)
        nearest = [((a.positions[:, None] - data.bulk.positions) ** 2).sum(axis=2).argmin(axis=1) for a in data]
        group["site"] = np.concatenate(nearest).astype(np.int32)
        away = np.concatenate([a.positions - data.bulk.positions[n] for a, n in zip(data, nearest, strict=True)])
        group["displacement"] = np.rint(away / step).astype(np.int32)
        group["has_local"] = data.has_local
        group["local_entropy"] = np.concatenate([data.local_entropy(i) for i in np.flatnonzero(data.has_local)])


def test_files_of_format_1_are_read(data, tmp_path):
    old = data.subset([0, 1])
    _write_format_1(tmp_path / "old.h5", old)
    back = load_dataset(tmp_path / "old.h5")
    _same(old, back, 0.51e-7)
    assert back.name == "old"
    assert dict(back.metadata) == {"seed": 3}
    assert list(back.parents) == list(old.names)
    assert back.quantity_names == ()


def test_parents_and_quantities(data):
    assert list(data.parents) == ["V1-0", "I1-0", "V1-0"]
    assert data.quantity_names == ("barrier", "n_steps")
    np.testing.assert_array_equal(data.quantity("barrier"), [np.nan, np.nan, 0.65])
    assert list(data.subset([2]).parents) == ["V1-0"]
    assert data.subset([2]).quantity("n_steps") == [3]
    with pytest.raises(InputError, match="no quantity 'barier'; it has: barrier, n_steps"):
        data.quantity("barier")
    with pytest.raises(InputError, match="plain name"):
        data.extended([Entry(data[0], "V1", "e", quantities={"a b": 1.0})])


def _parts(data, crystal4):
    """Two parts of a database: one crystal in common, one of the second alone."""
    wide = strained(crystal4, 0.01)
    first = Dataset.from_entries(
        "first", [crystal4], data.entries[:2], {"potential": "P", "search": {"V1": {"n": 2}}, "local": 1}
    )
    entries = [Entry(wide, "bulk", "wide"), Entry(data[0], "V1", "again", 4.0, bulk=1)]
    metadata = {"potential": "P", "search": {"bulk": {"n": 9}}, "seed": 4}
    return first, Dataset.from_entries("second", [wide, crystal4.copy()], entries, metadata)


def test_merging(data, crystal4, small_afs):
    first, second = _parts(data, crystal4)
    merged = Dataset.merged([first, second], name="both")
    assert merged.name == "both"
    assert list(merged.names) == ["V1-0", "I1-0", "wide", "again"]
    assert [entry.bulk for entry in merged.entries] == [0, 0, 1, 0]
    assert [bulk.cell.lengths()[0] for bulk in merged.bulks] == [
        b.cell.lengths()[0] for b in (crystal4, second.bulks[0])
    ]
    assert merged.metadata["potential"] == "P"
    assert merged.metadata["search"] == {"V1": {"n": 2}, "bulk": {"n": 9}}
    assert set(merged.metadata) == {"potential", "search", "parts"}
    assert [part["name"] for part in merged.metadata["parts"]] == ["first", "second"]
    assert merged.metadata["parts"][1]["seed"] == 4
    with pytest.raises(InputError, match="unique"):
        Dataset.merged([first, first])
    with pytest.raises(InputError, match="nothing to merge"):
        Dataset.merged([])


def test_merging_joins_totals_that_all_parts_have(data, crystal4, small_afs):
    first, second = _parts(data, crystal4)
    first.descriptor_differences(small_afs)
    assert not Dataset.merged([first, second]).has_descriptor(small_afs)
    second.descriptor_differences(small_afs)
    merged = Dataset.merged([first, second])
    assert merged.has_descriptor(small_afs)
    alone = Dataset.from_entries("alone", merged.bulks, merged.entries)
    np.testing.assert_allclose(
        merged.descriptor_differences(small_afs), alone.descriptor_differences(small_afs), rtol=1e-12, atol=1e-12
    )


def test_extending_keeps_the_totals_at_hand(data, crystal4, monkeypatch):
    descriptor = get_descriptor("AFS", n_max=2, l_max=2, cutoff=3.0)
    rows = data.descriptor_differences(descriptor)
    wide = strained(crystal4, 0.01)
    longer = data.extended([Entry(wide, "bulk", "wide", bulk=1)], [wide])
    assert not longer.has_descriptor(descriptor)
    computed, total = [], type(descriptor).total
    monkeypatch.setattr(
        type(descriptor), "total", lambda self, atoms: computed.append(len(atoms)) or total(self, atoms)
    )
    found = longer.descriptor_differences(descriptor)
    assert computed == [128, 128]
    np.testing.assert_array_equal(found[:-1], rows)
    np.testing.assert_allclose(found[-1], 0.0, atol=1e-9)
    assert longer.has_descriptor(descriptor)


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


def test_extxyz_with_words_for_numbers(data, tmp_path):
    path = tmp_path / "iron.extxyz"
    write_extxyz(data, path)
    path.write_text(path.read_text().replace("quantity_barrier=0.65", "quantity_barrier=high"))
    with pytest.raises(InputError, match="quantity_barrier='high', which is not a number"):
        load_dataset(path)


def _link(file, other):
    file["structures/quantities"] = h5py.ExternalLink(other, "/")


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
        (lambda f: f["structures/n_atoms"].__setitem__(slice(2), [-1, 127 + 129 + 1]), "damaged"),
        (lambda f: f["structures/site"].__setitem__(0, 10**6), "does not exist"),
        (lambda f: f["structures"].create_dataset("quantities/bomb", (10**12,), "f8", compression="gzip"), "announces"),
        (lambda f: f["structures"].move("quantities", "q") or _link(f, "/etc/hostname"), "another place"),
        (lambda f: f.move("bulks", "b") or f.__setitem__("bulks", h5py.SoftLink("/b")), "another place"),
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


def test_bytes_that_have_changed_are_refused_or_harmless(data, tmp_path, rng):
    data.save(tmp_path / "d.h5", compact=True)
    whole = (tmp_path / "d.h5").read_bytes()
    for at in rng.integers(0, len(whole), 40):
        (tmp_path / "e.h5").write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        with contextlib.suppress(InputError):
            load_dataset(tmp_path / "e.h5")


def test_a_place_that_cannot_be_written(data, tmp_path):
    with pytest.raises(InputError, match="could not be written"):
        data.save(tmp_path / "nowhere" / "d.h5")


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
