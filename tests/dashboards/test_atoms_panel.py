"""What steers the picture: the ends of the colours, which atoms are drawn, a second picture on the same scale."""

import numpy as np
import pytest

from dashboards.pages import atoms_panel
from dashboards.pages.atoms_panel import THE_SAME, AtomsPanel, Scene
from dashboards.pages.quantities import DISTANCE, EXACT, LEARNED, UNCERTAINTY, automatic_limits, entropy_quantities
from dashboards.viewer import colour_bar_html, lookup_table
from dashboards.viewer.palettes import DIVERGING, hex_colours, scale_entries


@pytest.fixture
def numbers(crystal4, rng):
    """Exact and learned shares, their errors and distances of the 128 atoms of a crystal."""
    exact, learned = rng.normal(size=(2, 128))
    return exact, learned, np.abs(learned), rng.uniform(1.0, 9.0, 128)


@pytest.fixture
def panel(crystal4, numbers):
    exact, learned, errors, distances = numbers
    panel = AtomsPanel()
    quantities = entropy_quantities(exact, learned, distances, errors=errors, coordination=np.full(128, 14))
    panel.show(crystal4, [[1.0, 1.0, 1.0]], [], distances, quantities)
    return panel


def drawn(panel):
    mask = panel.view.mask
    return np.ones(panel.view.n_atoms, bool) if mask is None else np.asarray(mask).astype(bool)


def test_the_values_drawn_can_be_narrowed_and_another_quantity_shows_all_again(panel, numbers):
    exact = numbers[0]
    panel._values.value = (0.5, panel._values.end)
    assert (drawn(panel) == (exact >= 0.5)).all()
    assert panel._count.object == f"{int((exact >= 0.5).sum())} of 128 atoms drawn."
    panel.colour_by(DISTANCE)
    assert panel.view.mask is None
    assert panel._count.object == "All 128 atoms drawn."


def test_a_slab_is_cut_from_what_is_on_the_screen(panel):
    panel._axis.value = 2
    assert panel._slab.visible
    assert panel.view.mask is None
    panel._slab.value = (3.0, 6.0)
    heights = np.asarray(panel.view.frame["positions"]).reshape(-1, 3)[:, 2]
    assert 0 < drawn(panel).sum() < 128
    assert (drawn(panel) == ((heights >= 3.0) & (heights <= 6.0))).all()
    panel._axis.value = -1
    assert panel.view.mask is None


def test_filters_join(panel, numbers):
    exact, _, _, distances = numbers
    panel._defect_only.value = True
    panel._values.value = (panel._values.start, 0.0)
    assert (drawn(panel) == ((distances <= panel._radius.value) & (exact <= 0.0))).all()


def test_entropies_share_a_scale_and_other_quantities_have_their_own(panel, numbers):
    _exact, _learned, errors, _distances = numbers
    limits = panel.view.limits
    panel.colour_by(LEARNED)
    assert panel.view.limits == limits
    panel.colour_by(UNCERTAINTY)
    assert panel.view.limits == pytest.approx((errors.min(), errors.max()))
    assert panel.view.palette != DIVERGING
    panel._range.value = (0.1, 0.5)
    panel.colour_by(EXACT)
    assert panel.view.limits == limits


def test_the_crystal_is_white_wherever_the_ends_are():
    for limits in [(-1.0, 1.0), (-0.1, 0.4), (-2.0, 0.5), (0.0, 3.0)]:
        entries = scale_entries(DIVERGING, limits)
        values = np.linspace(*limits, 256)
        # equal distances from 0 are equal distances from the middle, on either side
        assert np.abs(entries - 127.5 * (1.0 + values / np.abs(limits).max())).max() <= 0.5 + 1e-9
    white = lookup_table(DIVERGING)[127]
    assert lookup_table(DIVERGING, (0.0, 1.0))[0] == pytest.approx(white, abs=2)
    assert scale_entries("cividis", (3.0, 4.0)).tolist() == list(range(256))
    assert hex_colours(DIVERGING)[0] not in colour_bar_html(DIVERGING, (0.0, 1.0))


def test_automatic_limits_are_symmetric_and_leave_out_one_per_cent(numbers):
    exact, learned, _, distances = numbers
    low, high = automatic_limits(entropy_quantities(exact, learned, distances)[:1])
    assert low == -high
    assert (np.abs(exact) > high).mean() < 0.03
    assert high <= np.abs(exact).max() * 1.05
    nothing = entropy_quantities(np.zeros(4), None, np.zeros(4))[:1]
    assert automatic_limits(nothing)[0] < automatic_limits(nothing)[1]


def test_a_second_picture_has_the_colours_of_the_first(panel, numbers):
    exact, learned, _, _ = numbers
    first, second = panel.view, panel._beside.view
    panel.compare(panel.scene, title="one", other_title="two", by=LEARNED)
    assert np.asarray(second.values) == pytest.approx(learned, abs=1e-6)
    assert np.asarray(first.values) == pytest.approx(exact, abs=1e-6)
    panel._range.value = (-0.2, 0.3)
    assert first.limits == second.limits == (-0.2, 0.3)
    assert first.link == second.link != ""
    panel._beside_colour.value = THE_SAME
    assert np.asarray(second.values) == pytest.approx(exact, abs=1e-6)
    assert len(panel._pictures.objects) == 2
    panel.compare(None)
    assert len(panel._pictures.objects) == 1
    assert not panel._beside_colour.visible


def test_two_pictures_of_one_structure_mark_the_same_atom(panel, crystal4):
    picked = []
    panel.on_pick(picked.append)
    panel.view.selected = 3
    picked.clear()
    panel.compare(panel.scene)
    assert panel._beside.view.selected == 3
    panel._beside.view.selected = 5
    assert panel.view.selected == 5
    panel.view.selected = 7
    assert panel._beside.view.selected == 7
    assert picked[0] == 5
    assert picked[-1] == 7
    distances = np.full(128, np.inf)
    quantities = entropy_quantities(None, None, distances)
    panel.compare(Scene.around_defects(crystal4, [], [], distances, quantities))
    panel._beside.view.selected = 9
    assert panel.view.selected != 9  # another structure's atoms are others


def test_a_very_large_structure_shows_its_defects_first(crystal4, numbers, monkeypatch):
    monkeypatch.setattr(atoms_panel, "MANY", 100)
    panel = AtomsPanel()
    exact, _, _, distances = numbers
    quantities = entropy_quantities(exact, None, distances)
    panel.show(crystal4, [[1.0, 1.0, 1.0]], [], distances, quantities)
    assert (drawn(panel) == (distances <= panel._radius.value)).all()
    panel._defect_only.value = False
    panel.show(crystal4, [[1.0, 1.0, 1.0]], [], distances, quantities)
    assert panel.view.mask is None  # what the user has chosen stays
