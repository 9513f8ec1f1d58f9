"""Filters choose the structures they say, and linked plots show exactly the chosen ones."""

from dataclasses import replace

import numpy as np
import pytest
from bokeh.events import DoubleTap, SelectionGeometry

from dashboards.defects import DefectsFound, find_defects, has_sites, known_defects, remember_defects
from dashboards.figures.defect_plots import DefectMap, DistancePlot
from dashboards.figures.histograms import ClassHistogram
from dashboards.figures.landscape import Landscape
from dashboards.pages.filters_panel import slider_scale
from dashboards.selection import DISTANCE, ENERGY, ENTROPY, Columns, Filters, Selection
from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.potentials import perfect_crystal
from ldml.progress import NULL_PROGRESS

LABELS = np.array(["I2", "I2", "V4", "V4", "V4"])
VALUES = np.array([1.0, 1.1, 5.0, 6.0, np.nan])
ALL = np.ones(5, dtype=bool)


@pytest.fixture(scope="module")
def vacancies():
    """A pair of vacant neighbours along <111>, one along <110>, one vacancy, and the crystal, in 4a0."""
    bulk = perfect_crystal("Fe-AM04", 4)
    a0 = bulk.cell.lengths()[0] / 4
    away = bulk.get_distances(0, range(len(bulk)), mic=True)
    body = int(np.flatnonzero(np.isclose(away, a0 * np.sqrt(0.75)))[0])
    face = int(np.flatnonzero(np.isclose(away, a0 * np.sqrt(2)))[0])
    sites = {"body": [0, body], "face": [0, face], "single": [0], "perfect": []}
    entries = [
        Entry(bulk[np.setdiff1d(np.arange(len(bulk)), gone)], f"V{len(gone)}", name) for name, gone in sites.items()
    ]
    return Dataset.from_entries("vacancies", [bulk], entries), a0


def brushed(plot, x, y=(0.0, 1.0)):
    """The ranges that a plot tells after a box was drawn in it."""
    told = []
    plot.on_brush(told.append)
    box = {"type": "rect", "x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    plot.figure._trigger_event(SelectionGeometry(plot.figure, box))
    plot.figure._trigger_event(DoubleTap(plot.figure))
    return told


def drawn(plot, name):
    (renderer,) = (renderer for renderer in plot.figure.renderers if renderer.name == name)
    return renderer.data_source.data


def test_filters_are_met_all_together(linear_dataset):
    columns = Columns(linear_dataset)
    entropy, energy = linear_dataset.formation_entropy, linear_dataset.formation_energy
    middle = float(np.median(entropy))
    filters = Filters(hidden=frozenset({"I2"}), ranges={ENTROPY: (middle, np.inf), ENERGY: (2.25, 2.75)})
    expected = (linear_dataset.labels == "V2") & (entropy >= middle) & (energy >= 2.25) & (energy <= 2.75)
    assert (columns.chosen(filters) == expected).all()
    assert columns.chosen(Filters()).all()
    assert columns.chosen(Filters(exact_only=True)).tolist() == linear_dataset.has_local.tolist()
    assert columns.chosen(Filters(words=" i2-1 ")).nonzero()[0].tolist() == [13, 22, 23]  # I2-1, I2-10, I2-11
    assert not columns.chosen(filters.with_ranges({ENTROPY: (1e6, 2e6)})).any()
    assert filters.with_ranges({ENTROPY: None, ENERGY: None}) == Filters(hidden=frozenset({"I2"}))


def test_unknown_numbers_pass_no_range(linear_dataset):
    entries = [replace(linear_dataset.entries[0], formation_entropy=np.nan), *linear_dataset.entries[1:3]]
    columns = Columns(Dataset.from_entries("x", linear_dataset.bulks, entries))
    assert columns.chosen(Filters(ranges={ENTROPY: (-1e9, 1e9)})).tolist() == [False, True, True]


def test_words_find_parents_and_crystals_divide(saddles):
    columns = Columns(saddles)
    assert columns.chosen(Filters(words=saddles.entries[0].name.upper())).all()  # its own name, and the parent of two
    assert columns.chosen(Filters(words="SADDLE")).tolist() == [False, False, True]
    assert columns.chosen(Filters(crystal=1)).tolist() == [False, True, False]
    assert columns.chosen(Filters(ranges={"barrier": (0.5, 0.7)})).tolist() == [False, False, True]


def test_words_do_not_reach_from_one_column_into_the_next(linear_dataset):
    entry = replace(linear_dataset.entries[0], name="ab", label="cd")
    columns = Columns(Dataset.from_entries("x", linear_dataset.bulks, [entry]))
    assert not columns.chosen(Filters(words="bc")).any()


def test_defects_are_counted_and_measured(vacancies):
    data, a0 = vacancies
    found = find_defects(NULL_PROGRESS, data)
    assert found.vacancies.tolist() == [2, 2, 1, 0]
    assert found.interstitials.tolist() == [0, 0, 0, 0]
    assert found.pairs.structure.tolist() == [0, 1]
    assert found.pairs.distances == pytest.approx([a0 * np.sqrt(0.75), a0 * np.sqrt(2)])
    columns = Columns(data, found)
    assert columns.chosen(Filters(ranges={DISTANCE: (1.3 * a0, 1.5 * a0)})).tolist() == [False, True, False, False]
    part = found.subset(np.array([False, True, False, True]))
    assert (part.vacancies.tolist(), part.pairs.structure.tolist()) == ([2, 0], [0])
    assert part.pairs.distances == pytest.approx([a0 * np.sqrt(2)])
    assert part.pairs.distribution().n_structures == 2


def test_counts_come_with_a_dataset_or_are_remembered_with_it(linear_dataset, saddles):
    untouched = linear_dataset.subset(range(len(linear_dataset)))  # others may have analysed the shared one
    assert known_defects(untouched) is None
    entry = replace(linear_dataset.entries[0], quantities={"n_vacancies": 2.0, "n_interstitials": 0.0})
    told = Dataset.from_entries("told", linear_dataset.bulks, [entry])
    assert known_defects(told).vacancies.tolist() == [2.0]
    assert known_defects(told).pairs is None
    found = DefectsFound(np.zeros(1), np.ones(1))
    remember_defects(told, found)
    assert known_defects(told) is found


def test_clusters_have_no_sites(clusters, linear_dataset):
    assert has_sites(linear_dataset)
    assert not has_sites(clusters)
    with pytest.raises(InputError):
        find_defects(NULL_PROGRESS, clusters)


def test_asking_for_a_range_takes_nothing_else_away():
    selection = Selection(filters=Filters(words="x", ranges={ENERGY: (1.0, 2.0)}))
    selection.ask({ENTROPY: (3.0, 4.0)})
    assert selection.filters == Filters(words="x", ranges={ENERGY: (1.0, 2.0), ENTROPY: (3.0, 4.0)})
    selection.ask({ENERGY: None})
    assert dict(selection.filters.ranges) == {ENTROPY: (3.0, 4.0)}


def test_histograms_count_each_class_leave_unknown_out_and_show_the_chosen():
    plot = ClassHistogram(VALUES, LABELS, key=ENTROPY, x_label="S_f (k_B)")
    bars = drawn(plot, "chosen")
    label = np.array(bars["label"])
    assert [bars["top"][label == c].sum() for c in ("I2", "V4")] == [2, 2]
    edges = np.append(np.array(bars["left"])[label == "I2"], bars["right"][-1])
    assert (np.histogram(VALUES[:2], edges)[0] == bars["top"][label == "I2"]).all()
    plot.show(np.array([True, False, False, True, True]))
    assert [drawn(plot, "chosen")["top"][label == c].sum() for c in ("I2", "V4")] == [1, 1]
    assert drawn(plot, "all")["most"].sum() == 4
    assert plot.figure.xaxis.axis_label == "S_f (k_B)"


def test_a_histogram_of_nothing_is_empty():
    plot = ClassHistogram(np.array([np.nan]), np.array(["I2"]), key=ENTROPY, x_label="S_f (k_B)")
    plot.show(np.array([True]))
    assert len(drawn(plot, "chosen")["top"]) == 0
    assert drawn(plot, "chosen")["colour"] == []  # an empty array of numbers is no array of colours to the browser


def test_a_box_asks_for_ranges_and_is_drawn_where_they_are():
    plot = ClassHistogram(VALUES, LABELS, key=ENTROPY, x_label="S_f (k_B)")
    assert brushed(plot, (4.0, 2.0)) == [{ENTROPY: (2.0, 4.0)}, {ENTROPY: None}]
    plot.show_ranges({ENTROPY: (2.0, 4.0), ENERGY: (0.0, 1.0)})
    assert (drawn(plot, "brush")["left"], drawn(plot, "brush")["right"]) == ([2.0], [4.0])
    plot.show_ranges({ENERGY: (0.0, 1.0)})
    assert drawn(plot, "brush")["left"] == []


def test_the_landscape_colours_the_chosen_and_knows_what_a_tap_meant():
    plot = Landscape(
        VALUES[::-1], VALUES, np.array(list("abcde")), LABELS, keys=(ENERGY, ENTROPY), x_label="E", y_label="S"
    )
    points = drawn(plot, "points")
    assert list(points["name"]) == ["b", "c", "d"]  # both numbers known
    assert [code > 0 for code in points["code"]] == [True, True, True]
    assert points["code"][0] != points["code"][1] == points["code"][2]
    plot.show(np.array([False, False, True, False, False]))
    assert [code > 0 for code in drawn(plot, "points")["code"]] == [False, True, False]
    assert plot.nearest(5.0, 5.0) == 2
    assert plot.nearest(3.0, 3.0) is None
    assert brushed(plot, (0.0, 2.0), (3.0, 4.0))[0] == {ENERGY: (0.0, 2.0), ENTROPY: (3.0, 4.0)}
    plot.mark(3)
    assert drawn(plot, "selection") == {"true": [1.1], "predicted": [6.0]}
    plot.mark(0)  # of unknown energy
    assert drawn(plot, "selection") == {"true": [], "predicted": []}


def test_a_landscape_of_nothing_is_empty():
    nothing = np.array([np.nan])
    plot = Landscape(
        nothing, nothing, np.array(["a"]), np.array(["I2"]), keys=(ENERGY, ENTROPY), x_label="", y_label=""
    )
    plot.show(np.array([True]))
    assert plot.nearest(0.5, 0.5) is None


def test_the_map_counts_structures_by_their_defects():
    plot = DefectMap(np.array([0, 0, 2, 2, np.nan]), np.array([2, 2, 0, 1, 1]))

    def cells():
        data = drawn(plot, "cells")
        return dict(zip(zip(data["v"].tolist(), data["i"].tolist(), strict=True), data["n"].tolist(), strict=True))

    assert cells() == {(0, 2): 2, (2, 0): 1, (2, 1): 1}
    plot.show(np.array([True, False, True, False, True]))
    assert cells() == {(0, 2): 1, (2, 0): 1, (2, 1): 0}
    assert brushed(plot, (-0.4, 0.4), (1.5, 2.5))[0] == {"n_vacancies": (-0.4, 0.4), "n_interstitials": (1.5, 2.5)}


def test_the_distances_are_those_of_the_structures_chosen(vacancies):
    data, a0 = vacancies
    plot = DistancePlot(find_defects(NULL_PROGRESS, data).pairs, interaction_distance=10.0)
    bars = drawn(plot, "bars")
    body, face = int(a0 * np.sqrt(0.75)), int(a0 * np.sqrt(2))
    assert bars["top"][[body, face]] == pytest.approx([50.0, 50.0])
    plot.show(np.array([False, True, True, True]))
    assert drawn(plot, "bars")["top"][[body, face]] == pytest.approx([0.0, 100.0])
    assert drawn(plot, "by chance")["y"][:-1].sum() == pytest.approx(100.0)
    plot.show(np.array([False, False, True, True]))
    assert drawn(plot, "bars")["top"].sum() == 0
    assert brushed(plot, (2.0, 3.0))[0] == {DISTANCE: (2.0, 3.0)}


@pytest.mark.parametrize(("low", "high", "whole"), [(1.03, 15.44, False), (-0.004, 0.003, False), (0, 22, True)])
def test_sliders_take_in_everything_at_round_numbers(low, high, whole):
    start, end, step = slider_scale(low, high, whole=whole)
    assert start <= low
    assert end >= high
    assert start / step == pytest.approx(round(start / step), abs=1e-6)
    assert (end - start) / step <= 240
