"""The structure beside a plot: what it says, when it looks, where it leads."""

import numpy as np
import pytest

from dashboards.pages.examiner import Examiner
from dashboards.pages.quantities import COORDINATION
from dashboards.pages.structure import StructurePage
from dashboards.pages.structure_preview import NOTHING, TAP_AN_ATOM, StructurePreview
from dashboards.state import default_descriptor, fit_model


@pytest.fixture
def preview(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    session.state.fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    session.state.page = "Model"
    shown = StructurePreview(session, "Model")
    shown.show()
    return shown


def drawn(preview):
    return preview._panel.view.n_atoms


def test_with_nothing_in_view_it_says_what_to_do(preview, session):
    assert (preview._obstacle.object, preview._obstacle.visible) == (NOTHING, True)
    assert not preview._content.visible
    assert not preview._open.visible
    session.state.select(2)
    assert preview._content.visible
    assert not preview._obstacle.visible


def test_it_draws_the_structure_in_view_and_says_its_totals(preview, session):
    session.state.select(4)
    entry, predicted = session.state.dataset.entries[4], session.state.fit.predicted[4]
    assert preview._title.object == entry.name
    assert drawn(preview) == len(entry.atoms)
    assert f"{entry.formation_entropy:.3f}" in preview._totals.object
    assert f"{predicted:.3f}" in preview._totals.object
    assert f"{predicted - entry.formation_entropy:+.3f}".replace("-", "−") in preview._totals.object


@pytest.mark.parametrize("hide", [lambda p, s: p.show(False), lambda p, s: setattr(s.state, "page", "Data")])
def test_out_of_sight_it_does_not_look(preview, session, monkeypatch, hide):
    looked = []
    examine = Examiner.examine
    monkeypatch.setattr(Examiner, "examine", lambda self, i: looked.append(i) or examine(self, i))
    hide(preview, session)
    session.state.select(5)
    assert looked == []
    session.state.page = "Model"
    preview.show()
    assert set(looked) == {5}


def test_a_tapped_atom_says_its_shares_and_the_next_structure_has_none_tapped(preview, session):
    session.state.select(0)
    assert preview._atom.object == TAP_AN_ATOM
    entry = session.state.dataset.entries[0]
    atom = int(np.argmax(entry.local_entropy))
    preview._panel.view.selected = atom
    assert f"Atom {atom} " in preview._atom.object
    assert f"{entry.local_entropy[atom]:+.4f} k_B" in preview._atom.object
    session.state.select(
        next(k for k, e in enumerate(session.state.dataset.entries) if len(e.atoms) != len(entry.atoms))
    )
    assert preview._atom.object == TAP_AN_ATOM


def test_open_turns_to_the_page_of_the_structure(preview, session):
    session.state.select(4)
    preview._open.param.trigger("clicks")
    assert (session.state.page, session.state.selected) == ("Structure", 4)


def test_a_large_structure_is_left_to_its_page(preview, session, monkeypatch):
    session.state.select(4)
    monkeypatch.setattr("dashboards.pages.examiner.QUICK", 100)
    session.state.select(5)
    assert "drawn on the Structure page" in preview._obstacle.object
    assert preview._open.visible
    assert session.runner.jobs == []


def test_exact_shares_computed_on_the_page_of_the_structure_are_seen_here(preview, session):
    session.state.select(1)
    entry = session.state.dataset.entries[1]
    assert entry.local_entropy is None
    page, local = StructurePage(session), np.linspace(-1.0, 1.0, len(entry.atoms))
    session.state.page = "Structure"
    session.own(Examiner).take_exact(entry, local)
    session.state.page = "Model"
    assert np.asarray(preview._panel.view.values) == pytest.approx(local, abs=1e-6)
    assert page._examiner is preview._examiner


def test_another_model_recolours_and_keeps_the_atom(preview, session):
    session.state.select(1)
    preview._panel.view.selected = 7
    before = np.asarray(preview._panel.view.values).copy()
    session.state.fit = fit_model(session.state.dataset, default_descriptor(), test_proportion=0.8, seed=3)
    assert preview._panel.view.selected == 7
    assert not np.allclose(np.asarray(preview._panel.view.values), before, atol=1e-6)


def test_colours_are_those_of_the_page_of_the_structure(preview, session):
    session.state.select(0)
    session.state.quantity = COORDINATION
    assert preview._panel.asked_for.label == session.state.quantity
