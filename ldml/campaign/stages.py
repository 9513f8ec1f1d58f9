"""The stages of campaigns: search, minimum with its entropy, local entropies, descriptors. Importing this registers all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from ldml.campaign import copies, events, walks  # noqa: F401
from ldml.campaign.crystals import crystal_of, minimum_of
from ldml.campaign.store import Store
from ldml.campaign.tasks import Result, Task, atoms_of, stage
from ldml.descriptors import get_descriptor
from ldml.entropy import harmonic_entropy
from ldml.entropy.formation import formation_from
from ldml.errors import InputError
from ldml.landscape import insertion_seed
from ldml.structures import parse_defect

QUENCH_FORCE = 2e-3
"""eV/Å, enough to tell minima apart."""


class HighEnergyError(InputError):
    """A minimum too high to be one of its class: atoms on top of each other that found no other way."""


@stage("insertion", version=1)
def insert_and_quench(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """Defects put down at random and quenched roughly.

    Parameters
    ----------
    parameters : mapping
        ``crystal`` (see `crystal_of`), ``label``, ``seed`` and ``number`` of the attempt, ``spreads`` (see `insertion_seed`)
        and ``highest_energy``, eV of formation for each defect.
    """
    crystal, label = crystal_of(parameters["crystal"]), parameters["label"]
    kind, n = parse_defect(label)
    rng = np.random.default_rng([parameters["seed"], ord(kind), n, parameters["number"]])
    start = insertion_seed(crystal.bulk, label, rng, spread=float(rng.choice(parameters["spreads"])))
    found = crystal.relaxed(start, QUENCH_FORCE)
    energy = crystal.formation_energy(found.energy, len(start))
    if not energy < parameters["highest_energy"] * n:
        raise HighEnergyError(f"the quench ended {energy:.3g} eV above the crystal; that is no minimum of {label}")
    return {
        "numbers": found.atoms.numbers,
        "positions": found.atoms.positions,
        "cell": crystal.bulk.cell.array,
        "energy": np.array(energy),
        "inertia": np.array(crystal.inertia(found.atoms, label)),
    }


@stage("minimum", version=1)
def minimum(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """The minimum below a structure, with its energy and entropy of formation.

    Parameters
    ----------
    parameters : mapping
        ``crystal`` and ``label``.
    inputs : (structure,)
    """
    crystal = crystal_of(parameters["crystal"])
    return minimum_of(crystal, atoms_of(inputs[0]), label=parameters["label"])


@stage("local", version=1)
def local_entropies(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """Each atom's share (N,) of the formation entropy of a minimum, ``local``, k_B.

    Parameters
    ----------
    parameters : mapping
        ``crystal``.
    inputs : (minimum,)
    """
    crystal = crystal_of(parameters["crystal"])
    entropy = harmonic_entropy(atoms_of(inputs[0]), crystal.potential, local=True)
    return {"local": formation_from(entropy, crystal.entropy).local}


@stage("describe", version=1)
def describe(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """``total`` (n_features,) of a descriptor over the atoms of a structure.

    Parameters
    ----------
    parameters : mapping
        ``descriptor``, its name, and ``parameters``, its parameters.
    inputs : (structure,)
    """
    descriptor = get_descriptor(parameters["descriptor"], **parameters["parameters"])
    return {"total": descriptor.total(atoms_of(inputs[0]))}


@stage("given", version=1)
def given_structure(parameters: Mapping, inputs: Sequence[Result]) -> Result:
    """A structure that was not made by the campaign: nothing can be done if the store has lost it."""
    raise InputError(f"the structure {parameters['content']} that the campaign was given is not in the store")


def given(atoms: Atoms, store: Store) -> Task:
    """The task whose result is this structure, which is stored under the hash of its content."""
    arrays = {"numbers": atoms.numbers, "positions": atoms.positions, "cell": atoms.cell.array, "pbc": atoms.pbc}
    content = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())).hexdigest()
    task = Task("given", {"content": content[:32]})
    if store.get(task) is None:
        store.put(task, arrays)
    return task
