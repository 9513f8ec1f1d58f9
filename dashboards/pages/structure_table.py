"""The table of the structures that are chosen: sorted by any column, a row selects its structure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models.widgets.tables import NumberFormatter

from dashboards.defects import INTERSTITIALS, VACANCIES
from dashboards.pages.numbers import MISSING
from dashboards.selection import ENERGY, ENTROPY, Columns, Selection
from dashboards.state import AppState
from dashboards.units import METAL, Units, units_of

PAGE_ROWS = 12
_WIDTHS = {
    "name": 132,
    "class": 64,
    "S_f": 82,
    "E_f": 76,
    "n_V": 52,
    "n_I": 50,
    "parent": 110,
    "cell": 80,
    "exact": 80,
    "atoms": 66,
    "force": 124,
}
"""Columns, and pixels of each."""
ROW_HEIGHT = 29
"""Pixels."""
_COMPACT = f"""
:host .tabulator {{ font-size: 13px; }}
:host .tabulator .tabulator-header .tabulator-col .tabulator-col-content {{ padding: 6px 4px 6px 8px; }}
/* the theme comes later, and the table writes the theme's height into each cell */
:host .tabulator .tabulator-row {{ min-height: {ROW_HEIGHT}px !important; }}
:host .tabulator .tabulator-row .tabulator-cell {{ height: {ROW_HEIGHT - 9}px !important; padding: 4px 8px !important; }}
/* readable on dark pages, too */
:host .tabulator .tabulator-row.tabulator-selected {{ background-color: #1769aa !important; color: #ffffff !important; }}
"""


class StructureTable:
    """A table that follows a `Selection` and the structure in view.

    Parameters
    ----------
    state : AppState
    selection : Selection
    """

    def __init__(self, state: AppState, selection: Selection):
        self._state, self._selection = state, selection
        self._columns: Columns | None = None
        self._everything = structure_frame(None)
        self._table = _empty_table()
        self._selection.param.watch(lambda *events: self._follow(), ["columns", "filters"])
        self._table.param.watch(self._select_row, "selection")
        state.param.watch(lambda *events: self._show_selected(), ["selected", "page"])
        self._follow()

    def view(self) -> pn.widgets.Tabulator:
        """The table."""
        return self._table

    def chosen_frame(self) -> pd.DataFrame:
        """The rows chosen, with the units in the names of the columns."""
        titles = column_titles(units_of(self._selection.data))
        return self._everything[self._selection.chosen].rename(columns=titles)

    def _follow(self):
        columns = self._selection.columns
        if columns is not self._columns:
            self._columns = columns
            self._everything = structure_frame(columns)
            hidden = [name for name in _WIDTHS if name not in _told(columns)]
            self._table.param.update(titles=column_titles(units_of(self._selection.data)), hidden_columns=hidden)
        self._table.param.update(value=self._everything[self._selection.chosen], page=1)
        self._show_selected()

    def _show_selected(self):
        if not self._state.is_in_view("Data"):
            return  # a table out of sight would show the rows of one page under the number of another
        rows = np.flatnonzero(self._table.value.index == self._state.selected).tolist()
        if self._table.selection != rows:
            self._table.selection = rows
        places = np.flatnonzero(self._table.current_view.index == self._state.selected)  # as the table is sorted
        if len(places):
            self._table.page = int(places[0]) // PAGE_ROWS + 1
        elif self._state.selected < 0:
            self._table.page = 1

    def _select_row(self, event):
        if event.new:
            self._state.select(int(self._table.value.index[event.new[-1]]))


def column_titles(units: Units) -> dict[str, str]:
    """Headings of the table."""
    titles = (
        "structure",
        "class",
        f"S_f ({units.entropy})",
        f"E_f ({units.energy})",
        "n_V",
        "n_I",
        "parent",
        f"cell ({units.length})",
        "exact S_i",
        "atoms",
        f"max force ({units.force})",
    )
    return dict(zip(_WIDTHS, titles, strict=True))


def structure_frame(columns: Columns | None) -> pd.DataFrame:
    """One row for each structure of a dataset, indexed by its place in it."""
    if columns is None:
        return pd.DataFrame(columns=list(_WIDTHS))
    data = columns.data
    edges = np.array([bulk.cell.volume for bulk in data.bulks]) ** (1 / 3)
    cells = {
        "name": columns.names,
        "class": columns.labels,
        "S_f": columns.number(ENTROPY),
        "E_f": columns.number(ENERGY),
        "n_V": _counts(columns, VACANCIES),
        "n_I": _counts(columns, INTERSTITIALS),
        "parent": columns.parents,
        "cell": edges[columns.crystals],
        "exact": np.where(columns.exact, "yes", "no"),
        "atoms": data.n_atoms,
        "force": [f"{force:.1e}" if np.isfinite(force) else "" for force in data.max_force],
    }
    return pd.DataFrame(cells)


def _counts(columns, key):
    return columns.number(key) if key in columns else np.full(len(columns), np.nan)


def _told(columns):
    """Columns that say something: edges of cells where they differ, parents where there are some."""
    if columns is None:
        return set(_WIDTHS)
    silent = set() if VACANCIES in columns else {"n_V", "n_I"}
    silent |= set() if (columns.parents != "").any() else {"parent"}
    silent |= set() if len(columns.data.bulks) > 1 else {"cell"}
    return set(_WIDTHS) - silent


def _empty_table():
    number = NumberFormatter(format="0.000", nan_format=MISSING)
    whole = NumberFormatter(format="0", nan_format=MISSING)
    return compact_table(
        structure_frame(None),
        titles=column_titles(METAL),
        formatters={"S_f": number, "E_f": number, "cell": number, "n_V": whole, "n_I": whole},
        text_align=dict.fromkeys(("S_f", "E_f", "n_V", "n_I", "cell", "atoms", "force"), "right"),
        widths=_WIDTHS,
    )


def compact_table(frame: pd.DataFrame, **options) -> pn.widgets.Tabulator:
    """A table of structures, a page at a time, of which one can be selected.

    Parameters
    ----------
    frame : DataFrame
    **options
        Of `panel.widgets.Tabulator`.
    """
    return pn.widgets.Tabulator(
        frame,
        layout="fit_data_stretch",
        pagination="remote",
        page_size=PAGE_ROWS,
        show_index=False,
        disabled=True,
        selectable=1,
        row_height=ROW_HEIGHT,
        height=(PAGE_ROWS + 3) * ROW_HEIGHT,
        sizing_mode="stretch_width",
        margin=(4, 0),
        stylesheets=[_COMPACT],
        **options,
    )
