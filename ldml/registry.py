"""Things looked up by name: a registry that answers a misspelt name with the nearest it knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Generic, TypeVar

from ldml.errors import InputError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Read-only mapping from names to things of one kind.

    Raises `InputError` for a name it does not hold, naming the nearest.
    """

    def __init__(self, kind: str, items: Mapping[str, T]):
        self.kind = kind
        self._items = dict(items)

    def __getitem__(self, name: str) -> T:
        if name in self._items:
            return self._items[name]
        folded = {known.lower(): known for known in self._items}
        near = get_close_matches(str(name).lower(), folded, n=1, cutoff=0.6)
        hint = f"did you mean {folded[near[0]]!r}? " if near else ""
        raise InputError(f"unknown {self.kind} {name!r}; {hint}known: {', '.join(self._items)}")

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def get(self, name, default=None):
        return self._items.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
