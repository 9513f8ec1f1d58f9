"""Finding the minima of point-defect clusters and of free clusters, the saddles between them, and telling them apart."""

from ldml.landscape.art_nouveau import ArtSettings, Event, RoughSaddle, climb, find_event, finish_event
from ldml.landscape.basin_hopping import Hopping, HoppingStatistics, Minimum, hop
from ldml.landscape.disorder import random_displacements
from ldml.landscape.duplicates import DistinctMinima, is_copy
from ldml.landscape.exploration import (
    ArtNouveau,
    Attempt,
    Budget,
    Candidate,
    FoundMinimum,
    FoundSaddle,
    Insertion,
    Landscape,
    MolecularDynamics,
    SearchStatistics,
    attempt,
    choose_parent,
    explore,
)
from ldml.landscape.insertion import insertion_seed
from ldml.landscape.molecular_dynamics import Dynamics, md_quenches

__all__ = [
    "ArtNouveau",
    "ArtSettings",
    "Attempt",
    "Budget",
    "Candidate",
    "DistinctMinima",
    "Dynamics",
    "Event",
    "FoundMinimum",
    "FoundSaddle",
    "Hopping",
    "HoppingStatistics",
    "Insertion",
    "Landscape",
    "Minimum",
    "MolecularDynamics",
    "RoughSaddle",
    "SearchStatistics",
    "attempt",
    "choose_parent",
    "climb",
    "explore",
    "find_event",
    "finish_event",
    "hop",
    "insertion_seed",
    "is_copy",
    "md_quenches",
    "random_displacements",
]
