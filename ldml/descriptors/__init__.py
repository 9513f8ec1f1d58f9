"""Descriptors of atomic environments, by name: ``get_descriptor("AFS", n_max=20, l_max=10, cutoff=5.0)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldml.descriptors.afs import AFS
from ldml.descriptors.base import Descriptor, check_cutoff_fits
from ldml.descriptors.bso4 import BSO4
from ldml.descriptors.parameters import Choice, Flag, Number, Numbers, Parameter, Species
from ldml.descriptors.scattering import Scattering
from ldml.errors import InputError
from ldml.registry import Registry

__all__ = [
    "AFS",
    "BSO4",
    "DESCRIPTORS",
    "Choice",
    "Descriptor",
    "Flag",
    "Number",
    "Numbers",
    "Parameter",
    "Scattering",
    "Species",
    "check_cutoff_fits",
    "descriptor_from_dict",
    "get_descriptor",
]

DESCRIPTORS: Registry[type[Descriptor]] = Registry(
    "descriptor",
    {
        AFS.name: AFS,
        BSO4.name: BSO4,
        Scattering.name: Scattering,
    },
)


def get_descriptor(name: str, **parameters) -> Descriptor:
    """Make the descriptor `name`.

    Parameters
    ----------
    name : str
        A key of `DESCRIPTORS`.
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
