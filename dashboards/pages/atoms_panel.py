"""Atoms in 3D with what steers their colours: the quantity, the end of its scale, which atoms are drawn.

A quantity that is not known of a structure gives way to the next one that is, and a sentence says so. Signed quantities
have a scale symmetric about 0; its end is chosen so that 1 % of the atoms saturate, and can be moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import panel as pn
import panel_material_ui as pmui
from ase import Atoms
from ase.geometry import wrap_positions

from dashboards.plain_text import plain
from dashboards.viewer import AtomsView, colour_bar, colour_bar_html
from dashboards.viewer.palettes import DIVERGING

SATURATED = 1.0
"""Per cent of the atoms beyond the ends of a freshly chosen scale."""
NEAR, FAR = 1.1, 0.5
"""Factors on the radii of atoms near the defect and of the others, when the defect is emphasised."""
_DISTANCE_PALETTE = "cividis"


@dataclass(frozen=True)
class Quantity:
    """A scalar of each atom to colour by.

    Attributes
    ----------
    label : str
        In the list of choices.
    title : str
        Of the colour bar, with the unit.
    values : (N,) float or None
        None where unknown; atoms of infinite or NaN value are drawn grey.
    signed : bool
        Whether 0 is the middle of the scale; signed quantities of one structure share their scale.
    missing : str
        What to say when `values` is None.
    unit : str
    """

    label: str
    title: str
    values: np.ndarray | None
    signed: bool = True
    missing: str = ""
    unit: str = "k_B"


class AtomsPanel:
    """A view of one structure and its controls.

    Attributes
    ----------
    view : AtomsView
    """

    def __init__(self, *, height: str = "calc(100vh - 190px)"):
        self._height = height
        self.view = AtomsView(sizing_mode="stretch_both", min_height=300)
        self._bar = colour_bar(DIVERGING, (-1.0, 1.0), height=62)  # fixed: the view must not move with the title
        self._colour = pmui.Select(
            label="Colour by", options=[], size="small", sizing_mode="stretch_width", margin=(5, 0)
        )
        self._end = pmui.FloatSlider(
            label="Colours end at",
            start=0.01,
            end=1.0,
            value=1.0,
            step=0.01,
            size="small",
            sizing_mode="stretch_width",
            margin=(5, 8),
        )
        self._defect_only = pmui.Switch(label="Defect atoms only", value=False, margin=(2, 0))
        self._emphasise = pmui.Switch(label="Larger near the defect", value=True, margin=(2, 0))
        self._radius = pmui.FloatSlider(
            label="Defect radius (Å)",
            start=2.0,
            end=12.0,
            value=4.0,
            step=0.5,
            size="small",
            sizing_mode="stretch_width",
            margin=(5, 8),
        )
        self._fit = pmui.Button(label="Reset view", variant="outlined", size="small", margin=(2, 0))
        self._note = pmui.Typography("", variant="body2", visible=False, sizing_mode="stretch_width", margin=(0, 0))
        self._quantities: tuple[Quantity, ...] = ()
        self._ends: dict[bool, float] = {}
        self._atoms, self._ghosts, self._distances = None, None, np.empty(0)
        self._wanted = ""
        self._settling = False
        self._on_pick: Callable[[int], None] = lambda atom: None

        self._colour.param.watch(self._choose, "value")
        self._end.param.watch(self._move_end, "value")
        self._defect_only.param.watch(lambda event: self._filter(), "value")
        self._emphasise.param.watch(lambda event: self._redraw(), "value")
        self._radius.param.watch(lambda event: self._redraw(), "value")
        self._fit.on_click(lambda event: self.view.fit_camera())
        self.view.param.watch(lambda event: self._on_pick(event.new), "selected")

    def picture(self) -> pn.Column:
        """The view over its colour bar."""
        styles = {"min-height": f"max(400px, {self._height})"}
        return pn.Column(self.view, self._bar, sizing_mode="stretch_both", margin=0, styles=styles)

    def controls(self) -> pn.Column:
        """The widgets, for a narrow column."""
        return pn.Column(
            self._colour,
            self._note,
            self._end,
            self._defect_only,
            self._emphasise,
            self._radius,
            self._fit,
            sizing_mode="stretch_width",
            margin=0,
        )

    def toolbar(self) -> pn.FlexBox:
        """The widgets, for a place that is wide and low."""
        wide = (self._colour, self._end, self._radius)
        for widget in wide:
            widget.styles = {"flex": "1 1 140px"}
        return pn.FlexBox(
            *wide,
            self._defect_only,
            self._emphasise,
            self._fit,
            self._note,
            gap="4px 16px",
            align_items="center",
            sizing_mode="stretch_width",
            margin=(0, 8),
        )

    @property
    def shown(self) -> Quantity | None:
        """The quantity on show, which is not the one asked for when that one is unknown."""
        known = {quantity.label: quantity for quantity in self._quantities if quantity.values is not None}
        return known.get(self._wanted) or next(iter(known.values()), None)

    @property
    def asked_for(self) -> Quantity | None:
        """The quantity chosen last, known or not; the first where that one is not on offer."""
        offered = {quantity.label: quantity for quantity in self._quantities}
        return offered.get(self._wanted) or next(iter(offered.values()), None)

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the atom tapped, -1 for none."""
        self._on_pick = callback

    def select(self, atom: int) -> None:
        """Put the ring around an atom; -1 for none."""
        self.view.selected = atom

    def show(self, atoms: Atoms, centres, ghosts, distances, quantities: Sequence[Quantity]) -> None:
        """Show a structure, its defect in the middle of the cell.

        Parameters
        ----------
        atoms : Atoms
        centres, ghosts : (n, 3) float, Å
            Positions of all defects, and of the vacancies among them.
        distances : (N,) float, Å
            Of each atom to the nearest defect; infinite where there is none.
        quantities : sequence of Quantity
            In the order in which they stand in for one another.
        """
        self._atoms, self._ghosts = centred(atoms, centres, ghosts)
        self._distances = np.asarray(distances, dtype=float)
        for widget in (self._defect_only, self._emphasise, self._radius):
            widget.visible = bool(len(centres))
        self._quantities = tuple(quantities)
        self._ends = {
            signed: _end_of_scale([q.values for q in quantities if q.values is not None and q.signed is signed], signed)
            for signed in (True, False)
        }
        self._settle()
        self._redraw()

    def recolour(self, quantities: Sequence[Quantity]) -> None:
        """Replace the quantities of the structure on show."""
        self._quantities = tuple(quantities)
        known = [q.values for q in quantities if q.values is not None and q.signed]
        self._ends[True] = _end_of_scale(known, True)
        self._settle()
        self._colour_atoms()

    def clear(self) -> None:
        """Show nothing."""
        self._atoms, self._quantities = None, ()
        self.view.clear()

    def _settle(self):
        """Bring the widgets in line with the quantities, without their watchers answering."""
        labels = [quantity.label for quantity in self._quantities]
        self._settling = True
        try:
            self._colour.param.update(options=labels, value=None if self.asked_for is None else self.asked_for.label)
            self._set_slider()
        finally:
            self._settling = False
        asked, shown = self.asked_for, self.shown
        note = "" if asked is None or asked is shown else asked.missing
        if note and shown is not None:
            note += f" Shown instead: {shown.label}."
        self._note.param.update(object=plain(note), visible=bool(note))

    def _set_slider(self):
        quantity = self.shown
        if quantity is None:
            return
        end, largest = self._ends[quantity.signed], _largest(self._quantities, quantity.signed)
        step = 10.0 ** (np.floor(np.log10(largest)) - 2)
        label = f"Colours end at {'± ' if quantity.signed else ''}({quantity.unit})"
        start, stop = step, np.ceil(largest / step) * step
        self._end.param.update(label=label, start=start, end=stop, step=step, value=float(np.clip(end, start, stop)))

    def _choose(self, event):
        if not self._settling and event.new is not None:
            self._wanted = event.new
            self._settle()
            self._colour_atoms()

    def _move_end(self, event):
        quantity = self.shown
        if not self._settling and quantity is not None:
            self._ends[quantity.signed] = event.new
            self._colour_atoms()

    def _redraw(self):
        if self._atoms is None:
            return
        near = self._near()
        sizes = np.where(near, NEAR, FAR) if self._emphasise.value and near.any() else None
        selected = self.view.selected if self.view.n_atoms == len(self._atoms) else -1
        values, palette, limits = self._colouring()
        self.view.show(
            self._atoms,
            values,
            visible=self._visible(near),
            sizes=sizes,
            ghosts=self._ghosts,
            palette=palette,
            limits=limits,
        )
        self.view.selected = selected
        self._draw_bar(palette, limits)

    def _filter(self):
        if self._atoms is not None:
            self.view.filter(self._visible(self._near()))

    def _colour_atoms(self):
        if self._atoms is not None:
            values, palette, limits = self._colouring()
            self.view.recolour(values, palette=palette, limits=limits)
            self._draw_bar(palette, limits)

    def _colouring(self):
        quantity = self.shown
        if quantity is None:
            return None, DIVERGING, (-1.0, 1.0)
        end = self._ends[quantity.signed]
        values = np.where(np.isfinite(quantity.values), quantity.values, np.nan)
        return values, DIVERGING if quantity.signed else _DISTANCE_PALETTE, (-end if quantity.signed else 0.0, end)

    def _draw_bar(self, palette, limits):
        quantity = self.shown
        self._bar.object = "" if quantity is None else colour_bar_html(palette, limits, quantity.title)

    def _near(self):
        return self._distances <= self._radius.value

    def _visible(self, near):
        return near if self._defect_only.value and near.any() else None


def centred(atoms: Atoms, centres, ghosts) -> tuple[Atoms, np.ndarray]:
    """Copy of a periodic structure, and of its ghosts, translated so that the defects are in the middle of the cell."""
    ghosts = np.asarray(ghosts, dtype=float).reshape(-1, 3)
    if len(centres) == 0 or not atoms.pbc.all():
        return atoms, ghosts
    cell = atoms.cell.array
    # the mean of points on a circle: a cluster across a face has its middle at the face
    angles = 2.0j * np.pi * (np.asarray(centres) @ np.linalg.inv(cell))
    middle = np.angle(np.exp(angles).mean(axis=0)) / (2.0 * np.pi)
    shift = (0.5 - middle) @ cell
    moved = atoms.copy()
    moved.positions = wrap_positions(atoms.positions + shift, cell, pbc=True)
    return moved, wrap_positions(ghosts + shift, cell, pbc=True) if len(ghosts) else ghosts


def _end_of_scale(values, signed) -> float:
    finite = np.abs(np.concatenate([v[np.isfinite(v)] for v in values])) if values else np.empty(0)
    if not finite.size or finite.max() == 0:
        return 1.0
    end = np.percentile(finite, 100.0 - SATURATED) if signed else finite.max()
    return float(f"{max(end, 1e-3 * finite.max()):.2g}")


def _largest(quantities, signed) -> float:
    values = [q.values[np.isfinite(q.values)] for q in quantities if q.values is not None and q.signed is signed]
    largest = max((float(np.abs(v).max()) for v in values if v.size), default=1.0)
    return largest or 1.0
