"""Table I: which cell is which, the summaries by hand, and the three forms it is written in."""

import csv
import io

import numpy as np
import pytest

from ldml.dataset import Dataset, Entry
from ldml.figures.class_table import (
    PAPER_CELLS,
    PAPER_COUNTS,
    PAPER_LABELS,
    EntropySummary,
    class_table,
    report,
    tabulate,
)
from ldml.structures import strained


@pytest.fixture(scope="module")
def table(crystal4, crystal8):
    bulks = [crystal8, strained(crystal8, 0.02), strained(crystal8, -0.01), crystal4]
    values = {("I2", 0): [4.0, 6.0], ("V4", 0): [10.0], ("I2", 1): [7.0], ("I2", 2): [1.0], ("I3", 3): [np.nan]}
    entries = [
        Entry(bulks[cell], label, f"{label}-{cell}-{k}", value, bulk=cell)
        for (label, cell), entropies in values.items()
        for k, value in enumerate(entropies)
    ]
    return class_table([Dataset.from_entries("mine", bulks, entries, {"potential": "Fe-AM04"})])


def test_the_paper_adds_up():
    assert sum(PAPER_COUNTS.values()) == 4520
    assert len(PAPER_CELLS) * sum(PAPER_COUNTS.values()) == 31640
    for labels in PAPER_LABELS.values():
        assert all(s.lowest < s.mean - s.std / 2 < s.mean + s.std / 2 < s.highest for s in labels.values())


def test_cells_are_told_by_their_volume(table):
    found = {(row.n_sites, row.strain_text): (row.label, row.n_structures) for row in table.rows if row.label != "V4"}
    assert found == {
        (128, "+0 %"): ("I3", 1), (1024, "+0 %"): ("I2", 2), (1024, "-1 %"): ("I2", 1), (1024, "+2 %"): ("I2", 1),
    }  # fmt: skip
    assert [row.strain for row in table.rows] == pytest.approx([0.0, 0.0, 0.0, -0.01, 0.02], abs=1e-12)


def test_only_cells_of_the_paper_stand_beside_it(table):
    beside = {(row.label, row.n_sites, row.strain_text): row for row in table.rows}
    assert beside["I2", 1024, "+0 %"].paper_entropy == PAPER_LABELS["Fe-AM04"]["I2"]
    assert beside["I2", 1024, "+0 %"].paper_structures == 434
    assert beside["I2", 1024, "+2 %"].paper_structures == 434
    assert beside["I2", 1024, "+2 %"].paper_entropy is None, "the labels known are those without strain"
    assert beside["I3", 128, "+0 %"].paper_structures is None
    assert beside["I3", 128, "+0 %"].paper_entropy is None


def test_summary():
    summary = EntropySummary.of([1.0, 2.0, 6.0, np.nan])
    assert (summary.n, summary.mean, summary.lowest, summary.highest) == (3, 3.0, 1.0, 6.0)
    assert summary.std == pytest.approx(np.sqrt(14 / 3), abs=1e-14)
    assert str(summary) == "3.00 ± 2.16 [1.00, 6.00]"
    assert str(EntropySummary.of([np.nan])) == "–"


def test_a_potential_without_a_name_gives_no_strain(crystal4):
    data = Dataset.from_entries("mine", [crystal4], [Entry(crystal4, "V1", "a", 1.0)], {"potential": "mine.eam.fs:Fe"})
    (row,) = class_table([data]).rows
    assert np.isnan(row.strain)
    assert row.strain_text == "unknown"
    assert row.paper_entropy is None


def test_clusters_have_a_row_without_strain(crystal4):
    cluster = crystal4.copy()
    cluster.pbc = False
    data = Dataset.from_entries("lj", [cluster], [Entry(cluster, "LJ", "a", 1.0)], {"potential": "LJ"})
    (row,) = class_table([data]).rows
    assert (row.n_sites, row.strain_text, row.n_structures) == (128, "unknown", 1)


def test_text(table):
    text = "\n".join(report(table))
    assert "mine: Fe-AM04, 1024 sites, strain -1 %" in text
    assert "S_f 5.00 ± 1.00 [4.00, 6.00]" in text
    assert "4.08 ± 1.70 [1.10, 15.44]" in text


def test_csv_is_read_back(table):
    rows = list(csv.DictReader(io.StringIO(tabulate(table, ".csv"))))
    assert len(rows) == len(table.rows)
    for written, row in zip(rows, table.rows, strict=True):
        assert (written["label"], int(written["n_sites"])) == (row.label, row.n_sites)
        assert float(written["strain"]) == pytest.approx(row.strain, abs=1e-6)
        assert (written["S_f_mean_k_B"] == "") == np.isnan(row.entropy.mean)
    first = next(row for row in rows if row["label"] == "I2" and row["strain"] == "0.0")
    assert (first["S_f_mean_k_B"], first["paper_S_f_highest_k_B"]) == ("5.0", "15.44")


def test_markdown_has_classes_as_columns(table):
    lines = tabulate(table, ".md").splitlines()
    header = next(line for line in lines if "dataset" in line)
    assert [cell.strip() for cell in header.split("|")[3:-1]] == ["I2", "I3", "V4", "total"]
    cells = [line.split("|") for line in lines if line.startswith("|")]
    assert {len(row) for row in cells} == {len(header.split("|"))}
    ours = next(row for row in cells if "1024, +0 %" in row[2])
    assert [cell.strip() for cell in ours[3:-1]] == [
        "2: 5.00 ± 1.00 [4.00, 6.00]",
        "",
        "1: 10.00 ± 0.00 [10.00, 10.00]",
        "3",
    ]
