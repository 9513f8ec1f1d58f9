"""Campaigns that begin with the structures of a dataset: copies in other crystals, disorder, saddles between minima."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from ldml.campaign.crystals import Crystal, crystal
from ldml.campaign.generate import described_potential
from ldml.campaign.runner import Runner
from ldml.campaign.stages import given
from ldml.campaign.tasks import Result, Task, atoms_of, has_failed
from ldml.dataset import Dataset, Entry, load_dataset
from ldml.errors import InputError
from ldml.landscape import DistinctMinima
from ldml.structures import parse_defect


@dataclass(frozen=True)
class CopyPlan:
    """Put defects of a dataset into other crystals of the same potential.

    Attributes
    ----------
    source : str
        Dataset with one perfect crystal, by name or path.
    repeats : int
        Edge of its cell in lattice constants.
    counts : mapping of class name to number
        Structures drawn from each class; the same for every crystal.
    crystals : sequence of (repeats, strain)
    seed : int
    """

    source: str
    repeats: int
    counts: Mapping[str, int]
    crystals: tuple[tuple[int, float], ...]
    seed: int = 0

    def carry_out(self, runner: Runner) -> tuple[list, list[Entry], dict]:
        """Crystals, entries and metadata of the dataset."""
        data = load_dataset(self.source)
        home, targets = _home(data, self.repeats), self._targets(data)
        jobs = [
            (i, label, number)
            for label, count in self.counts.items()
            for i in _drawn(data, label, count, self.seed)
            for number in range(len(targets))
        ]
        tasks = (
            Task(
                "copy",
                {"source": home.parameters, "target": targets[number].parameters, "label": label},
                (given(data[i], runner.store),),
            )
            for i, label, number in jobs
        )
        entries, failures = [], Counter()
        for done, ((i, label, number), (_, result)) in enumerate(zip(jobs, runner.map(tasks), strict=True), start=1):
            runner.report(done, len(jobs), f"copies of {label}")
            if result is None:
                continue
            if has_failed(result):
                failures[str(result["failure"])] += 1
                continue
            name = f"{data.names[i]}@{_crystal_name(targets[number])}"
            entries.append(_minimum_entry(result, label, name, parent=str(data.names[i]), bulk=number))
        metadata = described_potential(home.potential_name) | {
            "plan": _plain(self),
            "search": {"copies": {"attempts": len(jobs), "failures": dict(failures)}},
        }
        return [target.bulk for target in targets], entries, metadata

    def _targets(self, data):
        return [crystal(data.metadata["potential"], repeats, strain) for repeats, strain in self.crystals]


@dataclass(frozen=True)
class DisorderPlan:
    """Random disorder on top of the defects of a dataset (paper, Sec. V.C).

    Attributes
    ----------
    source, repeats
        As in `CopyPlan`.
    labels : tuple of str
        Classes that starts are drawn from.
    count : int
        Structures wanted.
    crystal_repeats : int
        Edge of the cell they are put into, in lattice constants.
    n_atoms : sequence of int
        Numbers of moved atoms to draw from.
    radius : sequence of float or None, Å
        Radii of the balls that they are in, to draw from; None for the whole cell.
    distance : (float, float), Å
        Least and greatest longest displacement.
    seed : int
    first : int
        Number of the first attempt: plans that differ in it only draw different disorder, as parts of one database do.
    attempts_per_structure : int
        The search is given up after this many attempts for each structure wanted.
    """

    source: str
    repeats: int
    labels: tuple[str, ...]
    count: int
    crystal_repeats: int
    n_atoms: tuple[int, ...]
    radius: tuple[float | None, ...]
    distance: tuple[float, float]
    seed: int = 0
    first: int = 0
    attempts_per_structure: int = 3

    label = "random"

    def carry_out(self, runner: Runner) -> tuple[list, list[Entry], dict]:
        """Crystals, entries and metadata of the dataset."""
        data = load_dataset(self.source)
        home = _home(data, self.repeats)
        target = crystal(home.potential_name, self.crystal_repeats)
        starts = np.flatnonzero(np.isin(data.labels, self.labels))
        count = -(-self.count // runner.shard[1])
        numbers = range(self.first, self.first + self.count * self.attempts_per_structure)
        chosen = {number: int(np.random.default_rng([self.seed, number, 1]).choice(starts)) for number in numbers}
        tasks = (
            Task(
                "disorder",
                {
                    "source": home.parameters,
                    "target": target.parameters,
                    "label": self.label,
                    "seed": self.seed,
                    "number": number,
                    "n_atoms": list(self.n_atoms),
                    "radius": list(self.radius),
                    "distance": list(self.distance),
                },
                (given(data[i], runner.store),),
            )
            for number, i in chosen.items()
        )
        entries, failures, distinct = [], Counter(), DistinctMinima()
        n_attempts = 0
        for number, (_, result) in zip(numbers, runner.map(tasks), strict=False):
            n_attempts = number + 1 - self.first
            if result is None:
                continue
            if has_failed(result):
                failures[str(result["failure"])] += 1
            elif distinct.add(float(result["energy"]), float(result["inertia"])):
                parent = str(data.names[chosen[number]])
                entries.append(_minimum_entry(result, self.label, f"{self.label}-{number:05d}", parent=parent))
                runner.report(len(entries), count, "disordered structures")
                if len(entries) == count:
                    break
        search = {"attempts": n_attempts, "distinct_energy_or_inertia": len(distinct), "failures": dict(failures)}
        metadata = described_potential(home.potential_name) | {"plan": _plain(self), "search": {self.label: search}}
        return [target.bulk], entries, metadata | {"quantities": {"n_vacancies": "1", "n_interstitials": "1"}}


@dataclass(frozen=True)
class EventPlan:
    """Saddles between minima by ART nouveau, starting from the minima of a dataset.

    Attributes
    ----------
    source, repeats
        As in `CopyPlan`.
    counts : mapping of class name to number
        Distinct saddles wanted that were reached from a minimum of the class.
    seed : int
    highest : float, eV
        Saddles this far above the minimum that was left are of no use to kinetics, and are dropped.
    attempts_per_saddle : int
        A class is given up after this many attempts for each saddle wanted.
    """

    source: str
    repeats: int
    counts: Mapping[str, int]
    seed: int = 0
    highest: float = 3.0
    attempts_per_saddle: int = 8

    def carry_out(self, runner: Runner) -> tuple[list, list[Entry], dict]:
        """Crystals, entries and metadata of the dataset: of each event the start, the saddle and the end."""
        data = load_dataset(self.source)
        home = _home(data, self.repeats)
        entries, searches = [], {}
        for label, count in self.counts.items():
            most = count * self.attempts_per_saddle
            search = _EventSearch(self, data, home, label, -(-count // runner.shard[1]), most)
            for event in search.events(runner):
                entries += event
                runner.report(len(entries) // 3, sum(self.counts.values()), f"saddles of {label}")
            searches[label] = search.record()
        metadata = described_potential(home.potential_name) | {"plan": _plain(self), "search": searches}
        return [home.bulk], entries, metadata | {"quantities": EVENT_QUANTITIES}


EVENT_QUANTITIES = {
    "barrier": "eV",
    "reverse_barrier": "eV",
    "lowest_eigenvalue": "eV/angstrom^2",
    "leads_back": "1 where the start is the minimum that was left, otherwise 0",
    "attempt_frequency": "THz",
    "migration_entropy": "k_B",
}


@dataclass
class _EventSearch:
    plan: EventPlan
    data: Dataset
    home: Crystal
    label: str
    count: int
    most: int
    n_attempts: int = 0
    n_saddles: int = 0
    failures: Counter = field(default_factory=Counter)
    distinct: DistinctMinima = field(default_factory=DistinctMinima)

    def events(self, runner: Runner) -> Iterator[list[Entry]]:
        """The entries of each new event, until there are enough or the attempts are used up."""
        n_kept = 0
        starts = np.flatnonzero(self.data.labels == self.label)
        if not len(starts):
            raise InputError(f"dataset {self.data.name!r} has no structure of class {self.label!r} to start from")
        kind, n = parse_defect(self.label)
        seed = [self.plan.seed, ord(kind), n]
        chosen = [int(np.random.default_rng([*seed, number]).choice(starts)) for number in range(self.most)]
        tasks = (self._attempt(number, i, runner) for number, i in enumerate(chosen))
        for number, (_, result) in enumerate(runner.map(tasks)):
            self.n_attempts = number + 1
            if result is None:
                continue
            if has_failed(result):
                self.failures[str(result["failure"])] += 1
                continue
            self.n_saddles += 1
            height = float(result["saddle_energy"]) - self.data.formation_energy[chosen[number]]
            if height <= self.plan.highest and self.distinct.add(
                float(result["saddle_energy"]), float(result["inertia"])
            ):
                n_kept += 1
                yield self._entries(result, number, str(self.data.names[chosen[number]]))
            if n_kept == self.count:
                return

    def record(self) -> dict:
        """The numbers, as plain JSON types."""
        return {
            "attempts": self.n_attempts,
            "saddles": self.n_saddles,
            "distinct_saddles": len(self.distinct),
            "failures": dict(self.failures),
        }

    def _attempt(self, number, i, runner):
        parameters = {"crystal": self.home.parameters, "label": self.label, "seed": self.plan.seed, "number": number}
        return Task("event", parameters, (given(self.data[i], runner.store),))

    def _entries(self, result, number, parent):
        saddle, start, end = (float(result[f"{place}_energy"]) for place in ("saddle", "start", "end"))
        quantities = {
            "barrier": saddle - start,
            "reverse_barrier": saddle - end,
            "lowest_eigenvalue": float(result["eigenvalue"]),
            "leads_back": float(result["leads_back"]),
            "attempt_frequency": float(result["attempt_frequency"]),
            "migration_entropy": float(result["migration_entropy"]),
        }
        event = f"{self.label}-e{number:05d}"
        return [
            _place_entry(result, "start", self.label, f"{event}-start", parent, {}),
            _place_entry(result, "saddle", f"{self.label} saddle", f"{event}-saddle", parent, quantities),
            _place_entry(result, "end", self.label, f"{event}-end", parent, {}),
        ]


def _place_entry(result, place, label, name, parent, quantities):
    atoms = atoms_of({**result, "positions": result[place]})
    return Entry(
        atoms=atoms,
        label=label,
        name=name,
        formation_entropy=float(result.get(f"{place}_entropy", np.nan)),
        formation_energy=float(result[f"{place}_energy"]),
        max_force=float(result[f"{place}_force"]),
        parent=parent,
        quantities=quantities,
    )


def _minimum_entry(result: Result, label, name, *, parent, bulk=0) -> Entry:
    quantities = {key: float(result[key]) for key in ("n_vacancies", "n_interstitials")}
    return Entry(
        atoms=atoms_of(result),
        label=label,
        name=name,
        formation_entropy=float(result["formation_entropy"]),
        formation_energy=float(result["energy"]),
        max_force=float(result["max_force"]),
        bulk=bulk,
        parent=parent,
        quantities=quantities,
    )


def _home(data: Dataset, repeats: int) -> Crystal:
    """The crystal that the structures of a dataset were made in."""
    if "potential" not in data.metadata:
        raise InputError(f"dataset {data.name!r} does not say its potential; take one that a campaign made")
    home = crystal(data.metadata["potential"], repeats)
    if len(data.bulks) != 1 or not np.allclose(data.bulks[0].cell.array, home.bulk.cell.array, atol=1e-9):
        raise InputError(
            f"the structures of dataset {data.name!r} are not in one cell of {repeats} lattice constants of "
            f"{home.potential_name}; give the number they were made with"
        )
    return home


def _drawn(data, label, count, seed):
    """`count` structures of a class, at random but always the same, in the order of the dataset."""
    kind, n = parse_defect(label)
    those = np.flatnonzero(data.labels == label)
    if count > len(those):
        raise InputError(f"dataset {data.name!r} has {len(those)} structures of {label}, not {count}")
    return np.sort(np.random.default_rng([seed, ord(kind), n]).choice(those, count, replace=False)).tolist()


def _crystal_name(target: Crystal) -> str:
    return f"{target.repeats}a0" + (f"{100 * target.strain:+g}%" if target.strain else "")


def _plain(plan) -> dict:
    record = asdict(plan)
    return record | {"counts": dict(record["counts"])} if "counts" in record else record
