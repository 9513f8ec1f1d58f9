"""The Structure page: one structure in 3D, its atoms coloured by their exact and learned shares of S_f.

Picture and profile show the same atoms: a tap in one marks the atom in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import panel as pn
import panel_material_ui as pmui
from ase import Atoms
from ase.geometry import find_mic

from dashboards import tasks
from dashboards.figures.local_profile import NEAREST_DEFECT, LocalProfile
from dashboards.pages.atoms_panel import AtomsPanel, Quantity
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import CONTROLS_WIDTH, caption, columns, empty_state, heading
from dashboards.pages.numbers import number, number_table
from dashboards.session import Session
from dashboards.state import Fit
from dashboards.units import METAL, Units, crystal_name, plain_name, quantity_unit, units_of
from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.point_defects import PointDefects, WignerSeitz, defect_positions, distance_to_defects

EXACT, LEARNED, DIFFERENCE = "exact Sᵢ", "learned w·Dᵢ", "learned − exact"
DISTANCE, FROM_CENTRE = "distance to the nearest defect", "distance to the centre"
NOT_UNIQUE = (
    "Weights fitted on totals fix only the sum: many patterns w·Dᵢ add up to the same S<sub>f</sub>, and close to the "
    "defect even the sign of a share can be wrong."
)
NOT_LOCAL = (
    "{} describes the structure as a whole: the number of an atom is its share of that description, good for colouring, and no "
    "local entropy."
)
"""For a descriptor that is not local."""
BOTH_SHELLS = 1.394
"""Radius between the second and the third shell of bcc, in nearest-neighbour distances; it holds one shell of fcc."""
LONG_LIST = 1000
_ALL = "all classes"
_COUNTED = ("n_vacancies", "n_interstitials")
"""Quantities that the Wigner-Seitz analysis of the page tells anyway."""
_JOB = "Exact local entropies"
_LEARNED_JOB = "Learned shares"
UNDER_WAY = "The learned shares of this structure take a while; they are computed in the background unless cancelled."


@dataclass(frozen=True)
class Examined:
    """What the page shows of one structure of N atoms.

    Attributes
    ----------
    entry : Entry
    defects : PointDefects or None
        None of a free cluster, which has no sites.
    centres : (n, 3) float
        Interstitial atoms and vacancies.
    distances : (N,) float
        To the nearest of them; in a cluster, to its centre.
    exact, learned : (N,) float or None, k_B
        Shares of S_f.
    no_learned : str
        Why there is no learned share.
    predicted : float or None, k_B
        Learned S_f.
    role : str
        What part the structure had in the fit.
    is_local : bool
        Whether the learned shares are of local descriptors.
    units : Units
        Of lengths and energies.
    remarks : tuple of (name, value)
        What else is known of the structure.
    """

    entry: Entry
    defects: PointDefects | None
    centres: np.ndarray
    distances: np.ndarray
    exact: np.ndarray | None
    learned: np.ndarray | None
    no_learned: str
    predicted: float | None
    role: str
    is_local: bool = True
    units: Units = METAL
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def is_cluster(self) -> bool:
        return self.defects is None

    @property
    def is_saddle(self) -> bool:
        return self.entry.quantities.get("lowest_eigenvalue", 0.0) < 0.0

    @property
    def vacancies(self) -> np.ndarray:
        """Positions of the empty sites, (n, 3)."""
        return self.centres if self.is_cluster else self.defects.vacancies

    @property
    def to_defects(self) -> np.ndarray:
        """Distance of each atom to the nearest defect (N,); infinite where there are no defects."""
        return np.full(len(self.distances), np.inf) if self.is_cluster else self.distances

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What its atoms can be coloured by."""
        return entropy_quantities(
            self.exact,
            self.learned,
            self.distances,
            no_learned=self.no_learned,
            is_local=self.is_local,
            from_centre=self.is_cluster,
            unit=self.units.length,
        )

    def numbers(self) -> list[tuple[str, str]]:
        """Names and values of the totals."""
        exact, learned = self.entry.formation_entropy, self.predicted
        sites = []
        if not self.is_cluster:
            sites = [("vacancies / interstitials", f"{self.defects.n_vacancies} / {self.defects.n_interstitials}")]
        return [
            ("class", self.entry.label),
            ("atoms", f"{len(self.entry.atoms):,}"),
            *sites,
            ("S_f exact", number(exact, unit="k_B")),
            ("S_f learned", number(learned, unit="k_B")),
            ("learned − exact", number(None if learned is None else learned - exact, unit="k_B", sign=True)),
            ("in the fit", self.role),
            ("E_f", number(self.entry.formation_energy, unit=self.units.energy)),
            *self.remarks,
        ]

    def atom_numbers(self, atom: int, first_shells: float, n_crystal: int) -> list[tuple[str, str]]:
        """Names and values of one atom; neighbours are counted within `first_shells`, and compared with a crystal's."""
        atoms = self.entry.atoms
        _, distances = find_mic(atoms.positions - atoms.positions[atom], atoms.cell, pbc=atoms.pbc)
        n_neighbours = int((distances < first_shells).sum()) - 1
        learned, exact = (None if v is None else float(v[atom]) for v in (self.learned, self.exact))
        return [
            ("S_i exact", number(exact, 4, unit="k_B", sign=True)),
            ("S_i learned", number(learned, 4, unit="k_B", sign=True)),
            (
                "distance to centre" if self.is_cluster else "distance to defect",
                number(float(self.distances[atom]), 2, unit=self.units.length),
            ),
            (
                f"neighbours < {first_shells:.2f} {self.units.length}",
                f"{n_neighbours}" if self.is_cluster else f"{n_neighbours} (crystal {n_crystal})",
            ),
        ]


def entropy_quantities(
    exact,
    learned,
    distances,
    *,
    no_learned: str = "",
    is_local: bool = True,
    from_centre: bool = False,
    unit: str = "Å",
) -> tuple[Quantity, ...]:
    """The quantities of a structure with exact and learned shares (N,) k_B, either of them None where unknown.

    The learned ones of a descriptor that is not local are shares of a quantity of the whole structure. Distances, in `unit`,
    are to the nearest defect, or `from_centre` to that of a cluster.
    """
    distance = FROM_CENTRE if from_centre else DISTANCE
    title = "learned w·D_i − S_bulk (k_B)" if is_local else "learned, a share of the whole: w·D_i − S_bulk (k_B)"
    difference = None if exact is None or learned is None else learned - exact
    no_exact = "No exact local entropies for this structure."
    return (
        Quantity(EXACT, "exact S_i − S_bulk (k_B)", exact, missing=no_exact),
        Quantity(LEARNED, title, learned, missing=no_learned),
        Quantity(
            DIFFERENCE, "learned − exact S_i (k_B)", difference, missing=no_exact if exact is None else no_learned
        ),
        Quantity(distance, f"{distance} ({unit})", distances, signed=False, unit=unit),
    )


def learned_shares(fit: Fit | None, data: Dataset, i: int) -> tuple[np.ndarray | None, str]:
    """Learned share of each atom of structure i (N,) k_B, or None and the reason."""
    if fit is None:
        return None, "No model yet; fit one on the Model page."
    entry = data.entries[i]
    try:
        return fit.model.predict_local(entry.atoms, bulk=crystal_for(data, entry)), ""
    except InputError as error:
        return None, f"The model has no answer for this structure: {error}."


def crystal_for(data: Dataset, entry: Entry) -> Atoms | None:
    """The crystal a prediction has to refer to; None where the model knows it already: there is only one."""
    return None if len(data.bulks) == 1 else data.bulks[entry.bulk]


def predicted_total(fit: Fit | None, name: str, learned: np.ndarray | None) -> float | None:
    """Learned S_f of a structure, k_B: from the fit, which knows it before the shares are, else their sum."""
    places = [] if fit is None else np.flatnonzero(fit.data.names == name)
    if len(places):
        return float(fit.predicted[places[0]])
    return None if learned is None else float(learned.sum())


def remark(fit: Fit | None) -> str:
    """What to keep in mind when looking at learned shares, in HTML."""
    if fit is None or fit.model.descriptor.is_local:
        return NOT_UNIQUE
    return f"{NOT_LOCAL.format(fit.model.descriptor.name)} {NOT_UNIQUE}"


def remarks(data: Dataset, entry: Entry) -> list[tuple[str, str]]:
    """What else a dataset knows of a structure: its crystal where there are several, its parent, its further numbers."""
    known = []
    if len(data.bulks) > 1:
        known.append(("crystal", crystal_name(data.bulks[entry.bulk], units_of(data).length)))
    if entry.parent:
        known.append(("made from", entry.parent))
    for name, value in entry.quantities.items():
        if name not in _COUNTED:
            known.append((plain_name(name), number(value, unit=quantity_unit(data, name))))
    return known


def role_in_fit(fit: Fit | None, name: str) -> str:
    """ "held out (test)", "training", or that the fit did not know the structure."""
    if fit is None:
        return "no model yet"
    places = np.flatnonzero(fit.data.names == name)
    if not len(places):
        return "not used"
    return "held out (test)" if fit.test[places[0]] else "training"


class StructurePage:
    """Pick a structure, see its atoms."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._panel = AtomsPanel()
        self._profile = LocalProfile()
        self._job_bar = JobBar(session)
        self._share_bar = JobBar(session)
        self._remark = caption(NOT_UNIQUE)
        self._shares: dict[str, np.ndarray] = {}
        self._shares_of: Fit | None = None
        self._learning: tuple[Fit, Entry] | None = None
        self._examined: Examined | None = None
        self._crystals: dict[int, WignerSeitz] = {}
        self._computed: dict[str, tuple[Entry, np.ndarray]] = {}
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
        self._atom_numbers = pn.pane.HTML("", sizing_mode="stretch_width", max_width=340, margin=(4, 0))
        self._empty = empty_state("")

    def _connect(self):
        self._class.param.watch(lambda event: self._offer_names(), "value")
        self._exact_only.param.watch(lambda event: self._offer_names(), "value")
        self._name.param.watch(self._pick_name, "value")
        self._previous.on_click(lambda event: self._step(-1))
        self._next.on_click(lambda event: self._step(+1))
        self._compute.on_click(self._compute_exact)
        self._panel.on_pick(self._show_atom)
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
            self._share_bar.view(),
            heading("Colours"),
            self._panel.controls(),
            margin=0,
        )
        profile = pn.Column(
            heading("Entropy against distance"),
            pn.pane.Bokeh(self._profile.layout, sizing_mode="stretch_width", margin=0),
            self._remark,
            heading("Atom"),
            self._atom_numbers,
            margin=0,
        )
        self._content = columns((controls, 0, CONTROLS_WIDTH), (self._panel.picture(), 5, 440), (profile, 4, 380))
        return pn.Column(self._empty, self._content, sizing_mode="stretch_width", margin=0)

    # --- which structure

    def _take_dataset(self):
        self._job_bar.abandon()
        self._share_bar.abandon()
        data = self._state.dataset
        self._crystals.clear()
        known = set() if data is None else {id(entry) for entry in data.entries}
        self._computed = {name: kept for name, kept in self._computed.items() if id(kept[0]) in known}
        self._offer_names()
        self._mark_stale()

    def _offer_names(self):
        data = self._state.dataset
        if data is None:
            return
        self._following = True
        try:
            classes, counts = np.unique(data.labels, return_counts=True)
            options = {_ALL: _ALL} | {f"{c} ({n:,})": str(c) for c, n in zip(classes, counts, strict=True)}
            chosen = self._class.value if self._class.value in options.values() else _ALL
            self._class.param.update(options=options, value=chosen)
            self._names = data.names[self._offered()].tolist()
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
            self._name.options = self._names
            return
        name = str(data.names[i])
        self._following = True
        try:
            options = self._names if name in self._names else [name, *self._names]
            # a list of thousands is slow to unfold and of no use unless something narrows it down
            self._name.param.update(options=options, value=name, min_characters=2 if len(options) > LONG_LIST else 0)
        finally:
            self._following = False

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
        if self._state.page != "Structure" or not self._stale:
            return
        if not 0 <= self._state.selected < len(data):
            self._state.select(int(data.has_local.argmax()))  # the first with exact local entropies, else the first
            return
        self._stale = False
        self._follow_selected()
        self._remark.object = remark(self._state.fit)
        self._show(self._examine(self._state.selected))
        self._learn_in_background()

    def _examine(self, i):
        data, fit = self._state.dataset, self._state.fit
        entry = data.entries[i]
        defects, centres, distances = self._located(data, entry)
        learned, no_learned = self._learned(i)
        computed = self._computed.get(entry.name)
        return Examined(
            entry=entry,
            defects=defects,
            centres=centres,
            distances=distances,
            exact=entry.local_entropy if computed is None else computed[1],
            learned=learned,
            no_learned=no_learned,
            predicted=predicted_total(fit, entry.name, learned),
            role=role_in_fit(fit, entry.name),
            is_local=fit is None or fit.model.descriptor.is_local,
            units=units_of(data),
            remarks=tuple(remarks(data, entry)),
        )

    def _located(self, data, entry):
        """Point defects, where they are, and how far each atom is from them; a cluster has none, but a centre."""
        if not data.bulks[entry.bulk].pbc.all():
            positions = entry.atoms.positions
            return None, np.zeros((0, 3)), np.linalg.norm(positions - positions.mean(axis=0), axis=1)
        if entry.bulk not in self._crystals:
            self._crystals[entry.bulk] = WignerSeitz(data.bulks[entry.bulk])
        defects = self._crystals[entry.bulk](entry.atoms)
        return defects, defect_positions(entry.atoms, defects), distance_to_defects(entry.atoms, defects)

    def _learned(self, i):
        """Learned shares of structure i, or why there are none yet; only local descriptors take no time worth a job."""
        data, fit = self._state.dataset, self._state.fit
        if fit is not self._shares_of:
            self._shares, self._shares_of = {}, fit
        if fit is None or fit.model.descriptor.is_local:
            return learned_shares(fit, data, i)
        shares = self._shares.get(data.entries[i].name)
        return shares, UNDER_WAY if shares is None else ""

    def _learn_in_background(self):
        """Start computing the learned shares of the structure in view, if that is what the page waits for."""
        fit, entry = self._state.fit, self._examined.entry
        waits = self._examined.no_learned == UNDER_WAY
        if self._share_bar.busy and not (waits and self._learning[0] is fit and self._learning[1] is entry):
            self._share_bar.abandon()
        if waits and not self._share_bar.busy:
            self._learning = (fit, entry)
            pn.state.execute(self._learn)

    async def _learn(self):
        data, (fit, entry) = self._state.dataset, self._learning
        with self._session.reporting(_LEARNED_JOB):
            shares = await self._share_bar.run(
                tasks.learned_shares,
                fit.model,
                entry.atoms,
                crystal_for(data, entry),
                title=f"Learned shares of {entry.name}",
            )
            async with self._session.locked():
                if self._shares_of is fit:
                    self._shares[entry.name] = shares
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
        self._numbers.object = number_table(examined.numbers())
        # the exact entropy of one structure is that of a minimum in a crystal
        self._compute.visible = examined.exact is None and not examined.is_cluster and not examined.is_saddle
        self._show_atom(self._panel.view.selected)

    def _show_atom(self, atom):
        if self._examined is None:
            return
        self._profile.select(atom)
        if atom < 0:
            self._atom_numbers.object = number_table([("Tap an atom in the picture or a point in the plot.", "")])
            return
        radius, n_crystal = first_shells(self._state.dataset.bulks[self._examined.entry.bulk])
        rows = self._examined.atom_numbers(atom, radius, n_crystal)
        self._atom_numbers.object = number_table(rows, title=f"Atom {atom}")

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
                self._computed[entry.name] = (entry, result.formation.local)
                self._mark_stale()


def first_shells(bulk) -> tuple[float, int]:
    """Radius (Å) around an atom of a crystal that takes in its first shells, and how many atoms they hold."""
    _, distances = find_mic(bulk.positions[1:] - bulk.positions[0], bulk.cell, pbc=bulk.pbc)
    radius = BOTH_SHELLS * float(distances.min())
    return radius, int((distances < radius).sum())
