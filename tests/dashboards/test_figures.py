"""Figures show the numbers they were given."""

import holoviews as hv
import numpy as np
import pytest
from bokeh.models import HoverTool

from dashboards.figures.histograms import MAX_BINS, MIN_BINS, common_bins
from dashboards.figures.parity import (
    INTERVALS,
    OUTSIDE,
    POINTS,
    SELECTION,
    mark,
    nearest_point,
    parity_plot,
    residual_histogram,
)
from dashboards.figures.redraw import redraw
from dashboards.figures.split_curve import split_plot
from dashboards.figures.style import class_colour
from dashboards.figures.weights import weight_plots
from ldml.descriptors import get_descriptor
from ldml.evaluation.splits import split_curve_arrays

LABELS = np.array(["I2", "I2", "V4", "V4", "V4"])
NAMES = np.array(["a", "b", "c", "d", "e"])
TRUE = np.array([1.0, 2.0, 8.0, 9.0, 10.0])
PREDICTED = np.array([1.5, 2.0, 8.0, 9.5, 9.0])
TEST = np.array([True, False, False, True, False])

hv.extension("bokeh")


@pytest.fixture
def parity():
    return parity_plot(TRUE, PREDICTED, LABELS, NAMES, TEST)


def renderers(plot, name):
    return [renderer for renderer in plot.renderers if renderer.name == name]


def test_every_structure_is_a_point_of_its_class_and_set(parity):
    shown = {}
    for renderer in renderers(parity, POINTS):
        data, glyph = renderer.data_source.data, renderer.glyph
        for k, name in enumerate(data["name"]):
            shown[name] = (data["true"][k], data["predicted"][k], data["part"][k], glyph.fill_color, glyph.marker)
            assert data["residual"][k] == data["predicted"][k] - data["true"][k]
    assert shown == {
        name: (
            TRUE[k],
            PREDICTED[k],
            "test" if TEST[k] else "train",
            class_colour(LABELS[k]),
            "diamond" if TEST[k] else "circle",
        )
        for k, name in enumerate(NAMES)
    }


def test_a_class_is_one_entry_of_the_legend_that_hides_both_its_sets(parity):
    shown = {item.label.value: item.renderers for item in parity.legend.items if item.visible}
    assert {label: len(found) for label, found in shown.items()} == {"I2": 2, "V4": 2}


def test_the_axes_of_a_parity_plot_are_the_same_and_hold_everything(parity):
    x, y = parity.x_range, parity.y_range
    assert (x.start, x.end) == (y.start, y.end)
    assert x.start < 1.0
    assert x.end > 10.0


def test_the_hover_box_knows_the_structures_only(parity):
    hover = next(tool for tool in parity.toolbar.tools if isinstance(tool, HoverTool))
    assert hover.renderers == renderers(parity, POINTS)
    assert "k_B" in hover.tooltips


def test_a_ring_marks_one_structure_or_none(parity):
    (ring,) = renderers(parity, SELECTION)
    mark(parity, 2.0, 2.5)
    assert ring.data_source.data == {"true": [2.0], "predicted": [2.5]}
    mark(parity, None, None)
    assert ring.data_source.data == {"true": [], "predicted": []}


def test_a_tap_means_the_nearest_structure_on_the_screen(parity):
    assert nearest_point(parity, TRUE, PREDICTED, 1.05, 1.45) == 0
    assert nearest_point(parity, TRUE, PREDICTED, 5.0, 5.0) is None
    assert nearest_point(parity, TRUE, PREDICTED, 2.3, 2.0) is None
    parity.x_range.start, parity.x_range.end = 1.9, 2.0  # zoomed in, the same tap is far off
    assert nearest_point(parity, TRUE, PREDICTED, 1.99, 2.0) is None
    parity.x_range.start, parity.x_range.end = -100.0, 100.0  # zoomed out it is near
    assert nearest_point(parity, TRUE, PREDICTED, 2.3, 2.0) == 1


def test_residuals_are_fractions_of_each_set():
    plot = residual_histogram(PREDICTED - TRUE, TEST)
    for renderer in plot.renderers:
        assert renderer.data_source.data["y"].sum() == pytest.approx(1.0)
    assert [item.label.value for item in plot.legend.items] == ["train (n = 3)", "test (n = 2)"]


def test_perfect_predictions_have_a_residual_histogram_too():
    plot = residual_histogram(np.zeros(4), np.array([True, False, True, False]))
    assert plot.x_range.end > plot.x_range.start


@pytest.mark.parametrize("values", [np.ones(5), np.random.default_rng(0).standard_cauchy(2000), np.arange(3.0)])
def test_bins_are_neither_few_nor_many(values):
    edges = common_bins(values)
    assert MIN_BINS <= len(edges) - 1 <= MAX_BINS
    assert edges[0] <= values.min()
    assert edges[-1] >= values.max()


def test_the_band_of_a_split_curve_is_one_standard_deviation():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 3))
    curve = split_curve_arrays(X, X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=40), n_repeats=7)
    for error in ("rmse", "mae"):
        overlay = split_plot(curve, error)
        assert error.upper() in hv.render(overlay, backend="bokeh").yaxis.axis_label
        bands = {area.label: area for area in overlay if isinstance(area, hv.Area)}
        lines = {line.label: line for line in overlay if isinstance(line, hv.Curve) and not isinstance(line, hv.Area)}
        for part in ("train", "test"):
            repeats = getattr(curve, f"{error}_{part}")
            assert lines[part].dimension_values("mean") == pytest.approx(repeats.mean(axis=1))
            low, high = (bands[part].dimension_values(name) for name in ("mean", "high"))
            assert high - low == pytest.approx(2 * repeats.std(axis=1))
            assert 0.5 * (high + low) == pytest.approx(repeats.mean(axis=1))


def test_classes_seen_together_have_their_own_colours():
    assert len({class_colour(label) for label in ("I2", "I3", "I4", "V4")}) == 4
    assert class_colour("V17") == class_colour("V17")


@pytest.mark.parametrize("name", ["AFS", "Scattering", "BSO4", "AFS+SoftModes"])
def test_every_feature_shows_what_it_contributes(name):
    descriptor = get_descriptor(name)
    contributions = np.random.default_rng(0).normal(size=descriptor.n_features)
    plots = weight_plots(descriptor, contributions)
    assert [part for part, _ in plots] == name.split("+")
    shown = []
    for _, plot in plots:
        (cells,) = hv.render(plot, backend="bokeh").renderers
        data = cells.data_source.data
        shown += zip(data["feature"], data["contribution"], strict=True)
    assert shown == list(zip(descriptor.feature_names, contributions, strict=True))


def test_a_map_of_weights_has_its_indices_as_axes_and_zero_in_the_middle():
    descriptor = get_descriptor("AFS", n_max=3, l_max=2)
    ((_, plot),) = weight_plots(descriptor, np.arange(9.0))
    plot = hv.render(plot, backend="bokeh")
    data = plot.renderers[0].data_source.data
    assert data["feature"][5] == "A[n=2,l=2]"
    names = [
        axis.major_label_overrides[0.5 * (data[low][5] + data[high][5])]
        for axis, low, high in [(plot.xaxis[0], "left", "right"), (plot.yaxis[0], "bottom", "top")]
    ]
    assert names == ["2", "2"]
    scale = plot.right[0].color_mapper
    assert (scale.low, scale.high) == (-8.0, 8.0)


def test_a_new_split_is_new_data_in_the_figure_on_show(parity):
    """Including a class of which nothing is held out any more, marks that were not there and a wider range."""
    outside = np.array([True, False, False, False, False])
    new = parity_plot(
        TRUE, PREDICTED + 5.0, LABELS, NAMES, np.array([True, False, False, False, False]), outside=outside
    )
    shown = [renderer.id for renderer in parity.renderers]
    assert redraw(parity, new)
    assert [renderer.id for renderer in parity.renderers] == shown
    for old, fresh in zip(parity.renderers, new.renderers, strict=True):
        assert old.data_source.data.keys() == fresh.data_source.data.keys()
        assert all(
            np.array_equal(values, fresh.data_source.data[name]) for name, values in old.data_source.data.items()
        )
    assert [item.visible for item in parity.legend.items] == [True, True, True]
    assert (parity.y_range.start, parity.y_range.end) == (new.y_range.start, new.y_range.end)
    assert parity.y_range.reset_end == new.y_range.end


@pytest.mark.parametrize(
    "other", [{"labels": np.array(["I2", "I2", "V4", "V4", "V3"])}, {"half_width": np.full(5, 0.5)}]
)
def test_a_figure_of_other_parts_is_not_redrawn(parity, other):
    before = [dict(renderer.data_source.data) for renderer in parity.renderers]
    labels, half_width = other.get("labels", LABELS), other.get("half_width")
    assert not redraw(parity, parity_plot(TRUE, PREDICTED + 1.0, labels, NAMES, TEST, half_width=half_width))
    assert [len(renderer.data_source.data) for renderer in parity.renderers] == [len(data) for data in before]
    assert all(
        np.array_equal(renderer.data_source.data[name], values)
        for renderer, data in zip(parity.renderers, before, strict=True)
        for name, values in data.items()
    )


def test_redrawn_residuals_have_their_numbers_in_the_legend():
    plot = residual_histogram(PREDICTED - TRUE, TEST)
    assert redraw(plot, residual_histogram(2.0 * (PREDICTED - TRUE), np.ones(5, dtype=bool)))
    assert [item.label.value for item in plot.legend.items] == ["train (n = 0)", "test (n = 5)"]


def test_intervals_and_marks_belong_to_structures_held_out(parity):
    assert not renderers(parity, INTERVALS)
    half_width = np.array([0.6, 0.5, 0.5, 0.1, 0.5])
    outside = np.array([False, True, False, True, True])
    plot = parity_plot(TRUE, PREDICTED, LABELS, NAMES, TEST, half_width=half_width, outside=outside)
    (bars,) = renderers(plot, INTERVALS)
    data = {key: np.array(value) for key, value in bars.data_source.data.items()}
    assert data["x0"] == pytest.approx(TRUE[TEST])
    assert data["y0"] == pytest.approx((PREDICTED - half_width)[TEST])
    assert data["y1"] == pytest.approx((PREDICTED + half_width)[TEST])
    (marks,) = renderers(plot, OUTSIDE)
    assert list(marks.data_source.data["x"]) == [TRUE[3]]
    told = {}
    for data in (renderer.data_source.data for renderer in renderers(plot, POINTS)):
        told |= dict(zip(data["name"], data["interval"], strict=True))
    assert told == {"a": " ± 0.600", "d": " ± 0.100", "b": "", "c": "", "e": ""}
