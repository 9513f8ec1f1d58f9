"""What a model says of structures whose entropy nobody knows."""

import asyncio
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboards.app import status_line
from dashboards.pages.model import ModelPage
from dashboards.pages.structure import StructurePage
from ldml.dataset import Dataset


@pytest.fixture
def questions(linear_dataset):
    """Five structures of the dataset under their own names, their labels forgotten."""
    entries = [replace(entry, formation_entropy=float("nan")) for entry in linear_dataset.entries[:5]]
    return Dataset.from_entries("mine", linear_dataset.bulks, entries, {"potential": "Fe-AM04"})


@pytest.fixture
def page(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    session.state.page = "Model"
    return ModelPage(session)


def test_the_model_stays_and_answers_for_structures_without_entropies(page, session, questions):
    fit = session.state.fit
    session.state.open_dataset(questions)
    assert session.state.fit is fit
    assert session.state.models == [fit]
    assert page._predictions.view().visible
    assert not page._results.visible
    assert not page._empty.visible
    assert "model of linear" in status_line(questions, fit, -1)
    asyncio.run(page._predictions.predict())
    shown = page._predictions._table.value
    assert shown["S_f learned (k_B)"].to_numpy() == pytest.approx(
        fit.model.predict_structures(list(questions)), abs=1e-9
    )
    assert (shown["structure"] == questions.names).all()
    saved = pd.read_csv(page._predictions.csv())
    assert saved["S_f learned (k_B)"].to_numpy() == pytest.approx(shown["S_f learned (k_B)"].to_numpy())
    page._predictions._table.selection = [3]
    assert session.state.selected == 3


def test_a_namesake_is_not_the_structure_that_was_fitted(page, session, questions):
    session.state.open_dataset(questions)
    structures = StructurePage(session)
    session.state.page = "Structure"
    session.state.select(2)
    assert "not used" in structures._numbers.object
    learned = session.state.fit.model.predict_structures([questions[2]])[0]
    assert f"{learned:.3f}" in structures._numbers.object


def test_known_entropies_are_fitted_anew(page, session, linear_dataset):
    old = session.state.fit
    session.state.open_dataset(linear_dataset.subset(range(20)))
    assert session.state.fit is not old
    assert page._results.visible
    assert page._predictions is None


def test_a_model_of_other_elements_does_not_stay(page, session, questions):
    def tungsten(atoms):
        atoms = atoms.copy()
        atoms.numbers[:] = 74
        return atoms

    entries = [replace(entry, atoms=tungsten(entry.atoms)) for entry in questions.entries]
    session.state.open_dataset(Dataset.from_entries("w", [tungsten(questions.bulk)], entries))
    assert session.state.fit is None
    assert page._empty.visible
    assert page._predictions is None


def test_predictions_go_with_what_they_are_about(page, session, questions, linear_dataset):
    session.state.open_dataset(questions)
    asyncio.run(page._predictions.predict())
    session.state.open_dataset(linear_dataset.subset(range(20)))
    assert page._results.visible
    assert not page._predictions.view().visible


def test_without_intervals_half_widths_stay_empty(page, session, questions):
    session.state.open_dataset(questions)
    asyncio.run(page._predictions.predict())
    half_width = page._predictions._table.value["± 90 % (k_B)"].to_numpy()
    calibrated = session.state.fit.has_intervals
    assert np.isfinite(half_width).all() == calibrated
