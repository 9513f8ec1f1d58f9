"""Test error against the number of structures a model was fitted on."""

from __future__ import annotations

import holoviews as hv
from bokeh.models import HoverTool

from dashboards.figures.split_curve import PARTS, banded
from dashboards.figures.style import plot_options
from ldml.evaluation.learning import LearningCurve


def learning_plot(curve: LearningCurve, error: str = "rmse", *, height: int = 340) -> hv.Overlay:
    """Mean error over the repeats with a band of one standard deviation, against the logarithm of the number.

    Parameters
    ----------
    curve : LearningCurve
    error : {"rmse", "mae"}
        The error on the training set is known as RMSE only.
    height : int
        Pixels.
    """
    axes = hv.Dimension("n_train", label="structures fitted"), hv.Dimension("mean", label=f"{error.upper()} (k_B)")
    layers, highest = [], 0.0
    for part, (colour, marker) in PARTS.items():
        errors = getattr(curve, f"{error}_{part}", None)
        if errors is None:
            continue
        mean, std = errors.mean(axis=1), errors.std(axis=1)
        hover = HoverTool(tooltips=[("", f"{part}, @n_train{{0,0}} fitted: @mean{{0.000}} ± @std{{0.000}} k_B")])
        layers += banded(curve.n_train, mean, std, axes, part, colour, marker, hover)
        highest = max(highest, float((mean + std).max()))
    return hv.Overlay(layers).opts(
        **plot_options(height=height),
        title="",
        logx=True,
        xticks=[(int(n), f"{n:,}") for n in curve.n_train],
        xlim=(curve.n_train[0] / 1.2, curve.n_train[-1] * 1.2),
        ylim=(0.0, 1.05 * highest),
        legend_position="top_right",
    )
