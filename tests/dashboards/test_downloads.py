"""What is taken away is what was chosen, and reads back as it was."""

import asyncio
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboards import exports
from dashboards.exports import EXTXYZ, HDF5, file_name, write_export
from dashboards.pages import data as data_page
from dashboards.pages.data import DataPage
from ldml.dataset import load_dataset
from ldml.errors import InputError
from ldml.progress import NULL_PROGRESS


@pytest.fixture
def panel(session, linear_dataset, monkeypatch):
    """The downloads of a Data page on which the I2 are chosen."""
    monkeypatch.setattr(data_page, "sample_manifest", dict)
    session.state.open_dataset(linear_dataset)
    page = DataPage(session)
    page._filters._classes.value = ["I2"]
    return page._download


def test_the_table_holds_the_chosen_rows_with_units(panel, linear_dataset):
    frame = pd.read_csv(panel._save.callback())
    assert frame["structure"].tolist() == linear_dataset.names[12:].tolist()
    assert frame["S_f (k_B)"].to_numpy() == pytest.approx(linear_dataset.formation_entropy[12:], abs=1e-12)
    assert panel._save.filename == "linear-12-of-24.csv"


@pytest.mark.parametrize("suffix", [EXTXYZ, HDF5])
def test_the_chosen_structures_read_back(panel, linear_dataset, tmp_path, suffix):
    panel._kind.value = suffix
    assert not panel._save.visible
    asyncio.run(panel.prepare())
    assert panel._save.visible
    (tmp_path / panel._save.filename).write_bytes(panel._save.callback().read())
    data = load_dataset(tmp_path / panel._save.filename)
    assert (data.names == linear_dataset.names[12:]).all()
    assert data[3].positions == pytest.approx(linear_dataset[15].positions, abs=1e-7)
    assert data.formation_entropy == pytest.approx(linear_dataset.formation_entropy[12:], abs=1e-7)


def test_a_file_of_another_choice_is_not_offered(panel):
    panel._kind.value = HDF5
    asyncio.run(panel.prepare())
    panel._selection.filters = replace(panel._selection.filters, words="I2-1")
    assert (panel._save.visible, panel._prepare.visible) == (False, True)
    assert "3 structures" in panel._prepare.label
    panel._selection.filters = replace(panel._selection.filters, words="no such")
    assert (panel._save.visible, panel._prepare.visible) == (False, False)


def test_a_file_too_large_to_send_is_refused_with_a_remedy(panel, messages, linear_dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "MAX_DOWNLOAD_BYTES", 1000)
    panel._kind.value = EXTXYZ
    asyncio.run(panel.prepare())
    assert "take HDF5" in messages()[0]
    assert not panel._save.visible
    with pytest.raises(InputError, match="choose fewer"):
        write_export(NULL_PROGRESS, linear_dataset, HDF5, tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


def test_names_of_datasets_make_names_of_files(linear_dataset):
    part = linear_dataset.subset(np.arange(24) < 3)
    assert file_name(replace(part, name="../a b/<c>"), 24, "csv") == "a_b_c-3-of-24.csv"
    assert file_name(replace(linear_dataset, name="..."), 24, "h5") == "dataset.h5"
