"""The sample data: parts, their hashes, their record."""

import hashlib
import json

import h5py
import numpy as np
import pytest

from ldml import sample_data
from ldml.dataset import Dataset, Entry, load_dataset
from ldml.descriptors import get_descriptor
from ldml.errors import InputError
from ldml.sample_data import (
    MANIFEST,
    generating_command,
    keep_sample_totals,
    pack_sample,
    sample_manifest,
    sample_paths,
    unlisted_files,
)
from ldml.structures import vacancy_cluster
from ldml.totals_files import attach_totals

TEXTS = {"title": "Vacancies", "origin": "made by hand"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty place for sample data."""
    (tmp_path / MANIFEST).write_text('{"format": 2, "datasets": {}}')
    monkeypatch.setattr(sample_data, "sample_directory", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def parts(crystal4):
    def part(n, seed):
        entries = [Entry(vacancy_cluster(crystal4, n, centre=k), f"V{n}", f"V{n}-{k}", 2.0 * n + k) for k in range(n)]
        metadata = {"potential": "Fe-AM04", "licence": "CC0-1.0", "command": f"ldml generate V{n}", "seed": seed}
        return f"vacancies-V{n}.h5", Dataset.from_entries(f"part {n}", [crystal4], entries, metadata)

    return [part(1, 5), part(3, 6)]


def test_a_dataset_of_several_files(folder, parts):
    record = pack_sample("vacancies", parts, **TEXTS)
    assert sample_manifest() == {"vacancies": record}
    for part in record["files"]:
        assert part["sha256"] == hashlib.sha256((folder / part["file"]).read_bytes()).hexdigest()
    assert [path.name for path in sample_paths("vacancies")] == ["vacancies-V1.h5", "vacancies-V3.h5"]
    assert record["structures"] == 4
    assert record["classes"] == {"V1": 1, "V3": 3}
    assert record["units"]["entropy"] == "k_B"
    assert record["command"] == "ldml generate V1 && ldml generate V3"
    data = load_dataset("vacancies")
    assert data.name == "vacancies"
    assert list(data.names) == ["V1-0", "V3-0", "V3-1", "V3-2"]
    assert len(data.bulks) == 1
    assert data.metadata["potential"] == "Fe-AM04"
    assert [part["seed"] for part in data.metadata["parts"]] == [5, 6]
    assert generating_command(data) == record["command"]
    assert {path.suffix for path in folder.iterdir()} == {".h5", ".json"}


def test_one_part_is_renewed_alone(folder, parts):
    before = pack_sample("vacancies", parts, **TEXTS)
    fewer = parts[1][0], parts[1][1].subset([0, 2])
    after = pack_sample("vacancies", [parts[0], fewer])
    assert after["title"] == "Vacancies"
    assert after["classes"] == {"V1": 1, "V3": 2}
    assert after["files"][0] == before["files"][0]
    assert after["files"][1] != before["files"][1]


def test_names_of_files_are_used_once(folder, parts):
    pack_sample("vacancies", parts[:1], **TEXTS)
    with pytest.raises(InputError, match=r"two files of the sample data would be named 'vacancies-V1.h5'"):
        pack_sample("others", [(parts[0][0], parts[1][1])], **TEXTS)
    with pytest.raises(InputError, match=r"would be named 'v.h5'"):
        pack_sample("others", [("v.h5", part) for _, part in parts], **TEXTS)
    assert list(sample_manifest()) == ["vacancies"]


def test_files_that_no_record_lists(folder, parts):
    pack_sample("vacancies", parts, **TEXTS)
    assert unlisted_files() == ()
    pack_sample("vacancies", parts[:1])
    assert unlisted_files() == ("vacancies-V3.h5",)


def test_nothing_is_replaced_before_all_is_written(folder, parts):
    pack_sample("vacancies", parts, **TEXTS)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    first, (file, last) = parts[0][1].subset([]), parts[1]
    last.entries[1].atoms.positions[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        pack_sample("vacancies", [(parts[0][0], first), (file, last)])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_part_that_is_gone_or_has_changed(folder, parts):
    pack_sample("vacancies", parts, **TEXTS)
    path = folder / "vacancies-V3.h5"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"'vacancies-V3.h5' of sample data 'vacancies' has changed"):
        load_dataset("vacancies")
    path.unlink()
    with pytest.raises(InputError, match=r"'vacancies-V3.h5' is missing; fetch it again"):
        sample_paths("vacancies")


def test_what_is_refused(folder, parts):
    with pytest.raises(InputError, match="has no title yet; give one with --title"):
        pack_sample("vacancies", parts, origin="by hand")
    with pytest.raises(InputError, match="unique"):
        pack_sample("vacancies", [parts[0], ("again.h5", parts[0][1])], **TEXTS)
    assert [path.name for path in folder.iterdir()] == [MANIFEST]
    with pytest.raises(InputError, match="unknown dataset 'vacancies'"):
        load_dataset("vacancies")
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "datasets": {}}))
    with pytest.raises(InputError, match="install the software and its data together"):
        sample_manifest()


def test_one_command_for_all_parts(parts):
    same = [
        Dataset.from_entries(n, d.bulks, d.entries, {**d.metadata, "command": "ldml campaign all"}) for n, d in parts
    ]
    assert generating_command(Dataset.merged(same)) == "ldml campaign all"
    other = Dataset.from_entries("other", same[0].bulks, [], {"command": "ldml generate other"})
    assert generating_command(Dataset.merged([*same, other])) == "ldml campaign all && ldml generate other"


def test_nobody_knows_the_command(parts):
    assert generating_command(Dataset.from_entries("x", parts[0][1].bulks, [])) == ""


def test_files_that_are_there_already_stay_byte_by_byte(folder, parts):
    pack_sample("vacancies", parts, **TEXTS)
    path = folder / parts[0][0]
    with open(path, "ab") as file:
        file.write(b" written by an earlier release")
    content = path.read_bytes()
    record = pack_sample("vacancies", parts, kept=[parts[0][0]])
    assert path.read_bytes() == content
    assert record["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert pack_sample("vacancies", parts)["files"][0] != record["files"][0]


def test_totals_of_further_descriptors_lie_beside_the_dataset(folder, parts):
    pack_sample("vacancies", parts, **TEXTS)
    before = {path.name: path.read_bytes() for path in folder.glob("*.h5")}
    small, large = (get_descriptor("AFS", n_max=2, l_max=n) for n in (1, 2))
    expected = {}
    for descriptor in (small, large):
        data = load_dataset("vacancies")
        expected[descriptor] = data.descriptor_differences(descriptor)
        keep_sample_totals(data, descriptor)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert unlisted_files() == ()
    opened = load_dataset("vacancies")
    for descriptor in (small, large):
        assert opened.has_descriptor(descriptor)
        np.testing.assert_array_equal(opened.descriptor_differences(descriptor), expected[descriptor])
    pack_sample("vacancies", parts[::-1])  # rows go by name, not by place
    np.testing.assert_array_equal(
        load_dataset("vacancies").descriptor_differences(small)[[3, 0, 1, 2]], expected[small]
    )


def test_a_structure_added_later_has_no_totals_yet(folder, parts):
    pack_sample("vacancies", parts[:1], **TEXTS)
    descriptor = get_descriptor("AFS", n_max=2, l_max=1)
    data = load_dataset("vacancies")
    data.descriptor_differences(descriptor)
    keep_sample_totals(data, descriptor)
    pack_sample("vacancies", parts)
    added = load_dataset("vacancies")
    assert not added.has_descriptor(descriptor)
    by_hand = [descriptor.total(entry.atoms) for entry in added.entries]
    added.descriptor_differences(descriptor)
    np.testing.assert_array_equal(added.stored_totals()[descriptor.fingerprint][0], by_hand)


def test_a_file_of_totals_that_is_damaged_or_newer(folder, parts):
    pack_sample("vacancies", parts, **TEXTS)
    data, descriptor = load_dataset("vacancies"), get_descriptor("AFS", n_max=2, l_max=1)
    data.descriptor_differences(descriptor)
    path = keep_sample_totals(data, descriptor)
    content = path.read_bytes()
    with pytest.raises(InputError, match=r"'t\.h5' is not a complete file of totals"):
        attach_totals(data, content[: len(content) // 2], name="t.h5")
    with pytest.raises(InputError, match=r"'d\.h5' is an HDF5 file but holds no totals"):
        attach_totals(data, (folder / parts[0][0]).read_bytes(), name="d.h5")
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(InputError, match="this ldml reads 1: upgrade ldml"):
        attach_totals(data, path.read_bytes(), name="t.h5")
    with pytest.raises(InputError, match=r"'vacancies-totals\.h5' of sample data 'vacancies' has changed"):
        load_dataset("vacancies")
