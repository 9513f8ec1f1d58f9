"""The Structure page: one structure in 3D, its atoms coloured by their exact and learned shares of S_f.

Picture and profile show the same atoms: a tap in one marks the atom in the other. Copies of one parent can be played back, and
a second picture put beside the first.
"""

from __future__ import annotations

import io

import numpy as np
import panel as pn
import panel_material_ui as pmui

from dashboards import tasks
from dashboards.delivery import in_order
from dashboards.figures.local_profile import NEAREST_DEFECT, LocalProfile
from dashboards.pages.atom_card import AtomCard
from dashboards.pages.atoms_panel import AtomsPanel, Scene
from dashboards.pages.examined import NOT_UNIQUE, Examined, Shares, crystal_for, frames, remark, to_extxyz
from dashboards.pages.examiner import QUICK, UNDER_WAY, Examiner
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import CONTROLS_WIDTH, caption, columns, empty_state, heading
from dashboards.pages.numbers import number_table
from dashboards.pages.quantities import EXACT, LEARNED
from dashboards.session import Session
from dashboards.state import Fit
from ldml.dataset import Entry
from ldml.errors import Cancelled, InputError

LONG_LIST = 1000
ALONE, LEARNED_BESIDE, ANOTHER = "nothing", "learned beside exact", "another structure"
FRAME_MS = 1000
_ALL = "all classes"
_JOB = "Exact local entropies"
_LEARNED_JOB = "Learned shares"
_FAILED = "The learned shares of this structure could not be computed; the message above says why."
_PLACE_JOB = "Looking for defects"
_COMPARE = "Comparing structures"


class StructurePage:
    """Pick a structure, see its atoms."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._panel = AtomsPanel(height="calc(100vh - 240px)")
        self._profile = LocalProfile()
        self._job_bar = JobBar(session)
        self._share_bar = JobBar(session)
        self._place_bar = JobBar(session)
        self._card = AtomCard(session)
        self._remark = caption(NOT_UNIQUE)
        self._examiner = session.own(Examiner)
        self._learning: tuple[Fit, Entry, int] | None = None
        self._examined: Examined | None = None
        self._locating = -1
        self._stale = True
        self._names: list[str] = []
        self._following = False
        self._make_widgets()
        self._connect()
        self._page = self._arrange()
        self._offer_names()
        self._refresh()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        return self._page

    def _make_widgets(self):
        wide = {"size": "small", "sizing_mode": "stretch_width", "margin": (5, 0)}
        self._class = pmui.Select(label="Class", options=[_ALL], value=_ALL, **wide)
        self._exact_only = pmui.Switch(label="With exact Sᵢ only", value=False, margin=(2, 0))
        self._name = pmui.AutocompleteInput(
            label="Structure", options=[], min_characters=0, search_strategy="includes", case_sensitive=False, **wide
        )
        step = {"variant": "outlined", "size": "small", "sizing_mode": "stretch_width", "margin": (2, 4, 2, 0)}
        self._previous = pmui.Button(label="‹ Previous", description="Previous structure of the class", **step)
        self._next = pmui.Button(label="Next ›", description="Next structure of the class", **step)
        self._compute = pmui.Button(
            label="Compute exact Sᵢ",
            variant="contained",
            size="small",
            visible=False,
            sizing_mode="stretch_width",
            margin=(4, 0),
        )
        self._numbers = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 0))
        self._comparison = pmui.Select(label="Beside it", options=[ALONE, LEARNED_BESIDE, ANOTHER], value=ALONE, **wide)
        self._other_name = pmui.AutocompleteInput(
            label="Structure beside it",
            options=[],
            min_characters=2,
            search_strategy="includes",
            case_sensitive=False,
            visible=False,
            **wide,
        )
        self._player = pmui.DiscretePlayer(
            label="Copies of one structure",
            options=[-1],
            interval=FRAME_MS,
            loop_policy="loop",
            show_loop_controls=False,
            show_value=True,
            visible_buttons=["previous", "pause", "play", "next"],
            scale_buttons=0.8,
            visible=False,
            sizing_mode="stretch_width",
            margin=(0, 8),
        )
        small = {"variant": "outlined", "size": "small", "margin": (2, 0)}
        self._save = pmui.Button(label="PNG", description="Save the picture", **small)
        self._extxyz = pmui.FileDownload(
            label="extxyz",
            callback=self._as_extxyz,
            filename="structure.extxyz",
            description="Save the structure with the values of its atoms",
            **small,
        )
        self._empty = empty_state("")
        self._no_profile = empty_state(
            "Neither exact nor learned shares of these atoms are known. *Compute exact Sᵢ*, or fit a model."
        )

    def _connect(self):
        self._class.param.watch(lambda event: self._offer_names(), "value")
        self._exact_only.param.watch(lambda event: self._offer_names(), "value")
        self._name.param.watch(self._pick_name, "value")
        self._previous.on_click(lambda event: self._step(-1))
        self._next.on_click(lambda event: self._step(+1))
        self._compute.on_click(self._compute_exact)
        self._comparison.param.watch(self._choose_comparison, "value")
        self._other_name.param.watch(lambda event: self._compare(), "value")
        self._player.param.watch(self._take_frame, "value")
        self._save.on_click(lambda event: self._panel.view.save_image(f"{self._file_stem()}.png"))
        self._panel.on_pick(self._show_atom)
        self._panel.on_colour(lambda label: self._state.param.update(quantity=label))
        self._state.param.watch(lambda event: self._panel.colour_by(event.new), "quantity")
        self._panel.colour_by(self._state.quantity)
        self._profile.on_tap(self._panel.select)
        self._state.param.watch(lambda event: self._take_dataset(), "dataset")
        self._state.param.watch(lambda *events: self._mark_stale(), ["selected", "fit", "page"])

    def _arrange(self):
        controls = pn.Column(
            self._class,
            self._name,
            pn.Row(self._previous, self._next, sizing_mode="stretch_width", margin=0),
            self._exact_only,
            self._numbers,
            self._compute,
            self._job_bar.view(),
            self._place_bar.view(),
            self._share_bar.view(),
            heading("Colours"),
            self._panel.controls(),
            self._comparison,
            self._other_name,
            margin=0,
        )
        buttons = pn.FlexBox(
            self._panel.reset_button, self._save, self._extxyz, gap="4px 10px", sizing_mode="stretch_width", margin=0
        )
        picture = pn.Column(self._panel.picture(), self._player, buttons, sizing_mode="stretch_both", margin=0)
        self._profile_place = pn.pane.Bokeh(self._profile.layout, sizing_mode="stretch_width", margin=0)
        profile = pn.Column(
            heading("Entropy against distance"),
            self._profile_place,
            self._no_profile,
            self._card.view(),
            self._remark,
            margin=0,
        )
        self._content = columns((controls, 0, CONTROLS_WIDTH), (picture, 5, 440), (profile, 4, 380))
        return pn.Column(self._empty, self._content, sizing_mode="stretch_width", margin=0)

    # --- which structure

    def _take_dataset(self):
        self._job_bar.abandon()
        self._share_bar.abandon()
        self._place_bar.abandon()
        self._player.direction = 0
        self._offer_names()
        self._mark_stale()

    def _offer_names(self):
        data = self._state.dataset
        if data is None:
            return
        self._following = True
        try:
            # without numbers: a class that stays chosen would keep showing that of the dataset before
            options = [_ALL, *np.unique(data.labels).tolist()]
            chosen = self._class.value if self._class.value in options else _ALL
            self._class.param.update(options=options, value=chosen)
            self._names = data.names[self._offered()].tolist()
            self._other_name.options = data.names.tolist()
        finally:
            self._following = False
        self._follow_selected()

    def _offered(self):
        """Indices of the structures that pass the filters."""
        data = self._state.dataset
        passing = np.ones(len(data), dtype=bool) if self._class.value == _ALL else data.labels == self._class.value
        return np.flatnonzero(passing & data.has_local if self._exact_only.value else passing)

    def _follow_selected(self):
        """Bring the picker in line with the selected structure, which a filter must not hide."""
        data, i = self._state.dataset, self._state.selected
        if data is None or not 0 <= i < len(data):
            self._offer(self._names)
            return
        name = str(data.names[i])
        self._following = True
        try:
            if name not in self._names:
                self._offer([name, *self._names])
            elif self._name.options is not self._names:
                self._offer(self._names)
            self._name.value = name
        finally:
            self._following = False

    def _offer(self, names):
        # a list of thousands is slow to unfold and of no use unless something narrows it down
        self._name.param.update(options=names, min_characters=2 if len(names) > LONG_LIST else 0)

    def _pick_name(self, event):
        if not self._following and event.new:
            self._state.select(self._state.dataset.index(event.new))

    def _step(self, by):
        if self._state.dataset is None:
            return
        offered = self._offered()
        if len(offered):
            at = np.searchsorted(offered, self._state.selected, side="left" if by < 0 else "right")
            self._state.select(offered[(at + min(by, 0)) % len(offered)])

    # --- showing it

    def _mark_stale(self):
        self._stale = True
        self._refresh()

    @in_order
    def _refresh(self):
        """Bring the page up to date, if it is in view: what nobody looks at is not computed."""
        data = self._state.dataset
        self._empty.visible = data is None or not len(data)
        self._content.visible = not self._empty.visible
        if self._empty.visible:
            self._empty.object = (
                "No structures yet. Open a dataset on the **Data** page; its structures appear here in 3D."
            )
            return
        if not self._state.is_in_view("Structure") or not self._stale:
            return
        if not 0 <= self._state.selected < len(data):
            self._state.select(int(data.has_local.argmax()))  # the first with exact local entropies, else the first
            return
        self._follow_selected()
        if self._waits_for_places(self._state.selected):
            return
        self._stale = False
        self._remark.object = remark(self._state.fit)
        self._show(self._examiner.examine(self._state.selected))
        self._learn_in_background()

    def _waits_for_places(self, i):
        """Whether structure i has so many atoms that a job looks for its defects first; it is started if need be."""
        if self._place_bar.busy and self._locating != i:
            self._place_bar.abandon()
        if self._examiner.is_quick(i):
            return False
        if not self._place_bar.busy:
            self._locating = i
            pn.state.execute(self._locate)
        return not self._examiner.is_quick(i)

    async def _locate(self):
        data, i = self._state.dataset, self._locating
        entry = data.entries[i]
        with self._session.reporting(_PLACE_JOB):
            places = await self._place_bar.run(
                tasks.locate,
                entry.atoms,
                data.bulks[entry.bulk],
                self._examiner.first_shells(entry.bulk)[0],
                title=f"Looking for the defects of {entry.name}",
            )
            async with self._session.locked():
                self._examiner.take_places(data, i, places)
                self._mark_stale()

    def _learn_in_background(self):
        """Start computing the learned shares of the structure in view, if that is what the page waits for."""
        fit, entry = self._state.fit, self._examined.entry
        waits = self._examined.shares.missing == UNDER_WAY
        if self._share_bar.busy and not (waits and self._learning[0] is fit and self._learning[1] is entry):
            self._share_bar.abandon()
        if waits and not self._share_bar.busy:
            self._learning = (fit, entry, self._state.selected)
            pn.state.execute(self._learn)

    async def _learn(self):
        data, (fit, entry, i) = self._state.dataset, self._learning
        shares = Shares(missing=_FAILED)
        with self._session.reporting(_LEARNED_JOB):
            try:
                found = await self._share_bar.run(
                    tasks.learned_shares,
                    fit.model,
                    entry.atoms,
                    crystal_for(data, entry),
                    title=f"Learned shares of {entry.name}",
                )
                shares = Shares(*found)
            except Cancelled:
                shares = None
                raise
            finally:
                if shares is not None:
                    async with self._session.locked():
                        self._examiner.take_shares(data, fit, i, shares)
                        self._mark_stale()

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
        self._profile.show(
            examined.distances,
            examined.exact,
            examined.learned,
            place="the centre of the cluster" if examined.is_cluster else NEAREST_DEFECT,
            unit=examined.units.length,
        )
        nothing = examined.exact is None and examined.learned is None
        self._profile_place.visible, self._no_profile.visible = not nothing, nothing
        self._numbers.object = number_table(examined.numbers())
        # the exact entropy of one structure is that of a minimum in a crystal
        self._compute.visible = examined.exact is None and not examined.is_cluster and not examined.is_saddle
        self._show_frames()
        self._compare()
        self._extxyz.filename = f"{self._file_stem()}.extxyz"
        self._show_atom(self._panel.view.selected)

    @in_order
    def _show_atom(self, atom):
        if self._examined is None:
            return
        self._profile.select(atom)
        self._card.show(self._examined, atom, self._state.dataset.metadata.get("potential"))

    def _show_frames(self):
        """Offer the copies of one parent for playback, the one in view as the present frame."""
        offered = frames(self._state.dataset, self._state.selected)
        self._player.visible = bool(offered)
        if not offered:
            self._player.param.update(direction=0)
            return
        self._following = True
        try:
            self._player.param.update(options=dict(offered), value=self._state.selected)
        finally:
            self._following = False

    def _take_frame(self, event):
        if not self._following and event.new is not None and event.new >= 0 and self._state.is_in_view("Structure"):
            self._state.select(event.new)

    def _choose_comparison(self, event):
        if event.new == LEARNED_BESIDE:
            self._panel.colour_by(EXACT)
        self._compare()

    def _compare(self):
        """Put beside the picture what was chosen, if anything."""
        choice, examined = self._comparison.value, self._examined
        self._other_name.visible = choice == ANOTHER
        if examined is None or self._following:
            return
        name = examined.entry.name
        if choice == LEARNED_BESIDE:
            self._panel.compare(self._panel.scene, title=name, other_title=f"{name}, learned", by=LEARNED)
        elif choice == ANOTHER and self._other_name.value in self._state.dataset.names:
            with self._session.reporting(_COMPARE):
                other = self._examine_small(self._other_name.value)
                self._panel.compare(_scene(other), title=name, other_title=other.entry.name)
        else:
            self._panel.compare(None)

    def _examine_small(self, name):
        i = self._state.dataset.index(name)
        if not self._examiner.is_quick(i):
            n_atoms = len(self._state.dataset.entries[i].atoms)
            raise InputError(f"{name!r} has {n_atoms:,} atoms; pictures beside another are for up to {QUICK:,}")
        return self._examiner.examine(i)

    def _file_stem(self):
        """Name of the structure in view as a file may be called."""
        return "".join(c if c.isalnum() or c in "-_.+%" else "_" for c in self._examined.entry.name)

    def _as_extxyz(self):
        return io.BytesIO(to_extxyz(self._examined))

    async def _compute_exact(self, event):
        data, entry = self._state.dataset, self._examined.entry
        with self._session.reporting(_JOB):
            potential = data.metadata.get("potential")
            if potential is None:
                raise InputError("the dataset does not say which potential its structures were relaxed in")
            result = await self._job_bar.run(
                tasks.reference, entry.atoms, potential, False, 300.0, title=f"Exact Sᵢ of {entry.name}"
            )
            async with self._session.locked():
                self._examiner.take_exact(entry, result.formation.local)
                self._mark_stale()


def _scene(examined: Examined) -> Scene:
    return Scene.around_defects(
        examined.entry.atoms, examined.centres, examined.vacancies, examined.to_defects, examined.quantities
    )
