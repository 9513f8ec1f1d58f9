"""Units beside numbers: those of the dataset."""

import pytest

from dashboards.units import METAL, crystal_name, quantity_unit, symbol, units_of
from ldml.dataset import Dataset
from ldml.potentials import perfect_crystal


def test_units_are_those_the_dataset_names(linear_dataset, clusters):
    assert units_of(None) == units_of(linear_dataset) == METAL
    units = units_of(clusters)
    assert (units.length, units.energy, units.entropy, units.force) == ("σ", "ε", "k_B", "ε/σ")


@pytest.mark.parametrize(
    ("unit", "written"),
    [("eV", "eV"), ("eV/angstrom^2", "eV/Å²"), ("THz", "THz"), ("1", ""), ("1 where it leads back, otherwise 0", "")],
)
def test_a_quantity_has_the_unit_of_the_metadata_unless_that_is_a_remark(linear_dataset, unit, written):
    data = Dataset.from_entries("x", linear_dataset.bulks, [], {"quantities": {"barrier": unit}})
    assert quantity_unit(data, "barrier") == written
    assert quantity_unit(data, "other") == ""


def test_an_unknown_unit_is_written_as_it_is():
    assert symbol("furlong") == "furlong"


def test_a_crystal_is_named_by_atoms_and_cell_and_a_cluster_by_its_atoms(clusters):
    bulk = perfect_crystal("Fe-AM04", 2)
    edge = bulk.cell.lengths()[0]
    assert crystal_name(bulk, "Å") == f"16 Fe atoms, ({edge:.3f} Å)³"
    assert crystal_name(bulk.repeat((2, 1, 1)), "Å") == f"32 Fe atoms, {2 * edge:.3f} × {edge:.3f} × {edge:.3f} Å"
    assert crystal_name(clusters.bulks[0], "σ") == "13 X atoms, free"
