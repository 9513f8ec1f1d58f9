"""The energy spectrum and S_f against E_f: numbers of a made-up landscape known by hand, and what is drawn of them."""

import numpy as np
import pytest

from ldml.dataset import Dataset, Entry
from ldml.errors import InputError
from ldml.figures.energy_landscape import draw_energy_landscape, energy_landscape, report
from ldml.figures.palette import class_colour

SEARCH = {"attempts": 12, "distinct_energy_or_inertia": 4, "distinct_energy_and_inertia": 3, "failures": {"E": 2}}


def _data(crystal4, metadata):
    energies = {"I2": [7.0, 5.0, 6.5, 5.5], "V1": [1.7]}
    entries = [
        Entry(crystal4, label, f"{label}-{k}", 3.0 - 2.0 * energy, energy)
        for label, values in energies.items()
        for k, energy in enumerate(values)
    ]
    entries.append(Entry(crystal4, "V1", "unknown", float("nan"), 1.0))
    return Dataset.from_entries("mine", [crystal4], entries, {"potential": "Fe-AM04", **metadata})


@pytest.fixture
def data(crystal4):
    return _data(crystal4, {"search": {"I2": SEARCH}})


def test_classes(data):
    pairs, single = energy_landscape(data).classes
    assert (pairs.label, single.label) == ("I2", "V1")
    np.testing.assert_array_equal(pairs.formation_energy, [5.0, 5.5, 6.5, 7.0])
    np.testing.assert_array_equal(pairs.formation_entropy, 3.0 - 2.0 * pairs.formation_energy)
    assert pairs.within_one_ev == 2
    # exact: the entropies lie on a line
    assert (pairs.slope, pairs.correlation) == pytest.approx((-2.0, -1.0), abs=1e-12)
    assert np.isnan(single.slope)
    assert len(single.formation_energy) == 1, "a minimum without an entropy is not shown"


def test_search_statistics_of_the_parts_a_dataset_was_put_together_from(crystal4):
    for parts in ([{"search": {"I2": SEARCH}}], {"a": {"search": {"I2": SEARCH}}}):
        assert energy_landscape(_data(crystal4, {"parts": parts})).classes[0].search == SEARCH


def test_report(data):
    text = "\n".join(report(energy_landscape(data)))
    assert "4 minima   E_f 5.000 to 7.000 eV, 2 within 1 eV of the lowest   S_f -11.00 to -7.00 k_B" in text
    assert "dS/dE -2.00 k_B/eV, r -1.00" in text
    assert "12 attempts, distinct by energy or inertia: 4, distinct by energy and inertia: 3, 2 failed" in text


def test_panels(data):
    upper, lower = draw_energy_landscape(energy_landscape(data)).axes
    assert lower.get_xlabel() == "formation energy $E_f$ (eV)"
    lines = lower.get_lines()
    assert [line.get_color() for line in lines] == [class_colour("I2"), class_colour("V1")]
    np.testing.assert_array_equal(lines[0].get_xdata(), [5.0, 5.5, 6.5, 7.0])
    assert upper.patches[0].get_data().values.sum() == 4


def test_nothing_to_show(crystal4):
    data = Dataset.from_entries("mine", [crystal4], [Entry(crystal4, "V1", "a")])
    with pytest.raises(InputError, match="formation energy and a formation entropy"):
        energy_landscape(data)
