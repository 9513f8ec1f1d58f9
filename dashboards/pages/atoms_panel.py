"""Atoms in 3D with what steers their colours and which of them are drawn; a second picture beside the first on demand.

A quantity that is not known of a structure gives way to the next one that is, and a sentence says so. The scale of signed
quantities is symmetric about the crystal's value until its ends are moved; ends that were moved stay until "Auto" is pressed,
so that one structure after the other is seen in the same colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import panel as pn
import panel_material_ui as pmui
from ase import Atoms
from ase.geometry import wrap_positions

from dashboards.pages.quantities import Quantity, automatic_limits, extent, values_of
from dashboards.plain_text import plain
from dashboards.viewer import AtomsView, colour_bar, colour_bar_html
from dashboards.viewer.palettes import DIVERGING

NEAR, FAR = 1.1, 0.5
"""Factors on the radii of atoms near the defect and of the others, when the defect is emphasised."""
MANY = 150_000
"""Atoms, above which a structure first shows those near its defects alone."""
NO_SLAB = "whole cell"
THE_SAME = "the same"
_BAR_HEIGHT = 62  # fixed: the view must not move with the title


@dataclass(frozen=True)
class Scene:
    """A structure as it is drawn, with what its atoms can be coloured by.

    Attributes
    ----------
    atoms : Atoms
    ghosts : (n, 3) float, Å
        Positions of vacancies.
    distances : (N,) float, Å
        Of each atom to the nearest defect; infinite where there is none.
    quantities : tuple of Quantity
        In the order in which they stand in for one another.
    has_defects : bool
    """

    atoms: Atoms
    ghosts: np.ndarray
    distances: np.ndarray
    quantities: tuple[Quantity, ...]
    has_defects: bool

    @classmethod
    def around_defects(cls, atoms: Atoms, centres, ghosts, distances, quantities: Sequence[Quantity]) -> Scene:
        """The structure with its defects, at `centres` (n, 3), in the middle of the cell."""
        moved, moved_ghosts = centred(atoms, centres, ghosts)
        return cls(moved, moved_ghosts, np.asarray(distances, dtype=float), tuple(quantities), bool(len(centres)))

    def offered(self, label: str) -> Quantity | None:
        """The quantity of that label, known or not; the first where that one is not on offer."""
        offered = {quantity.label: quantity for quantity in self.quantities}
        return offered.get(label) or next(iter(offered.values()), None)

    def known(self, label: str) -> Quantity | None:
        """The quantity of that label, the first known one where that one is not known."""
        known = {quantity.label: quantity for quantity in self.quantities if quantity.values is not None}
        return known.get(label) or next(iter(known.values()), None)

    def on_scale(self, quantity: Quantity) -> list[Quantity]:
        """Those that share the scale of a quantity."""
        return [other for other in self.quantities if other.scale == quantity.scale]


@dataclass
class Picture:
    """One view over its colour bar, under a title that is empty for a view alone."""

    view: AtomsView
    title: pmui.Typography = field(
        default_factory=lambda: pmui.Typography("", variant="body2", visible=False, margin=0)
    )
    bar: pn.pane.HTML = field(default_factory=lambda: colour_bar(DIVERGING, (-1.0, 1.0), height=_BAR_HEIGHT))

    def column(self) -> pn.Column:
        return pn.Column(self.title, self.view, self.bar, sizing_mode="stretch_both", margin=0)

    def name(self, text: str) -> None:
        self.title.param.update(object=plain(text), visible=bool(text))


class AtomsPanel:
    """A view of one structure, or of two, and its controls.

    Parameters
    ----------
    height : str or int
        Least height of the pictures in CSS, or their height in pixels where something else stands below them.

    Attributes
    ----------
    view : AtomsView
        Of the structure that the panel is about.
    """

    def __init__(self, *, height: str | int = "calc(100vh - 190px)"):
        self._height = height
        link = f"atoms {id(self)}"
        self._picture, self._beside = (
            Picture(AtomsView(sizing_mode="stretch_both", min_height=300, link=link)) for _ in range(2)
        )
        self.view = self._picture.view
        self._pictures = pn.Row(self._picture.column(), sizing_mode="stretch_both", margin=0)
        self._scene: Scene | None = None
        self._other: Scene | None = None
        self._wanted = ""
        self._ends: dict[str, tuple[float, float]] = {}
        self._settling = False
        self._on_pick: Callable[[int], None] = lambda atom: None
        self._on_colour: Callable[[str], None] = lambda label: None
        self._make_widgets()
        self._connect()

    def _make_widgets(self):
        wide = {"size": "small", "sizing_mode": "stretch_width", "margin": (5, 0)}
        slider = {**wide, "margin": (5, 8)}
        self._colour = pmui.Select(label="Colour by", options=[], **wide)
        self._range = pmui.RangeSlider(label="Colours", start=-1.0, end=1.0, value=(-1.0, 1.0), step=0.01, **slider)
        self._auto = pmui.Button(
            label="Auto",
            description="Colours as they were: all values, symmetric about the crystal's for entropies",
            variant="outlined",
            size="small",
            margin=(8, 0),
            width=64,
        )
        self._defect_only = pmui.Switch(label="Defect atoms only", value=False, margin=(2, 0))
        self._emphasise = pmui.Switch(label="Larger near the defect", value=True, margin=(2, 0))
        self._radius = pmui.FloatSlider(label="Defect radius (Å)", start=2.0, end=12.0, value=4.0, step=0.5, **slider)
        axes = {NO_SLAB: -1, "slab across x": 0, "slab across y": 1, "slab across z": 2}
        self._axis = pmui.Select(label="Part of the cell", options=axes, value=-1, **wide)
        self._slab = pmui.RangeSlider(
            label="Slab (Å)", start=0.0, end=1.0, value=(0.0, 1.0), step=0.1, visible=False, **slider
        )
        self._values = pmui.RangeSlider(
            label="Values drawn", start=-1.0, end=1.0, value=(-1.0, 1.0), step=0.01, **slider
        )
        self._beside_colour = pmui.Select(label="Colour the second by", options=[], visible=False, **wide)
        self._fit = pmui.Button(label="Reset view", variant="outlined", size="small", margin=(2, 0))
        self._note = pmui.Typography("", variant="body2", visible=False, sizing_mode="stretch_width", margin=(0, 0))
        self._count = pmui.Typography("", variant="body2", sizing_mode="stretch_width", margin=(4, 0))

    def _connect(self):
        self._colour.param.watch(self._choose, "value")
        self._range.param.watch(self._move_ends, "value")
        self._auto.on_click(self._reset_ends)
        self._axis.param.watch(self._choose_axis, "value")
        for widget in (self._defect_only, self._slab, self._values):
            widget.param.watch(lambda event: self._filter(), "value")
        for widget in (self._emphasise, self._radius):
            widget.param.watch(lambda event: self._redraw(), "value")
        self._beside_colour.param.watch(lambda event: self._colour_atoms(), "value")
        self._fit.on_click(lambda event: self.view.fit_camera())
        self.view.param.watch(lambda event: self._take_pick(event.new), "selected")
        self._beside.view.param.watch(lambda event: self._mirror(self._beside.view, self.view), "selected")

    # --- what is placed on a page

    def picture(self) -> pn.Column:
        """The view over its colour bar, and a second one while there is something to compare with."""
        if isinstance(self._height, int):
            return pn.Column(self._pictures, sizing_mode="stretch_width", height=self._height, margin=0)
        styles = {"min-height": f"max(400px, {self._height})"}
        return pn.Column(self._pictures, sizing_mode="stretch_both", margin=0, styles=styles)

    def controls(self) -> pn.Column:
        """The widgets, for a narrow column."""
        filters = pn.Column(
            self._emphasise,
            self._radius,
            self._axis,
            self._slab,
            self._values,
            sizing_mode="stretch_width",
            margin=0,
        )
        return pn.Column(
            self._colour,
            self._beside_colour,
            self._note,
            pn.Row(self._range, self._auto, sizing_mode="stretch_width", margin=0),
            self._defect_only,
            self._count,
            pmui.Details(
                filters, title="Which atoms are drawn", collapsed=True, sizing_mode="stretch_width", margin=(4, 0)
            ),
            sizing_mode="stretch_width",
            margin=0,
        )

    def toolbar(self) -> pn.FlexBox:
        """The widgets, for a place that is wide and low."""
        wide = (self._colour, self._range, self._radius)
        for widget in wide:
            widget.styles = {"flex": "1 1 140px"}
        return pn.FlexBox(
            *wide,
            self._auto,
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
    def colour_choice(self) -> pmui.Select:
        """Chooses the quantity; for a page that places it itself."""
        return self._colour

    @property
    def note(self) -> pmui.Typography:
        """Says why something else is on show than what was chosen; for a page that places it itself."""
        return self._note

    @property
    def reset_button(self) -> pmui.Button:
        """Moves the camera to the atoms drawn; for a page that places it itself."""
        return self._fit

    # --- what is shown

    @property
    def shown(self) -> Quantity | None:
        """The quantity on show, which is not the one asked for when that one is unknown."""
        return None if self._scene is None else self._scene.known(self._wanted)

    @property
    def asked_for(self) -> Quantity | None:
        """The quantity chosen last, known or not; the first where that one is not on offer."""
        return None if self._scene is None else self._scene.offered(self._wanted)

    @property
    def scene(self) -> Scene | None:
        """What is on show."""
        return self._scene

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback` with the atom tapped, -1 for none."""
        self._on_pick = callback

    def select(self, atom: int) -> None:
        """Put the ring around an atom; -1 for none."""
        self.view.selected = atom

    def colour_by(self, label: str) -> None:
        """Choose a quantity, also before there is anything to colour; nothing happens where it is not on offer."""
        if self._scene is None:
            self._wanted = label
        elif label in self._colour.options:
            self._colour.value = label

    def on_colour(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with the label of each quantity that is chosen."""
        self._on_colour = callback

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
        grown = len(atoms) > MANY and (self._scene is None or len(self._scene.atoms) <= MANY)
        self._scene = Scene.around_defects(atoms, centres, ghosts, distances, quantities)
        for widget in (self._defect_only, self._emphasise, self._radius):
            widget.visible = self._scene.has_defects
        self._settle(defect_only=True if grown else None)
        self._redraw()

    def recolour(self, quantities: Sequence[Quantity]) -> None:
        """Replace the quantities of the structure on show."""
        scene = self._scene
        self._scene = Scene(scene.atoms, scene.ghosts, scene.distances, tuple(quantities), scene.has_defects)
        self._settle()
        self._colour_atoms()

    def compare(self, other: Scene | None, *, title: str = "", other_title: str = "", by: str = THE_SAME) -> None:
        """Show another scene beside the first, under one camera and one scale; None for the first alone.

        Parameters
        ----------
        other : Scene or None
        title, other_title : str
            What the pictures are of.
        by : str
            Label of the quantity that the second is coloured by at first; `THE_SAME` follows the first.
        """
        was, self._other = self._other, other
        self._picture.name(title if other is not None else "")
        self._beside.name(other_title)
        self._beside_colour.visible = other is not None
        if other is None:
            if was is not None:
                self._pictures.objects = self._pictures.objects[:1]
                self._beside.view.clear()
            return
        self._settling = True
        try:
            labels = [THE_SAME, *(quantity.label for quantity in other.quantities)]
            self._beside_colour.param.update(options=labels, value=by if by in labels else THE_SAME)
        finally:
            self._settling = False
        self._draw(self._beside, other)
        self._mirror(self.view, self._beside.view)
        if was is None:
            self._pictures.append(self._beside.column())

    def clear(self) -> None:
        """Show nothing."""
        self._scene = None
        self.compare(None)
        self.view.clear()

    # --- widgets in line with what is shown

    def _settle(self, *, defect_only=None):
        """Bring the widgets in line with the quantities, without their watchers answering."""
        labels = [quantity.label for quantity in self._scene.quantities]
        self._settling = True
        try:
            self._colour.param.update(options=labels, value=None if self.asked_for is None else self.asked_for.label)
            if defect_only is not None:
                self._defect_only.value = defect_only
            self._set_ends()
            self._set_values()
            self._set_slab()
        finally:
            self._settling = False
        asked, shown = self.asked_for, self.shown
        note = "" if asked is None or asked is shown else asked.missing
        if note and shown is not None:
            note += f" Shown instead: {shown.label}."
        self._note.param.update(object=plain(note), visible=bool(note))

    def _limits(self, quantity):
        return self._ends.get(quantity.scale) or automatic_limits(self._scene.on_scale(quantity))

    def _set_ends(self):
        quantity = self.shown
        if quantity is not None:
            widest = extent(self._scene.on_scale(quantity))
            limits = self._limits(quantity)
            widest = min(widest[0], limits[0]), max(widest[1], limits[1])
            _set_range(self._range, _with_unit("Colours", quantity.unit), widest, limits)

    def _set_values(self):
        """All values: what was left out of one quantity means nothing for the next."""
        quantity = self.shown
        if quantity is not None:
            _set_range(self._values, _with_unit("Values drawn", quantity.unit), values_of(quantity), None)

    def _set_slab(self):
        axis = self._axis.value
        self._slab.visible = axis >= 0
        if axis >= 0:
            along = self._scene.atoms.positions[:, axis]
            widest, chosen = (float(along.min()), float(along.max())), self._slab.value
            whole = tuple(self._slab.value) == (self._slab.start, self._slab.end)
            _set_range(self._slab, "Slab (Å)", widest, None if whole else chosen)

    def _choose(self, event):
        if not self._settling and event.new is not None:
            self._wanted = event.new
            self._settle()
            self._colour_atoms()
            self._on_colour(event.new)

    def _choose_axis(self, event):
        if self._scene is None:
            return
        self._settling = True
        try:
            self._slab.value = (self._slab.start, self._slab.end)
            self._set_slab()
        finally:
            self._settling = False
        self._filter()

    def _move_ends(self, event):
        quantity = self.shown
        low, high = event.new
        if not self._settling and quantity is not None and low < high:
            self._ends[quantity.scale] = (low, high)
            self._colour_atoms()

    def _reset_ends(self, event):
        quantity = self.shown
        if quantity is not None:
            self._ends.pop(quantity.scale, None)
            self._settle()
            self._colour_atoms()

    # --- drawing

    def _take_pick(self, atom):
        self._mirror(self.view, self._beside.view)
        self._on_pick(atom)

    def _mirror(self, tapped, other):
        """Two pictures of one structure mark the same atom."""
        if self._other is self._scene and tapped.n_atoms == other.n_atoms:
            other.selected = tapped.selected

    def _redraw(self):
        if self._scene is not None and not self._settling:
            self._draw(self._picture, self._scene)
            if self._other is not None:
                self._draw(self._beside, self._other)

    def _draw(self, picture, scene):
        near = scene.distances <= self._radius.value
        sizes = np.where(near, NEAR, FAR) if self._emphasise.value and near.any() else None
        view = picture.view
        selected = view.selected if view.n_atoms == len(scene.atoms) else -1
        visible = self._visible(scene)
        view.show(scene.atoms, visible=visible, sizes=sizes, ghosts=scene.ghosts, **self._colouring(picture, scene))
        view.selected = selected
        self._say_count(picture, scene, visible)

    def _filter(self):
        if self._scene is None or self._settling:
            return
        for picture, scene in self._drawn():
            visible = self._visible(scene)
            picture.view.filter(visible)
            self._say_count(picture, scene, visible)

    def _colour_atoms(self):
        if self._scene is None or self._settling:
            return
        for picture, scene in self._drawn():
            picture.view.recolour(**self._colouring(picture, scene))
        self._filter()

    def _drawn(self):
        pictures = [(self._picture, self._scene)]
        return pictures if self._other is None else [*pictures, (self._beside, self._other)]

    def _quantity(self, picture, scene):
        label = self._wanted if self.shown is None else self.shown.label
        if picture is self._beside and self._beside_colour.value not in (None, THE_SAME):
            label = self._beside_colour.value
        return scene.known(label)

    def _colouring(self, picture, scene):
        """Values, palette and limits of a picture; its bar is drawn with them."""
        quantity = self._quantity(picture, scene)
        if quantity is None:
            picture.bar.object = ""
            return {"values": None, "palette": DIVERGING, "limits": (-1.0, 1.0)}
        limits = self._limits_of(quantity, scene)
        picture.bar.object = colour_bar_html(quantity.palette, limits, quantity.title)
        values = np.where(np.isfinite(quantity.values), quantity.values, np.nan)
        return {"values": values, "palette": quantity.palette, "limits": limits}

    def _limits_of(self, quantity, scene):
        """The limits of the first picture where it has that scale, too: equal colours mean equal values."""
        own = self._scene.on_scale(quantity)
        if any(other.values is not None for other in own):
            return self._limits(quantity)
        return self._ends.get(quantity.scale) or automatic_limits(scene.on_scale(quantity))

    def _visible(self, scene):
        """Mask (N,) of the atoms drawn, None for all."""
        drawn = np.ones(len(scene.atoms), dtype=bool)
        near = scene.distances <= self._radius.value
        if self._defect_only.value and scene.has_defects and near.any():
            drawn &= near
        if self._axis.value >= 0:
            drawn &= _between(scene.atoms.positions[:, self._axis.value], self._slab)
        quantity = self.shown and scene.known(self.shown.label)
        if quantity is not None and quantity.label == self.shown.label:
            drawn &= _between(quantity.values, self._values)
        return None if drawn.all() else drawn

    def _say_count(self, picture, scene, visible):
        if picture is self._beside:
            return
        n = len(scene.atoms)
        drawn = f"All {n:,} atoms" if visible is None else f"{int(visible.sum()):,} of {n:,} atoms"
        n_ghosts = len(scene.ghosts)
        ghosts = f" and {n_ghosts} {'vacancy' if n_ghosts == 1 else 'vacancies'}" if n_ghosts else ""
        self._count.object = f"{drawn}{ghosts} drawn."


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


def _set_range(slider, label, widest, chosen):
    """Give a range slider round ends around `widest`, and the part of them that is chosen; None for all."""
    step = 10.0 ** (np.floor(np.log10(widest[1] - widest[0])) - 2)
    start, end = (round(float(f(v / step)) * step, 12) for f, v in zip((np.floor, np.ceil), widest, strict=True))
    if end <= start:
        end = start + step
    low, high = (start, end) if chosen is None else np.clip(chosen, start, end)
    slider.param.update(label=label, start=start, end=end, step=step, value=(float(low), float(high)))


def _between(values, slider):
    """Which values lie in the chosen part of a slider; all of them, unknown ones too, where that is the whole."""
    low, high = slider.value
    if (low, high) == (slider.start, slider.end):
        return np.ones(len(values), dtype=bool)
    return (values >= low) & (values <= high)


def _with_unit(label, unit):
    return f"{label} ({unit})" if unit else label
