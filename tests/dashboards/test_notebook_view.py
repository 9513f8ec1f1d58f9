"""`ldml.view`: the same colours by either viewer, and clear words where it cannot draw."""

import numpy as np
import panel as pn
import pytest

import ldml
from dashboards.viewer import AtomsView, notebook
from dashboards.viewer.notebook import colour_selections
from dashboards.viewer.palettes import hex_colours
from ldml.errors import InputError
from ldml.structures import vacancy_cluster


@pytest.fixture
def values(vacancy4, rng):
    return rng.normal(size=len(vacancy4))


def test_outside_a_notebook_the_viewer_of_the_dashboard_draws(vacancy4, crystal4, values):
    shown = ldml.view(vacancy4, color=values, bulk=crystal4)
    view, bar = shown.objects
    assert isinstance(view, AtomsView)
    assert np.asarray(view.values) == pytest.approx(values, abs=1e-6)
    assert view.limits == (-np.abs(values).max(), np.abs(values).max())
    assert len(view.frame["ghosts"]) == 3
    assert len(set(np.asarray(view.frame["radii"]).tolist())) == 2
    assert "k<sub>B</sub>" in bar.object


def test_without_values_atoms_have_the_colours_of_their_elements(vacancy4):
    shown = ldml.view(vacancy4, backend="panel")
    assert shown.objects[0].values is None
    assert len(shown.objects) == 1


def test_values_may_be_an_array_of_the_structure(vacancy4, values):
    atoms = vacancy4.copy()
    atoms.set_array("S", values)
    shown = ldml.view(atoms, "S", palette="viridis", limits=(0.0, 1.0))
    assert np.asarray(shown.objects[0].values) == pytest.approx(values, abs=1e-6)
    assert shown.objects[0].limits == (0.0, 1.0)


def test_nglview_gets_each_atom_once_in_the_colour_of_its_value():
    values = np.array([0.0, 1.0, np.nan, -2.0, 0.5, np.inf, 9.0])
    selections = colour_selections(values, "viridis", (0.0, 1.0))
    listed = {int(i): colour for colour, chosen in selections for i in chosen[1:].split(",")}
    assert sorted(listed) == list(range(7))
    scale = hex_colours("viridis")
    assert [listed[0], listed[1], listed[3], listed[4], listed[6]] == [scale[i] for i in (0, 255, 0, 128, 255)]
    assert listed[2] == listed[5] == notebook.MISSING


def test_nglview_draws_where_it_works(vacancy4, crystal4, values, monkeypatch):
    nglview = pytest.importorskip("nglview")
    monkeypatch.setattr(notebook, "nglview_works", lambda: True)
    drawn = []

    def recorded(self, repr_type, **options):
        if repr_type == "spacefill":
            drawn.append(options)

    monkeypatch.setattr(nglview.NGLWidget, "add_representation", recorded)
    shown = ldml.view(vacancy4, color=values, bulk=crystal4)
    widget, bar = shown.children
    assert isinstance(widget, nglview.NGLWidget)
    assert "k<sub>B</sub>" in bar.value
    atoms = [int(i) for options in drawn for i in options["selection"][1:].split(",")]
    assert sorted(atoms) == list(range(len(vacancy4)))
    assert len({options["radius_size"] for options in drawn}) == 2
    monkeypatch.setattr(notebook, "MOST_FOR_NGLVIEW", 10)
    assert isinstance(ldml.view(vacancy4, color=values), pn.Column)


def test_without_a_notebook_nglview_does_not_work():
    assert not notebook.nglview_works()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": [1.0, 2.0]}, r"shape \(2,\).*127 atoms"),
        ({"color": "entropy"}, "no values 'entropy'; it has"),
        ({"color": "symbols_"}, "symbols_"),
        ({"color": np.zeros(127), "palette": "jet"}, "unknown palette 'jet'"),
        ({"color": np.zeros(127), "limits": (1.0, 0.0)}, "increasing"),
        ({"backend": "vmd"}, "'vmd' is unknown"),
    ],
)
def test_bad_input_is_named(vacancy4, options, message):
    with pytest.raises(InputError, match=message):
        ldml.view(vacancy4, **options)


def test_what_is_not_installed_is_said(crystal4, monkeypatch):
    monkeypatch.setattr("ldml.jupyter.find_spec", lambda name: None if name == "nglview" else True)
    with pytest.raises(InputError, match=r"needs nglview.*pip install"):
        ldml.view(vacancy_cluster(crystal4, 1), backend="nglview")
