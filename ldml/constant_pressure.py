"""Formation entropy at constant pressure.

At constant volume defect and crystal share one cell. At constant pressure the cell of the defect is free to swell or shrink
by dV until its pressure is that of the crystal, and

    S_f^P = S_d(V + dV) - (N_d/N_b) S_b(V) = S_f(V + dV) + (N_d/N_b) [S_b(V + dV) - S_b(V)]

with S_f(V + dV) the formation entropy at constant volume in the cell of the relaxed defect. The difference to S_f(V) does
not fade with the size of the cell: it tends to (dS_b/dV) dV, because dV and the number of atoms that share it compensate.
The cell changes isotropically. To first order in the strain the shape of a cubic crystal's cell does not alter its
entropy, so nothing is lost as N grows.

Source: Y. Mishin, M. R. Sorensen, A. F. Voter, Philos. Mag. A 81, 2591 (2001).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from ldml.entropy.bulk import bulk_entropy
from ldml.entropy.formation import FormationEntropy, crystal_cell, formation_energy, formation_entropy
from ldml.errors import ConvergenceError, InputError
from ldml.potentials import Potential, get_potential
from ldml.potentials.crystal import pressure as pressure_of
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import relax
from ldml.structures import check_same_cell, strained
from ldml.units import GPA

PRESSURE_TOLERANCE = 1e-5
"""GPa times cells of 1024 atoms; at 1e-5 GPa dV is known to 1e-4 atomic volumes."""
MAX_STRAIN = 0.05


@dataclass(frozen=True)
class ConstantPressureEntropy:
    """Formation values of a defect at the pressure of its crystal, beside those at constant volume.

    Attributes
    ----------
    value : float, k_B
        S_f at constant pressure.
    formation_enthalpy : float, eV
        E_f + P dV_f at that pressure; the formation energy at zero pressure.
    pressure : float, GPa
        Of the crystal.
    relaxation_volume : float, Å³
        dV, by which the cell of the defect grew.
    formation_volume : float, Å³
        Its volume less that of N_d atoms of the crystal.
    atomic_volume : float, Å³
        Of the crystal.
    local : (n,) float or None, k_B
        Each atom's entropy less that of an atom of the crystal at its own volume; over all atoms it sums to ``value``.
    constant_volume : FormationEntropy
        In the cell of the crystal.
    relaxed_volume : FormationEntropy
        At constant volume, too, but in the cell of the relaxed defect; its ``defect`` is the entropy S_d(V + dV).
    formation_energy : float, eV
        At constant volume.
    atoms : Atoms
        The defect at rest in its own cell.
    """

    value: float
    formation_enthalpy: float
    pressure: float
    relaxation_volume: float
    formation_volume: float
    atomic_volume: float
    local: np.ndarray | None
    constant_volume: FormationEntropy
    relaxed_volume: FormationEntropy
    formation_energy: float
    atoms: Atoms


def constant_pressure_entropy(
    defect: Atoms,
    bulk: Atoms,
    potential: str | Potential,
    *,
    pressure: float | None = None,
    fmax: float = 1e-6,
    relaxer: Callable[[Atoms], Atoms] | None = None,
    progress: Progress | None = None,
    **options,
) -> ConstantPressureEntropy:
    """Formation entropy of a defect whose cell is relaxed, isotropically, to the pressure of the perfect crystal.

    Parameters
    ----------
    defect : Atoms
        At rest in the cell of `bulk`.
    bulk : Atoms
        The perfect crystal: at its equilibrium lattice constant for values at zero pressure.
    potential : Potential or its name
    pressure : float, GPa, optional
        Bring the crystal to this pressure first; by default it stays as it is.
    fmax : float, eV/Å
        Of the relaxations.
    relaxer : callable, optional
        Takes a structure and returns it at rest in the same cell; `ldml.relax` by default.
    progress : Progress, optional
    **options
        Of `ldml.formation_entropy`.

    Raises
    ------
    InputError
        If the cells differ or the crystal is not the ground-state lattice of the potential.
    ConvergenceError
        If the pressures do not meet.
    """
    potential, progress = get_potential(potential), progress or NULL_PROGRESS
    check_same_cell(defect, bulk)
    unit, repeats = crystal_cell(bulk, potential)
    rest = relaxer or (
        lambda atoms: relax(atoms, potential, fmax, rattle=0.0, check_minimum=False, progress=progress).atoms
    )
    if pressure is not None:
        bulk, strain = relax_to_pressure(bulk, bulk, potential, pressure, lambda atoms: atoms, progress)
        unit = strained(unit, strain)
        defect = rest(strained(defect, strain))
    target = pressure_of(bulk, potential)
    fixed = formation_entropy(defect, bulk, potential, progress=progress, **options)
    relaxed, strain = relax_to_pressure(defect, bulk, potential, target, rest, progress)

    swollen = strained(bulk, strain)
    there = formation_entropy(relaxed, swollen, potential, progress=progress, **options)
    thermal = {key: options[key] for key in ("temperature", "statistics") if key in options}
    ratio = len(defect) / len(bulk)
    before, after = (bulk_entropy(strained(unit, s), repeats, potential, **thermal).total for s in (0.0, strain))

    local = None if there.local is None else there.local + (after - before) / len(bulk)
    volume, energy = bulk.get_volume(), potential.energy(bulk)
    growth = relaxed.get_volume() - volume
    formation_volume = relaxed.get_volume() - ratio * volume
    return ConstantPressureEntropy(
        value=there.value + ratio * (after - before),
        formation_enthalpy=formation_energy(potential.energy(relaxed), len(defect), energy, len(bulk))
        + target / GPA * formation_volume,
        pressure=target,
        relaxation_volume=growth,
        formation_volume=formation_volume,
        atomic_volume=volume / len(bulk),
        local=local,
        constant_volume=fixed,
        relaxed_volume=there,
        formation_energy=formation_energy(potential.energy(defect), len(defect), energy, len(bulk)),
        atoms=relaxed,
    )


def relax_to_pressure(
    atoms: Atoms,
    bulk: Atoms,
    potential: Potential,
    target: float,
    rest: Callable[[Atoms], Atoms],
    progress: Progress = NULL_PROGRESS,
    max_steps: int = 12,
) -> tuple[Atoms, float]:
    """Scale the cell of `atoms` until its pressure is `target` (GPa), at rest at each step.

    Returns
    -------
    atoms : Atoms
    strain : float
        Isotropic strain against the given cell.

    Raises
    ------
    ConvergenceError
        If the pressure is not reached in `max_steps` or the cell strains by more than 5 %.
    """
    if not np.isfinite(target):
        raise InputError(f"a pressure of {target} GPa is not a number")
    # the pressure of the defect falls with the strain about as fast as that of its crystal
    slope = (pressure_of(strained(bulk, 1e-3), potential) - pressure_of(strained(bulk, -1e-3), potential)) / 2e-3
    tolerance = PRESSURE_TOLERANCE * 1024 / len(bulk)
    strain, current = 0.0, atoms
    previous = None
    for step in range(max_steps):
        excess = pressure_of(current, potential) - target
        progress.update(step, max_steps, f"relaxing the cell, {excess:+.1e} GPa to go")
        progress.check()
        if abs(excess) < tolerance:
            return current, strain
        if previous is not None and strain != previous[0]:
            slope = (excess - previous[1]) / (strain - previous[0])
        previous = (strain, excess)
        strain = float(np.clip(strain - excess / slope, -MAX_STRAIN, MAX_STRAIN))
        if strain == previous[0]:
            break
        current = rest(strained(current, (1.0 + strain) / (1.0 + previous[0]) - 1.0))
    raise ConvergenceError(
        f"a pressure of {target:.4g} GPa was not reached: {excess:+.3g} GPa are left at a strain of {100 * previous[0]:.2f} %, "
        f"and the most allowed is {100 * MAX_STRAIN:g} %; choose a smaller pressure"
    )
