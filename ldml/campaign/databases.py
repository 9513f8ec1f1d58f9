"""The databases that come with the software: what each is, and the plans that make its parts (paper, Table I, Secs. V.C-D).

A part is one file, most often of one class, so that a class can be made and added without touching the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ldml.campaign.campaign import Plan
from ldml.campaign.clusters import ClusterPlan
from ldml.campaign.derive import CopyPlan, DisorderPlan, EventPlan
from ldml.campaign.generate import GenerationPlan

SEED = 2020
REPEATS = 8
CLASSES = {"I2": 434, "I3": 1105, "I4": 1280, "V4": 1701}
"""Distinct minima of each class in the paper's Table I."""
SMALL_CLASSES = {"I1": 6, "V1": 1, "V2": 60, "V3": 100}
N_LOCAL = 50
"""Structures of each class with exact local entropies."""
STRAINS = (-0.01, 0.01, 0.02, 0.03)
STRAINED = {"I2": 48, "I3": 122, "I4": 142, "V4": 188}
"""Parents of each class, in the proportions of Table I: 500."""
SIZED = {"I2": 29, "I3": 73, "I4": 85, "V4": 113}
"""The same for larger cells: 300."""
RANDOM, RANDOM_PARTS = 1000, 4
"""Disordered structures, and the parts they are made in."""
SADDLES = {"I2": 60, "I3": 80, "I4": 80, "V4": 80}


@dataclass(frozen=True)
class Database:
    """A named dataset.

    Attributes
    ----------
    title : str
    parts : mapping of part to Plan
    """

    title: str
    parts: Mapping[str, Plan]


def _explored(potential):
    """Minima found in the potential itself: those of one potential relaxed in another would collapse into fewer."""
    # the two dumbbells of I2 and the vacancies of V2 and V3 are few when compact: they are also put far apart
    spreads = {"I2": (1.0, 2.0, 3.0), "V2": (1.0, 2.0, 3.0), "V3": (1.0, 2.0, 3.0), "I1": (1.0,), "V1": (1.0,)}
    return {
        label: GenerationPlan(
            potential,
            REPEATS,
            {label: count},
            n_local=N_LOCAL if label in CLASSES else 0,
            seed=SEED,
            spreads=spreads.get(label, (1.0, 1.0, 2.0)),
        )
        for label, count in {**CLASSES, **SMALL_CLASSES}.items()
    }


def _copied(counts, crystals):
    return {
        label: CopyPlan("fe-meam-8a0", REPEATS, {label: count}, tuple(crystals), seed=SEED)
        for label, count in counts.items()
    }


DATABASES: dict[str, Database] = {
    "fe-am04-8a0": Database("Distinct minima of I1-I4 and V1-V4 in bcc iron, 8a0 cell, Fe-AM04", _explored("Fe-AM04")),
    "fe-meam-8a0": Database(
        "Distinct minima of I1-I4 and V1-V4 in bcc iron, 8a0 cell, Fe-EtesamiAsadi2018",
        _explored("Fe-EtesamiAsadi2018"),
    ),
    "fe-meam-strained": Database(
        "500 minima of fe-meam-8a0 under isotropic strains of -1, +1, +2 and +3 %",
        _copied(STRAINED, [(REPEATS, strain) for strain in STRAINS]),
    ),
    "fe-meam-sizes": Database(
        "300 minima of fe-meam-8a0 in cells of 10a0 and 12a0", _copied(SIZED, [(10, 0.0), (12, 0.0)])
    ),
    "fe-meam-random": Database(
        "Random disorder on minima of fe-meam-8a0 in a 10a0 cell, up to tens of Frenkel pairs",
        {
            f"random-{k + 1}": DisorderPlan(
                "fe-meam-8a0",
                REPEATS,
                tuple(CLASSES),
                count=RANDOM // RANDOM_PARTS,
                crystal_repeats=10,
                n_atoms=(5, 10, 20, 40, 60, 80, 100),
                radius=(9.0, 12.0, 15.0, None),
                distance=(4.0, 7.0),
                seed=SEED,
                first=10_000 * k,
            )
            for k in range(RANDOM_PARTS)
        },
    ),
    "lj38": Database(
        "Distinct minima of the Lennard-Jones cluster of 38 atoms", {"LJ38": ClusterPlan(38, 10_000, seed=SEED)}
    ),
    "fe-saddles": Database(
        "Saddles between minima of fe-am04-8a0 by ART nouveau, with the minima on their two sides",
        {label: EventPlan("fe-am04-8a0", REPEATS, {label: count}, seed=SEED) for label, count in SADDLES.items()},
    ),
}
