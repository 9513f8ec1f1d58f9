"""Figures show the numbers they were given."""

import holoviews as hv
import numpy as np
import pytest
from bokeh.models import HoverTool

from dashboards.figures.histograms import MAX_BINS, MIN_BINS, class_histogram, common_bins
from dashboards.figures.parity import POINTS, SELECTION, mark, nearest_point, parity_plot, residual_histogram
from dashboards.figures.split_curve import split_plot
from dashboards.figures.style import class_colour
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


def test_histograms_count_each_class_and_leave_unknown_out():
    values, labels = np.array([1.0, 1.1, 5.0, 6.0, np.nan]), np.array(["I2", "I2", "V4", "V4", "V4"])
    overlay = class_histogram(values, labels, x_label="S_f (k_B)")
    assert [int(bars.dimension_values("count").sum()) for bars in overlay] == [2, 2]
    assert len({tuple(bars.edges) for bars in overlay}) == 1
    plot = hv.render(overlay, backend="bokeh")
    assert [item.label.value for item in plot.legend[0].items] == ["I2 (n = 2)", "V4 (n = 2)"]
    assert plot.xaxis.axis_label == "S_f (k_B)"


def test_a_histogram_of_nothing_is_empty():
    overlay = class_histogram(np.array([np.nan]), np.array(["I2"]), x_label="S_f (k_B)")
    assert sum(bars.dimension_values(1).sum() for bars in overlay) == 0
    assert hv.render(overlay, backend="bokeh").xaxis.axis_label == "S_f (k_B)"


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
