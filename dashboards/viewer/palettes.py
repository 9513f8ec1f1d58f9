"""Colour scales safe for colour-blind readers, and the limits that go with them.

A value v gets entry round(255 (v - v_min) / (v_max - v_min)) of a table of 256 colours, clipped to its ends.
The diverging scale is for signed differences: its white middle means 0 whatever the limits, and equal steps of the value are
equal steps of the scale on both sides. Limits that are not symmetric about 0 show a part of it.
Sources: P. Kovesi, arXiv:1509.03700 (`diverging_bwr_40_95_c42`); Nunez et al., PLoS ONE 13,
e0199239 (cividis).
"""

import colorcet
import numpy as np
from bokeh import palettes as bokeh_palettes

from ldml.errors import InputError

DIVERGING = "blue-white-red"
PALETTES = {
    DIVERGING: tuple(colorcet.palette["diverging_bwr_40_95_c42"]),
    "cividis": tuple(bokeh_palettes.Cividis256),
    "viridis": tuple(bokeh_palettes.Viridis256),
}


def hex_colours(palette):
    """The 256 colours of a scale.

    Parameters
    ----------
    palette : str
        A name in `PALETTES`.

    Returns
    -------
    tuple of str
        Colours as ``#rrggbb``, lowest value first.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if palette not in PALETTES:
        raise InputError(f"unknown palette {palette!r}; choose one of {', '.join(PALETTES)}")
    return PALETTES[palette]


def scale_entries(palette, limits):
    """Which entry of a scale belongs to each of 256 equidistant values from the lower to the upper limit.

    Parameters
    ----------
    palette : str
        A name in `PALETTES`.
    limits : tuple of float
        (v_min, v_max) with v_min < v_max.

    Returns
    -------
    ndarray of int, shape (256,)
    """
    low, high = limits
    if palette == DIVERGING:
        reach = max(abs(low), abs(high))
        low, high = ((1.0 + limit / reach) / 2.0 for limit in (low, high))
    else:
        low, high = 0.0, 1.0
    return np.rint(255.0 * np.linspace(low, high, 256)).astype(int)


def lookup_table(palette, limits=(-1.0, 1.0)):
    """The scale between two values as bytes for the graphics card.

    Parameters
    ----------
    palette : str
        A name in `PALETTES`.
    limits : tuple of float
        As in `scale_entries`.

    Returns
    -------
    ndarray of uint8, shape (256, 3)
        Red, green, blue; lowest value first.

    Raises
    ------
    InputError
        For an unknown name.
    """
    digits = "".join(colour[1:] for colour in hex_colours(palette))
    return np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 3)[scale_entries(palette, limits)]


def default_limits(values, palette):
    """Limits that show all finite values: symmetric about 0 for the diverging scale.

    Parameters
    ----------
    values : array_like, shape (N,)
        Scalars in any unit; NaN and infinities are left out.
    palette : str
        A name in `PALETTES`.

    Returns
    -------
    tuple of float
        (v_min, v_max) with v_min < v_max.
    """
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if palette == DIVERGING:
        high = max(abs(low), abs(high))
        low = -high
    if low == high:  # one value, or none: a scale still needs a width
        width = max(abs(high), 1.0)
        low, high = low - width, high + width
    return low, high
