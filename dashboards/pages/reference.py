"""The Reference page: the exact entropy of one structure, built, uploaded or taken from the dataset, beside the model's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import panel as pn
import panel_material_ui as pmui
from ase import Atoms

from dashboards import tasks
from dashboards.exact_methods import DIAGONALISATION, EXACT_METHODS, ExactMethod
from dashboards.figures.spectrum import spectrum_figure
from dashboards.figures.thermodynamics import QUANTITIES, formation_curves, thermodynamics_figure
from dashboards.pages.atoms_panel import AtomsPanel
from dashboards.pages.examiner import UNDER_WAY
from dashboards.pages.job_bar import JobBar
from dashboards.pages.layout import CONTROLS_WIDTH, UNSEEN_LABEL, caption, columns, empty_state, heading
from dashboards.pages.numbers import number, number_table
from dashboards.pages.quantities import entropy_quantities
from dashboards.plain_text import plain
from dashboards.session import Session
from dashboards.state import Fit, intervals
from dashboards.tasks import Reference, crystal_of
from ldml.dataset import Dataset, Entry
from ldml.entropy import Spectrum
from ldml.errors import InputError, NotAMinimumError, UnrelaxedError
from ldml.evaluation.protocols import COVERAGE
from ldml.point_defects import WignerSeitz, defect_positions, distance_to_defects
from ldml.potentials import POTENTIALS, get_potential, perfect_crystal
from ldml.structures import DUMBBELL_AXES, interstitial_cluster, strained, vacancy_cluster

MAX_UPLOAD_BYTES = 100_000_000
SPECTRUM = "Spectrum"
"""What is drawn below the numbers, beside the functions of temperature."""
CRYSTALLINE = [name for name, kind in POTENTIALS.items() if kind.lattice is not None]
"""Potentials that name a ground-state crystal for a defect to be in."""
BUILD, UPLOAD, DATASET = "Build", "Upload", "Dataset"
VACANCIES, INTERSTITIALS = "Vacancies", "Interstitials"
INPUT, RESULT = "Input", "Result"
_JOB = "Exact entropy"
_LEARNED_JOB = "Learned shares"
_ADD = "Add to dataset"


@dataclass(frozen=True)
class Candidate:
    """A structure to compute, with the crystal it belongs to."""

    name: str
    atoms: Atoms
    bulk: Atoms


@dataclass(frozen=True)
class ModelAnswer:
    """What the model says of a structure of N atoms, or why it says nothing, or nothing yet.

    Attributes
    ----------
    value : float or None, k_B
        S_f.
    local : (N,) float or None, k_B
        Shares of the atoms.
    silence : str
    half_width : float, k_B
        Of its interval; NaN where it cannot tell.
    outside : bool
        Whether the structure lies outside the training set.
    """

    value: float | None
    local: np.ndarray | None
    silence: str = ""
    half_width: float = float("nan")
    outside: bool = False


def build_defect(
    potential, kind: str, n: int, *, axis: str = "110", repeats: int = 4, strain: float = 0.0
) -> Candidate:
    """A cluster of n vacancies or dumbbells in the middle of a strained cubic cell of repeats³ unit cells."""
    crystal = strained(perfect_crystal(potential, repeats), strain)
    centre = int(np.linalg.norm(crystal.positions - 0.5 * crystal.cell.array.sum(axis=0), axis=1).argmin())
    if kind == VACANCIES:
        atoms, letter = vacancy_cluster(crystal, n, centre=centre), "V"
    else:
        atoms, letter = interstitial_cluster(crystal, n, axis=axis, centre=centre), "I"
    suffix = f" {100 * strain:+.1f} %" if strain else ""
    direction = f" <{axis}>" if letter == "I" else ""
    return Candidate(f"{letter}{n}{direction} {repeats}a0{suffix}", atoms, crystal)


def checked_candidate(name: str, atoms: Atoms, potential) -> Candidate:
    """A structure from elsewhere, if the potential and a perfect crystal fit it.

    Raises
    ------
    StructureError
        If they do not.
    """
    potential = get_potential(potential)
    potential.check(atoms)
    return Candidate(name, atoms, crystal_of(atoms, potential))


def model_answer(fit: Fit | None, reference: Reference) -> ModelAnswer:
    """The model's answer for the structure of a reference, with its crystal; that of a slow descriptor is `UNDER_WAY`."""
    if fit is None:
        return ModelAnswer(None, None, "No model yet; fit one on the Model page.")
    learned_from = fit.data.metadata.get("potential", reference.potential)
    if learned_from != reference.potential:
        return ModelAnswer(None, None, f"The model learned {learned_from} and has no answer for {reference.potential}.")
    if not fit.model.descriptor.is_local:
        return ModelAnswer(None, None, UNDER_WAY)
    try:
        local = fit.model.predict_local(reference.atoms, bulk=reference.bulk)
        X = fit.model.structure_differences([reference.atoms], bulk=reference.bulk)
    except InputError as error:
        return ModelAnswer(None, None, f"The model has no answer: {error}.")
    (half_width,), (extrapolation,) = intervals(fit.model, X, [reference.label])
    return ModelAnswer(float(local.sum()), local, half_width=float(half_width), outside=bool(extrapolation > 1))


def with_reference(data: Dataset | None, reference: Reference, name: str) -> tuple[Dataset, int]:
    """The dataset with a reference added under a name of its own, and its index; a new dataset if there is none.

    Raises
    ------
    InputError
        If the dataset was made with another potential.
    """
    if data is None:
        data = Dataset.from_entries("computed", [reference.bulk], [], {"potential": reference.potential})
    made_with = data.metadata.get("potential", reference.potential)
    if made_with != reference.potential:
        raise InputError(
            f"dataset {data.name!r} was made with {made_with} and this structure with {reference.potential}; "
            "entropies of two potentials do not belong together"
        )
    bulk, new_bulks = _place_of_crystal(data, reference.bulk)
    entry = Entry(
        atoms=reference.atoms,
        label=reference.label,
        name=_free_name(data, name),
        formation_entropy=reference.formation.value,
        formation_energy=reference.formation_energy,
        max_force=reference.max_force,
        local_entropy=reference.formation.local,
        bulk=bulk,
    )
    return data.extended([entry], new_bulks), len(data)


def keep_descriptors(old: Dataset, new: Dataset, descriptor, totals: np.ndarray, bulk_totals: np.ndarray) -> None:
    """Give `new`, which begins with the structures and crystals of `old`, the totals of a descriptor `old` has.

    Parameters
    ----------
    old, new : Dataset
    descriptor : Descriptor
    totals, bulk_totals : (n, n_features) float
        Of the structures and of the crystals that `new` has beyond `old`.
    """
    crystals = [old.bulk_descriptor(descriptor, k) * len(bulk) for k, bulk in enumerate(old.bulks)]
    which = np.array([entry.bulk for entry in old.entries], dtype=int)
    share = old.n_atoms / np.array([len(bulk) for bulk in old.bulks])[which]
    known = old.descriptor_differences(descriptor) + share[:, None] * np.stack(crystals)[which]
    new.with_features(descriptor, np.vstack([known, totals]), np.vstack([*crystals, bulk_totals]))


def spectra(reference: Reference) -> tuple[Spectrum, Spectrum]:
    """Vibrations of the defective cell and of the perfect one, of a reference that has them."""
    pairs = ((reference.formation.defect, reference.atoms), (reference.formation.bulk, reference.bulk))
    return tuple(
        Spectrum(e.frequencies, None, e.n_atoms, e.n_zero_modes, float(atoms.get_masses().mean()), ())
        for e, atoms in pairs
    )


def result_numbers(reference: Reference, answer: ModelAnswer) -> list[tuple[str, str]]:
    """Names and values of an exact answer beside the model's, if it gave one."""
    formation, learned = reference.formation, []
    if answer.value is not None:
        learned = [
            ("S_f learned", number(answer.value, unit="k_B")),
            ("learned − exact", number(answer.value - formation.value, unit="k_B", sign=True)),
        ]
        if np.isfinite(answer.half_width):
            where = "; outside the training set" if answer.outside else ""
            learned.insert(
                1, (f"its {100 * COVERAGE:g} % interval", f"± {number(answer.half_width, unit='k_B')}{where}")
            )
    to_the_letter = formation.value - formation.zero_mode_term
    return [
        ("S_f exact", number(formation.value, unit="k_B")),
        *learned,
        ("S_f, Eq. 3 to the letter", number(to_the_letter, unit="k_B")),
        (f"S of the cell at {formation.defect.temperature:g} K", number(formation.defect.total, 1, unit="k_B")),
        ("E_f", number(reference.formation_energy, unit="eV")),
        ("class, atoms", f"{reference.label}, {len(reference.atoms):,}"),
        ("vacancies / interstitials", f"{reference.n_vacancies} / {reference.n_interstitials}"),
        ("method", _called(formation.method)),
        ("relaxation steps", f"{reference.n_steps:,}"),
        ("largest force", f"{reference.max_force:.1e} eV/Å"),
        ("computed", "before, kept on this server" if reference.known else "now"),
    ]


def _place_of_crystal(data, bulk):
    """Index of the crystal of this cell among those of a dataset, and what must be added to have it there."""
    for k, known in enumerate(data.bulks):
        if len(known) == len(bulk) and np.allclose(known.cell.array, bulk.cell.array, rtol=0, atol=1e-6):
            return k, []
    return len(data.bulks), [bulk]


def _called(method):
    """What the page calls a method of the library."""
    return next((name for name, kind in EXACT_METHODS.items() if kind.name == method), method)


def _free_name(data, name):
    taken, candidate, k = set(data.names), name, 2
    while candidate in taken:
        candidate, k = f"{name} ({k})", k + 1
    return candidate


class ReferencePage:
    """Choose a structure, compute it exactly, compare."""

    def __init__(self, session: Session):
        self._session = session
        self._state = session.state
        self._panel = AtomsPanel(height="calc(100vh - 430px)")
        self._plot = pn.pane.Bokeh(sizing_mode="stretch_width", margin=0)
        self._curves: tuple = ()
        self._job_bar = JobBar(session)
        self._candidate: Candidate | None = None
        self._frames: list[Atoms] = []
        self._file = ""
        self._result_name = ""
        self._asked: tuple[Candidate, tuple] | None = None
        self._settling = False
        self._answer = ModelAnswer(None, None)
        self._share_bar = JobBar(session)
        self._background: tuple[Fit | None, Reference | None, ModelAnswer] = (None, None, self._answer)
        self._make_widgets()
        self._connect()
        self._page = self._arrange()
        self._choose_source()
        self._show_result()

    def view(self) -> pn.viewable.Viewable:
        """The page."""
        return self._page

    def _make_widgets(self):
        wide = {"size": "small", "sizing_mode": "stretch_width", "margin": (5, 0)}
        slider = {**wide, "margin": (5, 8)}
        self._source = pmui.RadioButtonGroup(
            label="Structure from", options=[BUILD, UPLOAD, DATASET], value=BUILD, **wide
        )
        self._kind = pmui.RadioButtonGroup(
            label="Defect", options=[VACANCIES, INTERSTITIALS], value=VACANCIES, stylesheets=[UNSEEN_LABEL], **wide
        )
        self._count = pmui.IntSlider(label="Number of defects", start=1, end=6, value=1, **slider)
        self._axis = pmui.RadioButtonGroup(
            label="Dumbbell axis", options={f"<{axis}>": axis for axis in DUMBBELL_AXES}, value="110", **wide
        )
        self._repeats = pmui.IntSlider(
            label="Cell size (unit cells along an edge)",
            start=4,
            end=EXACT_METHODS[DIAGONALISATION].largest,
            value=4,
            **slider,
        )
        self._strain = pmui.FloatSlider(
            label="Isotropic strain (%)", start=-3.0, end=3.0, step=0.5, value=0.0, **slider
        )
        self._upload = pmui.FileInput(
            label="Structure file",
            description="Extended XYZ, LAMMPS data or dump, POSCAR and others",
            max_file_size=MAX_UPLOAD_BYTES,
            chunk_size=2_000_000,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(5, 0),
        )
        self._frame = pmui.Select(label="Frame", options=[], visible=False, **wide)
        self._note = caption("")
        self._potential = pmui.Select(label="Potential", options=CRYSTALLINE, value=CRYSTALLINE[0], **wide)
        self._temperature = pmui.FloatInput(
            label="Temperature (K)",
            value=300.0,
            start=1.0,
            end=3000.0,
            step=50.0,
            description="Of the classical entropies. S_f in the default convention does not depend on it.",
            **wide,
        )
        self._method = pmui.Select(label="Method", options=list(EXACT_METHODS), value=DIAGONALISATION, **wide)
        self._yields = caption("")
        self._plotted = pmui.RadioButtonGroup(
            label="Plot",
            options=[SPECTRUM, *QUANTITIES],
            value=SPECTRUM,
            size="small",
            margin=(6, 0, 2, 0),
            stylesheets=[UNSEEN_LABEL],
        )
        self._relax = pmui.Switch(label="Relax first", value=True, margin=(5, 0))
        self._run_button = pmui.Button(label="Compute", variant="contained", sizing_mode="stretch_width", margin=(5, 0))
        self._estimate = caption("")
        self._offer_text = pmui.Alert(
            object="", severity="warning", variant="outlined", sizing_mode="stretch_width", margin=0
        )
        self._offer_button = pmui.Button(label="", variant="contained", size="small", margin=(4, 0))
        self._offer = pn.Column(
            self._offer_text, self._offer_button, visible=False, sizing_mode="stretch_width", margin=(4, 0)
        )
        self._picture = pmui.RadioButtonGroup(
            label="Picture",
            options=[INPUT, RESULT],
            value=INPUT,
            disabled=True,
            size="small",
            margin=(4, 0),
            stylesheets=[UNSEEN_LABEL],
        )
        self._picture_name = pmui.Typography("", variant="body2", margin=(4, 10), sizing_mode="stretch_width")
        self._atom = pmui.Typography("", variant="body2", margin=(0, 10), sizing_mode="stretch_width")
        self._numbers = pn.pane.HTML("", sizing_mode="stretch_width", max_width=420, margin=(2, 0))
        self._silence = caption("")
        self._add = pmui.Button(label="Add to dataset", variant="outlined", size="small", margin=0)
        self._anew = pmui.Button(label="Compute anew", variant="text", size="small", margin=(0, 8, 0, 0), visible=False)
        self._nothing = empty_state("")

    def _connect(self):
        self._source.param.watch(lambda event: self._choose_source(), "value")
        built_from = [self._kind, self._count, self._axis, self._repeats, self._strain, self._potential, self._frame]
        for widget in built_from:
            widget.param.watch(lambda event: self._prepare(), "value")
        self._upload.param.watch(self._take_upload, "value")
        self._method.param.watch(lambda event: self._choose_method(), "value")
        self._plotted.param.watch(lambda event: self._draw_plot(), "value")
        self._run_button.on_click(self._run)
        self._offer_button.on_click(self._relax_and_run)
        self._picture.param.watch(lambda event: self._draw(), "value")
        self._panel.on_pick(self._show_atom)
        self._add.on_click(self._add_to_dataset)
        self._anew.on_click(self._run_anew)
        self._state.param.watch(lambda *events: self._follow_dataset(), ["dataset", "selected", "page"])
        self._state.param.watch(lambda *events: self._show_result(), ["reference", "fit"])

    def _arrange(self):
        self._build_form = pn.Column(
            self._kind, self._count, self._axis, self._repeats, self._strain, sizing_mode="stretch_width", margin=0
        )
        self._upload_form = pn.Column(self._upload, self._frame, sizing_mode="stretch_width", margin=0)
        controls = pn.Column(
            self._source,
            self._build_form,
            self._upload_form,
            self._note,
            self._potential,
            self._method,
            self._yields,
            self._temperature,
            self._relax,
            self._run_button,
            self._estimate,
            self._job_bar.view(),
            self._offer,
            margin=0,
        )
        picture = pn.Column(
            pn.Row(self._picture, self._picture_name, sizing_mode="stretch_width", margin=0),
            self._panel.picture(),
            self._atom,
            self._panel.toolbar(),
            margin=0,
        )
        self._results = pn.Column(
            self._numbers,
            self._silence,
            self._share_bar.view(),
            caption(
                "Classical, constant volume, three modes an atom on both sides; Eq. 3 to the letter leaves the three "
                "translations out instead."
            ),
            self._plotted,
            self._plot,
            sizing_mode="stretch_width",
            margin=0,
        )
        title = pn.Row(
            heading("Exact answer"), pn.layout.HSpacer(), self._anew, self._add, sizing_mode="stretch_width", margin=0
        )
        right = pn.Column(title, self._nothing, self._results, margin=0)
        return columns((controls, 0, CONTROLS_WIDTH), (picture, 5, 440), (right, 4, 380))

    # --- which structure

    def _choose_source(self):
        self._build_form.visible = self._source.value == BUILD
        self._upload_form.visible = self._source.value == UPLOAD
        self._relax.value = self._source.value == BUILD  # what is built is a start, what others bring may be a minimum
        self._prepare()

    @property
    def _way(self) -> ExactMethod:
        return EXACT_METHODS[self._method.value]

    def _choose_method(self):
        largest = self._way.largest
        self._settling = True
        try:
            self._repeats.param.update(end=largest, value=min(self._repeats.value, largest))
        finally:
            self._settling = False
        self._prepare()

    def _follow_dataset(self):
        if self._source.value == DATASET and self._state.is_in_view("Reference"):
            self._prepare()

    async def _take_upload(self, event):
        if event.new is None:
            return
        content, name = event.new, self._upload.filename
        self._upload.clear()
        with self._session.reporting("Upload"):
            frames = await self._job_bar.run(
                tasks.parse_upload, content, name, self._potential.value, title=f"Reading {name}"
            )
            checked_candidate(name, frames[0], self._potential.value)
            self._frames, self._file = frames, name
            self._settling = True
            try:
                options = [f"frame {k}: {len(atoms):,} atoms" for k, atoms in enumerate(frames)]
                self._frame.param.update(options=options, value=options[0], visible=len(frames) > 1)
            finally:
                self._settling = False
            self._prepare()

    def _prepare(self):
        """Take the structure the form describes; say why there is none, or what it will cost."""
        if self._settling:
            return
        self._offer.visible = False
        self._axis.visible = self._kind.value == INTERSTITIALS
        self._candidate, why = None, ""
        with self._session.reporting("Structure"):
            self._candidate, why = self._described()
        n_atoms = 0 if self._candidate is None else len(self._candidate.atoms)
        refusal = self._way.refusal(n_atoms)
        self._yields.object = f"Gives {self._way.yields}."
        self._note.param.update(object=plain(why), visible=bool(why))
        self._estimate.object = refusal or (self._way.cost_sentence(n_atoms) if n_atoms else "")
        self._run_button.disabled = not n_atoms or bool(refusal)
        if self._candidate is not None:
            self._turn_picture(INPUT)

    def _described(self) -> tuple[Candidate | None, str]:
        """The structure the form describes and a remark on it."""
        potential = self._potential.value
        if self._source.value == BUILD:
            options = {"axis": self._axis.value, "repeats": self._repeats.value, "strain": self._strain.value / 100}
            return build_defect(potential, self._kind.value, self._count.value, **options), ""
        if self._source.value == UPLOAD:
            if not self._frames:
                return None, "Upload a structure with its periodic cell, positions in Å."
            k = self._frame.options.index(self._frame.value)
            name = self._file if len(self._frames) == 1 else f"{self._file} frame {k}"
            return checked_candidate(name, self._frames[k], potential), f"From {name}."
        data, i = self._state.dataset, self._state.selected
        if data is None or not 0 <= i < len(data):
            return None, "No structure is selected; pick one on the Data or the Structure page."
        entry = data.entries[i]
        return checked_candidate(entry.name, entry.atoms, potential), f"Structure {entry.name} of {data.name}."

    # --- computing

    async def _run(self, event=None):
        candidate = self._candidate
        if candidate is None:
            return
        self._offer.visible = False
        with self._session.reporting(_JOB):
            if self._temperature.value is None:
                raise InputError("the temperature is empty; enter a number of kelvin")
            options = (
                self._potential.value,
                self._relax.value,
                self._temperature.value,
                self._way.name,
                self._way.local,
            )
            try:
                await self._compute(candidate, options)
            except UnrelaxedError as error:
                self._make_offer(
                    f"The structure is not at rest: its largest force is {error.max_force:.3g} eV/Å, too much for a harmonic "
                    "expansion.",
                    "Relax and run again",
                    candidate,
                )
            except NotAMinimumError as error:
                self._make_offer(
                    plain(f"{str(error)[:1].upper()}{str(error)[1:]}."), "Relax from a displaced start", candidate
                )

    async def _compute(self, candidate, options, *, anew=False):
        result = await self._job_bar.run(tasks.reference, candidate.atoms, *options, anew, title=candidate.name)
        async with self._session.locked():
            self._asked, self._result_name = (candidate, options), candidate.name
            self._state.reference = result

    async def _run_anew(self, event=None):
        """Compute what was found again, as it was asked for."""
        with self._session.reporting(_JOB):
            await self._compute(*self._asked, anew=True)

    def _make_offer(self, text, button, candidate):
        if candidate is self._candidate:
            self._offer_text.object = text
            self._offer_button.label = button
            self._offer.visible = True

    async def _relax_and_run(self, event):
        self._relax.value = True
        await self._run()

    async def _add_to_dataset(self, event=None):
        with self._session.reporting(_ADD):
            old, fit = self._state.dataset, self._state.fit
            data, index = with_reference(old, self._state.reference, self._result_name)
            if old is not None and fit is not None and old.has_descriptor(fit.model.descriptor):
                await self._keep_descriptors(old, data, fit.model.descriptor)
            async with self._session.locked():
                if self._state.dataset is not old:
                    raise InputError("the dataset was changed in the meantime; add the structure again")
                self._state.extend_dataset(data, index)

    async def _keep_descriptors(self, old, new, descriptor):
        bulks = new.bulks[len(old.bulks) :]
        added = [*bulks, *(entry.atoms for entry in new.entries[len(old) :])]
        totals = await self._job_bar.run(tasks.structure_totals, added, descriptor.to_dict(), title=_ADD)
        keep_descriptors(old, new, descriptor, totals[len(bulks) :], totals[: len(bulks)])

    # --- showing

    def _show_result(self):
        reference = self._state.reference
        self._nothing.visible = reference is None
        self._results.visible = self._add.visible = reference is not None
        self._anew.visible = reference is not None and reference.known and self._asked is not None
        self._picture.disabled = reference is None
        if reference is None:
            self._nothing.object = (
                "Nothing computed yet. Choose a structure on the left and press **Compute**: its exact entropy, the share of "
                "every atom and its spectrum appear here, beside the model's answer."
            )
            return
        self._answer = self._answered()
        self._numbers.object = number_table(result_numbers(reference, self._answer), title=self._result_name)
        self._silence.param.update(object=plain(self._answer.silence), visible=bool(self._answer.silence))
        has_spectrum = reference.formation.defect.frequencies is not None
        self._curves = formation_curves(*spectra(reference)) if has_spectrum else ()
        self._plotted.visible = self._plot.visible = has_spectrum
        self._draw_plot()
        self._turn_picture(RESULT)

    def _draw_plot(self):
        """The spectrum, or a function of temperature."""
        reference = self._state.reference
        if reference is None or not self._curves:
            return
        formation = reference.formation
        if self._plotted.value == SPECTRUM:
            self._plot.object = spectrum_figure(
                formation.defect.frequencies,
                formation.bulk.frequencies,
                formation.defect.n_atoms,
                formation.bulk.n_atoms,
            )
        else:
            self._plot.object = thermodynamics_figure(
                self._curves, self._plotted.value, temperature=formation.defect.temperature
            )

    def _answered(self):
        """What the model says; a slow descriptor is asked in the background, and this is shown again."""
        fit, reference = self._state.fit, self._state.reference
        asked, about, answer = self._background
        if asked is fit and about is reference:
            return answer
        self._share_bar.abandon()
        answer = model_answer(fit, reference)
        self._background = (fit, reference, answer)
        if answer.silence == UNDER_WAY:
            pn.state.execute(self._ask_in_background)
        return self._background[2]

    async def _ask_in_background(self):
        fit, reference, _ = self._background
        with self._session.reporting(_LEARNED_JOB):
            try:
                local, _ = await self._share_bar.run(
                    tasks.learned_shares, fit.model, reference.atoms, reference.bulk, title=_LEARNED_JOB
                )
                answer = ModelAnswer(float(local.sum()), local)
            except InputError as error:
                answer = ModelAnswer(None, None, f"The model has no answer: {error}.")
            async with self._session.locked():
                if self._background[0] is fit and self._background[1] is reference:
                    self._background = (fit, reference, answer)
                    self._show_result()

    def _turn_picture(self, value):
        if self._picture.value == value:
            self._draw()
        else:
            self._picture.value = value

    def _draw(self):
        reference = self._state.reference
        if self._picture.value == RESULT and reference is not None:
            local, answer = reference.formation.local, self._answer
            fit = self._state.fit
            is_local = fit is None or fit.model.descriptor.is_local
            self._draw_atoms(reference.atoms, reference.bulk, local, answer.local, answer.silence, is_local)
            self._picture_name.object = plain(f"{self._result_name}, computed")
        elif self._candidate is not None:
            self._draw_atoms(self._candidate.atoms, self._candidate.bulk, None, None)
            self._picture_name.object = plain(f"{self._candidate.name}, to be computed")

    def _draw_atoms(self, atoms, bulk, exact, learned, silence="", is_local=True):
        defects = WignerSeitz(bulk)(atoms)
        distances = distance_to_defects(atoms, defects)
        quantities = entropy_quantities(exact, learned, distances, no_learned=silence, is_local=is_local)
        if exact is None and learned is None:
            quantities = quantities[-1:]
        self._panel.show(atoms, defect_positions(atoms, defects), defects.vacancies, distances, quantities)
        self._show_atom(-1)

    def _show_atom(self, atom):
        reference = self._state.reference
        if atom < 0 or self._picture.value == INPUT or reference is None:
            self._atom.object = "" if atom < 0 else f"Atom {atom}"
            return
        learned = None if self._answer.local is None else self._answer.local[atom]
        exact = None if reference.formation.local is None else reference.formation.local[atom]
        self._atom.object = (
            f"Atom {atom}: S<sub>i</sub> exact {number(exact, 4, unit='k_B', sign=True)}, "
            f"learned {number(learned, 4, unit='k_B', sign=True)}"
        )
