"""JSON records of a run folder as dataclasses: checked when they are read, written as they are.

A field is a key, in the order of the file, and its type is what the key may hold: a `Literal`, an
`Annotated` with further rules of JSON Schema as pairs, another record. A field without a default
must be there. Keys without a field are ignored.
"""

from __future__ import annotations

import types
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from itertools import repeat
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import jsonschema

from analysis.run_folder.io import DamageError

if TYPE_CHECKING:
    from dataclasses import Field
    from pathlib import Path

RecordT = TypeVar("RecordT")

Count = Annotated[int, ("minimum", 0), ("maximum", 2**53)]
Interval = tuple[float, float]
Scores = Mapping[str, float | None]
"""Scores by the names that a trial reports."""

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


WHOLE = {"whole": True}
"""Metadata of a field that is the whole JSON object of its record, which is written as it is."""


def omitted(group: str, *, key: str | None = None) -> dict[str, Any]:
    """Return metadata of a field that is left out while all fields of its group are None.

    Args:
        group: The group, by any name.
        key: Its key in the file, where that is not its name.

    Returns:
        For `dataclasses.field`, whose default is None.
    """
    return {"omitted": group, "key": key}


def read_record(path: Path, value: Any, kind: type[RecordT]) -> RecordT:
    """Check what was read from a file, and make the record of it.

    Args:
        path: The file.
        value: What was read.
        kind: The record's type: a dataclass, or a mapping of them.

    Returns:
        The record.

    Raises:
        DamageError: If a key is missing or holds another type of value.
    """
    validator = jsonschema.Draft202012Validator(schema_of(kind))
    fault = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if fault is not None:
        where = fault.json_path.removeprefix("$.").removeprefix("$")
        raise DamageError(
            path, f"must be as a search wrote it, got {where or 'a record'}: {fault.message}"
        )
    return from_json(kind, value)


def from_json(kind: type[RecordT], value: Any) -> RecordT:
    """Make a record of JSON that is known to be valid."""
    record: RecordT = _value(kind, value)
    return record


def to_json(record: Any) -> Any:
    """Convert a record, or a value of it, to what `from_json` reads back."""
    if is_dataclass(record):
        for each in fields(record):
            if each.metadata.get("whole"):
                return dict(getattr(record, each.name))
        empty = _empty_groups(record)
        return {
            _key(each): to_json(getattr(record, each.name))
            for each in fields(record)
            if each.metadata.get("omitted") not in empty
        }
    if isinstance(record, Mapping):
        return {key: to_json(value) for key, value in record.items()}
    return [to_json(value) for value in record] if isinstance(record, tuple) else record


def _empty_groups(record: Any) -> set[str]:
    groups = defaultdict(list)
    for each in fields(record):
        if group := each.metadata.get("omitted"):
            groups[group].append(getattr(record, each.name))
    return {group for group, values in groups.items() if all(value is None for value in values)}


def _key(each: Field[Any]) -> str:
    return each.metadata.get("key") or each.name


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _value(hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if value is None or (origin is None and not is_dataclass(hint)):
        return value
    if is_dataclass(hint):
        return _record(hint, value)  # type: ignore[arg-type]  # a class, as a hint is
    if origin is Annotated:
        return _value(inner[0], value)
    if origin in (Union, types.UnionType):
        (some,) = (each for each in inner if each is not type(None))
        return _value(some, value)
    if origin is tuple:
        hints = repeat(inner[0]) if inner[-1] is Ellipsis else inner
        return tuple(_value(one, each) for one, each in zip(hints, value, strict=False))
    if origin in (Mapping, dict):
        return {key: _value(inner[1], each) for key, each in value.items()}
    return value


def _record(kind: type, value: Mapping[str, Any]) -> Any:
    found = {}
    for each in fields(kind):
        if each.metadata.get("whole"):
            found[each.name] = value
        elif _key(each) in value:
            found[each.name] = _value(_hints(kind)[each.name], value[_key(each)])
    return kind(**found)


def schema_of(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema of a record's type, or of a field's."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return _object_schema(hint)  # type: ignore[arg-type]  # a class, as a hint is
    if origin is Annotated:
        return schema_of(inner[0]) | dict(inner[1:])
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return _either([schema_of(each) for each in inner])
    if origin is tuple:
        return _array_schema(inner)
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": schema_of(inner[1])}
    return {} if hint is Any else {"type": _TYPES[hint]}


def _array_schema(inner: tuple[Any, ...]) -> dict[str, Any]:
    if inner[-1] is Ellipsis:
        return {"type": "array", "items": schema_of(inner[0])}
    places = [schema_of(each) for each in inner]
    return {
        "type": "array",
        "prefixItems": places,
        "minItems": len(places),
        "maxItems": len(places),
    }


def _either(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _object_schema(kind: type) -> dict[str, Any]:
    keys = [each for each in fields(kind) if not each.metadata.get("whole")]
    return {
        "type": "object",
        "properties": {_key(each): schema_of(_hints(kind)[each.name]) for each in keys},
        "required": [
            _key(each)
            for each in keys
            if each.default is MISSING and each.default_factory is MISSING
        ],
    }
