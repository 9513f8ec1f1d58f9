"""What is known of the atom that was tapped: its numbers, its neighbours, its vibrations."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from dashboards import tasks
from dashboards.delivery import in_order
from dashboards.figures.local_density import LocalDensityFigure
from dashboards.pages.examined import Examined
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import caption, table_html, table_pane
from dashboards.pages.numbers import number, number_table
from dashboards.session import Session
from dashboards.units import METAL
from ldml.errors import InputError

MOST_ATOMS = 2000
"""Of a structure whose eigenvectors are computed: 3 (3N)² numbers, 0.9 GB."""
NOTHING_TAPPED = "Tap an atom in the picture or a point in the plot."
_JOB = "Vibrations of the atoms"
_REMEMBERED = 4


class AtomCard:
    """Three tabs on one atom.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session):
        self._session = session
        self._bar = JobBar(session)
        self._examined: Examined | None = None
        self._potential: str | None = None
        self._atom = -1
        self._known: dict[int, tuple[object, tasks.LocalDensities]] = {}
        self._numbers = pn.pane.HTML("", sizing_mode="stretch_width", max_width=380, margin=(4, 0))
        self._neighbours = table_pane()
        self._figure = LocalDensityFigure()
        plot = pn.pane.Bokeh(self._figure.plot, sizing_mode="stretch_width", margin=0)
        self._plot = pn.Column(plot, sizing_mode="stretch_width", margin=0, visible=False)
        self._remark = caption("")
        self._compute = pmui.Button(
            label="Compute vibrations", variant="contained", size="small", margin=(4, 0), visible=False
        )
        self._compute.on_click(self._run)
        vibrations = pn.Column(
            self._remark, self._compute, self._bar.view(), self._plot, sizing_mode="stretch_width", margin=0
        )
        neighbours = pn.Column(self._neighbours, max_height=240, scroll="y-auto", sizing_mode="stretch_width", margin=0)
        self._view = pmui.Tabs(
            ("Atom", pn.Column(self._numbers, sizing_mode="stretch_width", margin=0)),
            ("Neighbours", neighbours),
            ("Vibrations", vibrations),
            sizing_mode="stretch_width",
            margin=0,
        )

    def view(self) -> pmui.Tabs:
        """The card."""
        return self._view

    @in_order
    def show(self, examined: Examined, atom: int, potential: str | None) -> None:
        """Tell of one atom, -1 for none, of a structure relaxed in a potential, which a dataset need not name."""
        if self._bar.busy and (self._examined is None or self._examined.entry is not examined.entry):
            self._bar.abandon()
        self._examined, self._atom, self._potential = examined, atom, potential
        self._show_numbers()
        self._show_neighbours()
        self._show_vibrations()

    def _show_numbers(self):
        if self._atom < 0:
            self._numbers.object = number_table([(NOTHING_TAPPED, "")])
        else:
            rows = self._examined.atom_numbers(self._atom)
            self._numbers.object = number_table(rows, title=f"Atom {self._atom}")

    def _show_neighbours(self):
        if self._atom < 0:
            self._neighbours.object = number_table([(NOTHING_TAPPED, "")])
            return
        examined = self._examined
        symbols = examined.entry.atoms.get_chemical_symbols()
        header = ["atom", f"r ({examined.units.length})", "exact S<sub>i</sub>", "learned S<sub>i</sub>"]
        rows = [
            (f"{symbols[j]} {j}", number(r, 3), *(_share(v, j) for v in (examined.exact, examined.learned)))
            for j, r in examined.neighbours(self._atom)
        ]
        self._neighbours.object = table_html(header, rows)

    @in_order
    def _show_vibrations(self):
        known = self._known.get(id(self._examined.entry))
        densities = known[1] if known is not None and known[0] is self._examined.entry else None
        obstacle = self._obstacle()
        self._plot.visible = densities is not None and self._atom >= 0
        self._compute.visible = densities is None and not obstacle and not self._bar.busy
        if self._plot.visible:
            self._figure.show(densities.frequencies, densities.densities, self._atom)
            self._remark.object = f"Local density of states of atom {self._atom}; its integral is 3 modes."
        elif densities is not None:
            self._remark.object = NOTHING_TAPPED
        else:
            n = len(self._examined.entry.atoms)
            self._remark.object = obstacle or f"Needs the eigenvectors of all {3 * n:,} modes: the work of a job."

    def _obstacle(self):
        """Why the vibrations of the structure cannot be computed; empty if they can."""
        examined, n = self._examined, len(self._examined.entry.atoms)
        if n > MOST_ATOMS:
            return f"Vibrations of single atoms are computed for up to {MOST_ATOMS:,} atoms; this structure has {n:,}."
        if examined.is_saddle:
            return "A saddle has an imaginary mode, and so no density of states."
        if examined.units != METAL:
            return "Densities of states are given in THz; this dataset is in reduced units."
        return ""

    async def _run(self, event):
        entry = self._examined.entry
        with self._session.reporting(_JOB):
            if self._potential is None:
                raise InputError("the dataset does not say which potential its structures were relaxed in")
            self._compute.visible = False
            try:
                densities = await self._bar.run(
                    tasks.local_densities, entry.atoms, self._potential, title=f"Vibrations of {entry.name}"
                )
                self._known[id(entry)] = (entry, densities)
                while len(self._known) > _REMEMBERED:
                    del self._known[next(iter(self._known))]
            finally:
                async with self._session.locked():
                    self._show_vibrations()


def _share(values, atom):
    return number(None if values is None else float(values[atom]), 4, sign=True)
