"""Totals of descriptors in an HDF5 file beside a dataset's own files, which need not change when a descriptor is added.

/               attributes: format, format_version; names: the structures, in the order of the rows
descriptors/f   totals (M, n_features) and bulk_totals of the descriptor with fingerprint f; attribute: descriptor (JSON)
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from ldml.dataset import Dataset
from ldml.dataset_files import encoded, own_array, own_group, write_arrays
from ldml.descriptors import Descriptor
from ldml.errors import InputError

FORMAT = "ldml-totals"
FORMAT_VERSION = 1


def write_totals(data: Dataset, path: Path, descriptors: Iterable[Descriptor]) -> None:
    """Write the totals of some descriptors, which the dataset must have at hand."""
    stored = data.stored_totals()
    with h5py.File(path, "w") as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION)
        write_arrays(file, {"names": encoded(data.names)})
        for descriptor in descriptors:
            group = file.create_group(f"descriptors/{descriptor.fingerprint}")
            group.attrs["descriptor"] = json.dumps(descriptor.to_dict(), sort_keys=True)
            totals, bulk_totals = stored[descriptor.fingerprint]
            write_arrays(group, {"totals": totals, "bulk_totals": bulk_totals})


def described_in(path: Path) -> list[dict]:
    """The descriptors whose totals a file of this version holds, as `descriptor_from_dict` takes them."""
    with h5py.File(path, "r") as file:
        return [json.loads(own_group(file, f"descriptors/{key}").attrs["descriptor"]) for key in file["descriptors"]]


def attach_totals(data: Dataset, content: bytes, *, name: str) -> None:
    """Give a dataset the totals in the bytes of such a file; structures that the file does not know remain to be computed.

    Raises
    ------
    InputError
        If it is no such file, newer than this software, damaged, or for other crystals.
    """
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _attach(data, file, name)
    except InputError:
        raise
    except (KeyError, OSError, ValueError, IndexError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{name!r} is not a complete file of totals ({error}); fetch it again") from error


def _attach(data, file, name):
    if file.attrs.get("format") != FORMAT:
        raise InputError(f"{name!r} is an HDF5 file but holds no totals of descriptors")
    if int(file.attrs["format_version"]) > FORMAT_VERSION:
        raise InputError(
            f"{name!r} has format {file.attrs['format_version']} and this ldml reads {FORMAT_VERSION}: upgrade ldml"
        )
    rows = {word.decode(): k for k, word in enumerate(own_array(file, "names"))}
    found = np.array([rows.get(str(name), -1) for name in data.names], dtype=int)
    for fingerprint in own_group(file, "descriptors"):
        group = own_group(file, f"descriptors/{fingerprint}")
        totals = np.where((found >= 0)[:, None], own_array(group, "totals")[found], np.nan)
        data.keep_totals(fingerprint, totals, own_array(group, "bulk_totals"))
