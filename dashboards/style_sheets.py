"""No style sheet is asked of another host.

Panel 1.9.4 refers to its own style sheets at its CDN wherever it does not know the page they are for: in a notebook for what is
added to a page on show, in a session that begins without a page, and for parts that are in no page yet. There they are written
out in place of their address.
"""

from __future__ import annotations

import base64

import panel as pn
import panel.io.resources as panel_resources
import panel.reactive as panel_reactive
from bokeh.models import ImportedStyleSheet, InlineStyleSheet
from panel.io.notebook import replace_inline_css
from panel.io.resources import CDN_DIST, LOCAL_DIST

_placed_by_panel = panel_resources.patch_stylesheet


def keep_style_sheets_here() -> None:
    """See to it that no page asks another host for style sheets.

    A session of this server is told where its files are before its page is made; written out, they would take megabytes.
    """
    if pn.state.curdoc is not None:
        pn.state.curdoc.template_variables.setdefault("dist_url", panel_resources.get_dist_path())
    panel_resources.patch_stylesheet = panel_reactive.patch_stylesheet = place


def place(sheet: ImportedStyleSheet, dist_url: str) -> None:
    """Give a style sheet an address that this page can read.

    Parameters
    ----------
    sheet : ImportedStyleSheet
    dist_url : str
        Where the page has Panel's files, as far as Panel knows.
    """
    if dist_url != CDN_DIST:
        _placed_by_panel(sheet, dist_url)
        return
    if sheet.url.startswith(LOCAL_DIST):
        sheet.url = sheet.url.replace(LOCAL_DIST, CDN_DIST, 1)
    written_out = replace_inline_css(sheet)
    if isinstance(written_out, InlineStyleSheet):
        sheet.url = "data:text/css;base64," + base64.b64encode(written_out.css.encode()).decode()
