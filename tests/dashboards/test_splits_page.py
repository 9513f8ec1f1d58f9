"""The Splits shown: each question, its numbers, when it is answered and what is remembered."""

import asyncio
from dataclasses import replace

import holoviews as hv
import numpy as np
import pytest

from dashboards import tasks
from dashboards.pages.model import ModelPage
from dashboards.pages.split_questions import (
    QUESTIONS,
    coverage_table,
    learning_table,
    matrix_table,
    read_coverage,
    read_learning,
    read_matrix,
    reading,
    split_table,
)
from dashboards.pages.splits import SplitsPage
from dashboards.state import ANSWERS, MAX_ANSWERS, Answers, default_descriptor, fit_model
from ldml.descriptors import get_descriptor
from ldml.evaluation.class_matrix import ALL, OTHERS, class_matrix
from ldml.evaluation.splits import random_test_set, split_curve_arrays
from ldml.progress import NULL_PROGRESS


@pytest.fixture(autouse=True)
def nothing_remembered():
    ANSWERS.__init__()


@pytest.fixture
def shown(session, linear_dataset):
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    session.model_page = ModelPage(session)
    shown = SplitsPage(session)
    shown._repeats.value = 5
    return shown


def test_an_answer_is_drawn_once(shown, session):
    plots = []
    shown._plot.param.watch(lambda event: plots.append(event.new), "object")
    asyncio.run(shown.run())
    assert len(plots) == 1
    shown._error.value = "MAE"
    assert len(plots) == 2
    session.state.page = "Splits"
    assert len(plots) == 2


@pytest.fixture
def rows(linear_dataset):
    return fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0).rows


@pytest.fixture
def copied_rows(rows):
    """Every structure twice, with a little noise on the second."""
    noise = 0.05 * rows.y.std() * np.random.default_rng(0).normal(size=len(rows.y))
    return tasks.Rows(*(np.concatenate(pair) for pair in (
        (rows.X, rows.X), (rows.y, rows.y + noise), (rows.labels, rows.labels), (rows.parents, rows.parents))))  # fmt: skip


@pytest.fixture
def curve(rows):
    return tasks.split_curves(NULL_PROGRESS, rows, 5, 0).at_random


def test_run_shows_the_curve(shown, session, curve):
    assert shown._empty.visible
    asyncio.run(shown.run())
    assert session.state.split_curve.rmse_test == pytest.approx(curve.rmse_test, rel=1e-9)
    assert session.state.grouped_curve is None
    assert shown._results.visible
    assert not shown._empty.visible
    assert "RMSE" in shown._plot.object.get(1).vdims[0].label
    shown._error.value = "MAE"
    assert "MAE" in shown._plot.object.get(1).vdims[0].label


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_answered_when_it_is_chosen_and_drawn(shown, session, messages, name):
    session.state.page = "Splits"
    shown._question.value = name
    if name == "Split curve":
        asyncio.run(shown.run())
    assert messages() == []
    answer = QUESTIONS[name].answer(session.state)
    assert answer is not None
    assert shown._results.visible
    assert shown._error.visible == (name != "Coverage")
    assert shown._repeats.visible == (name != "Classes")
    hv.render(shown._plot.object, backend="bokeh")
    assert QUESTIONS[name].table(answer) == shown._table.object
    assert QUESTIONS[name].read(answer, "rmse") in shown._reading.object


def test_answers_are_remembered_by_the_content_of_the_rows(shown, session, linear_dataset):
    asyncio.run(shown.run())
    answer, n_jobs = session.state.split_curve, len(session.runner.jobs)
    asyncio.run(shown.run())
    assert len(session.runner.jobs) == n_jobs  # the same question
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))  # as after a reload
    assert session.state.split_curve is None
    session.state.page = "Splits"
    assert session.state.split_curve is answer
    assert len(session.runner.jobs) == n_jobs
    shown._seed.value = 1
    asyncio.run(shown.run())
    assert len(session.runner.jobs) == n_jobs + 1
    assert (session.state.split_curve.rmse_test != answer.rmse_test).any()
    session.state.page = "Data"
    session.state.open_dataset(linear_dataset.subset(range(20)))
    assert ANSWERS.latest(session.state.fit.content, "Split curve") is None


def test_a_page_that_a_link_opens_answers_when_its_model_comes(session, linear_dataset):
    session.state.page = "Splits"
    session.state.open_dataset(linear_dataset.subset(range(len(linear_dataset))))
    page = SplitsPage(session)
    assert session.state.fit is None
    session.model_page = ModelPage(session)  # made after the page in sight
    assert session.state.split_curve is not None
    assert page._results.visible


def test_the_oldest_answers_are_forgotten():
    answers = Answers()
    for k in range(MAX_ANSWERS + 1):
        answers.remember(str(k), "q", (1, 2), k)
    assert answers.latest("0", "q") is None
    assert answers.latest("1", "q", (1, 2)) == 1
    assert answers.latest("1", "q", (1, 3)) is None


def test_where_parents_are_shared_whole_parents_are_held_out_beside(copied_rows):
    curves = tasks.split_curves(NULL_PROGRESS, copied_rows, 5, 3)
    expected = split_curve_arrays(copied_rows.X, copied_rows.y, groups=copied_rows.parents, n_repeats=5, seed=3)
    assert curves.by_parents.rmse_test == pytest.approx(expected.rmse_test, rel=1e-9)
    assert curves.by_parents.mean("rmse_test")[0] > curves.at_random.mean("rmse_test")[0]
    html = split_table(curves.at_random, curves.by_parents)
    assert f"{expected.rmse_test[0].mean():.3f} ± {expected.rmse_test[0].std():.3f}" in html
    text = reading(curves.at_random, "rmse", curves.by_parents)
    assert f"whole parents held out the model is off by {expected.rmse_test[0].mean():.2f} k_B" in text
    plot = hv.render(QUESTIONS["Split curve"].draw(curves, "rmse"), backend="bokeh")
    assert "test, whole parents held out" in [item.label.value for item in plot.legend[0].items]


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


def test_the_matrix_shows_the_errors_of_classes_on_classes(rows):
    seed = next(k for k in range(99) if len(set(rows.labels[random_test_set(len(rows.y), 0.2, k)])) == 2)
    matrix = tasks.class_errors(NULL_PROGRESS, rows, 0, seed)
    expected = class_matrix(rows.X, rows.y, rows.labels, seed=seed)
    assert matrix.rmse == pytest.approx(expected.rmse, rel=1e-9)
    html = matrix_table(matrix)
    plot = hv.render(QUESTIONS["Classes"].draw(matrix, "rmse"), backend="bokeh")
    cells, labels = (renderer.data_source.data for renderer in plot.renderers)
    for k, text in enumerate(labels["text"]):
        i, j = len(matrix.trained) - 1 - int(labels["y"][k]), int(labels["x"][k])
        assert text == f"{matrix.rmse[i, j]:.2f}\n{100 * matrix.outside[i, j]:.0f} % outside"
        assert f"{matrix.rmse[i, j]:.3f}" in html
        assert (cells["trained"][k], cells["tested"][k]) == (matrix.trained[i], matrix.tested[j])
    text = read_matrix(matrix, "rmse")
    worst = int(np.argmax(matrix.rmse[-2] / matrix.rmse[-1]))
    assert matrix.trained[-2:] == (OTHERS, ALL)
    assert text.startswith(f"{matrix.tested[worst]} suffers most")
    assert f"{matrix.rmse[-2, worst]:.2f} k_B when the model has never seen its class" in text


def test_one_class_alone_cannot_be_left_out(session, linear_dataset, messages):
    session.state.open_dataset(linear_dataset.subset(linear_dataset.labels == "V2"))
    ModelPage(session)
    shown = SplitsPage(session)
    shown._question.value = "Classes"
    assert "Leaving out classes needs at least two" in messages()[0]
    assert shown._empty.visible
    shown._question.value = "Coverage"
    assert "There is one class only" in shown._reading.object


def test_the_learning_curve_grows_by_doubling_and_says_what_the_last_doubling_brought(rows):
    assert tasks.learning_sizes(4520) == [26, 52, 105, 211, 423, 847, 1695, 3390]
    assert tasks.learning_sizes(24) == [18]
    curve = tasks.learning(NULL_PROGRESS, replace(rows, **{name: np.repeat(getattr(rows, name), 3, axis=0) for name in (
        "X", "y", "labels")}, parents=np.arange(3 * len(rows.y)).astype(str)), 3, 0)  # fmt: skip
    assert curve.n_train.tolist() == [27, 54]
    first, last = curve.rmse_test.mean(axis=1)
    assert f"from {first:.3f} to {last:.3f} k_B ({100 * (1 - last / first):+.0f} % gained)" in read_learning(
        curve, "rmse"
    )
    assert f"{curve.mae_test[1].mean():.3f} ± {curve.mae_test[1].std():.3f}" in learning_table(curve)


def test_coverage_is_told_in_class_and_of_new_classes(rows):
    coverage = tasks.coverage(NULL_PROGRESS, rows, 5, 0)
    n = len(rows.y)
    assert coverage.new_class.n_test == n
    assert coverage.in_class.n_test == 5 * 3
    assert coverage.in_class.coverages.max() == 0.9  # 12 structures of one class tell no more
    text = read_coverage(coverage, "rmse")
    assert f"hold {100 * coverage.in_class.at(0.9):.1f} % of 15 structures" in text
    assert f"{100 * coverage.new_class.outside:.1f} % of which" in text
    html = coverage_table(coverage)
    assert f"{coverage.new_class.half_width[-1]:.3f}" in html
    plot = hv.render(QUESTIONS["Coverage"].draw(coverage, "rmse"), backend="bokeh")
    assert len(plot.legend[0].items) == 2


def test_without_a_model_the_page_says_so(session, messages):
    shown = SplitsPage(session)
    assert "Model" in shown._empty.object
    asyncio.run(shown.run())
    assert "fit one on the Model page" in messages()[0]


def test_empty_fields_are_explained(shown, messages):
    shown._repeats.value = None
    asyncio.run(shown.run())
    assert "whole numbers" in messages()[0]


def test_another_descriptor_drops_the_answers_and_another_split_keeps_them(shown, session):
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
    session.state.show_fit(session.state.models[0])
    session.state.page = "Splits"
    assert session.state.split_curve is not None  # remembered


def test_a_link_to_the_page_is_answered_by_itself(session, linear_dataset, monkeypatch):
    loaded = []
    monkeypatch.setattr("panel.state.onload", loaded.append)
    session.state.open_dataset(linear_dataset)
    session.state.fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    session.state.page = "Splits"
    SplitsPage(session)
    asyncio.run(loaded[0]())
    assert session.state.split_curve is not None
