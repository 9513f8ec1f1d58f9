"""The view in the address of the page: dataset, page, model, structure, colours; a link that is opened shows the same view again.

    ?data=fe-am04-8a0&page=Model&descriptor={"name": "AFS", ...}&test=0.2&seed=3&structure=I3-17&colour=learned

An address comes from anybody: datasets are those of the sample data, never paths, and what makes no sense is said and left out. No
Panel in here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from dashboards.defects import known_defects
from dashboards.pages.quantities import COORDINATION, DIFFERENCE, DISTANCE, EXACT, FROM_CENTRE, LEARNED, UNCERTAINTY
from dashboards.selection import Columns, Filters
from dashboards.state import DEFAULT_SEED, DEFAULT_TEST_PROPORTION, AppState, remembered_fit, shares_parents
from ldml.dataset import Dataset
from ldml.descriptors import Descriptor, descriptor_from_dict
from ldml.errors import InputError
from ldml.sample_data import sample_manifest

COLOURS = {
    EXACT: "exact",
    LEARNED: "learned",
    DIFFERENCE: "difference",
    UNCERTAINTY: "uncertainty",
    DISTANCE: "distance",
    FROM_CENTRE: "centre",
    COORDINATION: "coordination",
}
MAX_TEXT, MAX_SEED = 2000, 2**31 - 1
TEST_BOUNDS = (0.1, 0.9)


@dataclass(frozen=True)
class View:
    """What a link asks for; defaults where it says nothing.

    Attributes
    ----------
    dataset, structure : str
        Names; empty for none.
    page : str
    descriptor : Descriptor or None
    test_proportion : float
    seed : int
    by_parents : bool
        Whether structures of one parent are held out together.
    quantity : str
        What atoms are coloured by; empty for the page's own choice.
    filters : Filters
        Of the Data page.
    taken_by : tuple of Filters
        By which a part of the dataset was taken.
    problems : tuple of str
        What the link asked for in vain.
    """

    dataset: str = ""
    page: str = "Data"
    descriptor: Descriptor | None = None
    test_proportion: float = DEFAULT_TEST_PROPORTION
    seed: int = DEFAULT_SEED
    by_parents: bool = True
    structure: str = ""
    quantity: str = ""
    filters: Filters = field(default_factory=Filters)
    taken_by: tuple[Filters, ...] = ()
    problems: tuple[str, ...] = ()


def query_of(state: AppState) -> dict[str, str | None]:
    """The query that `view_of` reads; None for what the address shall not hold, such as the name of an upload."""
    data, fit = state.dataset, state.fit
    if data is None or data.name not in sample_manifest():
        return {
            "page": state.page,
            **dict.fromkeys(
                ("data", "part", "filters", "descriptor", "test", "seed", "parents", "structure", "colour")
            ),
        }
    chosen = 0 <= state.selected < len(data)
    return {
        "data": data.name,
        "page": state.page,
        "part": json.dumps([by.record() for by in state.taken_by]) if state.taken_by else None,
        "filters": None if state.filters.are_empty else json.dumps(state.filters.record()),
        "descriptor": None if fit is None else json.dumps(fit.model.descriptor.to_dict(), sort_keys=True),
        "test": None if fit is None else f"{fit.test.mean():.2f}",
        "seed": None if fit is None else str(fit.seed),
        "parents": "apart" if fit is not None and not fit.by_parents and shares_parents(data) else None,
        "structure": str(data.names[state.selected]) if chosen else None,
        "colour": COLOURS.get(state.quantity) if chosen else None,
    }


def search_of(query: Mapping[str, str | None]) -> str:
    """The part of an address from its question mark on; what is None is left out."""
    return "?" + urlencode({key: value for key, value in query.items() if value is not None})


def query_from(search: str) -> dict[str, str]:
    """What `search_of` was given; of a name that comes twice, the last value."""
    return dict(parse_qsl(search.removeprefix("?")))


def view_of(query: Mapping[str, str]) -> View:
    """The view that a query asks for.

    Parameters
    ----------
    query : mapping of str to str
        Values may hold anything.
    """
    problems: list[str] = []
    readers = {
        "dataset": ("data", _dataset),
        "page": ("page", _page),
        "descriptor": ("descriptor", _descriptor),
        "test_proportion": ("test", _test_proportion),
        "seed": ("seed", _seed),
        "by_parents": ("parents", _by_parents),
        "structure": ("structure", str),
        "quantity": ("colour", _quantity),
        "filters": ("filters", _filters),
        "taken_by": ("part", _parts),
    }
    found = {}
    for name, (key, read) in readers.items():
        if key not in query:
            continue
        text = query[key]
        try:
            if len(text) > MAX_TEXT:
                raise InputError(f"is longer than {MAX_TEXT} characters")
            found[name] = read(text)
        except (InputError, ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{key} {text[:60]!r} in the link is left out: {error}")
    return View(**found, problems=tuple(problems))


def restore(state: AppState, data: Dataset, view: View) -> list[str]:
    """Show the structure and the model of a view whose dataset is open; what could not be shown, in words."""
    problems = []
    for by in view.taken_by:
        problems += _take_part(state, by)
    data = state.dataset
    if view.structure:
        names = list(data.names)
        if view.structure in names:
            state.select(names.index(view.structure))
        else:
            problems.append(f"structure {view.structure[:60]!r} in the link is not in {data.name}; choose another")
    if view.descriptor is not None:
        if data.has_descriptor(view.descriptor):
            chosen = {"test_proportion": view.test_proportion, "seed": view.seed, "by_parents": view.by_parents}
            state.show_fit(remembered_fit(data, view.descriptor, **chosen))
        else:
            problems.append(
                "the model in the link needs descriptors that are not at hand; compute them on the Model page"
            )
    if view.quantity:
        state.quantity = view.quantity
    if not view.filters.are_empty:
        unknown = Columns(data, known_defects(data)).unknown(view.filters)
        state.filters = view.filters.with_ranges(dict.fromkeys(unknown))
        problems += _unknown_in_words(unknown)
    state.page = view.page
    return problems


def _take_part(state, by):
    """Show only what filters leave of the dataset; what was asked in vain, in words."""
    columns = Columns(state.dataset, known_defects(state.dataset))
    unknown = columns.unknown(by)
    by = by.with_ranges(dict.fromkeys(unknown))
    try:
        state.open_subset(columns.chosen(by), by)
    except InputError as error:
        return [f"the part of {state.dataset.name} in the link is left out: {error}"]
    state.last_step = None  # it was not the visitor who took it
    return _unknown_in_words(unknown)


def _unknown_in_words(unknown):
    told = ", ".join(repr(key[:60]) for key in unknown)
    return [f"ranges of {told} in the link are left out: these numbers are not known here"] if unknown else []


def _filters(text):
    record = json.loads(text)
    if not isinstance(record, dict):
        raise InputError("these are no filters")
    return Filters.from_record(record)


def _parts(text):
    records = json.loads(text)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError("these are no filters")
    return tuple(map(Filters.from_record, records))


def _dataset(text):
    if text not in sample_manifest():
        raise InputError(f"it is no sample dataset; choose one of {', '.join(sample_manifest())}")
    return text


def _page(text):
    pages = AppState.param.page.objects
    if text not in pages:
        raise InputError(f"it is no page; choose one of {', '.join(pages)}")
    return text


def _by_parents(text):
    if text not in ("together", "apart"):
        raise InputError("copies of one parent are held out together or apart")
    return text == "together"


def _quantity(text):
    labels = {key: label for label, key in COLOURS.items()}
    if text not in labels:
        raise InputError(f"atoms are not coloured by it; choose one of {', '.join(labels)}")
    return labels[text]


def _descriptor(text):
    record = json.loads(text)
    if not isinstance(record, dict):
        raise InputError("it is no descriptor")
    return descriptor_from_dict(record)


def _test_proportion(text):
    value = float(text)
    if not (math.isfinite(value) and TEST_BOUNDS[0] <= value <= TEST_BOUNDS[1]):
        raise InputError(f"it is not between {TEST_BOUNDS[0]} and {TEST_BOUNDS[1]}")
    return value


def _seed(text):
    value = int(text)
    if not 0 <= value <= MAX_SEED:
        raise InputError(f"it is not between 0 and {MAX_SEED}")
    return value
