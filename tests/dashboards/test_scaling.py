"""The Scaling page: power laws recovered, the same entropy by every method, points kept when cancelled."""

import asyncio

import numpy as np
import pytest

from dashboards import scaling
from dashboards.figures.scaling import scaling_figure
from dashboards.pages import scaling as page_module
from dashboards.pages.scaling import DENSE_UP_TO, ScalingPage, estimated_seconds, reading, scaling_table
from dashboards.scaling import CHOLESKY, EIGENVALUES, GREEN, MODEL, ScalingPoint, fitted_power, measure, n_atoms_of
from dashboards.state import default_descriptor, fit_model
from ldml.errors import Cancelled
from ldml.progress import NULL_PROGRESS


def cubic(n):
    return ScalingPoint(n, {EIGENVALUES: 2e-9 * n**3.0, MODEL: 1e-5 * n}, {EIGENVALUES: 2.6, MODEL: 2.5})


@pytest.fixture
def shown(session, monkeypatch):
    monkeypatch.setattr(page_module, "measure", lambda progress, repeats, *rest: cubic(n_atoms_of(repeats, "vacancy")))
    shown = ScalingPage(session)
    shown._sizes.value = [4, 5, 6]
    return shown


def test_a_power_law_is_recovered_from_its_largest_sizes():
    n = np.array([50.0, 100.0, 200.0, 400.0])
    t = 3e-9 * n**3
    t[0] = 1.0  # what every call costs rules the smallest size
    assert fitted_power(n[::-1], t[::-1]) == pytest.approx((3e-9, 3.0))


def test_both_dense_methods_give_one_entropy_and_all_are_timed(linear_dataset):
    model = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0).model
    point = measure(NULL_PROGRESS, 4, "Fe-AM04", "vacancy", [EIGENVALUES, CHOLESKY], model)
    assert point.n_atoms == n_atoms_of(4, "vacancy") == 127
    assert point.entropies[EIGENVALUES] == pytest.approx(point.entropies[CHOLESKY], abs=1e-8)
    assert set(point.seconds) == {MODEL, EIGENVALUES, CHOLESKY}
    assert np.isfinite(point.entropies[MODEL])


def test_points_appear_with_their_exponents(shown):
    asyncio.run(shown.run())
    assert [point.n_atoms for point in shown._points] == [127, 249, 431]
    assert "N^3.00" in shown._reading.object
    assert "N^1.00" in shown._reading.object
    labels = [item.label.value for item in scaling_figure(shown._points).legend[0].items]
    assert "exact, diagonalisation: N^3.00" in labels
    assert "2.600" in scaling_table(shown._points)


def test_cancelled_sizes_leave_those_done(shown, monkeypatch, messages):
    def second_is_cancelled(progress, repeats, *rest):
        if repeats == 5:
            raise Cancelled
        return cubic(n_atoms_of(repeats, "vacancy"))

    monkeypatch.setattr(page_module, "measure", second_is_cancelled)
    asyncio.run(shown.run())
    assert [point.n_atoms for point in shown._points] == [127]
    assert messages() == ["Scaling cancelled."]


def test_times_of_another_defect_are_not_mixed(shown):
    asyncio.run(shown.run())
    shown._defect.value = "<110> dumbbell"
    shown._sizes.value = [4]
    asyncio.run(shown.run())
    assert len(shown._points) == 1


def test_nothing_chosen_is_explained(shown, messages):
    shown._sizes.value = []
    asyncio.run(shown.run())
    assert "No size is chosen" in messages()[0]
    shown._sizes.value, shown._methods.value = [4], []
    asyncio.run(shown.run())
    assert "nothing to time" in messages()[0]


def test_the_estimate_is_cubic_for_dense_methods_and_ends_where_they_do():
    dense = [estimated_seconds(n, [EIGENVALUES]) - estimated_seconds(n, [GREEN]) for n in (4, 8, DENSE_UP_TO + 4)]
    assert dense[1] / dense[0] == pytest.approx(2.0**9)
    assert dense[2] == 0.0


def test_the_extrapolated_time_is_read_at_the_papers_size():
    points = [cubic(n) for n in (128, 512, 1024)]
    years = 2e-9 * scaling.PAPER_ATOMS**3 / 86_400 / 365.25
    assert f"about {years * 365.25:.0f} days" in reading(points)
    assert reading(points[:2]) == ""


def test_a_model_of_another_potential_is_left_out_and_said(shown, session, linear_dataset, messages):
    session.state.open_dataset(linear_dataset)
    session.state.fit = fit_model(linear_dataset, default_descriptor(), test_proportion=0.25, seed=0)
    assert shown._model() is session.state.fit.model
    shown._potential.value = "Fe-EtesamiAsadi2018"
    assert shown._model() is None
    assert "fitted for Fe-AM04" in messages()[0]


def test_cleared_points_are_brought_back(shown, session):
    asyncio.run(shown.run())
    points = shown._points
    assert len(points) == 3
    shown._clear()
    assert shown._points == []
    session.state.undo()
    assert shown._points == points
    assert shown._table.visible
