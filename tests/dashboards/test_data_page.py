"""The Data shown: what it shows of a dataset, and how one is chosen."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from dashboards.pages import data as data_page
from dashboards.pages.data import NOTHING, DataPage, class_table, provenance, structure_frame
from ldml.dataset import Dataset


@pytest.fixture(autouse=True)
def no_samples(monkeypatch):
    """Whatever the installation brings along, the tests' own datasets are the only ones."""
    monkeypatch.setattr(data_page, "sample_manifest", dict)


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset)
    return DataPage(session)


def upload(shown, data, tmp_path, name="other.h5"):
    data.save(tmp_path / name)
    asyncio.run(shown.open_upload((tmp_path / name).read_bytes(), name))


def test_a_row_for_each_structure(linear_dataset):
    frame = structure_frame(linear_dataset, np.ones(len(linear_dataset), dtype=bool))
    assert len(frame) == len(linear_dataset)
    assert list(frame["name"]) == list(linear_dataset.names)
    assert frame["S_f"].to_numpy() == pytest.approx(linear_dataset.formation_entropy)
    assert list(frame["exact"]) == ["yes"] + ["no"] * (len(linear_dataset) - 1)


def test_rows_of_chosen_classes_keep_their_place_in_the_dataset(linear_dataset):
    frame = structure_frame(linear_dataset, linear_dataset.labels == "I2")
    assert (linear_dataset.labels[frame.index] == "I2").all()
    assert len(frame) == (linear_dataset.labels == "I2").sum()


def test_the_class_table_holds_the_numbers_of_the_dataset(linear_dataset):
    html = class_table(linear_dataset)
    entropy = linear_dataset.formation_entropy[linear_dataset.labels == "V2"]
    assert f"{entropy.mean():.2f} ± {entropy.std():.2f}" in html
    assert f"{entropy.min():.2f} … {entropy.max():.2f}" in html
    assert "2.00 … 3.10" in html
    assert f"<td>{len(linear_dataset)}</td>" in html


def test_unknown_entropies_are_called_so(linear_dataset):
    entries = [replace(entry, formation_entropy=np.nan) for entry in linear_dataset.entries]
    assert "unknown" in class_table(Dataset.from_entries("x", linear_dataset.bulks, entries))


def test_names_from_a_file_cannot_write_html(linear_dataset):
    entries = [replace(entry, label="<script>") for entry in linear_dataset.entries[:2]]
    assert "<script>" not in class_table(Dataset.from_entries("x", linear_dataset.bulks, entries))


def test_provenance_says_what_is_known(linear_dataset):
    items = dict(provenance(linear_dataset))
    assert items["potential"] == "Fe-AM04"
    assert items["licence"] == "CC0-1.0"
    assert "128 Fe atoms" in items["cell"]
    assert "11.421" in items["cell"]


def test_a_row_selected_is_the_structure_selected_and_the_other_way_round(shown, session):
    assert shown._open.disabled
    shown._table.selection = [5]
    assert session.state.selected == 5
    assert not shown._open.disabled
    session.state.select(7)
    assert shown._table.selection == [7]
    shown._classes.value = ["I2"]  # structure 7 is a V2
    assert shown._table.selection == []
    shown._table.selection = [0]
    assert session.state.selected == shown._table.value.index[0] == 12


def test_open_in_3d_turns_to_the_structure(shown, session):
    shown._table.selection = [5]
    shown._open.clicks += 1
    assert (session.state.selected, session.state.page) == (5, "Structure")


def test_the_histogram_follows_property_and_classes(shown):
    assert "entropy" in shown._histogram.object.get(0).kdims[0].label
    shown._property.value = "E_f"
    assert "energy" in shown._histogram.object.get(0).kdims[0].label
    shown._classes.value = ["V2"]
    assert [bars.label for bars in shown._histogram.object] == ["V2 (n = 12)"]
    shown._classes.value = []
    assert [bars.label for bars in shown._histogram.object] == ["nothing (n = 0)"]


def test_an_upload_is_shown_and_the_old_dataset_stays_on_offer(shown, session, linear_dataset, tmp_path):
    upload(shown, replace(linear_dataset.subset(range(10)), name="other"), tmp_path)
    assert session.state.dataset.name == "other"
    assert shown._picker.value == "other"
    assert list(shown._picker.options) == ["linear", "other"]
    asyncio.run(shown.open_named("linear"))
    assert session.state.dataset is linear_dataset
    assert len(shown._table.value) == len(linear_dataset)


def test_an_upload_does_not_hide_a_dataset_of_the_same_name(shown, session, linear_dataset, tmp_path):
    upload(shown, linear_dataset.subset(range(10)), tmp_path, "again.h5")
    assert list(shown._picker.options) == ["linear", "linear (again.h5)"]
    assert len(session.state.dataset) == 10


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"3\nonly two\nFe 0 0 0\nFe 1 1 1\n"])
def test_a_bad_upload_is_explained_and_changes_nothing(shown, session, messages, linear_dataset, content):
    asyncio.run(shown.open_upload(content, "bad.extxyz"))
    (message,) = messages()
    assert "bad.extxyz" in message
    assert session.state.dataset is linear_dataset


def test_a_dataset_that_cannot_be_opened_leaves_the_old_one(shown, session, messages, linear_dataset):
    shown._picker.options = ["linear", "gone"]
    asyncio.run(shown.open_named("no/such/file.h5"))
    assert "no/such/file.h5" in messages()[0]
    assert session.state.dataset is linear_dataset
    assert shown._picker.value == "linear"


def test_without_a_dataset_the_page_is_empty_but_there(session):
    shown = DataPage(session)
    assert list(shown._picker.options.values()) == [NOTHING]
    assert len(shown._table.value) == 0
    assert shown._histogram.object is None
    shown.view()


def test_units_follow_the_dataset(session, clusters):
    session.state.open_dataset(clusters)
    shown = DataPage(session)
    assert shown._table.titles["E_f"] == "E_f (ε)"
    assert "range (ε)" in shown._summary.object
    shown._property.value = "E_f"
    assert "(ε)" in shown._histogram.object.get(0).kdims[0].label
    assert dict(provenance(clusters))["reference"] == "13 X atoms, free"


def test_a_crystal_can_be_chosen_and_further_numbers_have_a_distribution(session, saddles):
    session.state.open_dataset(saddles)
    shown = DataPage(session)
    assert shown._crystal.visible
    assert len(shown._table.value) == 3
    (strained,) = [k for name, k in shown._crystal.options.items() if name.endswith(": 1 structures")]
    shown._crystal.value = strained
    assert list(shown._table.value["name"]) == ["copy"]
    assert shown._table.value.index.tolist() == [1]
    assert "<td>1</td>" in shown._summary.object
    shown._crystal.value = -1
    shown._property.value = "barrier"
    (bars,) = list(shown._histogram.object)
    assert bars.label == "V2 saddle (n = 1)"
    assert "barrier (eV)" in bars.kdims[0].label
    assert dict(provenance(saddles))["parents"] == "1"


def test_one_crystal_needs_no_filter(shown):
    assert not shown._crystal.visible


def test_another_dataset_forgets_the_filters_of_the_last(session, saddles, linear_dataset):
    session.state.open_dataset(saddles)
    shown = DataPage(session)
    shown._crystal.value, shown._property.value = 1, "barrier"
    session.state.open_dataset(linear_dataset)
    assert (shown._crystal.value, shown._property.value) == (-1, "S_f")
    assert len(shown._table.value) == len(linear_dataset)


def test_samples_are_offered_with_their_counts_and_classes(session, monkeypatch):
    record = {"structures": 1110, "classes": {"I2": 120, "V4": 330}}
    monkeypatch.setattr(data_page, "sample_manifest", lambda: {"fe": record})
    shown = DataPage(session)
    assert shown._picker.options == {"none open": NOTHING, "fe · 1,110: I2, V4": "fe"}


def test_the_record_of_a_sample_gives_its_title_and_hashes(session, linear_dataset, monkeypatch):
    files = [{"file": "linear-I2.h5", "sha256": "0123456789abcdef" * 4}]
    record = {"structures": 24, "classes": {}, "title": "A linear one", "files": files}
    monkeypatch.setattr(data_page, "sample_manifest", lambda: {"linear": record})
    session.state.open_dataset(linear_dataset)
    shown = DataPage(session)
    assert "A linear one" in shown._title.object
    assert "linear-I2.h5 0123456789abcdef" in shown._provenance.object


def test_statistics_of_the_search_are_told_and_parts_that_differ_are_all_named(linear_dataset):
    half = len(linear_dataset) // 2
    parts = [
        replace(linear_dataset.subset(range(half)), metadata={"command": "one", "search": {"V2": {"attempts": 1456}}}),
        replace(
            linear_dataset.subset(range(half, 2 * half)),
            metadata={
                "command": "two",
                "search": {"I2": {"attempts": 9, "distinct_energy_or_inertia": 7, "failures": {"ConvergenceError": 2}}},
            },
        ),
    ]
    items = dict(provenance(Dataset.merged(parts)))
    assert items["command"] == "one; two"
    assert items["search, V2"] == "1,456 attempts, 0 failed"
    assert items["search, I2"] == "9 attempts, 7 distinct by either, 2 failed"
