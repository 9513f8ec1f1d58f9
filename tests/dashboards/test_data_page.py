"""The Data shown: what it shows of a dataset, and how one is chosen."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from dashboards.pages import data as data_page
from dashboards.pages.data import CLASSES, NOTHING, STRUCTURES, DataPage
from dashboards.pages.dataset_text import class_table, provenance
from dashboards.pages.filters_panel import CLEARED
from dashboards.pages.structure_table import structure_frame
from dashboards.selection import Columns, Filters
from ldml.dataset import Dataset


@pytest.fixture(autouse=True)
def no_samples(monkeypatch):
    """Whatever the installation brings along, the tests' own datasets are the only ones."""
    monkeypatch.setattr(data_page, "sample_manifest", dict)


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset)
    return DataPage(session)


def upload(shown, content, path):
    """Upload a file and open what it holds."""
    if hasattr(content, "save"):
        content.save(path)
    else:
        path.write_bytes(content)
    asyncio.run(shown._upload.read(path, path.name))
    asyncio.run(shown._upload.accept())


def test_a_row_for_each_structure(linear_dataset):
    frame = structure_frame(Columns(linear_dataset))
    assert len(frame) == len(linear_dataset)
    assert list(frame["name"]) == list(linear_dataset.names)
    assert frame["S_f"].to_numpy() == pytest.approx(linear_dataset.formation_entropy)
    assert list(frame["exact"]) == ["yes"] + ["no"] * (len(linear_dataset) - 1)


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


def rows(shown):
    return shown._table.view().value


def test_a_row_selected_is_the_structure_selected_and_the_other_way_round(shown, session):
    table = shown._table.view()
    assert shown._open.disabled
    table.selection = [5]
    assert session.state.selected == 5
    assert not shown._open.disabled
    session.state.select(7)
    assert table.selection == [7]
    shown._filters._classes.value = ["I2"]  # structure 7 is a V2
    assert table.selection == []
    table.selection = [0]
    assert session.state.selected == rows(shown).index[0] == 12


def test_a_row_of_a_sorted_table_is_still_the_structure_it_names(shown, session):
    table = shown._table.view()
    table.sorters = [{"field": "E_f", "dir": "desc"}]
    table._update_selection([0])  # what the browser sends for the first row in sight
    energies = session.state.dataset.formation_energy
    assert energies[session.state.selected] == energies.max()


def test_open_in_3d_turns_to_the_structure(shown, session):
    shown._table.view().selection = [5]
    shown._open.clicks += 1
    assert (session.state.selected, session.state.page) == (5, "Structure")


def test_the_table_turns_to_the_structure_in_view_however_it_is_sorted(shown, session):
    table = shown._table.view()
    session.state.select(20)
    assert table.page == 2
    table.sorters = [{"field": "E_f", "dir": "desc"}]
    session.state.select(0)  # of the lowest energy
    assert table.page == 2
    shown._filters._classes.value = ["I2"]
    assert table.page == 1


def test_what_is_chosen_anywhere_is_shown_everywhere(shown, session, linear_dataset):
    low, high = np.quantile(linear_dataset.formation_entropy, [0.3, 0.6])
    shown._plots._plots["entropy"]._tell((low, high), None)
    expected = (linear_dataset.formation_entropy >= low) & (linear_dataset.formation_entropy <= high)
    n = expected.sum()
    assert 0 < n < len(linear_dataset)
    assert rows(shown).index.tolist() == np.flatnonzero(expected).tolist()
    for name in ("entropy", "property"):
        assert shown._plots._plots[name]._bars.data_source.data["top"].sum() == n
    assert (shown._plots._plots["landscape"]._points.data_source.data["code"] > 0).tolist() == expected.tolist()
    assert f"<b>{n}</b> of 24" in shown._filters._count.object
    assert shown._filters._sliders["S_f"].value == pytest.approx((low, high))
    shown._filters._classes.value = ["I2"]
    assert rows(shown).index.tolist() == np.flatnonzero(expected & (linear_dataset.labels == "I2")).tolist()
    shown._filters._clear.clicks += 1
    assert len(rows(shown)) == 24
    assert shown._filters._classes.value == ["I2", "V2"]
    assert shown._filters._clear.disabled
    session.state.undo()
    assert rows(shown).index.tolist() == np.flatnonzero(expected & (linear_dataset.labels == "I2")).tolist()


def test_a_slider_moved_by_keyboard_chooses_and_at_its_ends_asks_for_nothing(shown):
    slider = shown._filters._sliders["E_f"]
    slider._process_events({"value": (2.25, slider.end), "value_throttled": (2.25, slider.end)})
    assert set(rows(shown)["E_f"].round(2)) == {2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9, 3.0, 3.1}
    slider._process_events({"value": (slider.start, slider.end), "value_throttled": (slider.start, slider.end)})
    assert len(rows(shown)) == 24
    assert shown._selection.filters == Filters()


def test_words_narrow_the_table(shown):
    shown._filters._words.value = "v2-1"
    assert list(rows(shown)["name"]) == ["V2-1", "V2-10", "V2-11"]


def test_the_classes_listed_are_those_of_the_structures_chosen(shown):
    shown._shown.value = CLASSES
    assert (shown._summary.visible, shown._table.view().visible) == (True, False)
    shown._filters._classes.value = ["V2"]
    assert "I2" not in shown._summary.object
    shown._shown.value = STRUCTURES
    assert shown._table.view().visible


def test_defects_are_found_on_demand_and_kept(shown, session, linear_dataset):
    assert "map" not in shown._plots._plots
    assert "n_V" in shown._table.view().hidden_columns
    asyncio.run(shown._plots.find())
    counts = rows(shown)
    assert (counts["n_I"] - counts["n_V"])[counts["class"] == "I2"].tolist() == [2] * 12
    assert (counts["n_V"] - counts["n_I"])[counts["class"] == "V2"].tolist() == [2] * 12
    assert "n_V" not in shown._table.view().hidden_columns
    shown._plots._plots["map"]._tell((1.5, 2.5), (-0.5, 0.5))
    assert set(rows(shown)["class"]) == {"V2"}
    assert "map" in DataPage(session)._plots._plots  # another page of the same dataset has nothing to compute
    session.state.dataset = linear_dataset.subset(range(24))  # what others find in their dataset is not touched
    assert "map" not in shown._plots._plots


def test_the_subset_becomes_the_dataset_of_all_pages_and_there_is_a_way_back(shown, session, linear_dataset):
    asyncio.run(shown._plots.find())
    session.state.select(15)
    assert shown._use.disabled
    shown._filters._classes.value = ["I2"]
    shown._use.clicks += 1
    assert session.state.dataset.names.tolist() == linear_dataset.names[12:].tolist()
    assert session.state.selected == 3
    assert len(rows(shown)) == 12
    assert "map" in shown._plots._plots
    assert shown._back.visible
    assert "24" in shown._back.label
    shown._filters._words.value = "I2-1"
    shown._use.clicks += 1
    assert len(session.state.dataset) == 3
    shown._back.clicks += 1
    assert session.state.dataset is linear_dataset
    assert not shown._back.visible
    assert session.state.selected == -1  # I2-3 was not in the smaller subset


def test_the_subset_of_nothing_is_refused(shown, session, messages, linear_dataset):
    shown._filters._words.value = "no such"
    assert shown._use.disabled
    shown.use_subset()
    assert "no structure passes" in messages()[0].lower()
    assert session.state.dataset is linear_dataset


def test_an_upload_is_shown_and_the_old_dataset_stays_on_offer(shown, session, linear_dataset, tmp_path):
    upload(shown, replace(linear_dataset.subset(range(10)), name="other"), tmp_path / "other.h5")
    assert session.state.dataset.name == "other"
    assert shown._picker.value == "other"
    assert list(shown._picker.options) == ["linear", "other"]
    asyncio.run(shown.open_named("linear"))
    assert session.state.dataset is linear_dataset
    assert len(rows(shown)) == len(linear_dataset)


def test_an_upload_does_not_hide_a_dataset_of_the_same_name(shown, session, linear_dataset, tmp_path):
    upload(shown, linear_dataset.subset(range(10)), tmp_path / "again.h5")
    assert list(shown._picker.options) == ["linear", "linear (again.h5)"]
    assert len(session.state.dataset) == 10


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"3\nonly two\nFe 0 0 0\nFe 1 1 1\n"])
def test_a_bad_upload_is_explained_and_changes_nothing(shown, session, messages, linear_dataset, content, tmp_path):
    upload(shown, content, tmp_path / "bad.extxyz")
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
    assert len(rows(shown)) == 0
    assert not shown._plots._plots
    shown.view()


def test_units_follow_the_dataset(session, clusters):
    session.state.open_dataset(clusters)
    shown = DataPage(session)
    assert shown._table.view().titles["E_f"] == "E_f (ε)"
    assert "range (ε)" in shown._summary.object
    assert shown._plots._plots["property"].figure.xaxis.axis_label == "formation energy E_f (ε)"
    assert shown._filters._sliders["E_f"].label == "E_f (ε)"
    assert not shown._plots.defects.visible
    assert dict(provenance(clusters))["reference"] == "13 X atoms, free"


def test_a_crystal_can_be_chosen_and_further_numbers_have_a_distribution(session, saddles):
    session.state.open_dataset(saddles)
    shown = DataPage(session)
    assert shown._filters._crystal.visible
    assert len(rows(shown)) == 3
    (strained,) = [k for name, k in shown._filters._crystal.options.items() if name.endswith(": 1 structure")]
    shown._filters._crystal.value = strained
    assert list(rows(shown)["name"]) == ["copy"]
    assert rows(shown).index.tolist() == [1]
    assert "<td>1</td>" in shown._summary.object
    shown._filters._crystal.value = -1
    assert "n vacancies" not in shown._plots._property.options  # they have a map
    shown._plots._property.value = "barrier"
    plot = shown._plots._plots["property"]
    assert set(plot._bars.data_source.data["label"]) == {"V2 saddle"}
    assert plot._bars.data_source.data["top"].sum() == 1
    assert plot.figure.xaxis.axis_label == "barrier (eV)"
    plot._tell((0.5, 0.7), None)
    assert list(rows(shown)["name"]) == ["e0-saddle"]
    assert "barrier 0.5 to 0.7 eV" in shown._filters._others.object
    assert dict(provenance(saddles))["parents"] == "1"


def test_one_crystal_needs_no_filter(shown):
    assert not shown._filters._crystal.visible


def test_another_dataset_forgets_the_filters_of_the_last(session, saddles, linear_dataset):
    session.state.open_dataset(saddles)
    shown = DataPage(session)
    shown._filters._crystal.value, shown._plots._property.value = 1, "barrier"
    session.state.open_dataset(linear_dataset)
    assert (shown._filters._crystal.value, shown._plots._property.value) == (-1, "E_f")
    assert len(rows(shown)) == len(linear_dataset)


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


def test_filters_set_since_they_were_cleared_are_not_thrown_away(shown, session):
    shown._filters._words.value = "I2"
    shown._filters._clear_filters()
    assert session.state.last_step.said == CLEARED
    shown._filters._words.value = "V2"
    assert session.state.last_step is None
    shown._filters._clear_filters()
    session.state.undo()
    assert shown._filters._words.value == "V2"


def test_a_slider_that_has_moved_on_is_not_moved_back(shown):
    slider = shown._filters._sliders["S_f"]
    slider.value = (6.0, slider.end)  # where the user has it by the time the browser tells of an earlier place
    shown._filters._ask_range("S_f", (5.0, slider.end))
    assert slider.value[0] == 6.0
    assert shown._selection.filters.ranges["S_f"][0] == 5.0
