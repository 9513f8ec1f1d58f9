"""Structures made from others: a defect in a strained or a larger crystal (paper, Table I), random disorder (Sec. V.C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from ldml.campaign.crystals import Crystal, crystal_of, minimum_of
from ldml.campaign.tasks import Result, atoms_of, stage
from ldml.errors import InputError
from ldml.landscape import random_displacements
from ldml.newton import embed


@stage("copy", version=1)
def copy_structure(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """The minimum that a structure becomes in another crystal of its potential.

    Parameters
    ----------
    parameters : mapping
        ``source`` and ``target``, the crystals (see `crystal_of`), and ``label``.
    inputs : (structure,)
    """
    source, target = crystal_of(parameters["source"]), crystal_of(parameters["target"])
    start = transferred(atoms_of(inputs[0]), source, target)
    return minimum_of(target, start, label=parameters["label"])


@stage("disorder", version=1)
def disordered_structure(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """The minimum below a structure of which some atoms were put elsewhere at random.

    Parameters
    ----------
    parameters : mapping
        ``source`` and ``target`` crystals; ``label``; ``seed`` and ``number`` of the attempt; ``n_atoms`` and
        ``radius`` (Å or None), lists to draw from: how many atoms are moved, within which distance of a random point;
        ``distance``, the least and the greatest longest displacement, Å.
    inputs : (structure,)
    """
    source, target = crystal_of(parameters["source"]), crystal_of(parameters["target"])
    start = transferred(atoms_of(inputs[0]), source, target)
    rng = np.random.default_rng([parameters["seed"], parameters["number"]])
    moved = random_displacements(
        start,
        rng,
        n_atoms=parameters["n_atoms"][rng.integers(len(parameters["n_atoms"]))],
        radius=parameters["radius"][rng.integers(len(parameters["radius"]))],
        distance=float(rng.uniform(*parameters["distance"])),
    )
    return minimum_of(target, moved, label=parameters["label"])


def transferred(atoms: Atoms, source: Crystal, target: Crystal) -> Atoms:
    """A structure of one crystal put into another: strained with it, sites beyond it perfect; not relaxed."""
    if source.repeats > target.repeats:
        raise InputError(f"a structure of {source.repeats} lattice constants does not fit into {target.repeats}")
    placed = (
        atoms if source.repeats == target.repeats else embed(atoms, source.unit_cell, source.repeats, target.repeats)
    )
    moved = placed.copy()
    moved.set_cell(target.bulk.cell, scale_atoms=True)
    return moved
