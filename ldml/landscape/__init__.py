"""Finding the minima of point-defect clusters and of free clusters, the saddles between them, and telling them apart."""

from ldml.landscape.art_nouveau import ArtSettings, Event, find_event
from ldml.landscape.basin_hopping import Hopping, HoppingStatistics, Minimum, hop
from ldml.landscape.duplicates import DistinctMinima
from ldml.landscape.insertion import insertion_seed

__all__ = [
    "ArtSettings",
    "DistinctMinima",
    "Event",
    "Hopping",
    "HoppingStatistics",
    "Minimum",
    "find_event",
    "hop",
    "insertion_seed",
]
