"""Parameters a descriptor declares, described well enough to check a value, to read it from text and to build a form from.

Values are plain and immutable (int, float, bool, str, tuples of these), so that they can be compared, hashed and written as
JSON: `Parameter.checked` makes them so or refuses.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from ldml.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Parameter(ABC):
    """What all parameters have.

    Attributes
    ----------
    name : str
        Keyword of the constructor.
    symbol : str
        Letter in the formulas.
    default : int, float, bool, str or tuple
        Its type is the type of the parameter.
    doc : str
        One sentence for a reader who chooses a value.
    unit : str
        Empty for a pure number.
    joined_later : bool
        Left out of records as long as it has its default: it was added without a change of version, and what was written
        before stays valid.
    """

    name: str
    symbol: str
    default: Any
    doc: str
    unit: str = ""
    joined_later: bool = False

    @abstractmethod
    def checked(self, value: Any) -> Any:
        """`value` in its plain form.

        Raises
        ------
        InputError
            If it has the wrong type or is not allowed.
        """

    @abstractmethod
    def from_text(self, text: str) -> Any:
        """The value that `text` writes, checked: ``"5.5"``, ``"yes"``, ``"0,0.25,0.5"``.

        Raises
        ------
        InputError
            As `checked`.
        """

    @abstractmethod
    def allowed(self) -> str:
        """What may be chosen, in words."""

    def to_text(self, value: Any) -> str:
        """`value` for a reader; `from_text` reads it back."""
        return str(value)

    def _with_unit(self, text):
        return f"{text} {self.unit}" if self.unit else text


@dataclass(frozen=True, kw_only=True)
class Number(Parameter):
    """A whole or real number within bounds.

    Attributes
    ----------
    bounds : (low, high)
        Allowed range, in `unit`.
    low_included : bool
        Whether the lower bound itself is allowed (the upper one always is).
    multiple_of : float or None
        Grid of allowed values: 0.5 for half-integers.
    """

    bounds: tuple[float, float]
    low_included: bool = True
    multiple_of: float | None = None

    def checked(self, value: Any) -> int | float:
        """`value` as a plain int or float."""
        number = self._plain(value)
        low, high = self.bounds
        if not (low < number <= high or (self.low_included and number == low)):
            raise InputError(f"{self.name} = {value} is out of range; use a value {self.allowed()}")
        if self.multiple_of is not None and number % self.multiple_of:
            raise InputError(
                f"{self.name} = {value} is no multiple of {self.multiple_of:g}; use a value {self.allowed()}"
            )
        return number

    def from_text(self, text: str) -> int | float:
        """The number that `text` writes, checked."""
        try:
            number = int(text) if self.is_whole else float(text)
        except ValueError:
            raise self._not_a_number(text) from None
        return self.checked(number)

    def allowed(self) -> str:
        """ "from 0 up to 20", "above 0 up to 12 Å"."""
        low, high = self.bounds
        steps = "" if self.multiple_of is None else f" in steps of {self.multiple_of:g}"
        return self._with_unit(f"{'from' if self.low_included else 'above'} {low:g} up to {high:g}") + steps

    def to_text(self, value: float) -> str:
        """`value` without needless digits."""
        return str(value) if self.is_whole else _shortest(value)

    @property
    def is_whole(self) -> bool:
        """Whether it counts something."""
        return isinstance(self.default, int)

    def _plain(self, value):
        try:
            if isinstance(value, (bool, np.bool_, str)):
                raise TypeError
            number = operator.index(value) if self.is_whole else float(value)
        except (TypeError, ValueError):
            raise self._not_a_number(value) from None
        if not isfinite(number):
            raise InputError(f"{self.name} = {value} is not finite; the default is {self._with_unit(self.default)}")
        return number

    def _not_a_number(self, value):
        kind = "a whole number" if self.is_whole else "a number"
        return InputError(f"{self.name} = {value!r} is not {kind}; the default is {self._with_unit(self.default)}")


@dataclass(frozen=True, kw_only=True)
class Choice(Parameter):
    """One of several names.

    Attributes
    ----------
    choices : tuple of str
    """

    choices: tuple[str, ...]

    def checked(self, value: Any) -> str:
        """`value` itself."""
        if isinstance(value, str) and value in self.choices:
            return str(value)
        near = get_close_matches(str(value), self.choices, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(f"{self.name} = {value!r} is unknown; {hint}known: {self.allowed()}")

    def from_text(self, text: str) -> str:
        """`text` itself, checked."""
        return self.checked(text)

    def allowed(self) -> str:
        """The names."""
        return ", ".join(self.choices)


@dataclass(frozen=True, kw_only=True)
class Flag(Parameter):
    """Yes or no."""

    def checked(self, value: Any) -> bool:
        """`value` as a plain bool."""
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        raise InputError(f"{self.name} = {value!r} is neither True nor False; the default is {self.default}")

    def from_text(self, text: str) -> bool:
        """``yes``, ``no``, ``true``, ``false`` in any case."""
        known = {"yes": True, "true": True, "no": False, "false": False}
        return self.checked(known.get(text.strip().lower(), text))

    def allowed(self) -> str:
        """ "yes or no"."""
        return "yes or no"

    def to_text(self, value: bool) -> str:
        """ "yes" or "no"."""
        return "yes" if value else "no"


@dataclass(frozen=True, kw_only=True)
class Numbers(Parameter):
    """A list of different real numbers within bounds, kept in the order given.

    Attributes
    ----------
    bounds : (low, high)
        Allowed range of each, both included.
    longest : int
        Most numbers allowed.
    """

    bounds: tuple[float, float]
    longest: int = 32

    def checked(self, value: Any) -> tuple[float, ...]:
        """`value` as a tuple of floats."""
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise InputError(f"{self.name} = {value!r} is not a list of numbers; {self._remedy()}")
        one = Number(name=self.name, symbol=self.symbol, default=0.0, doc=self.doc, unit=self.unit, bounds=self.bounds)
        numbers = tuple(one.checked(number) for number in value)
        if not 1 <= len(numbers) <= self.longest:
            raise InputError(f"{self.name} holds {len(numbers)} numbers; {self._remedy()}")
        if len(set(numbers)) < len(numbers):
            raise InputError(f"{self.name} = {self.to_text(numbers)} repeats a number; {self._remedy()}")
        return numbers

    def from_text(self, text: str) -> tuple[float, ...]:
        """Numbers between commas, checked."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            raise InputError(f"{self.name} = {text!r} is not a list of numbers; {self._remedy()}") from None
        return self.checked(numbers)

    def allowed(self) -> str:
        """ "1 to 32 different numbers from -3 up to 6"."""
        low, high = self.bounds
        return self._with_unit(f"1 to {self.longest} different numbers from {low:g} up to {high:g}")

    def to_text(self, value: tuple[float, ...]) -> str:
        """Numbers between commas."""
        return ",".join(_shortest(number) for number in value)

    def _remedy(self):
        return f"give {self.allowed()}, such as {self.to_text(self.default)}"


@dataclass(frozen=True, kw_only=True)
class Species(Parameter):
    """Chemical symbols that are told apart, in the order of the features; none: elements are not told apart."""

    default: tuple[str, ...] = ()

    def checked(self, value: Any) -> tuple[str, ...]:
        """`value` as a tuple of symbols."""
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise InputError(f"{self.name} = {value!r} is not a list of chemical symbols; {self._remedy()}")
        symbols = tuple(str(symbol) for symbol in value)
        unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
        if unknown:
            raise InputError(f"{self.name} holds {unknown[0]!r}, which is no chemical symbol; {self._remedy()}")
        if len(set(symbols)) < len(symbols):
            raise InputError(f"{self.name} = {self.to_text(symbols)} repeats a symbol; {self._remedy()}")
        return symbols

    def from_text(self, text: str) -> tuple[str, ...]:
        """Symbols between commas, checked; empty for none."""
        return self.checked([part.strip() for part in text.split(",")] if text.strip() else [])

    def allowed(self) -> str:
        """What to write."""
        return "chemical symbols, or none to treat all elements alike"

    def to_text(self, value: tuple[str, ...]) -> str:
        """Symbols between commas."""
        return ",".join(value)

    def _remedy(self):
        return f"give {self.allowed()}, such as Fe,Cu"


def _shortest(number):
    """The fewest digits that read back as the same number."""
    text = f"{number:.12g}"
    return text if float(text) == number else repr(float(number))
