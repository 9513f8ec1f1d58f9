"""The file to give away: what is in it, what cannot be, and that its numbers are those of the fit."""

import asyncio
import base64
import json
import re

import numpy as np
import pytest

from dashboards import standalone, tasks
from dashboards.pages.share import Share
from dashboards.standalone import DIFFERENCE, EXACT, LEARNED, standalone_page, structures_to_show
from dashboards.state import default_descriptor, fit_model
from ldml.progress import NULL_PROGRESS


@pytest.fixture(scope="module")
def fit(linear_dataset):
    return fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)


def shares(fit, shown):
    structures = [(fit.data.entries[i].atoms, fit.data.bulk_of(i)) for i in shown]
    return tasks.shares_of_structures(NULL_PROGRESS, fit.model, structures)


def data_in(page):
    return json.loads(re.search(r'id="ldml-data">(.*?)</script>', page, re.S)[1])


def numbers(text):
    return np.frombuffer(base64.b64decode(text), dtype=np.float32)


def test_the_numbers_are_those_of_the_fit(fit):
    shown = structures_to_show(fit, 3)
    page = data_in(standalone_page(fit, shown, shares(fit, shown)))
    for structure, i in zip(page["structures"], shown, strict=True):
        entry = fit.data.entries[i]
        assert f"{fit.predicted[i]:.3f}" in structure["numbers"]
        assert len(numbers(structure["frame"]["positions"])) == 3 * len(entry.atoms)
        learned = numbers(structure["values"][LEARNED]["data"])
        assert learned.sum() == pytest.approx(fit.predicted[i], abs=1e-3)
        assert (EXACT in structure["values"]) == (DIFFERENCE in structure["values"]) == bool(fit.data.has_local[i])


def test_nothing_is_fetched(fit):
    page = standalone_page(fit, [0], [None])
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", page)
    assert "Content-Security-Policy" in page


def test_names_cannot_end_the_script_or_start_one(fit):
    from dataclasses import replace

    hostile = "</script><script>alert(1)</script><!--"
    entries = [replace(fit.data.entries[0], name=hostile), *fit.data.entries[1:]]
    data = type(fit.data).from_entries(hostile, fit.data.bulks, entries, fit.data.metadata)
    page = standalone_page(replace(fit, data=data), [0], [None], description=hostile)
    assert hostile not in page
    assert "<script>alert(1)" not in page
    assert len(data_in(page)["structures"]) == 1


def test_structures_are_those_the_model_misses_and_others_over_the_range(fit):
    shown = structures_to_show(fit, 6, first=4)
    assert shown[0] == 4
    assert len(set(shown.tolist())) == len(shown) == 6
    missed = np.abs(fit.predicted - fit.true)
    assert np.flatnonzero(fit.test)[missed[fit.test].argmax()] in shown


def test_few_structures_where_they_are_large(fit, monkeypatch):
    monkeypatch.setattr(standalone, "MAX_ATOMS", 2 * int(fit.data.n_atoms.max()))
    assert len(structures_to_show(fit, 6)) == 2


def test_a_file_is_prepared_and_forgotten_with_its_fit(session, fit):
    session.state.open_dataset(fit.data)
    share = Share(session)
    assert share._prepare.disabled
    session.state.fit = fit
    assert not share._prepare.disabled
    asyncio.run(share.prepare())
    assert share._download.visible
    assert share._download.filename == f"{fit.data.name}.html"
    content = share._download.callback().getvalue().decode()
    assert len(data_in(content)["structures"]) == len(structures_to_show(fit))
    session.state.fit = None
    assert not share._download.visible
    assert share._prepare.visible
