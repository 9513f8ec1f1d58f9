"""Errors of models fitted on some classes (rows) on the structures of others (columns), as a map with its numbers."""

from __future__ import annotations

import holoviews as hv
import numpy as np
from bokeh.models import HoverTool

from dashboards.figures.style import plot_options
from ldml.evaluation.class_matrix import ClassMatrix

_LIGHT, _DARK = "#fff7e6", "#e69f00"
N_SHADES = 64
ROW_HEIGHT = 38
"""Pixels that two lines of text take."""
SMALL = 6
"""Rows up to which the text is large."""


def matrix_plot(matrix: ClassMatrix, error: str = "rmse", *, height: int | None = None) -> hv.Overlay:
    """Shade by the logarithm of the error; under each error the share of structures flagged as extrapolation.

    Parameters
    ----------
    matrix : ClassMatrix
    error : {"rmse", "mae"}
    height : int, optional
        Pixels; by default two lines of text fit into each row.
    """
    height = max(340, ROW_HEIGHT * len(matrix.trained) + 60) if height is None else height
    errors = getattr(matrix, error)
    rows, columns = (places.ravel() for places in np.indices(errors.shape))
    heights = len(matrix.trained) - 1 - rows  # the first row on top
    values = np.log10(errors.ravel())
    known = np.isfinite(values)
    told = {
        "error": errors.ravel(),
        "outside": matrix.outside.ravel(),
        "trained": np.array(matrix.trained)[rows],
        "tested": np.array(matrix.tested)[columns],
        "n_train": matrix.n_train.ravel(),
        "n_test": matrix.n_test[columns],
    }
    hover = HoverTool(
        tooltips=[
            (
                "",
                f"fitted on @trained (@n_train{{0,0}}), judged on @tested (@n_test{{0,0}}): {error.upper()} @error{{0.000}} k_B",
            )
        ]
    )
    corners = columns - 0.5, heights - 0.5, columns + 0.5, heights + 0.5
    axes = [hv.Dimension("left", label="judged on"), hv.Dimension("low", label="fitted on"), "right", "high"]
    cells = hv.Rectangles(
        tuple(part[known] for part in (*corners, values, *told.values())), kdims=axes, vdims=["shade", *told]
    ).opts(color="shade", cmap=_shades(), line_color="white", tools=[hover])
    text = [
        f"{value:.2f}\n{100 * outside:.0f} % outside" if known else "–"
        for value, outside, known in zip(errors.ravel(), matrix.outside.ravel(), known, strict=True)
    ]
    labels = hv.Labels((columns, heights, text), ["x", "y"], "text").opts(
        text_color="black", text_font_size="12px" if len(matrix.trained) <= SMALL else "9px"
    )
    return hv.Overlay([cells, labels]).opts(
        **plot_options(height=height),
        xticks=[(place, name) for place, name in enumerate(matrix.tested)],
        yticks=[(len(matrix.trained) - 1 - place, name) for place, name in enumerate(matrix.trained)],
        xlim=(-0.5, len(matrix.tested) - 0.5),
        ylim=(-0.5, len(matrix.trained) - 0.5),
        xlabel="judged on",
        ylabel="fitted on",
    )


def _shades():
    """From light to dark, all light enough for black text on any page."""
    ends = [np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) for colour in (_LIGHT, _DARK)]
    return [
        "#" + bytes(np.rint((1 - t) * ends[0] + t * ends[1]).astype(int).tolist()).hex()
        for t in np.linspace(0, 1, N_SHADES)
    ]
