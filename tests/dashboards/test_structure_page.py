"""The Structure shown: what it knows of a structure, how it is picked, what its atoms are coloured by."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

import ldml
from dashboards import tasks
from dashboards.jobs import JobStatus
from dashboards.pages.atoms_panel import AtomsPanel, centred
from dashboards.pages.examined import first_shells, frames, role_in_fit
from dashboards.pages.examiner import UNDER_WAY, Examiner
from dashboards.pages.numbers import number, number_table
from dashboards.pages.quantities import (
    COORDINATION,
    DIFFERENCE,
    DISTANCE,
    EXACT,
    FROM_CENTRE,
    LEARNED,
    UNCERTAINTY,
    Quantity,
    entropy_quantities,
)
from dashboards.pages.structure import ALONE, ANOTHER, LEARNED_BESIDE, StructurePage
from dashboards.state import default_descriptor, fit_model
from ldml.dataset import Dataset, Entry
from ldml.descriptors import AFS
from ldml.errors import Cancelled
from ldml.point_defects import WignerSeitz, defect_positions
from ldml.structure_files import read_structures
from ldml.structures import strained


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    session.state.fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    return StructurePage(session)


@pytest.fixture
def in_view(shown, session):
    session.state.page = "Structure"
    return shown


def colours(page):
    return np.asarray(page._panel.view.values)


def test_nothing_is_computed_for_a_page_out_of_sight(shown, session):
    session.state.select(5)
    assert shown._examined is None
    session.state.page = "Structure"
    assert shown._examined.entry is session.state.dataset.entries[5]


def test_with_nothing_selected_the_first_structure_with_exact_shares_is_shown(session, linear_dataset):
    order = [3, 0, 1]  # the one with exact shares is the second
    session.state.open_dataset(linear_dataset.subset(order))
    session.state.page = "Structure"
    StructurePage(session)
    assert session.state.selected == 1


def test_without_a_dataset_the_page_says_what_to_do(session):
    session.state.page = "Structure"
    shown = StructurePage(session)
    assert shown._empty.visible
    assert "Data" in shown._empty.object
    assert not shown._content.visible


def test_the_numbers_are_those_of_the_dataset_and_the_model(in_view, session, linear_dataset):
    session.state.select(7)
    fit = session.state.fit
    html = in_view._numbers.object
    assert number(linear_dataset.formation_entropy[7], unit="k_B").split()[0] in html
    assert number(fit.predicted[7], unit="k_B").split()[0] in html
    assert number(fit.predicted[7] - fit.true[7], unit="k_B", sign=True).split()[0] in html
    assert "2 / 0" in html
    assert ("held out" in html) is bool(fit.test[7])


def test_learned_shares_add_up_to_the_prediction(in_view, session):
    session.state.select(4)
    assert in_view._examined.learned.sum() == pytest.approx(session.state.fit.predicted[4], abs=1e-8)


def test_the_colours_are_what_was_asked_for(in_view, session):
    session.state.select(0)
    examined, choice = in_view._examined, in_view._panel._colour
    expected = {
        EXACT: examined.exact,
        LEARNED: examined.learned,
        DIFFERENCE: examined.learned - examined.exact,
        DISTANCE: examined.distances,
    }
    for label, values in expected.items():
        choice.value = label
        assert colours(in_view) == pytest.approx(values, abs=1e-6)
        low, high = in_view._panel.view.limits
        assert low == pytest.approx(values.min() if label == DISTANCE else -high)
    assert "(Å)" in in_view._panel._picture.bar.object


def test_without_exact_shares_the_learned_ones_stand_in_and_the_page_says_so(in_view, session):
    session.state.select(0)
    assert not in_view._compute.visible
    session.state.select(1)
    assert colours(in_view) == pytest.approx(in_view._examined.learned, abs=1e-6)
    assert "No exact local entropies" in in_view._panel._note.object
    assert in_view._panel._note.visible
    assert in_view._compute.visible
    session.state.select(0)
    assert colours(in_view) == pytest.approx(in_view._examined.exact, abs=1e-6)
    assert not in_view._panel._note.visible


def test_without_a_model_the_page_says_so(in_view, session):
    session.state.select(1)
    session.state.fit = None
    assert in_view._panel._colour.value == EXACT
    assert colours(in_view) == pytest.approx(in_view._examined.distances, abs=1e-5)
    in_view._panel._colour.value = LEARNED
    assert "fit one on the Model page" in in_view._panel._note.object
    assert "—" in in_view._numbers.object


def test_a_model_whose_cutoff_does_not_fit_is_named_the_reason(session, linear_dataset, crystal4, vacancy4):
    session.state.fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    thin = vacancy4[vacancy4.positions[:, 2] < 0.6 * vacancy4.cell[2, 2]]
    thin.cell[2] *= 0.75
    crystal = crystal4[crystal4.positions[:, 2] < 0.74 * crystal4.cell[2, 2]]
    crystal.cell[2] *= 0.75
    session.state.dataset = Dataset.from_entries("thin", [crystal], [Entry(thin, "V1", "thin")])
    session.state.select(0, show=True)
    shown = StructurePage(session)
    assert shown._examined.learned is None
    assert "half the smallest cell height" in shown._examined.shares.missing


def test_steps_stay_in_the_class_and_go_round(in_view, session):
    session.state.select(0)
    in_view._class.value = "I2"
    in_view._step(+1)
    assert session.state.selected == 12
    in_view._step(-1)
    assert session.state.selected == 23
    in_view._step(+1)
    assert session.state.selected == 12


def test_the_picker_and_the_state_follow_each_other(in_view, session):
    in_view._name.value = "I2-3"
    assert session.state.selected == 15
    in_view._class.value = "V2"
    assert session.state.selected == 15  # a filter changes what is on offer, not what is in view
    session.state.select(2)
    assert in_view._name.value == "V2-2"
    in_view._exact_only.value = True
    assert "V2-0" in in_view._name.options
    assert "V2-1" not in in_view._name.options


def test_a_tapped_atom_is_marked_in_the_profile_and_its_numbers_shown(in_view, session):
    session.state.select(0)
    in_view._panel.view.selected = 11
    examined = in_view._examined
    assert "Atom 11" in in_view._card._numbers.object
    assert number(float(examined.learned[11]), 4, unit="k_B", sign=True).split()[0] in in_view._card._numbers.object
    assert set(in_view._profile.ring.data["distance"]) == {examined.distances[11]}


def test_a_tapped_point_is_marked_in_the_picture(in_view, session):
    session.state.select(0)
    in_view._profile.points.selected.indices = [17]
    assert in_view._panel.view.selected == 17
    session.state.select(1)
    assert in_view._panel.view.selected == -1
    assert "Tap an atom" in in_view._card._numbers.object


def test_only_atoms_near_the_defect(in_view, session):
    session.state.select(1)
    panel, distances = in_view._panel, in_view._examined.distances
    panel._defect_only.value = True
    assert (np.asarray(panel.view.mask) == (distances <= panel._radius.value)).all()
    panel._radius.value = 3.0
    assert (np.asarray(panel.view.mask) == (distances <= 3.0)).all()
    panel._defect_only.value = False
    assert panel.view.mask is None


def test_the_ends_of_the_scale_can_be_moved_and_stay_until_they_are_automatic_again(in_view, session):
    session.state.select(0)
    panel, automatic = in_view._panel, in_view._panel.view.limits
    assert panel._range.end >= np.abs(in_view._examined.learned).max()
    panel._range.value = (-0.01, 0.04)
    assert panel.view.limits == (-0.01, 0.04)
    panel._colour.value = DISTANCE
    assert panel.view.limits[1] == pytest.approx(in_view._examined.distances.max())
    panel._colour.value = LEARNED
    assert panel.view.limits == (-0.01, 0.04)  # entropies share their scale
    session.state.select(3)
    assert panel.view.limits == (-0.01, 0.04)  # so that structures are seen in the same colours
    session.state.select(0)
    panel._auto.param.trigger("clicks")
    assert panel.view.limits == automatic
    assert automatic[0] == -automatic[1]


def test_exact_shares_are_computed_on_demand(session, linear_dataset, crystal4, vacancy4, am04):
    entries = [Entry(vacancy4, "V1", "mine"), *linear_dataset.entries[1:3]]
    session.state.open_dataset(Dataset.from_entries("d", [crystal4], entries, {"potential": "Fe-AM04"}))
    session.state.select(0, show=True)
    shown = StructurePage(session)
    asyncio.run(shown._compute_exact(None))
    expected = ldml.formation_entropy(vacancy4, crystal4, am04, local=True).local
    assert shown._examined.exact == pytest.approx(expected, abs=1e-8)
    assert colours(shown) == pytest.approx(expected, abs=1e-6)
    assert not shown._compute.visible
    session.state.select(1)
    session.state.select(0)
    assert shown._examined.exact == pytest.approx(expected, abs=1e-8)


def test_a_structure_not_at_rest_has_no_exact_shares_and_the_page_stays(in_view, session, messages):
    session.state.select(1)
    before = colours(in_view)
    asyncio.run(in_view._compute_exact(None))
    assert "not relaxed" in messages()[0]
    assert colours(in_view) == pytest.approx(before, abs=0)
    assert in_view._compute.visible


def test_an_unknown_potential_is_said(in_view, session, messages, linear_dataset):
    data = Dataset.from_entries("d", linear_dataset.bulks, linear_dataset.entries[1:4])
    session.state.open_dataset(data)
    asyncio.run(in_view._compute_exact(None))
    assert "potential" in messages()[0]


def test_the_role_in_the_fit(linear_dataset):
    fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    roles = [role_in_fit(fit, entry) for entry in linear_dataset.entries]
    assert [role == "held out (test)" for role in roles] == fit.test.tolist()
    namesake = replace(linear_dataset.entries[0])
    assert role_in_fit(fit, namesake) == "not used"
    assert role_in_fit(None, namesake) == "no model yet"


def test_the_defect_is_moved_to_the_middle_as_one_piece(crystal4, vacancy4):
    shift = 0.5 * vacancy4.cell.array.sum(axis=0) - WignerSeitz(crystal4)(vacancy4).vacancies[0]
    corner = vacancy4.copy()
    corner.positions += 0.37 * shift
    corner.wrap()
    crystal = crystal4.copy()
    crystal.positions += 0.37 * shift
    crystal.wrap()
    defects = WignerSeitz(crystal)(corner)
    moved, ghosts = centred(corner, defect_positions(corner, defects), defects.vacancies)
    assert ghosts[0] == pytest.approx(0.5 * corner.cell.array.sum(axis=0), abs=1e-6)
    assert moved.get_all_distances(mic=True) == pytest.approx(corner.get_all_distances(mic=True), abs=1e-9)


def test_a_pair_across_a_face_stays_together(crystal4):
    edge = crystal4.cell[0, 0]
    moved, ghosts = centred(crystal4, [[0.2, 1, 1], [edge - 0.2, 1, 1]], [[0.2, 1, 1], [edge - 0.2, 1, 1]])
    assert np.abs(ghosts[:, 0] - edge / 2) == pytest.approx(0.2, abs=1e-9)
    assert len(moved) == len(crystal4)


def test_a_crystal_without_defect_stays_where_it_is(crystal4):
    moved, ghosts = centred(crystal4, np.empty((0, 3)), np.empty((0, 3)))
    assert moved is crystal4
    assert ghosts.shape == (0, 3)


def test_infinite_distances_are_drawn_grey(crystal4):
    panel = AtomsPanel()
    panel.show(crystal4, np.empty((0, 3)), [], np.full(128, np.inf), [Quantity("d", "d", np.full(128, np.inf), False)])
    assert np.isnan(np.asarray(panel.view.values)).all()
    panel._defect_only.value = True
    assert panel.view.mask is None


def test_the_first_shells_of_bcc_hold_fourteen(crystal4):
    radius, count = first_shells(crystal4)
    assert count == 8 + 6
    assert crystal4.cell[0, 0] / 4 < radius < np.sqrt(2) * crystal4.cell[0, 0] / 4


def test_a_difference_needs_both_sides():
    exact = np.ones(3)
    labels = {q.label: q.values for q in entropy_quantities(exact, None, exact)}
    assert labels[DIFFERENCE] is None
    assert labels[EXACT] is exact


def test_numbers_carry_unit_and_sign():
    assert number(-1.23456, unit="k_B") == "−1.235 k_B"
    assert number(0.5, 2, sign=True) == "+0.50"
    assert number(float("nan"), unit="eV") == number(None) == "—"
    html = number_table([("S_f <b>", "1.0 k_B")], title="I2_<i>")
    assert "S<sub>f</sub> &lt;b&gt;" in html
    assert "1.0 k<sub>B</sub>" in html
    assert "I2_&lt;i&gt;" in html


def test_another_dataset_forgets_the_shares_computed_for_the_old(in_view, session, linear_dataset):
    session.state.select(1)
    entry = session.state.dataset.entries[1]
    session.own(Examiner).take_exact(entry, np.zeros(len(entry.atoms)))
    session.state.fit = replace(session.state.fit)
    assert in_view._examined.exact == pytest.approx(0.0)
    other = [replace(e, local_entropy=None) for e in linear_dataset.entries[:3]]
    session.state.open_dataset(Dataset.from_entries("other", linear_dataset.bulks, other))
    assert in_view._examined.entry is other[0]
    assert in_view._examined.exact is None
    session.state.open_dataset(linear_dataset)
    session.state.select(1)
    assert in_view._examined.entry.name == entry.name
    assert in_view._examined.exact is None


@pytest.fixture
def whole_fit(linear_dataset, whole):
    return fit_model(linear_dataset, whole, test_proportion=0.25, seed=0)


def test_shares_of_what_is_not_local_are_computed_in_the_background_and_marked(in_view, session, whole_fit):
    assert "as a whole" not in in_view._remark.object
    session.state.fit = whole_fit
    session.state.select(6)
    functions = [job.function for job in session.runner.jobs]
    assert set(functions) == {tasks.learned_shares}
    examined = in_view._examined
    assert examined.learned.sum() == pytest.approx(whole_fit.predicted[6], abs=1e-8)
    assert "Whole describes the structure as a whole" in in_view._remark.object
    assert "share of the whole" in next(q.title for q in examined.quantities if q.label == LEARNED)
    session.state.select(7)
    session.state.select(6)
    assert len(session.runner.jobs) == len(functions) + 1  # those of 6 are known


def test_the_learned_total_does_not_wait_for_the_shares(in_view, session, whole_fit):
    session.runner.submit = lambda function, *args, owner: Stopped()
    session.state.fit = whole_fit
    session.state.select(3)
    assert in_view._examined.learned is None
    assert in_view._examined.shares.missing == UNDER_WAY
    assert in_view._examined.predicted == pytest.approx(whole_fit.predicted[3])
    session.state.fit = fit_model(session.state.dataset, default_descriptor(), test_proportion=0.25, seed=0)
    assert in_view._examined.learned is not None


class Stopped:
    """A job that the user cancels at once."""

    status, done = JobStatus(0.0, "", 0), False

    def cancel(self):
        pass

    async def result(self, on_status=None):
        raise Cancelled


def open_structure(session, data, index):
    session.state.open_dataset(data)
    session.state.page = "Structure"
    shown = StructurePage(session)
    session.state.select(index)
    return shown


def test_a_cluster_has_no_sites_and_its_atoms_are_told_from_its_centre(session, clusters):
    shown = open_structure(session, clusters, 0)
    examined = shown._examined
    # the icosahedron: one atom in the middle, twelve at one distance
    assert np.sort(examined.distances) == pytest.approx([0.0] + [examined.distances.max()] * 12, abs=1e-6)
    assert FROM_CENTRE in [quantity.label for quantity in examined.quantities]
    assert not shown._panel._defect_only.visible
    assert shown._panel.view.mask is None
    assert "vacancies" not in shown._numbers.object
    assert not shown._compute.visible
    assert "centre of the cluster (σ)" in shown._profile.layout.children[1].xaxis[0].axis_label
    shown._panel.select(int(examined.distances.argmin()))
    assert "0.00 σ" in shown._card._numbers.object
    assert ">12<" in shown._card._numbers.object


def test_a_crystal_after_a_cluster_has_its_controls_and_units_again(session, clusters, linear_dataset):
    shown = open_structure(session, clusters, 1)
    session.state.open_dataset(linear_dataset)
    session.state.select(1)
    assert shown._panel._defect_only.visible
    assert shown._compute.visible
    assert "nearest defect (Å)" in shown._profile.layout.children[1].xaxis[0].axis_label


def test_shares_learned_from_clusters_add_up(session, clusters):
    descriptor = AFS(n_max=3, l_max=2, cutoff=4.0)
    data = clusters.subset(range(len(clusters)))
    data.descriptor_differences(descriptor)
    shown = open_structure(session, data, 3)
    session.state.fit = fit_model(data, descriptor, test_proportion=0.2, seed=0)
    assert shown._examined.learned.sum() == pytest.approx(session.state.fit.predicted[3], abs=1e-8)
    assert colours(shown) == pytest.approx(shown._examined.learned, abs=1e-6)


def test_a_saddle_says_what_it_is_and_offers_no_entropy_of_a_minimum(session, saddles):
    shown = open_structure(session, saddles, 2)
    html = shown._numbers.object
    assert "barrier" in html
    assert "0.600 eV" in html
    assert "lowest eigenvalue" in html
    assert "−1.250 eV/Å²" in html
    assert "made from" in html
    assert saddles.names[0] in html
    assert "n vacancies" not in html  # told by the analysis of its sites
    assert not shown._compute.visible


def test_where_there_are_several_crystals_a_structure_says_which_is_its_own(session, saddles):
    shown = open_structure(session, saddles, 1)
    assert f"{saddles.bulks[1].cell.lengths()[0]:.3f} Å" in shown._numbers.object
    assert shown._examined.defects.n_vacancies == 2


def test_the_uncertainty_of_the_shares_is_that_of_the_model(in_view, session):
    session.state.select(5)
    fit, entry = session.state.fit, session.state.dataset.entries[5]
    _, errors = fit.model.predict_local(entry.atoms, return_std=True)
    in_view._panel.colour_by(UNCERTAINTY)
    assert colours(in_view) == pytest.approx(errors, rel=1e-5)
    in_view._panel.select(3)
    assert number(float(errors[3]), 4, unit="k_B").split()[0] in in_view._card._numbers.object


def test_coordination_and_neighbours_are_those_of_the_crystal_far_from_a_vacancy(in_view, session):
    session.state.select(0)
    examined, choice = in_view._examined, in_view._panel
    choice.colour_by(COORDINATION)
    assert colours(in_view) == pytest.approx(examined.coordination)
    atom = int(examined.distances.argmax())
    assert examined.n_crystal == 14
    assert len(examined.neighbours(atom)) == examined.coordination[atom]
    vectors = examined.entry.atoms.get_all_distances(mic=True)[atom]
    assert [r for _, r in examined.neighbours(atom)] == pytest.approx(
        np.sort(vectors)[1 : examined.coordination[atom] + 1]
    )
    choice.select(atom)
    assert in_view._card._neighbours.object.count("Fe ") == examined.coordination[atom]


def relaxed(vacancy4, crystal4):
    entries = [Entry(vacancy4, "V1", "mine", 2.6)]
    return Dataset.from_entries("d", [crystal4], entries, {"potential": "Fe-AM04"})


def test_the_vibrations_of_an_atom_are_computed_on_demand(session, vacancy4, crystal4):
    shown = open_structure(session, relaxed(vacancy4, crystal4), 0)
    card = shown._card
    assert card._compute.visible
    shown._panel.select(8)
    asyncio.run(card._run(None))
    curves = card._figure.curves.data
    modes = np.trapezoid(curves["atom"], curves["frequency"])
    assert modes == pytest.approx(3.0 * (1.0 - 1.0 / len(vacancy4)), abs=0.01)  # less its part in the translations
    assert np.trapezoid(curves["mean"], curves["frequency"]) == pytest.approx(modes, abs=0.01)
    assert not card._compute.visible
    before = curves["atom"]
    shown._panel.select(60)
    assert (card._figure.curves.data["atom"] != before).any()
    assert len(session.runner.jobs) == 1


def test_why_vibrations_are_not_offered_is_said(session, clusters, saddles, monkeypatch):
    shown = open_structure(session, clusters, 0)
    assert not shown._card._compute.visible
    assert "reduced units" in shown._card._remark.object
    session.state.open_dataset(saddles)
    session.state.select(2)
    assert "imaginary" in shown._card._remark.object
    monkeypatch.setattr("dashboards.pages.atom_card.MOST_ATOMS", 50)
    session.state.select(0)
    assert "up to 50 atoms" in shown._card._remark.object


def test_copies_of_a_parent_play_in_the_order_of_their_strain(linear_dataset):
    entry, bulk = linear_dataset.entries[0], linear_dataset.bulks[0]
    strains = [0.02, -0.01, 0.0]
    bulks = [strained(bulk, strain) for strain in strains]
    copies = []
    for k, crystal in enumerate(bulks):
        atoms = entry.atoms.copy()
        atoms.set_cell(crystal.cell, scale_atoms=True)
        copies.append(Entry(atoms, entry.label, f"copy {k}", 1.0, bulk=k, parent="elsewhere"))
    alone = Entry(entry.atoms, entry.label, "alone", 1.0, bulk=2)
    data = Dataset.from_entries("strains", bulks, [*copies, alone], {"potential": "Fe-AM04"})
    assert frames(data, 1) == [("−1.0%", 1), ("+0.0%", 2), ("+2.0%", 0)]
    assert frames(data, 3) == []


def test_a_frame_of_the_player_is_the_structure_in_view(session, saddles):
    shown = open_structure(session, saddles, 0)
    assert shown._player.visible
    assert list(shown._player.options.values()) == [0, 1, 2]
    assert shown._player.value == 0
    shown._player.value = 2
    assert session.state.selected == 2
    assert shown._examined.entry is saddles.entries[2]
    session.state.open_dataset(saddles.subset([0]))
    assert not shown._player.visible


def test_learned_beside_exact(in_view, session):
    session.state.select(0)
    in_view._comparison.value = LEARNED_BESIDE
    beside = in_view._panel._beside.view
    assert np.asarray(beside.values) == pytest.approx(in_view._examined.learned, abs=1e-6)
    assert colours(in_view) == pytest.approx(in_view._examined.exact, abs=1e-6)
    session.state.select(3)
    assert np.asarray(beside.values) == pytest.approx(in_view._examined.learned, abs=1e-6)
    in_view._comparison.value = ALONE
    assert beside.n_atoms == 0


def test_another_structure_beside(in_view, session, linear_dataset):
    session.state.select(1)
    in_view._comparison.value = ANOTHER
    assert in_view._panel._beside.view.n_atoms == 0
    in_view._other_name.value = "I2-3"
    i = linear_dataset.index("I2-3")
    beside = in_view._panel._beside.view
    assert beside.n_atoms == len(linear_dataset.entries[i].atoms)
    expected = session.state.fit.model.predict_local(linear_dataset.entries[i].atoms)
    assert np.asarray(beside.values) == pytest.approx(expected, abs=1e-6)
    assert beside.limits == in_view._panel.view.limits


def test_the_downloaded_structure_holds_the_values_of_its_atoms(in_view, session):
    session.state.select(0)
    (atoms,) = read_structures(in_view._as_extxyz().read())
    examined = in_view._examined
    assert atoms.arrays["local_entropy"] == pytest.approx(examined.exact, abs=1e-7)
    assert atoms.arrays["learned_local_entropy"] == pytest.approx(examined.learned, abs=1e-7)
    assert atoms.arrays["distance_to_defect"] == pytest.approx(examined.distances, abs=1e-7)
    assert atoms.positions == pytest.approx(examined.entry.atoms.positions, abs=1e-7)
    assert in_view._extxyz.filename == "V2-0.extxyz"
    session.state.select(1)
    (atoms,) = read_structures(in_view._as_extxyz().read())
    assert "local_entropy" not in atoms.arrays


def test_a_large_structure_does_not_hold_up_the_page(in_view, session, monkeypatch):
    session.state.select(6)
    quick = in_view._examined
    session.state.select(0)
    session.state.fit = replace(session.state.fit)  # nothing is remembered of another fit
    monkeypatch.setattr("dashboards.pages.examiner.QUICK", 100)
    session.state.select(6)
    assert [job.function for job in session.runner.jobs] == [tasks.locate, tasks.learned_shares]
    slow = in_view._examined
    assert slow.entry is quick.entry
    assert slow.distances == pytest.approx(quick.distances)
    assert slow.coordination.tolist() == quick.coordination.tolist()
    assert slow.learned == pytest.approx(quick.learned)


def test_the_colours_are_part_of_the_state(session, linear_dataset):
    session.state.open_dataset(linear_dataset)
    session.state.quantity = COORDINATION
    page = StructurePage(session)
    session.state.select(3, show=True)
    assert page._panel.asked_for.label == COORDINATION
    page._panel.colour_by(LEARNED)
    assert session.state.quantity == LEARNED
    session.state.quantity = COORDINATION
    assert page._panel.shown.label == COORDINATION


def test_shares_that_cannot_be_computed_are_not_awaited_for_ever(in_view, session, messages, monkeypatch):
    async def fail(*arguments, **options):
        raise RuntimeError("no such thing")

    session.state.select(1)
    monkeypatch.setattr(in_view._share_bar, "run", fail)
    in_view._learning = (session.state.fit, session.state.dataset.entries[1], 1)
    asyncio.run(in_view._learn())
    assert "No such thing" in messages()[0]
    assert "could not be computed" in in_view._examined.shares.missing
