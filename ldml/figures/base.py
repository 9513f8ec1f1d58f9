"""What a figure is to the command line and to notebooks: datasets in, a result of numbers, and ways to show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ldml.dataset import Dataset
from ldml.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureKind:
    """A figure or a table that can be asked for by name.

    Attributes
    ----------
    name : str
        What to type after ``ldml figure``; the paper's number where it has one.
    title : str
    datasets : tuple of str
        Names of the sample data it is made of unless others are given.
    compute : callable
        ``compute(datasets, progress=...)`` gives the result, a frozen dataclass.
    report : callable
        ``report(result)`` gives lines of text.
    draw : callable, optional
        ``draw(result)`` gives a matplotlib figure.
    tabulate : callable, optional
        ``tabulate(result, suffix)`` gives the text of a table file; suffix ".csv" or ".md".
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    compute: Callable[..., Any]
    report: Callable[[Any], list[str]]
    draw: Callable[[Any], Figure] | None = None
    tabulate: Callable[[Any, str], str] | None = None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Kinds of files it can be written to, the usual one first."""
        return (*((".png", ".svg", ".pdf") if self.draw else ()), *((".md", ".csv") if self.tabulate else ()))


def as_record(result: Any) -> Any:
    """A result as what JSON can hold: names to lists and numbers; None where a number is not known."""
    if is_dataclass(result):
        return {field.name: as_record(getattr(result, field.name)) for field in fields(result)}
    if isinstance(result, np.ndarray):
        return as_record(result.tolist())
    if isinstance(result, Mapping):
        return {str(key): as_record(value) for key, value in result.items()}
    if isinstance(result, Sequence) and not isinstance(result, str):
        return [as_record(value) for value in result]
    if isinstance(result, np.generic):
        result = result.item()
    return None if isinstance(result, float) and not math.isfinite(result) else result


def single(datasets: Sequence[Dataset], what: str) -> Dataset:
    """The one dataset a figure of one database is made of."""
    if len(datasets) != 1:
        raise InputError(f"{what} shows one database, {len(datasets)} were given; give --data once")
    return datasets[0]


def read_only(values, dtype=None) -> np.ndarray:
    """Copy of `values` that cannot be changed."""
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array
