"""The application: one page with seven tabs over one state.

The environment variable ``LDML_APP_DATASET`` names the dataset to open with, by its name in the sample data or its path.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import html
import os
from pathlib import Path

import panel as pn
import panel_material_ui as pmui
from panel.util import edit_readonly
from threadpoolctl import threadpool_limits

from dashboards.delivery import deliver_all
from dashboards.light_updates import mark_once
from dashboards.pages.data import DataPage
from dashboards.pages.descriptor_form import describe_descriptor
from dashboards.pages.model import ModelPage
from dashboards.pages.reference import ReferencePage
from dashboards.pages.scaling import ScalingPage
from dashboards.pages.share import Share
from dashboards.pages.splits import SplitsPage
from dashboards.pages.structure import StructurePage
from dashboards.pages.teach import TeachPage
from dashboards.pages.undo_bar import undo_bar
from dashboards.session import Session, is_at_hand, shared_dataset
from dashboards.state import DEFAULT_SEED, DEFAULT_TEST_PROPORTION, default_descriptor, remembered_fit
from dashboards.style_sheets import keep_style_sheets_here
from dashboards.units import units_of
from dashboards.url_state import query_from, query_of, restore, search_of, view_of
from ldml.errors import InputError

TITLE = "Vibrational entropy of crystal defects"
DATASET_VARIABLE = "LDML_APP_DATASET"
DEFAULT_DATASET = "fe-am04-8a0"

PAGES = {
    "Data": DataPage,
    "Model": ModelPage,
    "Splits": SplitsPage,
    "Structure": StructurePage,
    "Reference": ReferencePage,
    "Scaling": ScalingPage,
    "Teach": TeachPage,
}

THEME = {"typography": {"button": {"textTransform": "none"}}, "chart_style": "standard"}


def create_app(session: Session | None = None) -> pmui.Page:
    """The dashboard for one visitor.

    Parameters
    ----------
    session : Session, optional
        A new one by default; closed when the visitor leaves.

    Returns
    -------
    panel_material_ui.Page
    """
    pn.extension("tabulator")
    deliver_all()
    mark_once()
    _keep_to_one_core()
    keep_style_sheets_here()
    session = Session() if session is None else session
    pn.state.on_session_destroyed(lambda context: session.close())
    view = view_of({} if pn.state.location is None else query_from(pn.state.location.search))
    if view.problems:
        session.report_error(" ".join(view.problems), "Link")
    if session.state.dataset is None:
        _open_first_dataset(session, view.dataset or os.environ.get(DATASET_VARIABLE, DEFAULT_DATASET), view)
    _follow_in_address(session.state)
    share = Share(session)
    status = pn.Row(_status_pane(session.state), share.buttons(), sizing_mode="stretch_width", margin=0)
    page = pmui.Page(
        title=TITLE,
        main=[status, share.progress(), session.messages, undo_bar(session.state), _tabs(session)],
        sidebar_variant="temporary",
        theme_config=THEME,
    )
    # of itself it follows the whole server: every page hears of every visitor, and none is given up when its visitor leaves
    with edit_readonly(page):
        page.busy = session.state.param.computing
    return page


def status_line(dataset, fit, selected, opening="", whole=None) -> str:
    """Dataset, model and structure in view, in one line of HTML.

    Parameters
    ----------
    dataset : Dataset or None
    fit : Fit or None
    selected : int
        Index in the dataset; -1 for none.
    opening : str
        Name of the dataset that is being read, if one is.
    whole : Dataset, optional
        Of which the dataset is a part.
    """
    if opening:
        return f"Opening <b>{html.escape(opening)}</b> …"
    if dataset is None:
        return "No dataset is open; choose or upload one under Data."
    share = "" if whole is None else f" of {len(whole):,}"
    structures = "structure" if len(dataset) == 1 and whole is None else "structures"
    parts = [f"<b>{html.escape(dataset.name)}</b>, {len(dataset):,}{share} {structures}"]
    if fit is None:
        parts.append("no model fitted")
    else:
        model = describe_descriptor(fit.model.descriptor, length=units_of(dataset).length)
        error = f"test RMSE <b>{fit.rmse(fit.test):.3f} k<sub>B</sub></b>"
        elsewhere = "" if fit.speaks_of(dataset) else f"model of {html.escape(fit.data.name)}: "
        parts.append(f"{elsewhere}{html.escape(model)}, {error}")
    if 0 <= selected < len(dataset):
        parts.append(f"in view: <b>{html.escape(str(dataset.names[selected]))}</b>")
    return " &nbsp;·&nbsp; ".join(parts)


@functools.cache
def _keep_to_one_core():
    """The server's own sums are short, and threads that wait for one another are slow beside workers and a browser."""
    threadpool_limits(limits=1, user_api="blas")


def _open_first_dataset(session, source, view):
    """Show a dataset at once if it has been read before; else the empty page comes first, and then the dataset."""
    if is_at_hand(source):
        _show(session, shared_dataset(source), view)
        return
    session.state.opening = Path(source).stem

    async def read():
        try:
            with session.reporting("Opening the dataset"):
                data = await asyncio.to_thread(shared_dataset, source)
                await asyncio.to_thread(_first_fit, data)
                async with session.locked():
                    session.state.opening = ""
                    if session.state.dataset is None:  # the visitor may have chosen another in the meantime
                        _show(session, data, view)
        finally:
            session.state.opening = ""

    pn.state.onload(read)


def _show(session, data, view):
    session.state.open_dataset(data)
    if problems := restore(session.state, data, view):
        session.report_error("; ".join(problems), "Link")


def _follow_in_address(state):
    """Keep the address such that it shows this view to whoever opens it."""
    location = pn.state.location
    if location is not None:
        names = ["dataset", "filters", "fit", "selected", "page", "quantity"]
        state.param.watch(lambda *events: setattr(location, "search", search_of(query_of(state))), names)


def _first_fit(data):
    """Fit what the Model page asks for first, so that it need not hold up the page."""
    descriptor = default_descriptor()
    if data.has_descriptor(descriptor):
        with contextlib.suppress(InputError):  # the Model page will say it
            remembered_fit(data, descriptor, test_proportion=DEFAULT_TEST_PROPORTION, seed=DEFAULT_SEED)


def _status_pane(state):
    return pn.pane.HTML(
        pn.bind(
            status_line,
            state.param.dataset,
            state.param.fit,
            state.param.selected,
            state.param.opening,
            state.param.whole,
        ),
        sizing_mode="stretch_width",
        margin=(6, 14, 0, 14),
        styles={"font-size": "13px"},
    )


def _tabs(session):
    """Tabs that follow ``state.page`` and set it; the pages out of sight are made once the first is on the screen."""
    state, names = session.state, list(PAGES)
    places = {name: pn.Column(margin=0) for name in names}
    tabs = pmui.Tabs(*places.items(), active=names.index(state.page), sizing_mode="stretch_width")
    tabs.param.watch(lambda event: setattr(state, "page", names[event.new]), "active")
    state.param.watch(lambda event: setattr(tabs, "active", names.index(event.new)), "page")

    def fill(name):
        places[name].objects = [PAGES[name](session).view()]

    async def fill_others():
        for name in names:
            if not places[name].objects:
                async with session.locked():
                    fill(name)

    fill(state.page)
    pn.state.onload(fill_others)
    return tabs
