"""Pieces the pages are arranged with: columns that wrap on a narrow screen, headings, tables, empty states."""

from __future__ import annotations

import html
from collections.abc import Sequence

import panel as pn
import panel_material_ui as pmui

CONTROLS_WIDTH = 290

UNSEEN_LABEL = """
.MuiFormLabel-root { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
"""For a group of buttons whose heading says it all to those who see it; its label remains for those who do not."""

_TABLE_STYLE = """
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px 3px 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 500; opacity: 0.75; border-bottom: 1px solid currentColor; }
tr.total td { border-top: 1px solid color-mix(in srgb, currentColor 35%, transparent); }
tr.chosen td { font-weight: 600; background: color-mix(in srgb, currentColor 9%, transparent); }
i.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
"""

_LIST_STYLE = """
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 12px; margin: 0; font-size: 13px; }
dt { opacity: 0.7; } dd { margin: 0; overflow-wrap: anywhere; }
"""


def columns(*items: tuple[pn.viewable.Viewable, int, int]) -> pn.FlexBox:
    """Columns side by side that wrap when the screen is too narrow.

    Parameters
    ----------
    *items : (viewable, grow, pixels)
        Each with its share of spare width and the width it needs; 0 grows not at all.
    """
    for item, grow, width in items:
        item.styles = {**item.styles, "flex": f"{grow} 1 {width}px", "min-width": f"min(100%, {width}px)"}
    return pn.FlexBox(
        *(item for item, _, _ in items),
        flex_wrap="wrap",
        gap="8px 20px",
        align_items="flex-start",
        sizing_mode="stretch_width",
        margin=(4, 10),
    )


def heading(text: str) -> pmui.Typography:
    """Name of a part of a page."""
    return pmui.Typography(text, variant="subtitle1", margin=(6, 0, 2, 0), sx={"fontWeight": 600})


def caption(text: str) -> pmui.Typography:
    """A remark in small print."""
    return pmui.Typography(text, variant="body2", margin=(2, 0), sx={"opacity": 0.8}, sizing_mode="stretch_width")


def empty_state(text: str) -> pmui.Alert:
    """What to do to fill a place that is still empty."""
    return pmui.Alert(object=text, severity="info", variant="outlined", sizing_mode="stretch_width", margin=(10, 0))


def table_pane(**layout) -> pn.pane.HTML:
    """Place for what `table_html` makes."""
    wide = {"overflow-x": "auto"}  # a table wider than its place scrolls
    return pn.pane.HTML(
        "", stylesheets=[_TABLE_STYLE], styles=wide, sizing_mode="stretch_width", margin=(2, 0), **layout
    )


def list_pane(**layout) -> pn.pane.HTML:
    """Place for what `list_html` makes."""
    return pn.pane.HTML("", stylesheets=[_LIST_STYLE], sizing_mode="stretch_width", margin=(2, 0), **layout)


def table_html(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, colours=None, last_is_total=False, chosen=None
) -> str:
    """A small table.

    Parameters
    ----------
    header : sequence of str
        Trusted HTML, so that symbols can have subscripts.
    rows : sequence of sequences of str
        Escaped.
    colours : sequence of str or None, optional
        Colour of the swatch before each row.
    last_is_total : bool
        Draw a line above the last row.
    chosen : int, optional
        Row that is marked as the current one.
    """
    head = "".join(f"<th scope='col'>{cell}</th>" for cell in header)
    body = []
    for k, row in enumerate(rows):
        colour = colours[k] if colours else None
        swatch = f"<i class='swatch' style='background:{colour}'></i>" if colour else ""
        cells = "".join(f"<td>{swatch if j == 0 else ''}{html.escape(cell)}</td>" for j, cell in enumerate(row))
        total = " class='total'" if last_is_total and k == len(rows) - 1 else ""
        current = " class='chosen' aria-current='true'" if k == chosen else ""
        body.append(f"<tr{total}{current}>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def list_html(items: Sequence[tuple[str, str]]) -> str:
    """Names and values, both escaped."""
    return f"<dl>{''.join(f'<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>' for k, v in items)}</dl>"
