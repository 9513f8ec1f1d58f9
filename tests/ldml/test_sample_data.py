"""The sample data: parts, their hashes, their record."""

import hashlib
import json

import pytest

from ldml import sample_data
from ldml.dataset import Dataset, Entry, load_dataset
from ldml.errors import InputError
from ldml.sample_data import MANIFEST, generating_command, pack_sample, sample_manifest, sample_paths, unlisted_files
from ldml.structures import vacancy_cluster

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
