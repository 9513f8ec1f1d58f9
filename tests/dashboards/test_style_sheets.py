"""Style sheets of Panel's come from here, whatever Panel knows of the page they are for."""

import base64

import panel.reactive
import pytest
from bokeh.models import ImportedStyleSheet
from panel.io.resources import CDN_DIST, DIST_DIR, LOCAL_DIST

from dashboards.style_sheets import keep_style_sheets_here, place


@pytest.mark.parametrize("where", [CDN_DIST, LOCAL_DIST])
def test_where_no_page_is_known_a_sheet_is_written_out(where):
    sheet = ImportedStyleSheet(url=f"{where}css/loading.css?v=1")
    place(sheet, CDN_DIST)
    head, content = sheet.url.split(",")
    assert head == "data:text/css;base64"
    assert base64.b64decode(content) == (DIST_DIR / "css" / "loading.css").read_bytes()


def test_a_page_of_this_server_has_them_from_it():
    sheet = ImportedStyleSheet(url=f"{CDN_DIST}css/loading.css")
    place(sheet, LOCAL_DIST)
    assert sheet.url.startswith(f"{LOCAL_DIST}css/loading.css")


def test_sheets_of_others_are_left_alone():
    sheet = ImportedStyleSheet(url="mine.css")
    place(sheet, CDN_DIST)
    assert sheet.url == "mine.css"


def test_panel_asks_for_each_sheet():
    keep_style_sheets_here()
    assert panel.reactive.patch_stylesheet is place
