"""The Reference shown: structures on offer, the exact answer, what is said when there is none."""

import asyncio
import io
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase.geometry import find_mic

import ldml
from dashboards import tasks
from dashboards.exact_methods import DIAGONALISATION, EXACT_METHODS, GREEN
from dashboards.figures.thermodynamics import QUANTITIES, formation_curves
from dashboards.pages.examiner import UNDER_WAY
from dashboards.pages.numbers import number
from dashboards.pages.reference import (
    BUILD,
    DATASET,
    INPUT,
    INTERSTITIALS,
    RESULT,
    SPECTRUM,
    UPLOAD,
    VACANCIES,
    ReferencePage,
    build_defect,
    checked_candidate,
    keep_descriptors,
    model_answer,
    spectra,
    with_reference,
)
from dashboards.state import default_descriptor, fit_model
from ldml.dataset import Dataset
from ldml.errors import Cancelled, InputError, StructureError
from ldml.point_defects import WignerSeitz
from ldml.progress import NULL_PROGRESS
from ldml.structures import rattled, strained, vacancy_cluster


@pytest.fixture(scope="module")
def vacancy_reference(vacancy4):
    """The exact answer for the relaxed vacancy."""
    return tasks.reference(NULL_PROGRESS, vacancy4, "Fe-AM04", False, 300.0)


@pytest.fixture(scope="module")
def fit(linear_dataset):
    return fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    session.state.page = "Reference"
    return ReferencePage(session)


def extxyz(*frames):
    """Content of an extended XYZ file."""
    file = io.StringIO()
    ase.io.write(file, list(frames), format="extxyz")
    return file.getvalue().encode()


def upload(shown, content, name="mine.extxyz"):
    shown._source.value = UPLOAD
    shown._upload.filename = name
    asyncio.run(shown._take_upload(type("event", (), {"new": content})))


# --- the exact answer


def test_an_answer_found_before_the_page_was_there_is_shown_and_not_computed_anew(session, vacancy_reference):
    session.state.reference = replace(vacancy_reference, known=True)
    shown = ReferencePage(session)
    assert shown._results.visible
    assert not shown._anew.visible  # the page does not know what was asked


def test_the_total_alone_is_the_same_and_has_no_shares(shown, vacancy_reference, vacancy4):
    total = tasks.reference(NULL_PROGRESS, vacancy4, "Fe-AM04", False, 300.0, "cholesky", False)
    assert total.formation.value == pytest.approx(vacancy_reference.formation.value, abs=1e-8)
    assert total.formation.local is None
    shown._state.reference = total
    assert not shown._plot.visible
    assert not shown._plotted.visible
    shown._show_atom(3)
    assert "exact —" in shown._atom.object
    shown._state.reference = vacancy_reference
    assert shown._plot.visible


def test_cheaper_methods_allow_larger_cells(shown):
    dense, green = EXACT_METHODS[DIAGONALISATION], EXACT_METHODS[GREEN]
    assert shown._repeats.end == dense.largest
    shown._method.value = GREEN
    assert "S_f alone" in shown._yields.object
    shown._repeats.value = 16
    assert "8,191 atoms" in shown._estimate.object
    assert not shown._run_button.disabled
    shown._method.value = DIAGONALISATION
    assert shown._repeats.value == dense.largest
    assert green.cost(100_000) == green.cost(10_000)
    assert green.cost(10_000)[1] < dense.cost(10_000)[1]


@pytest.mark.parametrize("name", EXACT_METHODS)
def test_each_method_gives_the_same_total_and_what_it_promises(name, vacancy_reference, vacancy4):
    method = EXACT_METHODS[name]
    found = tasks.reference(NULL_PROGRESS, vacancy4, "Fe-AM04", False, 300.0, method.name, method.local)
    assert found.formation.value == pytest.approx(vacancy_reference.formation.value, abs=1e-6)
    assert (found.formation.local is not None) is method.local
    assert (found.formation.defect.frequencies is not None) is method.spectrum
    if method.local:
        assert found.formation.local == pytest.approx(vacancy_reference.formation.local, abs=2e-6)


def test_functions_of_temperature_are_drawn(shown, vacancy_reference):
    shown._state.reference = vacancy_reference
    for quantity in QUANTITIES:
        shown._plotted.value = quantity
        assert quantity.startswith(QUANTITIES[quantity].symbol[0])
        assert QUANTITIES[quantity].unit in shown._plot.object.yaxis[0].axis_label
    shown._plotted.value = SPECTRUM
    assert len(shown._plot.object.children) == 2


def test_formation_curves_meet_the_reference_at_high_temperature(vacancy_reference):
    """Classical S_f is that of the report at any temperature; quantum S_f tends to it, C_v to that of equal numbers of modes."""
    classical, quantum = formation_curves(*spectra(vacancy_reference))
    assert classical.entropy == pytest.approx(vacancy_reference.formation.value, abs=1e-6)
    assert quantum.entropy[-1] == pytest.approx(vacancy_reference.formation.value, abs=0.02)
    assert abs(quantum.entropy[0]) < abs(quantum.entropy[-1])
    assert classical.heat_capacity == pytest.approx(0.0, abs=1e-9)


def test_the_reference_is_the_librarys_answer(vacancy_reference, vacancy4, crystal4, am04):
    f = ldml.formation_entropy(vacancy4, crystal4, am04, local=True)
    # the crystal's entropy comes from k space here and from a Cholesky factorisation there
    assert vacancy_reference.formation.value == pytest.approx(f.value, abs=1e-8)
    assert vacancy_reference.formation.local == pytest.approx(f.local, abs=1e-10)
    assert vacancy_reference.formation_energy == pytest.approx(
        am04.energy(vacancy4) - 127 / 128 * am04.energy(crystal4)
    )
    assert (vacancy_reference.label, vacancy_reference.n_vacancies, vacancy_reference.n_steps) == ("V1", 1, 0)


def test_the_crystals_frequencies_are_those_of_its_cell(vacancy_reference, crystal4, am04):
    dense = ldml.harmonic_entropy(crystal4, am04, spectrum=True).frequencies
    assert vacancy_reference.formation.bulk.frequencies == pytest.approx(dense, abs=1e-6)
    assert len(vacancy_reference.formation.defect.frequencies) == 3 * 127 - 3


def test_a_strained_crystal_is_compared_with_the_strained_crystal(crystal4, am04):
    squeezed = strained(crystal4, -0.01)
    defect = vacancy_cluster(squeezed, 1)
    reference = tasks.reference(NULL_PROGRESS, defect, "Fe-AM04", True, 300.0)
    expected = ldml.formation_entropy(reference.atoms, squeezed, am04).value
    assert reference.formation.value == pytest.approx(expected, abs=1e-7)


def test_a_cell_of_no_crystal_is_refused(crystal4):
    odd = crystal4.copy()
    odd.set_cell(odd.cell * [1.0, 1.0, 1.1], scale_atoms=False)
    with pytest.raises(StructureError, match="no whole number"):
        tasks.reference(NULL_PROGRESS, odd, "Fe-AM04", False, 300.0)


# --- structures on offer


@pytest.mark.parametrize(
    ("kind", "n", "letter"), [(VACANCIES, 3, "V"), (INTERSTITIALS, 2, "I"), (INTERSTITIALS, 6, "I")]
)
@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_what_is_built_has_the_defects_asked_for_in_the_middle(kind, n, letter, strain):
    candidate = build_defect("Fe-AM04", kind, n, repeats=5, strain=strain)
    defects = WignerSeitz(candidate.bulk)(candidate.atoms)
    assert len(candidate.atoms) == 250 + (n if letter == "I" else -n)
    assert (defects.n_vacancies, defects.n_interstitials) == ((n, 0) if letter == "V" else (0, n))
    where = defects.vacancies if letter == "V" else candidate.atoms.positions[defects.interstitial_atoms]
    middle = 0.5 * candidate.bulk.cell.array.sum(axis=0)
    assert np.linalg.norm(where.mean(axis=0) - middle) < 0.5 * candidate.bulk.cell[0, 0] / 5 * n**0.5 + 1.5
    assert candidate.bulk.cell[0, 0] == pytest.approx(5 * 2.8553125 * (1 + strain), rel=1e-5)
    assert candidate.name.startswith(f"{letter}{n}")
    assert ("%" in candidate.name) is bool(strain)


def test_the_form_makes_the_candidate(shown):
    shown._kind.value = INTERSTITIALS
    shown._count.value, shown._repeats.value, shown._axis.value = 2, 5, "111"
    assert len(shown._candidate.atoms) == 252
    assert shown._candidate.name == "I2 <111> 5a0"
    assert shown._axis.visible
    assert EXACT_METHODS[DIAGONALISATION].cost_sentence(252) == shown._estimate.object
    assert shown._relax.value


def test_the_selected_structure_is_followed(shown, session):
    shown._source.value = DATASET
    assert shown._candidate is None
    assert shown._run_button.disabled
    assert "No structure is selected" in shown._note.object
    session.state.select(3)
    assert shown._candidate.name == session.state.dataset.names[3]
    assert not shown._relax.value
    assert not shown._run_button.disabled


def test_an_upload_is_offered_frame_by_frame(shown, vacancy4, crystal4):
    upload(shown, extxyz(vacancy4, vacancy_cluster(crystal4, 2)))
    assert shown._frame.visible
    assert len(shown._candidate.atoms) == 127
    shown._frame.value = shown._frame.options[1]
    assert len(shown._candidate.atoms) == 126
    assert shown._candidate.name == "mine.extxyz frame 1"


def bad_uploads(crystal):
    nan, copper, twice, open_, singular = (crystal.copy() for _ in range(5))
    nan.positions[5, 1] = np.nan
    copper.symbols[7] = "Cu"
    twice.positions[3] = twice.positions[4] + 0.1
    open_.pbc = False
    singular.cell[2] = singular.cell[1]
    odd = crystal.copy()
    odd.set_cell(odd.cell * [1.0, 1.0, 1.1])
    good = extxyz(crystal)
    return {
        "should be a number of atoms": b"this is not a structure\n" * 9,
        "not text": bytes(range(128, 256)) * 10,
        "only": good[: len(good) // 2],
        "is empty": b"",
        "announces": b"999999999999\nheader\nFe 0 0 0\n",
        "every coordinate must be finite": extxyz(nan),
        "contains Cu": extxyz(copper),
        "closer than": extxyz(twice),
        "not a periodic crystal": extxyz(open_),
        "singular": extxyz(singular),
        "no perfect crystal": extxyz(odd),
    }


@pytest.mark.parametrize("sentence", bad_uploads(build_defect("Fe-AM04", VACANCIES, 1).bulk))
def test_a_bad_upload_is_explained_and_everything_stays(sentence, shown, vacancy4, messages, session):
    upload(shown, extxyz(vacancy4), "good.extxyz")
    before = shown._candidate
    upload(shown, bad_uploads(build_defect("Fe-AM04", VACANCIES, 1).bulk)[sentence], "bad.extxyz")
    assert sentence in messages()[0]
    assert messages()[0].endswith((".", "?"))
    assert shown._candidate is before
    assert not shown._run_button.disabled


@pytest.mark.parametrize(("format", "name"), [("vasp", "POSCAR"), ("lammps-data", "v1.lmp")])
def test_other_formats_are_read_and_types_of_lammps_are_the_potentials_element(format, name, shown, vacancy4):
    text = io.StringIO()
    ase.io.write(text, vacancy4, format=format)
    upload(shown, text.getvalue().encode(), name)
    assert set(shown._candidate.atoms.numbers) == {26}
    _, apart = find_mic(shown._candidate.atoms.positions - vacancy4.positions, vacancy4.cell)
    assert apart.max() < 1e-6


def test_a_dataset_is_sent_to_the_data_page(shown, messages, linear_dataset, tmp_path):
    linear_dataset.save(tmp_path / "mine.h5")
    upload(shown, (tmp_path / "mine.h5").read_bytes(), "mine.h5")
    assert "open it on the Data page" in messages()[0]


def test_no_upload_is_no_structure(shown):
    shown._source.value = UPLOAD
    assert shown._candidate is None
    assert "Upload" in shown._note.object
    shown._source.value = BUILD
    assert not shown._run_button.disabled


# --- running it


def test_a_vacancy_from_the_form_to_its_entropy(shown, session, fit, am04, crystal4):
    session.state.fit = fit
    asyncio.run(shown._run())
    reference = session.state.reference
    relaxed = ldml.relax(vacancy_cluster(crystal4, 1), am04)
    value = ldml.formation_entropy(relaxed.atoms, crystal4, am04).value
    assert reference.formation.value == pytest.approx(value, abs=1e-5)  # two relaxations to 1e-6 eV/Å
    html = shown._numbers.object
    assert f"{value:.3f}" in html
    assert number(reference.formation_energy, unit="eV") in html
    learned = fit.model.predict_structures([reference.atoms])[0]
    assert number(float(learned)).split()[0] in html
    assert shown._picture.value == RESULT
    assert np.asarray(shown._panel.view.values) == pytest.approx(reference.formation.local, abs=1e-6)
    assert shown._plot.object is not None
    assert shown._add.visible
    assert not shown._nothing.visible


def test_before_the_first_run_the_page_says_what_to_do(shown):
    assert "press **Compute**" in shown._nothing.object
    assert shown._nothing.visible
    assert not shown._add.visible
    assert shown._picture.disabled


def test_a_structure_not_at_rest_names_its_force_and_offers_to_relax(shown, session, crystal4, am04, rng):
    start = rattled(vacancy_cluster(crystal4, 1), 0.05, rng)
    upload(shown, extxyz(start))
    asyncio.run(shown._run())
    force = np.linalg.norm(am04.forces(shown._candidate.atoms), axis=1).max()
    assert f"{force:.3g} eV/Å" in shown._offer_text.object
    assert shown._offer.visible
    assert shown._offer_button.label == "Relax and run again"
    assert session.state.reference is None
    asyncio.run(shown._relax_and_run(None))
    assert not shown._offer.visible
    assert session.state.reference.n_steps > 0
    assert session.state.reference.label == "V1"


def test_a_saddle_is_named_and_left_by_a_displaced_start(shown, session, am04):
    shown._kind.value, shown._axis.value = INTERSTITIALS, "111"
    saddle = ldml.relax(shown._candidate.atoms, am04, rattle=0.0, check_minimum=False).atoms
    upload(shown, extxyz(saddle))
    asyncio.run(shown._run())
    assert "saddle" in shown._offer_text.object
    assert "THz" in shown._offer_text.object
    assert shown._offer_button.label == "Relax from a displaced start"
    asyncio.run(shown._relax_and_run(None))
    assert session.state.reference.formation.defect.frequencies.min() > 0


def test_an_offer_goes_with_its_structure(shown, crystal4, rng):
    upload(shown, extxyz(rattled(vacancy_cluster(crystal4, 1), 0.05, rng)))
    asyncio.run(shown._run())
    assert shown._offer.visible
    shown._source.value = BUILD
    assert not shown._offer.visible


def test_failure_and_cancelling_leave_the_last_answer(shown, session, vacancy_reference, messages, monkeypatch):
    session.state.reference = vacancy_reference
    before = shown._numbers.object
    for error in (Cancelled(), RuntimeError("the worker process died"), MemoryError("no memory")):

        def fail(*args, error=error):
            raise error

        monkeypatch.setattr(tasks, "reference", fail)
        asyncio.run(shown._run())
        assert len(messages()) == 1
        assert session.state.reference is vacancy_reference
        assert shown._numbers.object == before
        assert not shown._run_button.disabled


def test_an_empty_temperature_is_said(shown, messages):
    shown._temperature.value = None
    asyncio.run(shown._run())
    assert "temperature is empty" in messages()[0]


def test_the_picture_turns_to_what_changed_last(shown, session, vacancy_reference):
    session.state.reference = vacancy_reference
    assert shown._picture.value == RESULT
    shown._count.value = 2
    assert shown._picture.value == INPUT
    assert shown._panel.view.n_atoms == 126
    shown._picture.value = RESULT
    assert shown._panel.view.n_atoms == 127
    shown._panel.view.selected = 5
    assert "Atom 5" in shown._atom.object
    assert number(vacancy_reference.formation.local[5], 4, sign=True) in shown._atom.object


def test_the_model_that_has_no_answer_says_why(vacancy_reference, fit, monkeypatch):
    assert "fit one" in model_answer(None, vacancy_reference).silence
    assert model_answer(fit, vacancy_reference).local.sum() == pytest.approx(
        fit.model.predict_structures([vacancy_reference.atoms], bulk=vacancy_reference.bulk)[0], abs=1e-8
    )
    small = tasks.reference(
        NULL_PROGRESS, build_defect("Fe-AM04", VACANCIES, 1, repeats=3).atoms, "Fe-AM04", True, 300.0
    )
    assert "half the smallest cell height" in model_answer(fit, small).silence
    of_meam = replace(vacancy_reference, potential="Fe-EtesamiAsadi2018")
    monkeypatch.setitem(fit.data.metadata, "potential", "Fe-AM04")
    assert model_answer(fit, of_meam).silence == (
        "The model learned Fe-AM04 and has no answer for Fe-EtesamiAsadi2018."
    )


# --- into the dataset


def test_a_reference_joins_the_dataset_with_its_crystal(linear_dataset, vacancy_reference):
    data, index = with_reference(linear_dataset, vacancy_reference, "V1 4a0")
    assert len(data) == len(linear_dataset) + 1
    assert index == len(linear_dataset)
    assert len(data.bulks) == 1
    assert data.names[index] == "V1 4a0"
    assert data.formation_entropy[index] == vacancy_reference.formation.value
    assert data.local_entropy(index).sum() == pytest.approx(data.formation_entropy[index], abs=1e-9)
    again, index = with_reference(data, vacancy_reference, "V1 4a0")
    assert again.names[index] == "V1 4a0 (2)"


def test_another_cell_brings_its_crystal(linear_dataset):
    candidate = build_defect("Fe-AM04", VACANCIES, 1, repeats=4, strain=0.01)
    reference = tasks.reference(NULL_PROGRESS, candidate.atoms, "Fe-AM04", True, 300.0)
    data, index = with_reference(linear_dataset, reference, "strained")
    assert len(data.bulks) == 2
    assert data.bulk_of(index).cell.array == pytest.approx(candidate.bulk.cell.array)


def test_potentials_are_not_mixed(linear_dataset, vacancy_reference):
    other = Dataset.from_entries("o", linear_dataset.bulks, linear_dataset.entries, {"potential": "Fe-Other"})
    with pytest.raises(InputError, match="two potentials"):
        with_reference(other, vacancy_reference, "V1")


def test_without_a_dataset_a_reference_begins_one(vacancy_reference):
    data, index = with_reference(None, vacancy_reference, "V1")
    assert (len(data), index, data.metadata["potential"]) == (1, 0, "Fe-AM04")


def test_descriptors_at_hand_are_kept(linear_dataset, vacancy_reference):
    candidate = build_defect("Fe-AM04", VACANCIES, 1, repeats=4, strain=0.01)
    strained_reference = tasks.reference(NULL_PROGRESS, candidate.atoms, "Fe-AM04", True, 300.0)
    first, _ = with_reference(linear_dataset, vacancy_reference, "V1")
    new, _ = with_reference(first, strained_reference, "V1 strained")
    fresh = Dataset.from_entries("fresh", new.bulks, new.entries)
    descriptor = default_descriptor()
    added = tasks.structure_totals(NULL_PROGRESS, [new.bulks[-1], new[-2], new[-1]], descriptor.to_dict())
    keep_descriptors(linear_dataset, new, descriptor, added[1:], added[:1])
    kept, computed = new.descriptor_differences(descriptor), fresh.descriptor_differences(descriptor)
    # sums over 128 atoms, taken apart and put together again
    scale = np.abs(fresh.bulk_descriptor(descriptor)).max() * 128
    assert np.abs(kept - computed).max() < 1e-12 * scale


def test_add_selects_the_new_structure_and_keeps_the_model(shown, session, fit, vacancy_reference):
    session.state.fit = fit
    session.state.reference = vacancy_reference
    shown._result_name = "V1 4a0"
    asyncio.run(shown._add_to_dataset())
    assert session.state.dataset.names[session.state.selected] == "V1 4a0"
    assert session.state.fit is fit
    assert session.state.dataset.has_descriptor(default_descriptor())
    assert "next fit" in session.state.last_step.said


def test_what_the_potential_does_not_know_is_refused_before_a_run(crystal4):
    copper = crystal4.copy()
    copper.symbols[:] = "Cu"
    with pytest.raises(StructureError, match="contains Cu"):
        checked_candidate("copper", copper, "Fe-AM04")


def test_the_name_of_a_file_cannot_write_html(shown, vacancy4):
    upload(shown, extxyz(vacancy4), "<img src=x onerror=alert(1)>.extxyz")
    for text in (shown._note.object, shown._picture_name.object):
        assert "<img" not in text
    asyncio.run(shown._run())
    assert "<img" not in shown._numbers.object
    assert "<img" not in shown._picture_name.object


def test_a_slow_model_answers_in_the_background(shown, session, linear_dataset, whole, vacancy_reference):
    fit = fit_model(linear_dataset, whole, test_proportion=0.25, seed=0)
    assert model_answer(fit, vacancy_reference).silence == UNDER_WAY
    session.state.fit = fit
    session.state.reference = vacancy_reference
    assert [job.function for job in session.runner.jobs] == [tasks.learned_shares]
    expected = fit.model.predict_local(vacancy_reference.atoms, bulk=vacancy_reference.bulk)
    assert shown._answer.local == pytest.approx(expected, abs=1e-10)
    assert "learned" in shown._numbers.object
    assert not shown._silence.visible
