"""Descriptors of atomic environments, by name: ``get_descriptor("AFS", n_max=20, l_max=10, cutoff=5.0)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldml.descriptors.afs import AFS
from ldml.descriptors.base import Descriptor, check_cutoff_fits
from ldml.descriptors.bso4 import BSO4
from ldml.descriptors.combined import SEPARATOR, Combined, combined
from ldml.descriptors.multiscale import MultiscaleAFS
from ldml.descriptors.parameters import Choice, Flag, Number, Numbers, Parameter, Species
from ldml.descriptors.scattering import Scattering
from ldml.descriptors.soft_modes import SoftModes
from ldml.errors import InputError
from ldml.registry import Registry

__all__ = [
    "AFS",
    "BSO4",
    "DESCRIPTORS",
    "Choice",
    "Combined",
    "Descriptor",
    "Flag",
    "MultiscaleAFS",
    "Number",
    "Numbers",
    "Parameter",
    "Scattering",
    "SoftModes",
    "Species",
    "check_cutoff_fits",
    "descriptor_from_dict",
    "get_descriptor",
]


class _Descriptors(Registry[type[Descriptor]]):
    """The registry; names joined by a plus sign, such as "AFS+BSO4", are descriptors side by side."""

    def __getitem__(self, name: str) -> type[Descriptor]:
        if name in self._items or SEPARATOR not in str(name):
            return super().__getitem__(name)
        return combined(*(super(_Descriptors, self).__getitem__(part.strip()) for part in name.split(SEPARATOR)))


DESCRIPTORS: Registry[type[Descriptor]] = _Descriptors(
    "descriptor",
    {kind.name: kind for kind in (AFS, BSO4, Scattering, MultiscaleAFS, SoftModes, combined(AFS, SoftModes))},
)


def get_descriptor(name: str, **parameters) -> Descriptor:
    """Make the descriptor `name`.

    Parameters
    ----------
    name : str
        A key of `DESCRIPTORS`, or several joined by plus signs.
    **parameters
        See ``DESCRIPTORS[name].declared_parameters``; those left out take their defaults.

    Raises
    ------
    InputError
        If the name or a parameter is unknown, or a value has the wrong type or lies out of bounds.
    """
    return DESCRIPTORS[name](**parameters)


def descriptor_from_dict(record: Mapping[str, Any]) -> Descriptor:
    """Make the descriptor that `Descriptor.to_dict` recorded.

    Raises
    ------
    InputError
        If the record is incomplete, or names a descriptor, version or parameter that this release does not have.
    """
    missing = [key for key in ("name", "version", "parameters") if key not in record]
    if missing:
        raise InputError(f"the descriptor record {dict(record)} lacks {missing[0]!r}; write it with Descriptor.to_dict")
    known = DESCRIPTORS[record["name"]]
    if record["version"] != known.version:
        raise InputError(
            f"the record was written with version {record['version']} of {known.name}, this release has version "
            f"{known.version}, which gives other numbers; fit again or install the release that wrote it"
        )
    return known(**record["parameters"])
