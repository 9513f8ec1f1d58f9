"""Make a dataset from nothing: insert defects at random, quench, keep the distinct minima, compute their entropies.

Each attempt draws from a generator seeded by (seed, class, attempt), attempts are judged in order, and every finished
result is stored under that key; so the outcome depends neither on the number of workers nor on interruptions, and
running a killed command again continues it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from ase import Atoms

from ldml.campaign.executors import task_map
from ldml.campaign.store import Store
from ldml.dataset import UNITS, Dataset, Entry
from ldml.entropy import formation_energy, harmonic_entropy
from ldml.entropy.formation import formation_from
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import ConvergenceError, InputError, NotAMinimumError
from ldml.landscape import DistinctMinima, insertion_seed
from ldml.point_defects import inertia
from ldml.potentials import get_potential, perfect_crystal
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import relax
from ldml.structures import parse_defect

BATCH = 24
"""Attempts judged together; fixed, so that the outcome does not depend on the number of workers."""
QUENCH_FORCE = 2e-3
"""eV/Å, enough to tell minima apart."""
FINAL_FORCE = 1e-6
"""eV/Å"""


@dataclass(frozen=True)
class GenerationPlan:
    """What to generate.

    Attributes
    ----------
    potential : str
    repeats : int
        Edge of the cubic supercell in lattice constants.
    counts : mapping of class name to number
        Distinct minima wanted of each class, such as ``{"I2": 100, "V4": 300}``.
    n_local : int
        Structures, shared among the classes, to get exact local entropies.
    seed : int
    spreads : tuple of float
        Ball sizes drawn from; 1 is compact (see `ldml.landscape.insertion_seed`).
    attempts_per_minimum : int
        A class is given up after this many attempts for each minimum wanted.
    highest_energy : float
        eV of formation for each defect above which a minimum is discarded as unphysical.
    """

    potential: str
    repeats: int
    counts: Mapping[str, int]
    n_local: int = 0
    seed: int = 0
    spreads: tuple[float, ...] = (1.0,)
    attempts_per_minimum: int = 20
    highest_energy: float = 8.0

    def __post_init__(self):
        for label, count in self.counts.items():
            parse_defect(label)
            if count < 1:
                raise InputError(f"{count} minima of {label} is not a positive number")


@dataclass
class _Tally:
    """How the search of one class went."""

    attempts: int = 0
    failures: Counter = field(default_factory=Counter)
    kept: list = field(default_factory=list)
    distinct: DistinctMinima = field(default_factory=DistinctMinima)

    def record(self):
        return {
            "attempts": self.attempts,
            "distinct_energy_or_inertia": len(self.distinct),
            "distinct_energy_and_inertia": self.distinct.n_strict,
            "failures": dict(self.failures),
        }


def generate_dataset(
    name: str,
    plan: GenerationPlan,
    *,
    store: Path,
    n_workers: int = 1,
    command: str = "",
    progress: Progress | None = None,
) -> Dataset:
    """Carry out a plan.

    Parameters
    ----------
    name : str
        Of the dataset.
    plan : GenerationPlan
    store : path
        Folder for finished results; an interrupted run continues from it.
    n_workers : int
        Processes, one BLAS thread each.
    command : str
        Recorded as provenance.
    progress : Progress, optional

    Returns
    -------
    Dataset
        With the search statistics of each class in its metadata.
    """
    progress = progress or NULL_PROGRESS
    bulk = _crystal(plan)
    store = Store(_store_for(plan, Path(store)))
    wanted = sum(plan.counts.values())
    tallies: dict[str, _Tally] = {}
    entries: list[Entry] = []
    with task_map(n_workers) as run:
        for label, count in plan.counts.items():
            report = partial(_report, progress, wanted, len(entries), label)
            tally = _search(plan, label, count, store, run, report)
            tallies[label] = tally
            entries += tally.kept
        entries = _with_local(plan, entries, store, run, progress)
    return Dataset.from_entries(name, [bulk], entries, _metadata(plan, tallies, command))


def _report(progress, wanted, before, label, n_kept):
    progress.check()
    progress.update(before + n_kept, wanted, f"minima of {label}")


def _search(plan, label, count, store, run, report):
    tally = _Tally()
    # candidates are told apart before they are refined; the refined ones are judged again
    candidates = DistinctMinima()
    most = count * plan.attempts_per_minimum
    while len(tally.kept) < count and tally.attempts < most:
        attempts = range(tally.attempts, min(tally.attempts + BATCH, most))
        tally.attempts = attempts.stop
        promising = []
        for attempt, quenched in zip(attempts, run(partial(_quench, plan, label, store), attempts), strict=True):
            if "failure" in quenched:
                tally.failures[str(quenched["failure"])] += 1
            elif candidates.add(float(quenched["energy"]), float(quenched["inertia"])):
                promising.append(attempt)
        for result in run(partial(_finish, plan, label, store), promising):
            if "failure" in result:
                tally.failures[str(result["failure"])] += 1
            elif len(tally.kept) < count and tally.distinct.add(float(result["energy"]), float(result["inertia"])):
                tally.kept.append(_entry(plan, label, result))
        report(len(tally.kept))
    return tally


def _entry(plan, label, result):
    atoms = Atoms(numbers=result["numbers"], positions=result["positions"], cell=_crystal(plan).cell, pbc=True)
    return Entry(
        atoms=atoms,
        label=label,
        name=str(result["name"]),
        formation_entropy=float(result["formation_entropy"]),
        formation_energy=float(result["energy"]),
        max_force=float(result["max_force"]),
    )


def _quench(plan, label, store, attempt):
    """Insert, quench roughly, locate the defects."""
    return _stored(store, f"{label}-{attempt:05d}-quench", lambda: _quench_now(plan, label, attempt))


def _quench_now(plan, label, attempt):
    bulk, potential = _crystal(plan), get_potential(plan.potential)
    kind, n = parse_defect(label)
    rng = np.random.default_rng([plan.seed, ord(kind), n, attempt])
    seed = insertion_seed(bulk, label, rng, spread=float(rng.choice(plan.spreads)))
    relaxed = relax(
        seed, potential, QUENCH_FORCE, rattle=0.0, check_minimum=False, lattice=_lattice(plan.potential, plan.repeats)
    )
    energy = formation_energy(relaxed.energy, len(seed), _perfect_energy(plan.potential, plan.repeats), len(bulk))
    if not energy < plan.highest_energy * n:
        return {"failure": "energy too high"}
    return {
        "positions": relaxed.atoms.positions,
        "numbers": relaxed.atoms.numbers,
        "energy": energy,
        "inertia": _defect_inertia(plan, relaxed.atoms, kind),
    }


def _finish(plan, label, store, attempt):
    """Relax tightly and compute the formation entropy."""
    return _stored(store, f"{label}-{attempt:05d}", lambda: _finish_now(plan, label, store, attempt))


def _finish_now(plan, label, store, attempt):
    bulk, potential = _crystal(plan), get_potential(plan.potential)
    quenched = store.get(f"{label}-{attempt:05d}-quench")
    start = Atoms(numbers=quenched["numbers"], positions=quenched["positions"], cell=bulk.cell, pbc=True)
    lattice = _lattice(plan.potential, plan.repeats)
    relaxed = relax(start, potential, FINAL_FORCE, rattle=0.0, check_minimum=False, lattice=lattice)
    try:
        entropy = harmonic_entropy(relaxed.atoms, potential)
    except NotAMinimumError:
        relaxed = relax(relaxed.atoms, potential, FINAL_FORCE, rattle=0.0, lattice=lattice)
        entropy = harmonic_entropy(relaxed.atoms, potential)
    perfect = _perfect_entropy(plan.potential, plan.repeats)
    kind, _ = parse_defect(label)
    return {
        "name": f"{label}-{attempt:05d}",
        "positions": relaxed.atoms.positions,
        "numbers": relaxed.atoms.numbers,
        "energy": formation_energy(
            relaxed.energy, len(start), _perfect_energy(plan.potential, plan.repeats), len(bulk)
        ),
        "inertia": _defect_inertia(plan, relaxed.atoms, kind),
        "formation_entropy": formation_from(entropy, perfect).value,
        "max_force": relaxed.max_force,
    }


def _with_local(plan, entries, store, run, progress):
    """Exact local entropies for the first structures of each class."""
    share = {
        label: plan.n_local // len(plan.counts) + (k < plan.n_local % len(plan.counts))
        for k, label in enumerate(plan.counts)
    }
    seen: Counter = Counter()
    chosen = []
    for i, entry in enumerate(entries):
        seen[entry.label] += 1
        if seen[entry.label] <= share[entry.label]:
            chosen.append(i)
    results = run(partial(_local, plan, store), [entries[i] for i in chosen])
    completed = list(entries)
    for done, (i, local) in enumerate(zip(chosen, results, strict=True), start=1):
        progress.check()
        progress.update(done, len(chosen), "local entropies")
        completed[i] = Entry(**{**vars(entries[i]), "local_entropy": local})
    return completed


def _local(plan, store, entry):
    def compute():
        potential = get_potential(plan.potential)
        entropy = harmonic_entropy(entry.atoms, potential, local=True)
        return {"local": formation_from(entropy, _perfect_entropy(plan.potential, plan.repeats)).local}

    return _stored(store, f"{entry.name}-local", compute)["local"]


def _stored(store, key, compute):
    """The stored result, or a freshly computed one; a failure is a result, too."""
    result = store.get(key)
    if result is None:
        try:
            result = compute()
        except (ConvergenceError, InputError) as error:
            result = {"failure": type(error).__name__, "message": str(error)}
        store.put(key, result)
    return result


def _defect_inertia(plan, atoms, kind):
    defects = _lattice(plan.potential, plan.repeats).wigner_seitz(atoms)
    points = atoms.positions[defects.interstitial_atoms] if kind == "I" else defects.vacancies
    return inertia(points, atoms.cell)


def _crystal(plan):
    return perfect_crystal(plan.potential, plan.repeats)


@cache
def _lattice(potential, repeats):
    return LatticeGreen(perfect_crystal(potential, 1), repeats, potential)


@cache
def _perfect_energy(potential, repeats):
    return get_potential(potential).energy(perfect_crystal(potential, repeats))


@cache
def _perfect_entropy(potential, repeats):
    return harmonic_entropy(perfect_crystal(potential, repeats), potential)


def _store_for(plan, folder):
    """The folder, after making sure that what is in it was made by the same plan (its size apart)."""
    folder.mkdir(parents=True, exist_ok=True)
    fixed = {
        "potential": plan.potential,
        "fingerprint": get_potential(plan.potential).fingerprint,
        "repeats": plan.repeats,
        "seed": plan.seed,
        "spreads": list(plan.spreads),
        "highest_energy": plan.highest_energy,
    }
    record = folder / "plan.json"
    if record.is_file() and json.loads(record.read_text()) != fixed:
        raise InputError(f"{str(folder)!r} holds the results of another plan; give another folder or remove it")
    record.write_text(json.dumps(fixed, indent=1))
    return folder


def _metadata(plan, tallies, command):
    potential = get_potential(plan.potential)
    return {
        "potential": plan.potential,
        "potential_fingerprint": potential.fingerprint,
        "potential_citation": potential.citation,
        "plan": {**asdict(plan), "counts": dict(plan.counts)},
        "search": {label: tally.record() for label, tally in tallies.items()},
        "convention": "equal (S_f counts three modes an atom on both sides; classical; constant volume)",
        "units": UNITS,
        "licence": "CC0-1.0",
        "command": command,
    }
