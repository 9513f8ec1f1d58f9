"""Colour bar: the scale of a view as a strip with ticks, plain HTML and CSS.

Ticks stand at multiples of 1, 2 or 5 times a power of ten inside the limits; text follows the page's theme.
"""

import html
import math
import re

import panel as pn

from dashboards.viewer.palettes import hex_colours, scale_entries
from ldml.errors import InputError

_STOPS = 33  # of the CSS gradient: within 1/255 of the 256 colours


def colour_bar(palette, limits, title="S_i - S_bulk (k_B)", **layout):
    """A pane with the colour bar; to change it, assign `colour_bar_html` to its ``object``.

    Parameters
    ----------
    palette : str
        A name in `dashboards.viewer.PALETTES`.
    limits : tuple of float
        (v_min, v_max), in the unit the title names.
    title : str
        Plain text; ``_x`` becomes a subscript.
    **layout
        Panel layout options such as ``width``.

    Returns
    -------
    panel.pane.HTML
    """
    layout.setdefault("sizing_mode", "stretch_width")
    return pn.pane.HTML(colour_bar_html(palette, limits, title), **layout)


def colour_bar_html(palette, limits, title="S_i - S_bulk (k_B)"):
    """The HTML of `colour_bar`, with the same parameters.

    Raises
    ------
    InputError
        For an unknown palette, or limits that are not finite and increasing.
    """
    low, high = (float(limit) for limit in limits)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"colour limits must be finite and increasing, not ({low:g}, {high:g})")
    scale = hex_colours(palette)
    colours = [scale[entry] for entry in scale_entries(palette, (low, high))]
    gradient = ", ".join(colours[round(k * (len(colours) - 1) / (_STOPS - 1))] for k in range(_STOPS))
    ticks = "".join(_tick(value, label, low, high) for value, label in tick_labels(low, high))
    name = html.escape(f"Colour scale: {title}, from {low:.3g} to {high:.3g}", quote=True)
    return (
        f'<div role="img" aria-label="{name}" style="color: var(--panel-on-background-color, inherit);'
        ' font-size: 12px; line-height: 1.3; padding: 0 22px; font-variant-numeric: tabular-nums">'
        f'<div style="text-align: center; margin-bottom: 3px">{_typeset(title)}</div>'
        '<div style="height: 10px; border-radius: 3px;'
        f' background: linear-gradient(to right, {gradient})"></div>'
        f'<div style="position: relative; height: 20px">{ticks}</div></div>'
    )


def tick_labels(low, high, *, most=7):
    """Round tick values and their text.

    Parameters
    ----------
    low, high : float
        Ends of the scale, low < high.
    most : int
        Largest number of ticks.

    Returns
    -------
    list of (float, str)
        Values in [low, high]; as many digits as tell neighbours apart.
    """
    raw = (high - low) / (most - 1)
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(m * decade for m in (1, 2, 5, 10, 20) if m * decade >= raw * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [k * step for k in range(first, last + 1)]
    scientific = digits > 4 or max(abs(low), abs(high)) >= 1e5
    return [(value, _number(value, digits, scientific)) for value in values]


def _number(value, digits, scientific):
    text = f"{value:.1e}" if scientific and value else f"{value:.{0 if scientific else digits}f}"
    return text.replace("-", "−")


def _tick(value, label, low, high):
    left = 100 * (value - low) / (high - low)
    return (
        '<div style="position: absolute; transform: translateX(-50%); text-align: center;'
        f' left: {left:.2f}%">'
        '<div style="width: 1px; height: 4px; margin: 0 auto; background: currentColor; opacity: 0.6"></div>'
        f"{label}</div>"
    )


def _typeset(title):
    escaped = html.escape(title).replace(" - ", " − ")
    return re.sub(r"_(\w+)", r"<sub>\1</sub>", escaped)
