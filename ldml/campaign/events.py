"""Saddles: attempts of ART nouveau to leave a minimum, each of them a task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ldml.campaign.crystals import FINAL_FORCE, crystal_of
from ldml.campaign.tasks import Result, atoms_of, stage
from ldml.entropy import vineyard_prefactor
from ldml.landscape import ArtSettings, climb, finish_event
from ldml.point_defects import defect_positions


@stage("event", version=1)
def leave_minimum(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """A saddle reached from a minimum, and the minima on its two sides.

    Parameters
    ----------
    parameters : mapping
        ``crystal``, ``label``, ``seed`` and ``number`` of the attempt.
    inputs : (minimum,)

    Returns
    -------
    mapping
        Positions ``saddle``, ``start``, ``end`` (N, 3) in Å with their energies of formation and, of the minima, entropies
        of formation; ``eigenvalue`` (eV/Å²), ``inertia`` of the saddle, ``leads_back``; Vineyard's ``attempt_frequency`` (THz) and
        ``migration_entropy`` (k_B) of the jump from the start.
    """
    crystal, start = crystal_of(parameters["crystal"]), atoms_of(inputs[0])
    rng = np.random.default_rng([parameters["seed"], parameters["number"]])
    settings = ArtSettings(minimum_force=FINAL_FORCE)
    sites = defect_positions(start, crystal.lattice.wigner_seitz(start))
    rough = climb(start, crystal.potential, sites[rng.integers(len(sites))], rng, settings=settings)
    event = finish_event(start, rough, crystal.potential, settings=settings, lattice=crystal.lattice)
    before, after = (crystal.minimum(end.atoms, FINAL_FORCE) for end in event.ends)
    jump = vineyard_prefactor(before[0].atoms, event.saddle.atoms, crystal.potential)
    return {
        "numbers": start.numbers,
        "cell": crystal.bulk.cell.array,
        "saddle": event.saddle.atoms.positions,
        "start": before[0].atoms.positions,
        "end": after[0].atoms.positions,
        "saddle_energy": np.array(crystal.formation_energy(event.saddle.energy, len(start))),
        "saddle_force": np.array(event.saddle.max_force),
        "start_energy": np.array(crystal.formation_energy(before[0].energy, len(start))),
        "start_entropy": np.array(before[1]),
        "start_force": np.array(before[0].max_force),
        "end_energy": np.array(crystal.formation_energy(after[0].energy, len(start))),
        "end_entropy": np.array(after[1]),
        "end_force": np.array(after[0].max_force),
        "eigenvalue": np.array(event.eigenvalue),
        "inertia": np.array(crystal.inertia(event.saddle.atoms, parameters["label"])),
        "leads_back": np.array(event.leads_back),
        "attempt_frequency": np.array(jump.attempt_frequency),
        "migration_entropy": np.array(jump.migration_entropy),
    }
