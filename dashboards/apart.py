"""The pages of the dashboard one by one, as in the cells of a notebook; `ldml.pages` is its public name.

Pages that stand apart share one visitor's state as they do under their tabs: a point tapped in one is the structure in view in
another.
"""

from __future__ import annotations

import panel as pn

from dashboards.app import PAGES
from dashboards.light_updates import mark_once
from dashboards.pages.undo_bar import undo_bar
from dashboards.session import Session
from dashboards.style_sheets import keep_style_sheets_here
from ldml.dataset import Dataset

_NAMES = {name.lower(): name for name in PAGES}


class Pages:
    """Pages over one dataset; each attribute is one, made when it is first asked for.

    Parameters
    ----------
    data : Dataset
    session : Session, optional
        A new one by default.
    """

    def __init__(self, data: Dataset, session: Session | None = None):
        pn.extension("tabulator", inline=True)  # nothing is fetched from elsewhere
        mark_once()
        keep_style_sheets_here()
        self._session = Session() if session is None else session
        self._shown: dict[str, pn.Column] = {}
        self._session.state.open_dataset(data)

    def __getattr__(self, name: str) -> pn.Column:
        if name not in _NAMES:
            raise AttributeError(f"there is no page {name!r}; choose one of {', '.join(_NAMES)}")
        if name not in self._shown:
            self._shown[name] = self._made(_NAMES[name])
        return self._shown[name]

    def __dir__(self):
        return list(_NAMES)

    def __repr__(self):
        return f"pages of {self._session.state.dataset.name}: {', '.join(_NAMES)}"

    def _made(self, page):
        state = self._session.state
        state.apart = [*state.apart, page]
        view = PAGES[page](self._session).view()
        return pn.Column(self._session.messages, undo_bar(state), view, sizing_mode="stretch_width")
