"""Several descriptors side by side as one: the features of each, one after the other.

A parameter that several of them declare, such as the cutoff, has one value for all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from ase import Atoms

from ldml.descriptors.base import Descriptor
from ldml.errors import InputError

SEPARATOR = "+"


class SideBySide(Descriptor):
    """Base of descriptors made of others, whose totals a dataset keeps part by part.

    Attributes
    ----------
    parts : tuple of Descriptor
        Whose features follow each other.
    """

    parts: tuple[Descriptor, ...] = ()
    declared_parameters = ()

    @property
    def trivial_features(self) -> np.ndarray:
        """(n_features,) mask of the features that only count atoms."""
        return np.concatenate([part.trivial_features for part in self.parts])

    def _compute(self, atoms: Atoms) -> np.ndarray:
        return np.concatenate([part.compute(atoms) for part in self.parts], axis=1)

    def _total(self, atoms: Atoms) -> np.ndarray:
        return np.concatenate([part.total(atoms) for part in self.parts])


class Combined(SideBySide):
    """Base of the classes that `combined` makes: one part of each kind, with the parameters it declares.

    Attributes
    ----------
    kinds : tuple of Descriptor classes
    """

    kinds: tuple[type[Descriptor], ...] = ()

    def __init__(self, **parameters):
        super().__init__(**parameters)
        self.parts = tuple(
            kind(**{p.name: self._parameters[p.name] for p in kind.declared_parameters}) for kind in self.kinds
        )

    def __reduce__(self):
        return _made, (self.kinds, dict(self._parameters))  # the class has no place of its own in a module

    @property
    def feature_indices(self) -> tuple[dict[str, Any], ...]:
        """Which descriptor a feature belongs to, and its name there."""
        return tuple({"part": part.name, "feature": name} for part in self.parts for name in part.feature_names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features of each descriptor, one after the other."""
        return tuple(name for part in self.parts for name in part.feature_names)

    def to_dict(self) -> dict[str, Any]:
        """Name, version and the parameters that the parts record."""
        record = {"name": self.name, "version": self.version, "parameters": {}}
        for part in self.parts:
            record["parameters"] |= part.to_dict()["parameters"]
        return record


def combined(*kinds: type[Descriptor]) -> type[Descriptor]:
    """The class of descriptors that have the features of all `kinds`, named after them: "AFS+SoftModes".

    Raises
    ------
    InputError
        If a kind comes twice, or kinds declare different parameters under one name.
    """
    return _combined(kinds)


def _made(kinds, parameters):
    return combined(*kinds)(**parameters)


@lru_cache(maxsize=64)
def _combined(kinds):
    if len(set(kinds)) < len(kinds):
        raise InputError(f"{SEPARATOR.join(kind.name for kind in kinds)}: a descriptor is named twice; name it once")
    declared = {}
    for kind in kinds:
        for parameter in kind.declared_parameters:
            if type(declared.setdefault(parameter.name, parameter)) is not type(parameter):
                raise InputError(
                    f"{SEPARATOR.join(k.name for k in kinds)}: {parameter.name!r} means different things to them; "
                    f"use them one by one"
                )
    first = ", ".join(kind.name for kind in kinds[:-1])
    return type(
        SEPARATOR.join(kind.name for kind in kinds),
        (Combined,),
        {
            "__doc__": f"The features of {first} and {kinds[-1].name} side by side.",
            "__module__": __name__,
            "name": SEPARATOR.join(kind.name for kind in kinds),
            "version": SEPARATOR.join(str(kind.version) for kind in kinds),
            "letter": "",
            "kinds": kinds,
            "is_local": all(kind.is_local for kind in kinds),
            "needs_minimum": any(kind.needs_minimum for kind in kinds),
            "invariance": max(kind.invariance for kind in kinds),
            "declared_parameters": tuple(declared.values()),
        },
    )
