"""Campaigns of free clusters: distinct minima by basin hopping, their entropies relative to the lowest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from ase import Atoms

from ldml.campaign.generate import LICENCE
from ldml.campaign.runner import Runner
from ldml.campaign.tasks import Task, has_failed
from ldml.dataset import Entry
from ldml.errors import InputError
from ldml.landscape import DistinctMinima
from ldml.landscape.basin_hopping import SAME_ENERGY, SAME_INERTIA
from ldml.potentials import get_potential

FCC_OF_PAIR = float(np.sqrt(2.0) * 2.0 ** (1.0 / 6.0))
"""Lattice constant of the crystal whose nearest neighbours rest at the minimum of one Lennard-Jones pair, in units of σ."""


@dataclass(frozen=True)
class ClusterPlan:
    """Minima of a Lennard-Jones cluster.

    Attributes
    ----------
    n_atoms : int
    count : int
        Distinct minima wanted.
    n_steps : int
        Quenches of each walk.
    temperatures : sequence of float, ε
        k_B T of the walks, in turn: low ones go down into the funnels, high ones spread out.
    seed : int
    most_walks : int
    """

    n_atoms: int
    count: int
    n_steps: int = 500
    temperatures: Sequence[float] = (0.8, 2.0)
    seed: int = 0
    most_walks: int = 1000

    potential = "LJ"
    symbol = "X"

    def carry_out(self, runner: Runner) -> tuple[list, list[Entry], dict]:
        """The lowest minimum in the place of a crystal, entries and metadata of the dataset."""
        potential = get_potential(self.potential)
        distinct = DistinctMinima(energy_tolerance=SAME_ENERGY, inertia_tolerance=SAME_INERTIA)
        count, kept, n_walks, n_minima = -(-self.count // runner.shard[1]), [], 0, 0
        for _, result in runner.map(self._walk(potential, number) for number in range(self.most_walks)):
            n_walks += 1
            if result is None or has_failed(result):
                continue
            n_minima += len(result["energy"])
            minima = zip(result["energy"], result["inertia"], result["entropy"], result["positions"], strict=True)
            kept += [minimum for minimum in minima if distinct.add(float(minimum[0]), float(minimum[1]))]
            runner.report(min(len(kept), count), count, f"minima of {potential.name}{self.n_atoms}")
            if len(kept) >= count:
                break
        kept = kept[:count]
        if not kept and runner.shard != (1, 1):
            return [], [], {}  # its walks are in the store
        if not kept:
            raise InputError(
                f"{n_walks} walks met no minimum of {potential.name}{self.n_atoms}; give more or longer ones"
            )
        lowest = min(kept, key=lambda minimum: minimum[0])
        entries = [self._entry(number, minimum, lowest) for number, minimum in enumerate(kept)]
        search = {
            "walks": n_walks,
            "attempts": n_walks * self.n_steps,
            "minima": n_minima,
            "distinct_energy_or_inertia": len(kept),
            "failures": {},
        }
        metadata = {
            "potential": potential.name,
            "potential_fingerprint": potential.fingerprint,
            "potential_citation": potential.citation,
            "convention": "difference of the entropies of two clusters of as many atoms, rigid motions left out, classical; "
            "entropy and energy relative to the lowest minimum",
            "lowest_energy": float(lowest[0]),
            "units": {"length": "sigma", "energy": "epsilon", "mass": "m", "entropy": "k_B"},
            "licence": LICENCE,
            "plan": asdict(self) | {"temperatures": list(self.temperatures)},
            "search": {self._label: search},
        }
        return [self._atoms(lowest)], entries, metadata

    @property
    def _label(self):
        return f"{self.potential}{self.n_atoms}"

    def _walk(self, potential, number):
        return Task(
            "walk",
            {
                "potential": potential.name,
                "fingerprint": potential.fingerprint,
                "symbol": self.symbol,
                "n_atoms": self.n_atoms,
                "lattice_constant": FCC_OF_PAIR,
                "seed": self.seed,
                "number": number,
                "n_steps": self.n_steps,
                "temperature": self.temperatures[number % len(self.temperatures)],
            },
        )

    def _entry(self, number, minimum, lowest):
        energy, _, entropy, _ = minimum
        return Entry(
            atoms=self._atoms(minimum),
            label=self._label,
            name=f"{self._label}-{number:05d}",
            formation_entropy=float(entropy - lowest[2]),
            formation_energy=float(energy - lowest[0]),
        )

    def _atoms(self, minimum):
        return Atoms([self.symbol] * self.n_atoms, positions=minimum[3])
