"""``ldml relax``, ``ldml entropy`` and ``ldml prefactor``: the exact engine."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from ase import Atoms

from ldml.cli.shared import (
    FilePath,
    TerminalProgress,
    check_output,
    chosen_potential,
    clear_errors,
    crystal_for,
    json_option,
    potential_option,
    print_result,
    single_structure,
    workers_option,
)
from ldml.errors import ConvergenceError, InputError
from ldml.potentials import Potential

STRESS_FREE, ENERGY_NOISE = 0.01, 1e-3
"""GPa and eV; smaller values need no remark."""
NEWTON_FROM = 8000
"""Atoms from which "auto" relaxes by Newton steps preconditioned with the crystal's Green's function."""
UNITS = {"entropy": "k_B", "energy": "eV", "force": "eV/Å", "temperature": "K", "pressure": "GPa", "volume": "Å³"}


@dataclass(frozen=True)
class _Relaxation:
    """Options of ``ldml relax``."""

    potential: Potential
    fmax: float
    rattle: float
    seed: int
    pressure: float | None
    method: str
    check: bool


@dataclass(frozen=True)
class _Reference:
    """Options of ``ldml entropy``."""

    potential: Potential
    bulk_file: Path | None
    relax_first: bool
    local: bool
    method: str
    hessian: str
    temperature: float
    statistics: str
    convention: str
    pressure: float | None


@click.command()
@click.argument("files", nargs=-1, required=True, type=FilePath)
@click.option("--output", "-o", required=True, type=FilePath, help="Write the relaxed structures here as extended XYZ.")
@potential_option
@click.option("--fmax", default=1e-6, show_default=True, help="Largest force left on an atom, eV/Å.")
@click.option(
    "--rattle",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="Random displacement of the start, Å; it breaks symmetry.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random displacement.")
@click.option(
    "--pressure", type=float, help="Also scale the cell until the pressure is this, GPa [default: the cell is kept]."
)
@click.option(
    "--method", type=click.Choice(["auto", "lbfgs", "newton"]), default="auto", show_default=True,
    help="newton: preconditioned with the crystal's Green's function, for large cells.",
)  # fmt: skip
@click.option("--check/--no-check", default=True, show_default=True, help="Test that the end is a minimum.")
@workers_option
@json_option
@clear_errors
def relax(files, output, potential, fmax, rattle, seed, pressure, method, check, workers, as_json):
    """Relax the structures in FILES (extended XYZ) to minima."""
    check_output(output)
    options = _Relaxation(chosen_potential(potential), fmax, rattle, seed, pressure, method, check)
    results, failures = _run(partial(_relax_one, options), files, workers)
    _write(output, [atoms for atoms, _ in results])
    reports = [report for _, report in results]
    lines = [
        f"{report['name']}: {report['n_atoms']} atoms   E {report['energy']:.6f} eV   max force {report['max_force']:.1e} eV/Å   "
        f"{report['n_steps']} steps" + (f", {report['n_kicks']} kicks off saddles" if report["n_kicks"] else "")
        for report in reports
    ]
    if reports:
        lines.append(f"{len(reports)} relaxed structures written to {output}")
    _finish(reports, failures, as_json, lines)


@click.command()
@click.argument("files", nargs=-1, required=True, type=FilePath)
@potential_option
@click.option("--bulk", "bulk_file", type=FilePath, help="Perfect crystal [default: built to fill the cell].")
@click.option("--relax", "relax_first", is_flag=True, help="Relax to a minimum first.")
@click.option("--local", is_flag=True, help="Also the entropy of each atom.")
@click.option(
    "--method", default="auto", show_default=True,
    type=click.Choice(["auto", "cholesky", "eigenvalues", "eigenvectors", "shifts", "lanczos", "green"]),
    help="auto chooses by size and by what is asked. cholesky, eigenvalues: totals only; eigenvectors, shifts, lanczos: --local, "
    "too; green: the lattice Green's function, classical, for cells too large to factorise.",
)  # fmt: skip
@click.option(
    "--hessian", default="auto", show_default=True, type=click.Choice(["auto", "analytic", "differences", "paper"]),
    help="paper: forward differences of 1e-3 Å, atom by atom.",
)  # fmt: skip
@click.option("--temperature", default=300.0, show_default=True, help="K")
@click.option("--statistics", type=click.Choice(["classical", "quantum"]), default="classical", show_default=True)
@click.option(
    "--convention", type=click.Choice(["equal", "paper"]), default="equal", show_default=True,
    help="How zero modes are counted in S_f.",
)  # fmt: skip
@click.option(
    "--pressure",
    type=float,
    help="Formation values at this pressure, GPa, the cell relaxed [default: constant volume].",
)
@click.option("--output", "-o", type=FilePath, help="Write the structures with their entropies as extended XYZ.")
@workers_option
@json_option
@clear_errors
def entropy(
    files, potential, bulk_file, relax_first, local, method, hessian, temperature, statistics, convention, pressure,
    output, workers, as_json,
):  # fmt: skip
    """Exact harmonic entropies of the structures in FILES (extended XYZ)."""
    if output:
        check_output(output)
    options = _Reference(
        chosen_potential(potential),
        bulk_file,
        relax_first,
        local,
        method,
        hessian,
        temperature,
        statistics,
        convention,
        pressure,
    )
    results, failures = _run(partial(_entropy_one, options), files, workers)
    if output:
        _write(output, [_labelled(atoms, report) for atoms, report in results])
    reports = [report for _, report in results]
    _finish(reports, failures, as_json, [line for report in reports for line in _entropy_lines(report)])


@click.command()
@click.argument("minimum", type=FilePath)
@click.argument("saddle", type=FilePath)
@potential_option
@click.option("--refine", is_flag=True, help="Relax the minimum and refine the saddle first.")
@click.option("--temperature", default=300.0, show_default=True, help="K, of the rate.")
@json_option
@clear_errors
def prefactor(minimum, saddle, potential, refine, temperature, as_json):
    """Vineyard attempt frequency of the jump from the structure in MINIMUM over that in SADDLE (extended XYZ)."""
    from ldml.entropy.prefactor import vineyard_prefactor
    from ldml.landscape.saddle import refine_saddle
    from ldml.relaxation import relax as relaxed

    potential = chosen_potential(potential)
    progress = TerminalProgress()
    lower, upper = single_structure(minimum), single_structure(saddle)
    if refine:
        lower = relaxed(lower, potential, rattle=0.0, progress=progress).atoms
        upper = refine_saddle(upper, potential, progress=progress).atoms
    result = vineyard_prefactor(lower, upper, potential, progress=progress)
    progress.finish()
    report = {
        **asdict(result),
        "potential": potential.name,
        "temperature": temperature,
        "activation_entropy": result.activation_entropy(temperature),
        "rate": result.rate(temperature),
        "units": {**UNITS, "frequency": "THz", "rate": "1/s"},
    }
    lines = [
        f"{saddle.name} from {minimum.name}, {potential.name}",
        f"  nu*   {result.attempt_frequency:12.4f} THz   Vineyard attempt frequency",
        f"  S_m   {result.migration_entropy:12.4f} k_B   ln(nu*/nu_0), nu_0 = {result.reaction_frequency:.3f} THz along the jump",
        f"  E_m   {result.barrier:12.4f} eV",
        f"  rate  {report['rate']:12.4g} 1/s   over this saddle at {temperature:g} K",
        f"  unstable mode of the saddle {result.unstable_frequency:.3f} THz",
    ]
    print_result(report, as_json, lines)


def _run(compute, files, workers):
    """Apply `compute(name, atoms, progress)` to every structure; what fails is reported and the rest is kept.

    Returns
    -------
    results : list of (Atoms, dict)
    failures : list of dict
        ``name`` and ``message``.
    """
    from ldml.campaign.executors import task_map
    from ldml.structure_files import read_structures

    frames = []
    for file in files:
        structures = read_structures(file)
        frames += [
            (file.name if len(structures) == 1 else f"{file.name}[{k}]", atoms) for k, atoms in enumerate(structures)
        ]
    progress = TerminalProgress()
    if len(frames) == 1:
        return [compute(*frames[0], progress)], []
    results, failures = [], []
    with task_map(min(workers, len(frames))) as run:
        try:
            for done, result in enumerate(run(partial(_guarded, compute), frames), start=1):
                progress.update(done, len(frames), f"structures, {len(failures)} failed")
                (failures if isinstance(result, dict) else results).append(result)
        except BrokenProcessPool:
            message = "a worker process was ended by the system, perhaps for want of memory; use fewer workers"
            failures += [{"name": name, "message": message} for name, _ in frames[len(results) + len(failures) :]]
    progress.finish()
    return results, failures


def _guarded(compute, frame):
    name, atoms = frame
    try:
        return compute(name, atoms, None)
    except (InputError, ConvergenceError) as error:
        return {"name": name, "message": " ".join(str(error).split())}
    except Exception as error:  # one structure must not cost the others what they took
        return {"name": name, "message": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def _relax_one(options, name, atoms, progress):
    from ldml.constant_pressure import relax_to_pressure
    from ldml.progress import NULL_PROGRESS

    potential = options.potential
    found = _relaxed(
        atoms, potential, options.method, options.fmax, progress, rattle=options.rattle, seed=options.seed,
        check_minimum=options.check,
    )  # fmt: skip
    report = {
        "name": name,
        "potential": potential.name,
        "n_atoms": len(found.atoms),
        "energy": found.energy,
        "max_force": found.max_force,
        "n_steps": found.n_steps,
        "n_kicks": found.n_kicks,
        "is_minimum": found.is_minimum,
        "units": UNITS,
    }
    if options.pressure is None:
        return found.atoms, report
    rest = partial(_at_rest, potential, options.method, options.fmax, progress)
    scaled, strain = relax_to_pressure(
        found.atoms, found.atoms, potential, options.pressure, rest, progress or NULL_PROGRESS
    )
    energy, forces = potential.energy_and_forces(scaled)
    largest = float(np.linalg.norm(forces, axis=1).max())
    report.update(energy=energy, max_force=largest, pressure=options.pressure, strain=strain)
    return scaled, report


def _entropy_one(options, name, atoms, progress):
    from ldml.entropy import formation_energy, formation_entropy
    from ldml.structure_files import defect_label

    potential = options.potential
    potential.check(atoms, name=name)
    bulk = crystal_for(atoms, potential, options.bulk_file)
    if options.relax_first:
        atoms = _relaxed(atoms, potential, "auto", 1e-6, progress, bulk=bulk).atoms
    settings = {
        "local": options.local,
        "method": options.method,
        "hessian": options.hessian,
        "temperature": options.temperature,
        "statistics": options.statistics,
        "convention": options.convention,
        "progress": progress,
    }
    energy = formation_energy(potential.energy(atoms), len(atoms), potential.energy(bulk), len(bulk))
    notes = _notes(atoms, bulk, potential, energy)
    if options.pressure is None:
        result = formation_entropy(atoms, bulk, potential, **settings)
        value, local, pressed = result.value, result.local, {"constraint": "constant volume"}
    else:
        atoms, result, value, local, pressed = _under_pressure(options, atoms, bulk, settings)
    report = {
        "name": name,
        "potential": potential.name,
        "class": defect_label(len(atoms), len(bulk)),
        "n_atoms": len(atoms),
        "n_bulk": len(bulk),
        "formation_entropy": value,
        "formation_entropy_error": result.error,
        "formation_energy": energy,
        "total_entropy": result.defect.total,
        "bulk_entropy": result.bulk.total,
        "n_modes": result.defect.n_modes,
        "max_force": result.defect.max_force,
        "temperature": options.temperature,
        "statistics": options.statistics,
        "convention": options.convention,
        "method": result.method,
        "hessian": result.defect.hessian,
        **pressed,
        "notes": notes,
        "units": UNITS,
    }
    if options.local:
        report["local_entropy"] = local.tolist()
        report["local_atoms"] = None if result.local_atoms is None else result.local_atoms.tolist()
    return atoms, report


def _under_pressure(options, atoms, bulk, settings):
    """The same at constant pressure: the structure, its S_f, value and shares at that pressure, and what the report adds."""
    from ldml.constant_pressure import constant_pressure_entropy

    rest = partial(_at_rest, options.potential, "auto", 1e-6, settings["progress"])
    found = constant_pressure_entropy(
        atoms, bulk, options.potential, pressure=options.pressure, relaxer=rest, **settings
    )
    pressed = {
        "constraint": f"pressure {options.pressure:g} GPa",
        "pressure": found.pressure,
        "formation_entropy_constant_volume": found.constant_volume.value,
        "formation_energy_constant_volume": found.formation_energy,
        "formation_energy": found.formation_enthalpy,
        "relaxation_volume": found.relaxation_volume,
        "formation_volume": found.formation_volume,
        "atomic_volume": found.atomic_volume,
    }
    return found.atoms, found.relaxed_volume, found.value, found.local, pressed


def _notes(atoms, bulk, potential, energy):
    """What a careful reader should know of the input."""
    from ldml.entropy.formation import is_ground_state_crystal
    from ldml.potentials.crystal import pressure

    notes = []
    if bulk.pbc.all() and abs(under := pressure(bulk, potential)) > STRESS_FREE:
        notes.append(f"the crystal is under {under:.2f} GPa: the values at constant volume are those at that pressure")
    if not is_ground_state_crystal(bulk, potential):
        notes.append("the crystal was not recognised as the ground state of the potential and is taken as given")
    if energy < -ENERGY_NOISE and len(atoms) != len(bulk):
        notes.append("the formation energy is negative: the crystal is not the ground state of this potential")
    return notes


def _at_rest(potential, method, fmax, progress, atoms):
    return _relaxed(atoms, potential, method, fmax, progress, rattle=0.0, check_minimum=False).atoms


def _relaxed(atoms, potential, method, fmax, progress, *, bulk=None, rattle=0.01, seed=0, check_minimum=True):
    """Relax by L-BFGS, or, in large cells of a known crystal, by preconditioned Newton steps."""
    from ldml.relaxation import relax as by_lbfgs
    from ldml.structures import rattled

    found = _crystal_to_relax_in(atoms, potential, method, bulk)
    if found is None:
        return by_lbfgs(
            atoms, potential, fmax, rattle=rattle, seed=seed, check_minimum=check_minimum, progress=progress
        )
    from ldml.entropy.lattice_green import LatticeGreen
    from ldml.newton import relax_newton

    start = rattled(atoms, rattle, np.random.default_rng(seed))
    return relax_newton(start, LatticeGreen(*found, potential), fmax, check_minimum=check_minimum, progress=progress)


def _crystal_to_relax_in(atoms, potential, method, bulk):
    """Unit cell and repeats for Newton's method; None where L-BFGS is to be taken."""
    from ldml.entropy.formation import crystal_cell

    if method == "lbfgs" or (method == "auto" and len(atoms) < NEWTON_FROM):
        return None
    try:
        return crystal_cell(crystal_for(atoms, potential, None) if bulk is None else bulk, potential)
    except InputError:
        if method == "newton":
            raise
        return None


def _entropy_lines(report):
    error = f" ± {report['formation_entropy_error']:.1g}" if report["formation_entropy_error"] else ""
    lines = [
        f"{report['name']}: {report['class']}, {report['n_atoms']} atoms in a crystal of {report['n_bulk']} sites, "
        f"{report['potential']}",
        f"  S_f   {report['formation_entropy']:12.4f}{error} k_B   formation, {report['constraint']}, convention "
        f"{report['convention']!r}, {report['statistics']}",
        f"  {'H_f' if 'pressure' in report else 'E_f'}   {report['formation_energy']:12.4f} eV",
    ]
    if "pressure" in report:
        lines += [
            f"  S_f   {report['formation_entropy_constant_volume']:12.4f} k_B   at constant volume",
            f"  E_f   {report['formation_energy_constant_volume']:12.4f} eV    at constant volume",
            f"  dV    {report['relaxation_volume']:12.4f} Å³    relaxation volume, "
            f"{report['relaxation_volume'] / report['atomic_volume']:+.4f} atomic volumes",
        ]
    lines += [
        f"  S     {report['total_entropy']:12.4f} k_B   total at {report['temperature']:g} K, {report['n_modes']} modes, "
        f"method {report['method']!r}",
        f"  max force {report['max_force']:.1e} eV/Å",
    ]
    if "local_entropy" in report:
        local = np.array(report["local_entropy"])
        atoms = np.arange(len(local)) if report["local_atoms"] is None else np.array(report["local_atoms"])
        order = np.argsort(-np.abs(local))[:5]
        listed = ", ".join(f"atom {atoms[i]} {local[i]:+.3f}" for i in order)
        lines.append(f"  largest shares of S_f (k_B): {listed}")
    lines += [f"  note: {note}" for note in report["notes"]]
    return lines


def _labelled(atoms: Atoms, report) -> Atoms:
    frame = atoms.copy()
    frame.info.update(
        {key: report[key] for key in ("formation_entropy", "formation_energy", "total_entropy", "max_force")}
    )
    frame.info["label"] = report["class"]
    if "local_entropy" in report:
        local = np.full(len(frame), np.nan)
        chosen = slice(None) if report["local_atoms"] is None else report["local_atoms"]
        local[chosen] = report["local_entropy"]
        frame.set_array("local_entropy", local)
    return frame


def _write(path, frames):
    import ase.io

    if frames:
        ase.io.write(path, frames, format="extxyz")


def _finish(reports, failures, as_json, lines):
    """Print what was finished, then what was not; with failures the exit code is 1."""
    single = len(reports) == 1 and not failures
    lines = lines + [f"failed: {failure['name']}: {failure['message']}" for failure in failures]
    print_result(reports[0] if single else {"results": reports, "failures": failures}, as_json, lines)
    if failures:
        raise SystemExit(1)
