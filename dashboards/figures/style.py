"""What all figures share: a colour for each defect class, the same everywhere, and the look of the axes.

Colours are those of Okabe and Ito, which readers of any colour vision tell apart (https://jfly.uni-koeln.de/color). Text and
background are left to the theme of the page, light or dark.
"""

from __future__ import annotations

import base64
import hashlib

import holoviews.plotting.bokeh  # noqa: F401  (registers the backend whose options the figures set)
from bokeh.models import CustomAction, CustomJS
from bokeh.plotting import figure

ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"
OLIVE, BROWN = "#999933", "#9c6644"
NEUTRAL = "#8c8c8c"
"""For guides and what belongs to no class; readable on white and on black."""

TRAIN, TEST = BLUE, VERMILLION
LEGEND_ROWS = 4
"""Rows of a legend that the room above the data holds; more entries go into more columns."""

_CLASSES = {
    "I1": BLUE,
    "I2": SKY,
    "I3": GREEN,
    "I4": ORANGE,
    "V1": OLIVE,
    "V2": VERMILLION,
    "V3": BROWN,
    "V4": PURPLE,
    "bulk": NEUTRAL,
}
SADDLE = " saddle"
_OTHERS = (BLUE, VERMILLION, SKY, GREEN, ORANGE, PURPLE)


def class_colour(label: str) -> str:
    """Colour of a defect class as ``#rrggbb``; of a class without its own, one that depends on its name alone.

    The saddles of a class have its colour half faded to grey.
    """
    if label in _CLASSES:
        return _CLASSES[label]
    if label.endswith(SADDLE):
        return _faded(class_colour(label.removesuffix(SADDLE)))
    return _OTHERS[hashlib.sha256(label.encode()).digest()[0] % len(_OTHERS)]


def _faded(colour):
    channels = zip(bytes.fromhex(colour[1:]), bytes.fromhex(NEUTRAL[1:]), strict=True)
    return "#" + bytes((own + grey) // 2 for own, grey in channels).hex()


_SVG_ICON = (
    "data:image/svg+xml;base64,"
    + base64.b64encode(
        b'<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"><text x="12" y="16" font-size="10" text-anchor="middle" '
        b'font-family="sans-serif" fill="#808080">SVG</text></svg>'
    ).decode()
)
_SAVE_SVG = """
const layer = Bokeh.index.find_one(plot).export("svg")
layer.to_blob().then((blob) => {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = "figure.svg"
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
})
"""


def plot_options(*, height: int) -> dict:
    """Options of a HoloViews overlay that look like `styled_figure`.

    Parameters
    ----------
    height : int
        Pixels.
    """
    return {
        "height": height,
        "responsive": True,
        "show_grid": True,
        "gridstyle": {"grid_line_alpha": 0.35},
        "fontsize": {"labels": 13, "ticks": 12, "legend": 12},
        "hooks": [_plain],
        "active_tools": [],
        "legend_opts": {"click_policy": "hide", "background_fill_alpha": 0.7},
    }


def svg_action(plot: figure) -> CustomAction:
    """A button of the toolbar that saves a figure as vector graphics; the browser draws it, nobody else is asked."""
    return CustomAction(
        icon=_SVG_ICON, description="Save as SVG", callback=CustomJS(args={"plot": plot}, code=_SAVE_SVG)
    )


def _plain(plot, element):
    """Details HoloViews has no option for."""
    figure = plot.state
    if not any(isinstance(tool, CustomAction) for tool in figure.toolbar.tools):  # this is called again and again
        figure.add_tools(svg_action(figure))
    figure.toolbar.logo = None
    figure.toolbar.autohide = True
    figure.min_border_right = 16
    figure.output_backend = "canvas"  # starting WebGL takes longer than to draw some bars
    for axis in figure.axis:
        axis.axis_label_text_font_style = "normal"


def styled_figure(*, x_label: str, y_label: str, height: int = 360, tools: str = "", **options) -> figure:
    """An empty figure as wide as its place, with the axes named.

    Parameters
    ----------
    x_label, y_label : str
        With units.
    height : int
        Pixels.
    tools : str
        Of Bokeh; pan, wheel zoom and reset by default besides these.
    **options
        For `bokeh.plotting.figure`.
    """
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        x_axis_label=x_label,
        y_axis_label=y_label,
        tools=",".join(filter(None, ["pan,wheel_zoom,box_zoom,save,reset", tools])),
        toolbar_location="above",
        min_border_right=16,
        **options,
    )
    plot.add_tools(svg_action(plot))
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "13px"
        axis.major_label_text_font_size = "12px"
    plot.grid.grid_line_alpha = 0.35
    return plot
