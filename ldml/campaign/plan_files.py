"""Plans of campaigns as JSON: ``{"plan": "generation", "potential": "Fe-AM04", "repeats": 8, "counts": {"I2": 20}, ...}``.

The word under ``plan`` says which kind of plan it is, the rest are its fields; those left out have their defaults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ldml.campaign.campaign import Plan
from ldml.campaign.clusters import ClusterPlan
from ldml.campaign.derive import CopyPlan, DisorderPlan, EventPlan
from ldml.campaign.generate import GenerationPlan
from ldml.errors import InputError
from ldml.registry import Registry

PLAN_KINDS: Registry[type] = Registry(
    "kind of plan",
    {
        "generation": GenerationPlan,
        "copies": CopyPlan,
        "disorder": DisorderPlan,
        "events": EventPlan,
        "clusters": ClusterPlan,
    },
)


def plan_record(plan: Plan) -> dict:
    """A plan as plain JSON types, as `plan_from_record` takes them."""
    kind = next(name for name, known in PLAN_KINDS.items() if type(plan) is known)
    return {"plan": kind, **json.loads(json.dumps(asdict(plan)))}


def read_plan(path: Path) -> Plan:
    """The plan in a JSON file.

    Raises
    ------
    InputError
        If the file is not there or is no plan.
    """
    try:
        record = json.loads(path.read_text())
    except OSError as error:
        raise InputError(
            f"the plan {str(path)!r} cannot be read ({error.strerror}); give the path of a JSON file"
        ) from error
    except ValueError as error:
        raise InputError(f"{path.name!r} is not JSON: {error}") from error
    return plan_from_record(record)


def plan_from_record(record: Mapping) -> Plan:
    """The plan that a JSON object describes.

    Raises
    ------
    InputError
        For a kind or a field that does not exist, a field that is missing or of another type.
    """
    kinds = ", ".join(PLAN_KINDS)
    if not isinstance(record, dict) or not isinstance(record.get("plan"), str):
        raise InputError(f'a plan is a JSON object with "plan", its kind ({kinds}), and the fields of that kind')
    kind = PLAN_KINDS[record["plan"]]
    hints = get_type_hints(kind)
    declared = Registry(f"field of the plan {record['plan']!r}", {f.name: hints[f.name] for f in fields(kind)})
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in record]
    if missing:
        raise InputError(f"the plan {record['plan']!r} lacks {', '.join(missing)}; say what it is to be")
    values = {name: value for name, value in record.items() if name != "plan"}
    return kind(**{name: _field(name, value, declared[name]) for name, value in values.items()})


def _field(name, value, kind):
    try:
        return _converted(value, kind)
    except TypeError as error:
        raise InputError(f"{name} = {json.dumps(value)} of the plan does not fit: {error}") from error


def _converted(value: Any, kind: Any) -> Any:
    """A JSON value as the type of a field; `TypeError` says what it should be."""
    origin, within = get_origin(kind), get_args(kind)
    if origin is None:
        return _plain(value, kind)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise TypeError('give an object such as {"I2": 100}')
        return {key: _converted(item, within[1]) for key, item in value.items()}
    if origin in (tuple, Sequence):
        return _sequence(value, within)
    # a union, of which one is None
    return None if value is None else _converted(value, next(one for one in within if one is not type(None)))


def _sequence(value, kinds):
    if not isinstance(value, list):
        raise TypeError("give a list")
    if len(kinds) == 1 or kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise TypeError(f"give {len(kinds)} values")
    return tuple(_converted(item, kind) for item, kind in zip(value, kinds, strict=True))


def _plain(value, kind):
    # true and false are whole numbers to Python
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"give {({str: 'a text', int: 'a whole number', float: 'a number'})[kind]}")
    return value
