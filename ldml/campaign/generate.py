"""The first kind of campaign: insert defects at random, quench, keep the distinct minima, compute their entropies.

Each attempt draws from a generator seeded by (seed, class, attempt), and attempts are judged in order: first by what a rough
quench tells, then, relaxed tightly, again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ldml.campaign.crystals import Crystal, crystal
from ldml.campaign.runner import Runner
from ldml.campaign.tasks import Result, Task, atoms_of, has_failed
from ldml.dataset import UNITS, Entry
from ldml.errors import InputError
from ldml.landscape import DistinctMinima
from ldml.structures import parse_defect

CONVENTION = "equal (S_f counts three modes an atom on both sides; classical; constant volume)"
LICENCE = "CC0-1.0"


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

    def carry_out(self, runner: Runner) -> tuple[list, list[Entry], dict]:
        """Crystals, entries and metadata of the dataset."""
        entries, searches = [], {}
        for label, count in self.counts.items():
            search = _Search(self, label, -(-count // runner.shard[1]))
            for entry in search.minima(runner):
                entries.append(entry)
                runner.report(search.n_kept, search.count, f"minima of {label}")
            searches[label] = search.record()
        entries = self._with_local(entries, runner)
        return (
            [self._crystal.bulk],
            entries,
            described_potential(self.potential)
            | {
                "plan": {**asdict(self), "counts": dict(self.counts)},
                "search": searches,
            },
        )

    def attempt(self, label: str, number: int) -> Task:
        """The insertion and quench of this number."""
        return Task(
            "insertion",
            {
                "crystal": self._crystal.parameters,
                "label": label,
                "seed": self.seed,
                "number": number,
                "spreads": list(self.spreads),
                "highest_energy": self.highest_energy,
            },
        )

    def minimum(self, label: str, number: int) -> Task:
        """The minimum that the attempt of this number leads to."""
        return Task("minimum", {"crystal": self._crystal.parameters, "label": label}, (self.attempt(label, number),))

    @property
    def _crystal(self) -> Crystal:
        return crystal(self.potential, self.repeats)

    def _with_local(self, entries, runner):
        """Exact local entropies for the first structures of each class."""
        chosen = [k for k, share in self._shares(entries) if share]
        tasks = [
            Task("local", {"crystal": self._crystal.parameters}, (self.minimum(*_attempt_of(entries[k])),))
            for k in chosen
        ]
        completed = list(entries)
        for done, (k, (_, result)) in enumerate(zip(chosen, runner.map(tasks), strict=True), start=1):
            runner.report(done, len(chosen), "local entropies")
            if result is not None and not has_failed(result):
                completed[k] = Entry(**{**vars(entries[k]), "local_entropy": result["local"]})
        return completed

    def _shares(self, entries):
        """Whether each entry, by number, is among the first of its class that get local entropies."""
        seen = Counter()
        order = list(self.counts)
        for k, entry in enumerate(entries):
            seen[entry.label] += 1
            extra = order.index(entry.label) < self.n_local % len(order)
            yield k, seen[entry.label] <= self.n_local // len(order) + extra


@dataclass
class _Search:
    """The search of one class, and how it went."""

    plan: GenerationPlan
    label: str
    count: int
    n_attempts: int = 0
    n_kept: int = 0
    failures: list = field(default_factory=list)
    distinct: DistinctMinima = field(default_factory=DistinctMinima)

    def minima(self, runner):
        """Distinct minima, until there are enough or the attempts are used up."""
        numbers = deque()
        for _, result in runner.map(self._promising(runner, numbers)):
            number = numbers.popleft()
            if result is None:
                continue
            if has_failed(result):
                self.failures.append((number, str(result["failure"])))
            elif self.distinct.add(float(result["energy"]), float(result["inertia"])):
                self.n_kept += 1
                yield _entry(result, self.label, f"{self.label}-{number:05d}")
                if self.n_kept == self.count:
                    # workers may have gone ahead of what was needed
                    self.n_attempts = number + 1
                    return

    def record(self):
        """The numbers, as plain JSON types."""
        return {
            "attempts": self.n_attempts,
            "distinct_energy_or_inertia": len(self.distinct),
            "distinct_energy_and_inertia": self.distinct.n_strict,
            # sorted: workers decide in which order failures come in
            "failures": dict(Counter(sorted(kind for number, kind in self.failures if number < self.n_attempts))),
        }

    def _promising(self, runner, numbers):
        """Tasks for the minima of the attempts whose quench met something new; their numbers go to `numbers`."""
        # candidates are told apart before they are refined; the refined ones are judged again
        candidates = DistinctMinima()
        most = self.plan.counts[self.label] * self.plan.attempts_per_minimum
        attempts = (self.plan.attempt(self.label, number) for number in range(most))
        for number, (_, quenched) in enumerate(runner.map(attempts)):
            while self.n_kept + len(numbers) >= self.count:
                yield None  # perhaps enough: nothing more before they are judged
            self.n_attempts = number + 1
            if quenched is None:
                continue
            if has_failed(quenched):
                self.failures.append((number, str(quenched["failure"])))
            elif candidates.add(float(quenched["energy"]), float(quenched["inertia"])):
                numbers.append(number)
                yield self.plan.minimum(self.label, number)


def described_potential(name: str) -> dict:
    """What the metadata of a dataset say of its potential, its units and its conventions."""
    potential = crystal(name, 1).potential
    return {
        "potential": name,
        "potential_fingerprint": potential.fingerprint,
        "potential_citation": potential.citation,
        "convention": CONVENTION,
        "units": UNITS,
        "licence": LICENCE,
    }


def _entry(result: Result, label: str, name: str) -> Entry:
    return Entry(
        atoms=atoms_of(result),
        label=label,
        name=name,
        formation_entropy=float(result["formation_entropy"]),
        formation_energy=float(result["energy"]),
        max_force=float(result["max_force"]),
    )


def _attempt_of(entry):
    """Class and number of the attempt that an entry is named after."""
    return entry.label, int(entry.name.rpartition("-")[2])
