"""The form of a descriptor: an input for every kind of parameter, what it says of wrong values, the descriptor in a line."""

import numpy as np
import panel_material_ui as pmui
import pytest

from dashboards.pages.descriptor_form import DescriptorForm, describe_descriptor, is_rare
from ldml.descriptors import DESCRIPTORS, Choice, Descriptor, Flag, Number, Numbers, Species, get_descriptor
from ldml.descriptors.base import CUTOFF, SPECIES
from ldml.errors import InputError


class Everything(Descriptor):
    """One parameter of every kind.

    More about it.
    """

    name, version, letter = "Everything", 1, "E"
    declared_parameters = (
        Number(name="count", symbol="n", default=4, bounds=(1, 9), doc="How many."),
        Number(name="spin", symbol="j", default=1.5, bounds=(0.0, 3.0), multiple_of=0.5, doc="Highest spin."),
        CUTOFF,
        Flag(name="diagonal", symbol="d", default=True, doc="Only some."),
        Choice(name="shape", symbol="f", default="round", choices=("round", "square"), doc="Which."),
        Numbers(name="scales", symbol="s", default=(0.0, 0.5), bounds=(-3.0, 6.0), unit="Å", doc="Widths."),
        Number(name="rfac0", symbol="r", default=0.993, bounds=(0.0, 1.0), doc="Part."),
        SPECIES,
    )
    feature_indices = ({"k": 0},)

    def _compute(self, atoms):
        return np.zeros((len(atoms), 1))

    def _total(self, atoms):
        return np.zeros(1)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """`Everything` beside the descriptors of the library."""
    monkeypatch.setitem(DESCRIPTORS._items, "Everything", Everything)


@pytest.fixture
def form():
    form = DescriptorForm(Everything())
    form.offer_elements(["Fe", "Cu"])
    return form


@pytest.mark.parametrize("name", sorted(DESCRIPTORS))
def test_the_form_of_every_registered_descriptor_says_its_defaults(name):
    assert DescriptorForm(get_descriptor(name)).descriptor() == get_descriptor(name)


@pytest.mark.parametrize(
    ("name", "kind", "step"),
    [
        ("count", pmui.IntInput, 1),
        ("spin", pmui.FloatInput, 0.5),
        ("cutoff", pmui.FloatInput, 0.1),
        ("rfac0", pmui.FloatInput, 0.01),
        ("diagonal", pmui.Switch, None),
        ("shape", pmui.Select, None),
        ("scales", pmui.TextInput, None),
        ("species", pmui.MultiChoice, None),
    ],
)
def test_every_kind_of_parameter_has_an_input_that_explains_itself(form, name, kind, step):
    widget, parameter = form.inputs[name], next(p for p in Everything.declared_parameters if p.name == name)
    assert isinstance(widget, kind)
    assert step is None or widget.step == step
    assert widget.label == (f"{name} ({parameter.unit})" if parameter.unit else name)
    for words in (parameter.symbol, parameter.doc, parameter.allowed()):
        assert words in widget.description


def test_what_is_entered_is_what_the_descriptor_has(form):
    entered = {"count": 7, "spin": 2.0, "cutoff": 4.5, "diagonal": False, "shape": "square", "species": ["Cu", "Fe"]}
    for name, value in entered.items():
        form.inputs[name].value = value
    form.inputs["scales"].value = "0, 0.25,3"
    expected = {**entered, "scales": (0.0, 0.25, 3.0), "species": ("Cu", "Fe"), "rfac0": 0.993}
    assert form.descriptor().parameters == expected


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("count", None, "count is empty; enter a number from 1 up to 9"),
        ("count", 0, "out of range"),
        ("spin", 1.3, "no multiple of 0.5"),
        ("cutoff", 13.0, "above 0 up to 12 Å"),
        ("scales", "", "not a list of numbers"),
        ("scales", "0,zero", "not a list of numbers"),
        ("scales", "1,1", "repeats a number"),
    ],
)
def test_a_wrong_value_is_explained_at_its_input_until_it_is_mended(form, name, value, words):
    widget = form.inputs[name]
    right = widget.value
    widget.value = value
    assert widget.error_state
    assert words in widget.helper_text
    with pytest.raises(InputError, match=words):
        form.descriptor()
    widget.value = right
    assert not widget.error_state
    assert widget.helper_text == ""
    assert form.descriptor() == Everything()


def test_species_are_chosen_from_the_elements_of_the_dataset(form):
    widget = form.inputs["species"]
    widget.value = ["Fe", "Cu"]
    assert widget.options == ["Fe", "Cu"]
    form.offer_elements(["Fe"])
    assert (widget.options, widget.value, widget.disabled) == (["Fe"], [], True)
    form.offer_elements(["Al", "Ni"])
    assert (widget.options, widget.disabled) == (["Al", "Ni"], False)


def test_rarely_changed_parameters_wait_out_of_sight(form):
    assert [p.name for p in Everything.declared_parameters if is_rare(p)] == ["rfac0", "species"]
    assert form.inputs["rfac0"] in form._rare.objects
    assert form.inputs["shape"] in form._fields.objects
    assert not form._rare.visible
    form._unfold()
    assert form._rare.visible


def test_each_descriptor_keeps_its_own_values_and_says_what_it_is(form):
    form.inputs["cutoff"].value = 4.0
    heard = []
    form.on_change(lambda: heard.append(form.descriptor().name))
    form.choose("AFS")
    assert form.inputs["cutoff"].value == 5.0
    assert "Fourier" in form._meaning.object
    form.choose("Everything")
    assert form._meaning.object == "One parameter of every kind."
    assert form.inputs["cutoff"].value == 4.0
    assert heard == ["AFS", "Everything"]


@pytest.mark.parametrize(
    ("descriptor", "line"),
    [
        (get_descriptor("AFS"), "AFS, n_max = 20, l_max = 10, cutoff = 5 Å"),
        (get_descriptor("AFS", pairs="distinct"), "AFS, n_max = 20, l_max = 10, cutoff = 5 Å, pairs = distinct"),
        (
            Everything(species=("Fe", "Cu"), rfac0=0.5),
            "Everything, count = 4, spin = 1.5, cutoff = 5 Å, diagonal = yes, shape = round, scales = 0,0.5 Å, rfac0 = 0.5, "
            "species = Fe,Cu",
        ),
    ],
)
def test_a_descriptor_in_one_line(descriptor, line):
    assert describe_descriptor(descriptor) == line


def test_a_species_field_needs_no_dataset():
    form = DescriptorForm(Everything())
    assert form.inputs["species"].disabled
    assert isinstance(Everything.declared_parameters[-1], Species)


def test_descriptors_of_minima_follow_the_potential_of_the_data():
    form = DescriptorForm(get_descriptor("AFS"))
    form.offer_potential("Fe-AM04")
    form.choose("AFS+SoftModes")
    assert form.descriptor().potential == "Fe-AM04"
    form.offer_potential("Fe-EtesamiAsadi2018")
    assert form.descriptor().potential == "Fe-EtesamiAsadi2018"
    form.offer_potential("one that is not known")
    assert form.descriptor().potential == "Fe-EtesamiAsadi2018"


def test_lengths_are_named_in_the_unit_of_the_data():
    form = DescriptorForm(get_descriptor("AFS"))
    form.offer_length("σ")
    assert form.inputs["cutoff"].label == "cutoff (σ)"
    form.choose("BSO4")
    assert form.inputs["cutoff"].label == "cutoff (σ)"


def test_soft_modes_stand_beside_any_descriptor_whose_values_stay():
    form = DescriptorForm(get_descriptor("AFS"))
    form.inputs["n_max"].value = 7
    form._modes.value = True
    form.inputs["levels"].value = "0.2,0.4"
    assert form.descriptor() == get_descriptor("AFS+SoftModes", n_max=7, levels=(0.2, 0.4))
    form.choose("BSO4")
    assert form.descriptor() == get_descriptor("BSO4")
    form._modes.value = True
    assert form.descriptor() == get_descriptor("BSO4+SoftModes", levels=(0.2, 0.4))
    form.choose("SoftModes")
    assert not form._modes.visible
    assert form.descriptor() == get_descriptor("SoftModes", levels=(0.2, 0.4))


def test_what_keeps_soft_modes_away_is_told():
    form = DescriptorForm(get_descriptor("AFS+SoftModes"))
    form.offer_modes("no crystal")
    assert form.descriptor() == get_descriptor("AFS")
    assert form._modes.disabled
    assert "no crystal" in form._modes.label
    form.offer_modes("")
    assert not form._modes.disabled
