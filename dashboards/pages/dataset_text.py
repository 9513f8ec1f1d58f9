"""What the Data page says of a dataset: the offer to open it, its crystals, its classes, where it comes from."""

from __future__ import annotations

import html
from collections.abc import Mapping

import numpy as np

from dashboards.figures.style import class_colour
from dashboards.pages.layout import table_html
from dashboards.selection import ENERGY, ENTROPY
from dashboards.units import crystal_name, plain_name, quantity_unit, units_of
from ldml.dataset import Dataset

ALL_CRYSTALS = -1
SHOWN_DIGITS = 16
"""Of a hash."""
_COUNTS = {
    "walks": "walks",
    "attempts": "attempts",
    "minima": "minima",
    "saddles": "saddles",
    "distinct_saddles": "distinct",
    "distinct_energy_and_inertia": "distinct by energy and inertia",
    "distinct_energy_or_inertia": "distinct by either",
}
"""Statistics of a search, in the order in which they are told."""
_PROVENANCE = {
    "potential": "potential",
    "potential_citation": "published in",
    "origin": "file",
    "convention": "convention",
    "command": "command",
    "licence": "licence",
}


def offer(name: str, record: Mapping | None) -> str:
    """A dataset in the list of those that can be opened; with its count and classes where its record is known."""
    if record is None:
        return name
    return f"{name} · {record['structures']:,}: {', '.join(record['classes'])}"


def crystal_options(data: Dataset | None) -> dict[str, int]:
    """The crystals of a dataset by name, and all of them."""
    if data is None:
        return {"all": ALL_CRYSTALS}
    length = units_of(data).length
    counts = np.bincount([entry.bulk for entry in data.entries], minlength=len(data.bulks))
    names = {
        f"{crystal_name(bulk, length)}: {counted(n)}": k
        for k, (bulk, n) in enumerate(zip(data.bulks, counts, strict=True))
    }
    return {"all": ALL_CRYSTALS, **names}  # no number: a choice that stays would keep showing the old one


def counted(n: int) -> str:
    """So many structures, in words."""
    return f"{n:,} structure{'' if n == 1 else 's'}"


def axis_label(data: Dataset, key: str) -> str:
    """A number of the structures with its unit, for an axis."""
    units = units_of(data)
    if key == ENTROPY:
        return f"formation entropy S_f ({units.entropy})"
    if key == ENERGY:
        return f"formation energy E_f ({units.energy})"
    unit = quantity_unit(data, key)
    return f"{plain_name(key)} ({unit})" if unit else plain_name(key)


def class_table(data: Dataset, chosen=None) -> str:
    """HTML: for each class its count, S_f (mean ± standard deviation, range), range of E_f, how many with exact S_i.

    Parameters
    ----------
    data : Dataset
    chosen : (M,) bool, optional
        The structures to speak of; all by default.
    """
    chosen = np.ones(len(data), dtype=bool) if chosen is None else chosen
    labels = np.unique(data.labels[chosen])
    rows = [_class_row(label, data, chosen & (data.labels == label)) for label in labels]
    colours: list[str | None] = [class_colour(label) for label in labels]
    if len(labels) > 1:
        rows.append(_class_row("all", data, chosen))
        colours.append(None)
    header = (
        "class",
        "n",
        "S<sub>f</sub> (k<sub>B</sub>)",
        "S<sub>f</sub> range",
        f"E<sub>f</sub> range ({html.escape(units_of(data).energy)})",
        "exact S<sub>i</sub>",
    )
    return table_html(header, rows, colours=colours, last_is_total=len(labels) > 1)


def provenance(data: Dataset, record: Mapping | None = None) -> list[tuple[str, str]]:
    """What is known of the origin of a dataset, as names and values.

    Parameters
    ----------
    data : Dataset
    record : mapping, optional
        Of the manifest, if the dataset came with the software.
    """
    length = units_of(data).length
    cells = "; ".join(dict.fromkeys(crystal_name(bulk, length) for bulk in data.bulks))
    items = [("structures", f"{len(data):,}"), ("cell" if data.bulks[0].pbc.any() else "reference", cells)]
    n_parents = len(np.unique(data.parents))
    if n_parents < len(data):
        items.append(("parents", f"{n_parents:,}"))
    items += [(name, value) for key, name in _PROVENANCE.items() if (value := _told(data.metadata, key))]
    items += [(f"search, {label}", search_sentence(found)) for label, found in data.metadata.get("search", {}).items()]
    files = (record or {}).get("files", ())
    if files:
        items.append(("sha256", "; ".join(f"{part['file']} {part['sha256'][:SHOWN_DIGITS]}…" for part in files)))
    return items


def search_sentence(found: Mapping) -> str:
    """Statistics of the search for one class in words."""
    told = [f"{found[key]:,} {words}" for key, words in _COUNTS.items() if key in found]
    n_failed = sum(found.get("failures", {}).values())
    return ", ".join([*told, f"{n_failed:,} failed"])


def _told(metadata, key):
    """What the metadata say, or the parts of a dataset where they differ: each thing once."""
    said = [metadata.get(key)] if metadata.get(key) else [part.get(key) for part in metadata.get("parts", ())]
    return "; ".join(dict.fromkeys(str(value) for value in said if value))


def _class_row(label, data, chosen):
    entropy, energy = data.formation_entropy[chosen], data.formation_energy[chosen]
    return (
        label,
        f"{chosen.sum():,}",
        _mean_std(entropy),
        _range(entropy),
        _range(energy),
        f"{data.has_local[chosen].sum():,}",
    )


def _mean_std(values):
    values = values[np.isfinite(values)]
    return f"{values.mean():.2f} ± {values.std():.2f}" if len(values) else "unknown"


def _range(values):
    values = values[np.isfinite(values)]
    return f"{values.min():.2f} … {values.max():.2f}" if len(values) else "unknown"
