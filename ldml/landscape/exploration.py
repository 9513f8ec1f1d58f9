"""Exploring the minima of a class of defects by any method, so that the outcome depends on the seed alone.

An attempt is a pure function of (landscape, method, seed, its number, the minimum it starts from): workers may do many at
once. Attempts are judged in the order of their numbers, a batch at a time: what they found is compared with what is known,
only what is new is relaxed tightly and judged again, and the parents of the next batch are drawn from what is known then.

The methods: random insertion, ART nouveau, quenched molecular dynamics. Basin hopping (`ldml.landscape.basin_hopping`)
is a walk of its own for clusters, with the same statistics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from ase import Atoms

from ldml.entropy import formation_energy
from ldml.entropy.lattice_green import LatticeGreen
from ldml.errors import ConvergenceError, InputError
from ldml.landscape.art_nouveau import ArtSettings, Event, RoughSaddle, climb, finish_event
from ldml.landscape.duplicates import DistinctMinima, is_copy
from ldml.landscape.insertion import insertion_seed
from ldml.landscape.molecular_dynamics import Dynamics, Trajectory
from ldml.point_defects import WignerSeitz, defect_positions, inertia
from ldml.potentials import Potential, get_potential
from ldml.progress import NULL_PROGRESS, Progress
from ldml.relaxation import Relaxed, max_norm, relax
from ldml.structures import parse_defect, unit_cell_of

LOW_ENERGIES = 0.5
"""Share of the parents drawn from the low end of the energies; the others are drawn uniformly."""
KICK = 0.15
"""Å off a rough saddle, before the quench behind it."""


class HighEnergyError(InputError):
    """A minimum too high to be one of the class: atoms on top of each other that found no other way."""


@dataclass(frozen=True)
class Candidate:
    """A quenched structure and what it is told apart by.

    Attributes
    ----------
    atoms : Atoms
    energy : float, eV
        Of formation.
    inertia : float, Å⁴
        Of the interstitial atoms of I_n, of the vacancies of V_n.
    max_force : float, eV/Å
    """

    atoms: Atoms
    energy: float
    inertia: float
    max_force: float


@dataclass(frozen=True)
class Landscape:
    """The minima of one class of defects in one crystal.

    Attributes
    ----------
    bulk : Atoms
        The perfect crystal.
    label : str
        Class such as "I3" or "V4".
    potential : Potential or its name
    quench_force : float, eV/Å
        Largest force left by a rough quench, enough to tell minima apart.
    final_force : float, eV/Å
        Largest force left in the minima that are kept.
    highest_energy : float, eV
        Of formation for each defect; what lies higher is refused.
    """

    bulk: Atoms
    label: str
    potential: str | Potential
    quench_force: float = 2e-3
    final_force: float = 1e-5
    highest_energy: float = 8.0

    def quench(self, start: Atoms, *, tightly: bool = False, progress: Progress | None = None) -> Candidate:
        """The minimum below a structure.

        Raises
        ------
        ConvergenceError
            If the quench does not end.
        HighEnergyError
            If it ends too high.
        """
        fmax = self.final_force if tightly else self.quench_force
        return self.candidate(
            relax(
                start, self._potential, fmax, rattle=0.0, check_minimum=False, lattice=self.lattice, progress=progress
            )
        )

    def candidate(self, relaxed: Relaxed) -> Candidate:
        """What a relaxed structure is told apart by."""
        energy = self.formation_energy(relaxed.energy, len(relaxed.atoms))
        _, n = parse_defect(self.label)
        if not energy < self.highest_energy * n:
            raise HighEnergyError(
                f"the quench ended {energy:.3g} eV above the crystal, more than {self.highest_energy:g} eV a defect"
            )
        return Candidate(relaxed.atoms, energy, self.inertia(relaxed.atoms), relaxed.max_force)

    def formation_energy(self, energy: float, n_atoms: int) -> float:
        """Energy (eV) of a structure of this many atoms above the crystal."""
        return formation_energy(energy, n_atoms, self._bulk_energy, len(self.bulk))

    def inertia(self, atoms: Atoms) -> float:
        """Inertia (Å⁴) of the defects that give the class its name."""
        defects = self.crystal(atoms)
        points = atoms.positions[defects.interstitial_atoms] if self.label.startswith("I") else defects.vacancies
        return inertia(points, atoms.cell)

    def defect_site(self, atoms: Atoms, rng: np.random.Generator) -> np.ndarray:
        """One of the interstitial atoms and vacant sites (3,), Å, drawn at random.

        Raises
        ------
        InputError
            If there are none.
        """
        sites = defect_positions(atoms, self.crystal(atoms))
        if len(sites) == 0:
            raise InputError("the structure has no defect to start from")
        return sites[rng.integers(len(sites))]

    @cached_property
    def crystal(self) -> WignerSeitz:
        """Tells which atoms and sites are defects."""
        return WignerSeitz(self.bulk)

    @cached_property
    def lattice(self) -> LatticeGreen | None:
        """Green's function of the crystal, which shortens relaxations; None where the crystal is not the potential's own."""
        potential = self._potential
        if potential.lattice is None:
            return None
        unit = unit_cell_of(self.bulk, potential.lattice_constant, lattice=potential.lattice)
        return None if unit is None else LatticeGreen(*unit, potential)

    @cached_property
    def _potential(self):
        return get_potential(self.potential)

    @cached_property
    def _bulk_energy(self):
        return self._potential.energy(self.bulk)


class Method(ABC):
    """A way to find minima.

    Attributes
    ----------
    name : str
    """

    name: str

    @abstractmethod
    def search(
        self, landscape: Landscape, parent: Atoms | None, rng: np.random.Generator, progress: Progress
    ) -> tuple[Candidate, RoughSaddle | None]:
        """One attempt: a minimum, roughly quenched, and the saddle on the way to it where the method knows of one."""


@dataclass(frozen=True)
class Insertion(Method):
    """Defects put down at random; takes no parent.

    Attributes
    ----------
    spreads : tuple of float
        Sizes of the ball they are put into, drawn at random; 1 is compact (see `ldml.landscape.insertion_seed`).
    """

    spreads: tuple[float, ...] = (1.0,)
    name = "insertion"

    def search(self, landscape, parent, rng, progress):
        spread = float(rng.choice(self.spreads))
        seed = insertion_seed(landscape.bulk, landscape.label, rng, spread=spread)
        return landscape.quench(seed, progress=progress), None


@dataclass(frozen=True)
class ArtNouveau(Method):
    """From a minimum over a saddle and down on the other side (`ldml.landscape.art_nouveau`)."""

    settings: ArtSettings = field(default_factory=ArtSettings)
    name = "art nouveau"

    def search(self, landscape, parent, rng, progress):
        centre = landscape.defect_site(parent, rng)
        saddle = climb(parent, landscape.potential, centre, rng, settings=self.settings, progress=progress)
        return landscape.quench(saddle.beside(KICK), progress=progress), saddle


@dataclass(frozen=True)
class MolecularDynamics(Method):
    """From a minimum by some steps of dynamics, and a quench.

    Attributes
    ----------
    dynamics : Dynamics
    n_steps : int
    """

    dynamics: Dynamics = field(default_factory=Dynamics)
    n_steps: int = 100
    name = "molecular dynamics"

    def search(self, landscape, parent, rng, progress):
        moving = Trajectory(parent, landscape.potential, rng, dynamics=self.dynamics, heated=2.0)
        return landscape.quench(moving.run(self.n_steps, progress), progress=progress), None


@dataclass(frozen=True)
class Attempt:
    """What one attempt brought.

    Attributes
    ----------
    number : int
    parent : int or None
        Number of the minimum it started from.
    minimum : Candidate or None
        Roughly quenched; None where the attempt failed.
    saddle : RoughSaddle or None
    failure, message : str
        The kind of failure, and what went wrong; empty where nothing did.
    """

    number: int
    parent: int | None = None
    minimum: Candidate | None = None
    saddle: RoughSaddle | None = None
    failure: str = ""
    message: str = ""


def attempt(
    landscape: Landscape,
    method: Method,
    seed: int,
    number: int,
    parent: Atoms | None = None,
    *,
    parent_number: int | None = None,
    progress: Progress | None = None,
) -> Attempt:
    """Carry out one attempt; what it finds depends on nothing but the arguments. Without a parent, defects are inserted.

    A failure is a result, too; only `Cancelled` passes.
    """
    rng = generator(seed, f"{method.name} {landscape.label}", number)
    used = Insertion() if parent is None and not isinstance(method, Insertion) else method
    try:
        minimum, saddle = used.search(landscape, parent, rng, progress or NULL_PROGRESS)
    except (ConvergenceError, InputError) as error:
        return Attempt(number, parent_number, failure=type(error).__name__, message=str(error))
    return Attempt(number, parent_number, minimum, saddle)


def generator(seed: int, purpose: str, number: int) -> np.random.Generator:
    """Random numbers that belong to one attempt of one kind."""
    return np.random.default_rng([seed, number, *purpose.encode()])


def choose_parent(energies: Sequence[float], rng: np.random.Generator) -> int:
    """Index of a minimum to start from: half of the draws uniform, half towards low energies."""
    if rng.random() >= LOW_ENERGIES:
        return int(rng.integers(len(energies)))
    return int(np.argsort(energies, kind="stable")[int(len(energies) * rng.random() ** 2)])


@dataclass
class SearchStatistics:
    """What a search has done so far.

    Attributes
    ----------
    n_attempts : int
    n_minima : int
        Attempts that ended in a minimum, new or not.
    n_saddles : int
        Saddles met on the way, new or not.
    failures : Counter
        Attempts that brought nothing, by kind.
    distinct, distinct_saddles : DistinctMinima
    n_copies, n_lookalikes : int
        Minima met again that a symmetry of the crystal maps on the first, and those that only share its energy and inertia;
        counted where `explore` is asked to tell.
    """

    n_attempts: int = 0
    n_minima: int = 0
    n_saddles: int = 0
    failures: Counter = field(default_factory=Counter)
    distinct: DistinctMinima = field(default_factory=DistinctMinima)
    distinct_saddles: DistinctMinima = field(default_factory=DistinctMinima)
    n_copies: int = 0
    n_lookalikes: int = 0

    @property
    def n_failed(self) -> int:
        return sum(self.failures.values())

    def record(self) -> dict:
        """The numbers, as plain JSON types."""
        return {
            "attempts": self.n_attempts,
            "minima": self.n_minima,
            "distinct_energy_or_inertia": len(self.distinct),
            "distinct_energy_and_inertia": self.distinct.n_strict,
            "saddles": self.n_saddles,
            "distinct_saddles": len(self.distinct_saddles),
            "copies": self.n_copies,
            "lookalikes": self.n_lookalikes,
            "failures": dict(self.failures),
        }


@dataclass(frozen=True)
class Budget:
    """When to stop: at the first of these.

    Attributes
    ----------
    attempts : int
    minima, saddles : int or None
        Distinct ones found.
    """

    attempts: int
    minima: int | None = None
    saddles: int | None = None

    def is_spent(self, statistics: SearchStatistics) -> bool:
        return (
            statistics.n_attempts >= self.attempts
            or (self.minima is not None and len(statistics.distinct) >= self.minima)
            or (self.saddles is not None and len(statistics.distinct_saddles) >= self.saddles)
        )


@dataclass(frozen=True)
class FoundMinimum:
    """A new minimum, tightly relaxed.

    Attributes
    ----------
    number : int
        In order of discovery, the starts included.
    minimum : Candidate
    attempt : int
    parent : int or None
    """

    number: int
    minimum: Candidate
    attempt: int
    parent: int | None


@dataclass(frozen=True)
class FoundSaddle:
    """A new saddle, refined, with the minima on its two sides.

    Attributes
    ----------
    number : int
    event : Event
        With the eigenvalue, the barriers and both minima.
    energy : float, eV
        Of formation.
    attempt, parent : int
    """

    number: int
    event: Event
    energy: float
    attempt: int
    parent: int


def explore(
    landscape: Landscape,
    method: Method,
    *,
    seed: int,
    budget: Budget,
    starts: Sequence[Atoms] = (),
    keep_saddles: bool = False,
    tell_copies: bool = False,
    batch: int = 1,
    run: Callable = map,
    statistics: SearchStatistics | None = None,
    progress: Progress | None = None,
) -> Iterator[FoundMinimum | FoundSaddle]:
    """Find minima, and with ART nouveau the saddles between them.

    Parameters
    ----------
    landscape : Landscape
    method : Method
    seed : int
    budget : Budget
    starts : sequence of Atoms
        Minima known already, tightly relaxed: parents that are not yielded again. Without any, methods that need a
        parent insert defects until they have one.
    keep_saddles : bool
        Refine the saddles that are new and go down from them on both sides, which costs several times the search.
    tell_copies : bool
        Count how many of the duplicates are copies by symmetry, atom by atom.
    batch : int
        Attempts between two judgements. Part of what the outcome depends on; the number of workers is not.
    run : function
        Like `map`; that of an executor shares attempts out.
    statistics : SearchStatistics, optional
        Counted up as the search goes on.
    progress : Progress, optional

    Yields
    ------
    FoundMinimum or FoundSaddle
        In the order of the attempts.
    """
    progress = progress or NULL_PROGRESS
    judge = _Judge(
        landscape, method, SearchStatistics() if statistics is None else statistics, keep_saddles, tell_copies
    )
    judge.admit_starts(starts)
    while not budget.is_spent(judge.statistics):
        progress.check()
        progress.update(
            judge.statistics.n_attempts, budget.attempts, f"{len(judge.pool):,} minima of {landscape.label}"
        )
        first = judge.statistics.n_attempts
        numbers = range(first, min(first + batch, budget.attempts))
        parents = [judge.parent(seed, number) for number in numbers]
        for made in run(partial(_attempt_from, landscape, method, seed), numbers, parents):
            yield from judge(made)
            if budget.is_spent(judge.statistics):
                break


def _attempt_from(landscape, method, seed, number, parent):
    parent_number, atoms = parent
    return attempt(landscape, method, seed, number, atoms, parent_number=parent_number)


class _Judge:
    """Decides in order what is new, and finishes it."""

    def __init__(self, landscape, method, statistics, keep_saddles, tell_copies):
        self.landscape, self.method, self.statistics = landscape, method, statistics
        self.keep_saddles, self.tell_copies = keep_saddles, tell_copies
        self.pool: list[Candidate] = []
        # rough ones are told apart before they are finished; the finished ones are judged again
        self._rough = DistinctMinima()
        self._known: dict[int, Candidate] = {}

    def admit_starts(self, starts):
        for atoms in starts:
            energy, forces = get_potential(self.landscape.potential).energy_and_forces(atoms)
            relaxed = Relaxed(atoms, energy, max_norm(forces), n_steps=0, n_kicks=0, is_minimum=False)
            self._admit(self.landscape.candidate(relaxed))

    def parent(self, seed, number):
        if not self.pool or isinstance(self.method, Insertion):
            return None, None
        rng = generator(seed, f"parent {self.landscape.label}", number)
        chosen = choose_parent([held.energy for held in self.pool], rng)
        return chosen, self.pool[chosen].atoms

    def __call__(self, made):
        statistics = self.statistics
        statistics.n_attempts += 1
        if made.failure:
            statistics.failures[made.failure] += 1
            return
        statistics.n_minima += 1
        if made.saddle is not None:
            yield from self._judge_saddle(made)
        if self._rough.add(made.minimum.energy, made.minimum.inertia):
            yield from self._finished(lambda: self.landscape.quench(made.minimum.atoms, tightly=True), made)
        elif self.tell_copies:
            self._tell_copy(made.minimum)

    def _tell_copy(self, again):
        first = self._known.get(self.statistics.distinct.match(again.energy, again.inertia))
        if first is None:
            return
        if is_copy(first.atoms, again.atoms, self.landscape.crystal):
            self.statistics.n_copies += 1
        else:
            self.statistics.n_lookalikes += 1

    def _judge_saddle(self, made):
        self.statistics.n_saddles += 1
        energy = self.landscape.formation_energy(made.saddle.energy, len(made.saddle.atoms))
        known = self.statistics.distinct_saddles
        if not known.add(energy, self.landscape.inertia(made.saddle.atoms)) or not self.keep_saddles:
            return
        number = len(known) - 1
        start = self.pool[made.parent].atoms
        try:
            event = finish_event(
                start,
                made.saddle,
                self.landscape.potential,
                settings=self.method.settings,
                lattice=self.landscape.lattice,
            )
        except (ConvergenceError, InputError) as error:
            self.statistics.failures[f"saddle: {type(error).__name__}"] += 1
            return
        energy = self.landscape.formation_energy(event.saddle.energy, len(start))
        yield FoundSaddle(number, event, energy, made.number, made.parent)
        for end in event.ends:
            yield from self._finished(partial(self.landscape.candidate, end), made)

    def _finished(self, finish, made):
        try:
            minimum = finish()
        except (ConvergenceError, InputError) as error:
            self.statistics.failures[f"minimum: {type(error).__name__}"] += 1
            return
        if self._admit(minimum):
            yield FoundMinimum(len(self.pool) - 1, minimum, made.number, made.parent)

    def _admit(self, minimum):
        self._rough.add(minimum.energy, minimum.inertia)
        if not self.statistics.distinct.add(minimum.energy, minimum.inertia):
            return False
        self._known[len(self.statistics.distinct) - 1] = minimum
        self.pool.append(minimum)
        return True
