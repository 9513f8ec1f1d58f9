"""New numbers in a figure that is on show: much sooner there than a new figure.

A figure that is replaced is taken down, laid out and drawn anew by the browser; one whose data change is only painted.
"""

from __future__ import annotations

from bokeh.models import Range1d
from bokeh.plotting import figure


def redraw(shown: figure, new: figure) -> bool:
    """Give a figure the data, the ranges and the legend of another one that is made of the same parts.

    Parameters
    ----------
    shown, new : bokeh.plotting.figure

    Returns
    -------
    bool
        False if their parts differ; then `shown` is as it was and has to be replaced.
    """
    if _parts(shown) != _parts(new):
        return False
    for old, fresh in zip(shown.renderers, new.renderers, strict=True):
        old.data_source.data = dict(fresh.data_source.data)
    for old, fresh in zip(_entries(shown), _entries(new), strict=True):
        old.update(label=fresh.label, visible=fresh.visible)
    for old, fresh in ((shown.x_range, new.x_range), (shown.y_range, new.y_range)):
        if isinstance(fresh, Range1d):
            old.update(start=fresh.start, end=fresh.end, reset_start=fresh.start, reset_end=fresh.end)
    return True


def _parts(plot):
    """All that a change of data would leave as it is: what is drawn, how, and which entry of the legend it belongs to."""
    drawn = [(renderer.name, type(renderer.glyph), _look(renderer.glyph)) for renderer in plot.renderers]
    axes = [(type(axis), axis.axis_label) for axis in (*plot.xaxis, *plot.yaxis)]
    entries = [[plot.renderers.index(renderer) for renderer in entry.renderers] for entry in _entries(plot)]
    return drawn, axes, entries, type(plot.x_range), type(plot.y_range)


def _look(glyph):
    return {name: str(value) for name, value in glyph.properties_with_values(include_defaults=False).items()}


def _entries(plot):
    return [entry for legend in plot.legend for entry in legend.items]
