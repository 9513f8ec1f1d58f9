"""Every kind of parameter: what it accepts, what it refuses and in which words, and that its text reads back."""

import numpy as np
import pytest

from ldml.descriptors.parameters import Choice, Flag, Number, Numbers, Species
from ldml.errors import InputError

COUNT = Number(name="n_max", symbol="n_max", default=4, bounds=(1, 30), doc="How many.")
LENGTH = Number(
    name="cutoff", symbol="r_cut", default=5.0, bounds=(0.0, 12.0), low_included=False, unit="Å", doc="How far."
)
SPIN = Number(name="j_max", symbol="j", default=3.5, bounds=(0.0, 6.0), multiple_of=0.5, doc="Half-integer.")
SHAPE = Choice(name="shape", symbol="f", default="cosine", choices=("cosine", "polynomial", "none"), doc="Which.")
SWITCH = Flag(name="diagonal", symbol="d", default=True, doc="Whether.")
SCALES = Numbers(
    name="scales", symbol="q", default=(0.0, 0.5, 1.0), bounds=(-3.0, 6.0), longest=4, unit="Å", doc="List."
)
ELEMENTS = Species(name="species", symbol="s", doc="Elements.")


@pytest.mark.parametrize(
    ("parameter", "value", "plain"),
    [
        (COUNT, 1, 1),
        (COUNT, 30, 30),
        (COUNT, np.int32(7), 7),
        (LENGTH, 12, 12.0),
        (LENGTH, 1e-9, 1e-9),
        (LENGTH, np.float32(4.5), 4.5),
        (SPIN, 0, 0.0),
        (SPIN, 2.5, 2.5),
        (SHAPE, "none", "none"),
        (SHAPE, np.str_("cosine"), "cosine"),
        (SWITCH, False, False),
        (SWITCH, np.True_, True),
        (SCALES, [1, -3, 6], (1.0, -3.0, 6.0)),
        (SCALES, np.array([0.25]), (0.25,)),
        (ELEMENTS, [], ()),
        (ELEMENTS, ["Fe", np.str_("Cu")], ("Fe", "Cu")),
    ],
)
def test_good_values_become_plain_and_hashable(parameter, value, plain):
    checked = parameter.checked(value)
    assert checked == plain
    assert type(checked) is type(plain)
    assert {type(part) for part in checked} <= {float, str} if isinstance(checked, tuple) else True
    hash(checked)


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        (COUNT, 0, "n_max = 0 is out of range; use a value from 1 up to 30"),
        (COUNT, 31, "n_max = 31 is out of range"),
        (COUNT, 3.0, "n_max = 3.0 is not a whole number; the default is 4"),
        (COUNT, True, "n_max = True is not a whole number"),
        (COUNT, "3", "n_max = '3' is not a whole number"),
        (COUNT, None, "n_max = None is not a whole number"),
        (LENGTH, 0.0, "cutoff = 0.0 is out of range; use a value above 0 up to 12 Å"),
        (LENGTH, -5, "cutoff = -5 is out of range"),
        (LENGTH, 12.01, "cutoff = 12.01 is out of range"),
        (LENGTH, float("nan"), "cutoff = nan is not finite; the default is 5.0 Å"),
        (LENGTH, float("inf"), "cutoff = inf is not finite"),
        (LENGTH, [5.0], "cutoff = [5.0] is not a number"),
        (SPIN, 2.3, "j_max = 2.3 is no multiple of 0.5; use a value from 0 up to 6 in steps of 0.5"),
        (SPIN, 6.5, "j_max = 6.5 is out of range"),
        (SHAPE, "cosin", "shape = 'cosin' is unknown; did you mean 'cosine'? known: cosine, polynomial, none"),
        (SHAPE, "xyz", "shape = 'xyz' is unknown; known:"),
        (SHAPE, 0, "shape = 0 is unknown"),
        (SWITCH, 1, "diagonal = 1 is neither True nor False; the default is True"),
        (SWITCH, "yes", "diagonal = 'yes' is neither"),
        (SCALES, [], "scales holds 0 numbers; give 1 to 4 different numbers from -3 up to 6 Å, such as 0,0.5,1"),
        (SCALES, [0, 1, 2, 3, 4], "scales holds 5 numbers"),
        (SCALES, [1, 1.0], "scales = 1,1 repeats a number"),
        (SCALES, [7.0], "scales = 7.0 is out of range"),
        (SCALES, [float("nan")], "scales = nan is not finite"),
        (SCALES, "0,1", "scales = '0,1' is not a list of numbers"),
        (SCALES, 1.0, "scales = 1.0 is not a list of numbers"),
        (SCALES, ["a"], "scales = 'a' is not a number"),
        (ELEMENTS, ["Fe", "Xy"], "species holds 'Xy', which is no chemical symbol"),
        (ELEMENTS, ["Fe", "Fe"], "species = Fe,Fe repeats a symbol"),
        (ELEMENTS, "Fe", "species = 'Fe' is not a list of chemical symbols"),
        (ELEMENTS, [26], "species holds '26', which is no chemical symbol"),
        (ELEMENTS, 26, "species = 26 is not a list"),
    ],
)
def test_bad_values_are_refused(parameter, value, message):
    with pytest.raises(InputError) as refusal:
        parameter.checked(value)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (COUNT, "12", 12),
        (COUNT, " 12 ", 12),
        (LENGTH, "5", 5.0),
        (LENGTH, "4.25e0", 4.25),
        (SPIN, "0.5", 0.5),
        (SHAPE, "polynomial", "polynomial"),
        (SWITCH, "yes", True),
        (SWITCH, "No", False),
        (SWITCH, "TRUE", True),
        (SWITCH, "false", False),
        (SCALES, "0, 0.25 ,-1", (0.0, 0.25, -1.0)),
        (SCALES, "2", (2.0,)),
        (ELEMENTS, "Fe, Cu", ("Fe", "Cu")),
        (ELEMENTS, "", ()),
        (ELEMENTS, "Fe", ("Fe",)),
    ],
)
def test_text_is_read(parameter, text, value):
    read = parameter.from_text(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (COUNT, "2.5", "n_max = '2.5' is not a whole number"),
        (COUNT, "", "n_max = '' is not a whole number"),
        (COUNT, "31", "n_max = 31 is out of range"),
        (LENGTH, "five", "cutoff = 'five' is not a number"),
        (LENGTH, "0", "cutoff = 0.0 is out of range; use a value above 0 up to 12 Å"),
        (LENGTH, "nan", "cutoff = nan is not finite"),
        (SPIN, "0.75", "j_max = 0.75 is no multiple of 0.5"),
        (SHAPE, "cosinus", "shape = 'cosinus' is unknown; did you mean 'cosine'?"),
        (SWITCH, "maybe", "diagonal = 'maybe' is neither True nor False"),
        (SCALES, "0;1", "scales = '0;1' is not a list of numbers"),
        (SCALES, "", "scales = '' is not a list of numbers"),
        (SCALES, "0,9", "scales = 9.0 is out of range"),
        (SCALES, "0,0", "scales = 0,0 repeats a number"),
        (ELEMENTS, "Fe,", "species holds '', which is no chemical symbol"),
        (ELEMENTS, "iron", "species holds 'iron', which is no chemical symbol"),
    ],
)
def test_bad_text_is_refused(parameter, text, message):
    with pytest.raises(InputError) as refusal:
        parameter.from_text(text)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (COUNT, 17),
        (LENGTH, 4.123456789),
        (LENGTH, 1 - 0.02 / np.pi),
        (SPIN, 5.5),
        *[(SHAPE, name) for name in SHAPE.choices],
        (SWITCH, True),
        (SWITCH, False),
        (SCALES, (0.75, -0.125, 3.0)),
        (SCALES, (1 / 3, np.nextafter(1.0, 2.0))),
        (ELEMENTS, ()),
        (ELEMENTS, ("W", "Re", "Ta")),
    ],
)
def test_text_reads_back(parameter, value):
    assert parameter.from_text(parameter.to_text(value)) == value


def test_text_has_no_needless_digits():
    assert LENGTH.to_text(5.0) == "5"
    assert LENGTH.to_text(0.1 + 0.2) == "0.30000000000000004"
    assert SCALES.to_text((0.0, 0.25)) == "0,0.25"


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (COUNT, "from 1 up to 30"),
        (LENGTH, "above 0 up to 12 Å"),
        (SPIN, "from 0 up to 6 in steps of 0.5"),
        (SHAPE, "cosine, polynomial, none"),
        (SWITCH, "yes or no"),
        (SCALES, "1 to 4 different numbers from -3 up to 6 Å"),
        (ELEMENTS, "chemical symbols, or none to treat all elements alike"),
    ],
)
def test_what_is_allowed_is_said(parameter, words):
    assert parameter.allowed() == words


def test_a_parameter_cannot_be_changed():
    with pytest.raises(AttributeError):
        COUNT.default = 5
