"""The structure in view beside a plot: its atoms in 3D, its totals, the atom tapped, and the way to its own page."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from dashboards.pages.atoms_panel import AtomsPanel
from dashboards.pages.examined import Examined
from dashboards.pages.examiner import QUICK, Examiner
from dashboards.pages.layout import caption, empty_state, heading
from dashboards.pages.numbers import number, subscripts
from dashboards.plain_text import plain
from dashboards.session import Session

NOTHING = "No structure is in view. Tap a point of the parity plot, or choose a row of the table on the Data page."
HEIGHT = 430
"""Pixels of picture and colour bar: as much as the plot beside it."""
TAP_AN_ATOM = "Tap an atom for its numbers."


class StructurePreview:
    """Follows the structure in view while it is on show.

    Parameters
    ----------
    session : Session
    page : str
        The page it is on; what nobody looks at is not computed.
    """

    def __init__(self, session: Session, page: str):
        self._state, self._page = session.state, page
        self._examiner = session.own(Examiner)
        self._panel = AtomsPanel(height=HEIGHT)
        self._examined: Examined | None = None
        self._title = heading("")
        self._open = pmui.Button(
            label="Open",
            description="Open on the Structure page, with profile, filters and comparison",
            variant="outlined",
            size="small",
            margin=(2, 0),
        )
        self._choice = pn.Column(self._panel.colour_choice, width=210, margin=(0, 10))
        self._totals = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 0), styles={"font-size": "13px"})
        self._atom = caption(TAP_AN_ATOM)
        self._obstacle = empty_state(NOTHING)
        self._content = pn.Column(
            self._totals,
            self._panel.note,
            self._panel.picture(),
            self._atom,
            sizing_mode="stretch_width",
            margin=0,
            visible=False,
        )
        top = pn.Row(self._title, pn.HSpacer(), self._choice, self._open, sizing_mode="stretch_width", margin=0)
        self._view = pn.Column(top, self._obstacle, self._content, sizing_mode="stretch_width", margin=0, visible=False)
        self._open.on_click(lambda event: self._state.select(self._state.selected, show=True))
        self._panel.on_pick(lambda atom: self._show_atom())
        self._panel.on_colour(lambda label: self._state.param.update(quantity=label))
        self._panel.colour_by(self._state.quantity)
        self._state.param.watch(lambda event: self._panel.colour_by(event.new), "quantity")
        self._state.param.watch(lambda *events: self._refresh(), ["dataset", "selected", "fit", "page"])

    def view(self) -> pn.Column:
        """To be placed on the page."""
        return self._view

    def show(self, on: bool = True) -> None:
        """Come on show, or go."""
        self._view.visible = on
        self._refresh()

    def reveal(self) -> None:
        """Scroll the picture into sight where the screen is too small for it and the plot."""
        self._panel.view.reveal()

    def _refresh(self):
        if not self._view.visible or not self._state.is_in_view(self._page):
            return
        obstacle = self._why_not()
        self._obstacle.param.update(object=obstacle, visible=bool(obstacle))
        self._content.visible = self._choice.visible = not obstacle
        name = "" if obstacle == NOTHING else str(self._state.dataset.names[self._state.selected])
        self._title.object = plain(name)
        self._open.visible = bool(name)
        if not obstacle:
            self._show(self._examiner.examine(self._state.selected))

    def _why_not(self):
        """Why there is no picture; empty if there is one."""
        data, i = self._state.dataset, self._state.selected
        if data is None or not 0 <= i < len(data):
            return NOTHING
        if not self._examiner.is_quick(i):
            return f"{len(data.entries[i].atoms):,} atoms; more than {QUICK:,} are drawn on the Structure page."
        return ""

    def _show(self, examined):
        same = self._examined is not None and self._examined.entry is examined.entry
        self._examined = examined
        if same:
            self._panel.recolour(examined.quantities)
        else:
            self._panel.show(
                examined.entry.atoms,
                examined.centres,
                examined.vacancies,
                examined.to_defects,
                examined.quantities,
            )
        self._totals.object = subscripts(totals_in_words(examined))
        self._show_atom()

    def _show_atom(self):
        atom = self._panel.view.selected
        self._atom.object = TAP_AN_ATOM if atom < 0 or self._examined is None else atom_in_words(self._examined, atom)


def totals_in_words(examined: Examined) -> str:
    """Class, size and total entropies of a structure in a line; ``_x`` stands for a subscript."""
    entry, learned = examined.entry, examined.predicted
    parts = [f"{entry.label}, {len(entry.atoms):,} atoms", f"S_f exact {number(entry.formation_entropy, unit='k_B')}"]
    if learned is not None:
        difference = number(learned - entry.formation_entropy, sign=True)
        parts.append(f"learned {number(learned, unit='k_B')} ({difference}; {examined.role})")
    return " · ".join(parts)


def atom_in_words(examined: Examined, atom: int) -> str:
    """Share of the entropy and distance of one atom in a line."""
    shares = [
        f"S_i {name} {number(float(values[atom]), 4, unit='k_B', sign=True)}"
        for name, values in (("exact", examined.exact), ("learned", examined.learned))
        if values is not None
    ]
    place = "the centre" if examined.is_cluster else "the defect"
    distance = number(float(examined.distances[atom]), 2, unit=examined.units.length)
    return " · ".join([f"Atom {atom}", *shares, f"{distance} from {place}"])
