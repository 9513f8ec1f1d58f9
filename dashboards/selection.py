"""Which structures of a dataset are chosen: filters over their numbers and words; no Panel in here.

A structure is chosen if it passes every filter:  class, crystal and words as asked, low <= x <= high for each range. Of
the distances between its defects one must lie in the range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import param

from dashboards.defects import INTERSTITIALS, VACANCIES, DefectsFound
from ldml.dataset import Dataset
from ldml.errors import InputError

ENTROPY, ENERGY, DISTANCE = "S_f", "E_f", "between defects"
"""Beside these, ranges go by the names of the dataset's quantities."""


@dataclass(frozen=True)
class Filters:
    """What the user asks for.

    Attributes
    ----------
    hidden : frozenset of str
        Classes left out.
    crystal : int or None
        Of the dataset; None for all.
    words : str
        To be found in name, class or parent, in any case of letters.
    exact_only : bool
        Only structures with exact local entropies.
    ranges : mapping of str to (float, float)
        Lowest and highest value by the name of the number.
    """

    hidden: frozenset[str] = frozenset()
    crystal: int | None = None
    words: str = ""
    exact_only: bool = False
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def with_ranges(self, ranges: Mapping[str, tuple[float, float] | None]) -> Filters:
        """The same with other ranges for some numbers; None takes a range away."""
        united = {**self.ranges, **ranges}
        return replace(self, ranges={key: limits for key, limits in united.items() if limits is not None})

    @property
    def are_empty(self) -> bool:
        """Whether every structure passes."""
        return self == Filters()

    def record(self) -> dict:
        """What is asked for, as plain JSON types; `from_record` reads it."""
        everything = {
            "hidden": sorted(self.hidden),
            "crystal": self.crystal,
            "words": self.words,
            "exact": self.exact_only,
            "ranges": {key: list(limits) for key, limits in self.ranges.items()},
        }
        return {key: value for key, value in everything.items() if value or (value == 0 and key == "crystal")}

    @classmethod
    def from_record(cls, record: Mapping) -> Filters:
        """What `record` was made of.

        Raises
        ------
        InputError
            If it is none.
        """
        hidden, crystal, words, exact = (record.get(key) for key in ("hidden", "crystal", "words", "exact"))
        ranges = record.get("ranges", {})
        if not (
            set(record) <= {"hidden", "crystal", "words", "exact", "ranges"}
            and all(isinstance(label, str) for label in hidden or ())
            and (crystal is None or (isinstance(crystal, int) and crystal >= 0))
            and isinstance(words or "", str)
            and isinstance(exact or False, bool)
            and isinstance(ranges, Mapping)
        ):
            raise InputError("these are no filters")
        limits = {str(key): tuple(float(end) for end in ends) for key, ends in ranges.items()}
        if any(len(ends) != 2 or not np.isfinite(ends).all() for ends in limits.values()):
            raise InputError("a range has two finite ends")
        return cls(frozenset(hidden or ()), crystal, words or "", exact or False, limits)


class Columns:
    """The numbers and words of a dataset that filters look at, taken from it once.

    Parameters
    ----------
    data : Dataset
    defects : DefectsFound, optional
        Point defects where they are known.

    Attributes
    ----------
    data : Dataset
    names, labels, parents : (M,) str
        Parents are empty where a structure has none.
    crystals : (M,) int
    exact : (M,) bool
        Which structures carry exact local entropies.
    """

    def __init__(self, data: Dataset, defects: DefectsFound | None = None):
        self.data = data
        self.names, self.labels = data.names, data.labels
        self.parents = np.array([entry.parent for entry in data.entries], dtype=str)
        self.crystals = np.array([entry.bulk for entry in data.entries], dtype=int)
        self.exact = data.has_local
        self.pairs = None if defects is None else defects.pairs
        self._numbers = {name: data.quantity(name) for name in data.quantity_names}
        self._numbers |= {ENTROPY: data.formation_entropy, ENERGY: data.formation_energy}
        if defects is not None:
            self._numbers |= {VACANCIES: defects.vacancies, INTERSTITIALS: defects.interstitials}
        self._words = np.char.lower(_joined(self.names, self.labels, self.parents))

    def __len__(self):
        return len(self.names)

    def __contains__(self, key: str) -> bool:
        return key in self._numbers

    def unknown(self, filters: Filters) -> list[str]:
        """The numbers that filters ask for and that are not known of these structures."""
        return [key for key in filters.ranges if key not in self and not (key == DISTANCE and self.pairs is not None)]

    def number(self, key: str) -> np.ndarray:
        """A number of each structure, (M,); NaN where unknown."""
        return self._numbers[key]

    def chosen(self, filters: Filters) -> np.ndarray:
        """Which structures pass all filters, (M,) bool."""
        passing = np.ones(len(self), dtype=bool)
        if filters.hidden:
            passing &= ~np.isin(self.labels, sorted(filters.hidden))
        if filters.crystal is not None:
            passing &= self.crystals == filters.crystal
        if filters.words.strip():
            passing &= np.char.find(self._words, filters.words.strip().lower()) >= 0
        if filters.exact_only:
            passing &= self.exact
        for key, (low, high) in filters.ranges.items():
            passing &= self._in_range(key, low, high)
        return passing

    def _in_range(self, key, low, high):
        if key == DISTANCE:
            inside = (self.pairs.distances >= low) & (self.pairs.distances <= high)
            return np.bincount(self.pairs.structure[inside], minlength=len(self)) > 0
        return (self._numbers[key] >= low) & (self._numbers[key] <= high)  # false for NaN


class Selection(param.Parameterized):
    """The filters of one visitor over the dataset on show; whoever shows it watches `columns` and `filters`."""

    columns = param.ClassSelector(class_=Columns, allow_None=True, doc="Of the dataset; None without one.")
    filters = param.ClassSelector(class_=Filters, default=Filters(), doc="What is asked for.")

    @property
    def data(self) -> Dataset | None:
        """The dataset on show."""
        return None if self.columns is None else self.columns.data

    @property
    def chosen(self) -> np.ndarray:
        """Which structures pass, (M,) bool."""
        return np.zeros(0, dtype=bool) if self.columns is None else self.columns.chosen(self.filters)

    def ask(self, ranges: Mapping[str, tuple[float, float] | None]) -> None:
        """Ask for other ranges of some numbers; None takes a range away."""
        self.filters = self.filters.with_ranges(ranges)


def _joined(*columns):
    """Words side by side, apart by what nobody types."""
    joined = columns[0]
    for column in columns[1:]:
        joined = np.char.add(np.char.add(joined, "\n"), column)
    return joined
