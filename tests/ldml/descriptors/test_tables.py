"""Tables of descriptors: in memory, in files and back."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import ldml
from ldml.descriptors import get_descriptor
from ldml.descriptors.table_files import read_descriptors, table_writer, unfinished, write_descriptors
from ldml.descriptors.tables import describe, feature_table
from ldml.errors import InputError, StructureError

DESCRIPTOR = get_descriptor("AFS", n_max=3, l_max=1, cutoff=4.0)
ENDINGS = ("h5", "hdf5", "npz")


def structures():
    crystal = bulk("Fe", a=2.8553, cubic=True).repeat(2)
    crystal.rattle(0.05, seed=1)
    return [crystal, crystal[:7], Atoms("Fe")]


@pytest.fixture(params=[False, True], ids=["totals", "rows"], scope="module")
def table(request):
    return describe(structures(), DESCRIPTOR, per_atom=request.param, names=["a", "b", "Å, lone"])


def test_table(table):
    for k, atoms in enumerate(structures()):
        expected = DESCRIPTOR.compute(atoms) if table.per_atom else DESCRIPTOR.total(atoms)[None]
        np.testing.assert_array_equal(table.rows_of(k), expected)
    assert table.n_atoms.tolist() == [16, 7, 1]
    assert table.offsets.tolist() == ([0, 16, 23, 24] if table.per_atom else [0, 1, 2, 3])


def test_totals_are_sums_of_rows():
    rows, totals = (describe(structures(), DESCRIPTOR, per_atom=per_atom) for per_atom in (True, False))
    assert rows.names == totals.names == ("0", "1", "2")
    for k in range(3):
        # two orders of adding 16 positive numbers
        np.testing.assert_allclose(rows.rows_of(k).sum(axis=0), totals.features[k], rtol=1e-13)


def test_a_bad_structure_is_named():
    with pytest.raises(StructureError, match=r"'gone': the structure holds no atoms"):
        describe([Atoms()], DESCRIPTOR, names=["gone"])
    with pytest.raises(InputError, match="2 names for 1 structures"):
        describe([Atoms("Fe")], DESCRIPTOR, names=["a", "b"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_give_the_same_table(table, tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    write_descriptors(table, path)
    back = read_descriptors(path)
    assert back.descriptor == table.descriptor
    assert back.names == table.names
    assert back.per_atom == table.per_atom
    assert back.features.tobytes() == table.features.tobytes()
    np.testing.assert_array_equal(back.n_atoms, table.n_atoms)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_hdf5_explains_itself(table, tmp_path):
    write_descriptors(table, tmp_path / "table.h5")
    with h5py.File(tmp_path / "table.h5") as file:
        assert json.loads(file.attrs["descriptor"]) == DESCRIPTOR.to_dict()
        assert file.attrs["fingerprint"] == DESCRIPTOR.fingerprint
        assert file.attrs["ldml_version"] == ldml.__version__
        assert json.loads(file.attrs["units"]) == {"length": "Å", "cutoff": "Å"}
        assert file["names"].asstr()[:].tolist() == list(table.names)
        assert file["feature_names"].asstr()[:].tolist() == list(DESCRIPTOR.feature_names)
        assert file["feature_indices/n"][:].tolist() == [1, 1, 2, 2, 3, 3]
        assert file["feature_indices/l"][:].tolist() == [0, 1, 0, 1, 0, 1]
        assert file["trivial_features"][:].tolist() == DESCRIPTOR.trivial_features.tolist()
        np.testing.assert_array_equal(file["offsets"], table.offsets)


def test_npz_holds_plain_arrays(table, tmp_path):
    write_descriptors(table, tmp_path / "table.npz")
    with np.load(tmp_path / "table.npz", allow_pickle=False) as arrays:
        assert {array.dtype.kind for array in arrays.values()} <= set("fibU")
        assert arrays["feature_names"].tolist() == list(DESCRIPTOR.feature_names)
        assert arrays["feature_indices/l"].tolist() == [0, 1, 0, 1, 0, 1]
        np.testing.assert_array_equal(arrays["offsets"], table.offsets)


def test_csv_quotes_names(table, tmp_path):
    write_descriptors(table, tmp_path / "table.csv")
    lines = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith('"A[n=3,l=1]"')
    assert lines[-1].startswith('"Å, lone",')
    assert len(lines) == 1 + len(table.features)


def test_species_in_the_feature_table(tmp_path):
    descriptor = get_descriptor("AFS", n_max=2, l_max=1, cutoff=4.0, species=("Fe", "Cu"))
    rows = feature_table(descriptor)
    assert [row["name"] for row in rows] == list(descriptor.feature_names)
    path = tmp_path / "alloy.h5"
    write_descriptors(describe(structures(), descriptor), path)
    assert read_descriptors(path).descriptor == descriptor


def altered(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def with_record(**changes):
    def change(file):
        file.attrs["descriptor"] = json.dumps(json.loads(file.attrs["descriptor"]) | changes)

    return change


def cut_features(file):
    rows = file["features"][:-1]
    del file["features"]
    file["features"] = rows


def link_features(file):
    del file["features"]
    file["features"] = h5py.ExternalLink("elsewhere.h5", "features")


def features_elsewhere(file):
    del file["features"]
    file.create_dataset("features", (3, 6), "f8", external=[("elsewhere.bin", 0, 144)])


def virtual_features(file):
    del file["features"]
    layout = h5py.VirtualLayout((3, 6), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "features", (3, 6))
    file.create_virtual_dataset("features", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            with_record(version=99),
            r"'table.h5': the record was written with version 99 of AFS, this release has version 1",
        ),
        (with_record(name="AFT"), "'table.h5': unknown descriptor 'AFT'; did you mean 'AFS'"),
        (with_record(parameters={"n_max": 2}), "fingerprint is not that of the descriptor"),
        (lambda file: file.attrs.update(format="other"), "no table of descriptors"),
        (lambda file: file.attrs.update(format_version=9), "table format 9; this ldml reads up to 1: upgrade"),
        (lambda file: file.attrs.update(descriptor="{"), "'table.h5': "),
        (lambda file: file.__delitem__("names"), "not a complete table .*names is missing"),
        (lambda file: file.attrs.__delitem__("fingerprint"), "not a complete table"),
        (cut_features, "damaged: features of shape"),
        (link_features, "refers to another file"),
        (features_elsewhere, "refers to another file"),
        (virtual_features, "refers to another file"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, change, message):
    path = tmp_path / "table.h5"
    write_descriptors(describe(structures(), DESCRIPTOR), path)
    with pytest.raises(InputError, match=message):
        read_descriptors(altered(path, change))


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "table.csv").write_text("structure,n_atoms\n")
    with pytest.raises(InputError, match="neither HDF5 nor npz; a CSV file keeps no record"):
        read_descriptors(tmp_path / "table.csv")
    with pytest.raises(InputError, match="no file"):
        read_descriptors(tmp_path / "absent.h5")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="no table of descriptors"):
        read_descriptors(tmp_path / "other.npz")
    write_descriptors(describe(structures(), DESCRIPTOR), tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    for part in (len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.npz").write_bytes(whole[:part])
        with pytest.raises(InputError):
            read_descriptors(tmp_path / "cut.npz")


def test_a_pickle_in_npz_is_not_opened(tmp_path):
    path = tmp_path / "table.npz"
    write_descriptors(describe(structures(), DESCRIPTOR), path)
    with np.load(path) as arrays:
        contents = dict(arrays)
    np.savez(path, **(contents | {"names": np.array(["a", "b", None], dtype=object)}))
    with pytest.raises(InputError, match="allow_pickle=False"):
        read_descriptors(path)


def test_shapes_are_checked_on_writing(tmp_path):
    with (
        pytest.raises(InputError, match=r"features of shape \(2, 6\), but the table takes \(3, 6\)"),
        table_writer(tmp_path / "table.h5", DESCRIPTOR, per_atom=True) as table,
    ):
        table.add("a", 3, np.zeros((2, 6)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [*ENDINGS, "csv"])
def test_interrupted_work_is_kept_beside_the_old_file(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    path.write_text("old")
    with pytest.raises(InputError, match="shape"), table_writer(path, DESCRIPTOR) as table:  # noqa: PT012
        table.add("a", 3, np.ones((1, 6)))
        table.add("b", 3, np.ones((2, 6)))
    assert path.read_text() == "old"
    assert unfinished(path).stat().st_size > 0


KILLED = """
import os, sys
import numpy as np
from ldml.descriptors import get_descriptor
from ldml.descriptors.table_files import table_writer
with table_writer(sys.argv[1], get_descriptor("AFS", n_max=3, l_max=1, cutoff=4.0)) as table:
    table.add("a", 3, np.full((1, 6), 2.0))
    os._exit(9)
"""


def test_a_killed_process_leaves_what_it_finished(tmp_path):
    path = tmp_path / "table.h5"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == 9
    table = read_descriptors(unfinished(path))
    assert table.names == ("a",)
    np.testing.assert_array_equal(table.features, np.full((1, 6), 2.0))


@pytest.mark.parametrize(
    ("path", "message"),
    [("table.txt", "names no known format"), ("table", "names no known format"), ("nowhere/table.csv", "cannot write"),
     ("nowhere/table.h5", "cannot write"), ("nowhere/table.npz", "cannot write")],
)  # fmt: skip
def test_unwritable_paths_are_refused(tmp_path, path, message):
    with pytest.raises(InputError, match=message):
        write_descriptors(describe(structures(), DESCRIPTOR), tmp_path / path)


def test_an_empty_table_is_not_written(tmp_path):
    with pytest.raises(InputError, match="no structures"):
        write_descriptors(describe([], DESCRIPTOR), tmp_path / "table.h5")
