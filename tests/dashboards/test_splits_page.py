"""The Splits shown: the curve, its numbers, and when it is computed."""

import asyncio

import pytest

from dashboards import tasks
from dashboards.pages.model import ModelPage
from dashboards.pages.splits import SplitsPage, reading, split_table
from dashboards.state import default_descriptor
from ldml.descriptors import get_descriptor
from ldml.progress import NULL_PROGRESS


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    session.model_page = ModelPage(session)
    shown = SplitsPage(session)
    shown._repeats.value = 5
    return shown


@pytest.fixture
def curve(linear_dataset):
    X = linear_dataset.descriptor_differences(default_descriptor())
    return tasks.splits(NULL_PROGRESS, X, linear_dataset.formation_entropy, 5, 0)


def test_run_shows_the_curve(shown, session, curve):
    assert shown._empty.visible
    asyncio.run(shown.run())
    assert session.state.split_curve.rmse_test == pytest.approx(curve.rmse_test, rel=1e-9)
    assert shown._results.visible
    assert not shown._empty.visible
    assert "RMSE" in shown._plot.object.get(1).vdims[0].label
    shown._error.value = "MAE"
    assert "MAE" in shown._plot.object.get(1).vdims[0].label


def test_the_table_holds_mean_and_spread(curve):
    html = split_table(curve)
    for k in range(len(curve.proportions)):
        assert f"{curve.rmse_test[k].mean():.3f} ± {curve.rmse_test[k].std():.3f}" in html
        assert f"{curve.mae_train[k].mean():.3f} ± {curve.mae_train[k].std():.3f}" in html


def test_one_sentence_reads_the_curve(curve):
    text = reading(curve, "mae")
    assert f"{curve.mae_test[0].mean():.2f} k_B" in text
    assert f"{curve.mae_train[0].mean():.2f} k_B" in text
    assert f"{curve.mae_test[-1].mean():.2f} k_B" in text


def test_without_a_model_the_page_says_so(session, messages):
    shown = SplitsPage(session)
    assert "Model" in shown._empty.object
    asyncio.run(shown.run())
    assert "fit one on the Model page" in messages()[0]


def test_empty_fields_are_explained(shown, messages):
    shown._repeats.value = None
    asyncio.run(shown.run())
    assert "whole numbers" in messages()[0]


def test_another_descriptor_drops_the_curve_and_another_split_keeps_it(shown, session):
    asyncio.run(shown.run())
    session.model_page._seed.value = 5
    asyncio.run(session.model_page.fit())
    assert session.state.split_curve is not None
    for name, value in {"n_max": 3, "l_max": 2, "cutoff": 4.0}.items():
        session.model_page._form.inputs[name].value = value
    asyncio.run(session.model_page.fit())
    assert session.state.fit.model.descriptor == get_descriptor("AFS", n_max=3, l_max=2, cutoff=4.0)
    assert session.state.split_curve is None
    assert shown._empty.visible
