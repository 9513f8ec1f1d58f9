"""Finding the minima of point-defect clusters, and telling them apart."""

from ldml.landscape.duplicates import DistinctMinima
from ldml.landscape.insertion import insertion_seed

__all__ = ["DistinctMinima", "insertion_seed"]
