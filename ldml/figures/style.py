"""The look of all figures: one column of a journal wide, letters of 7 points and more, no global state of matplotlib."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ldml.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN_WIDTH = 86.0
"""mm, of Physical Review."""
DOTS_PER_INCH = 300
_MM = 1.0 / 25.4
_SETTINGS = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "pdf.fonttype": 42,  # letters stay letters
    "svg.fonttype": "path",
    "svg.hashsalt": "ldml",  # the same picture, the same bytes
}
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


@contextmanager
def journal_style():
    """Within it, figures are made and written in the house's look."""
    from matplotlib import rc_context

    with rc_context(_SETTINGS):
        yield


def new_figure(n_panels: int = 1, *, height: float, share_x: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure one column wide, and its panels from top to bottom.

    Parameters
    ----------
    n_panels : int
    height : float, mm
    share_x : bool
        One horizontal axis for all panels.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMN_WIDTH * _MM, height * _MM), layout="constrained")
    return figure, list(figure.subplots(n_panels, 1, sharex=share_x, squeeze=False)[:, 0])


def panel_letter(axes: Axes, letter: str) -> None:
    """Write (a), (b) into the upper left corner of a panel."""
    axes.text(0.02, 0.97, f"({letter})", transform=axes.transAxes, va="top", ha="left")


def write_figure(figure: Figure, path) -> None:
    """Write a figure as .png, .svg or .pdf; it appears whole or not at all.

    Raises
    ------
    InputError
        For any other kind of file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        raise InputError(f"{path.name!r} is not the name of a picture; end it in {', '.join(_METADATA)}")
    partial = path.with_name(path.name + ".partial")
    with journal_style():
        figure.savefig(partial, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=_METADATA[suffix])
    partial.replace(path)
