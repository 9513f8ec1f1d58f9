"""Finding the minima of point-defect clusters, and telling them apart."""

from ldml.landscape.art_nouveau import ArtSettings, Event, find_event
from ldml.landscape.duplicates import DistinctMinima
from ldml.landscape.insertion import insertion_seed

__all__ = ["ArtSettings", "DistinctMinima", "Event", "find_event", "insertion_seed"]
