"""Rows of a JSON file: an object in each line, or a list of objects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trainables.data.files import FileError, read_regular
from trainables.data.rows.csv_rows import MAX_LIST_BYTES
from trainables.data.rows.row import Row, first_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainables.data.faults import Faults
    from trainables.data.rows.columns import Wanted

_IMAGE = "image"
_OBJECTS = "every line, or item of one list, must be a JSON object"


def json_rows(path: Path, wanted: Wanted, faults: Faults) -> Iterator[Row]:
    """Read a file of JSON lines, or of one JSON list of objects, which is UTF-8.

    Args:
        path: The file.
        wanted: What is read of it, and whatever else it has; without a `guid`, the row's number
            from 0 is its name.
        faults: Collects faults.

    Yields:
        The valid rows, in order.
    """
    try:
        text = read_regular(path, MAX_LIST_BYTES).decode("utf-8-sig")
    except FileError as error:
        faults.add("every list file must be readable", f"{path}: {error}")
        return
    except UnicodeDecodeError as error:
        faults.add("every JSON file must be UTF-8", f"{path}: byte {error.start}")
        return
    for count, (place, found) in enumerate(_objects(path.name, text, faults)):
        theirs = dict(zip(wanted.named.ours(found), found.values(), strict=True))
        image, images = first_of(theirs.get(_IMAGE))
        values = {n: _text(image if n == _IMAGE else value) for n, value in theirs.items()}
        values = {"guid": str(count), **values}
        if missing := wanted.missing(values):
            rule = f"every object must have the keys {wanted.described}"
            shown = ",".join(found)[:80]
            faults.add(rule, f"{place}: got no {' and no '.join(missing)} in {shown!r}")
            continue
        yield Row(place, values, images=images)


def _objects(name: str, text: str, faults: Faults) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a file after its place."""
    is_list = text.lstrip().startswith("[")
    for place, item in (_items if is_list else _lines)(name, text, faults):
        if isinstance(item, dict):
            yield place, item
        else:
            faults.add(_OBJECTS, f"{place}: got {json.dumps(item)[:40]!r}")


def _items(name: str, text: str, faults: Faults) -> Iterator[tuple[str, Any]]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        faults.add("every JSON file must be sound", f"{name}: {error}")
        return
    for number, item in enumerate(items, 1):
        yield f"{name} item {number}", item


def _lines(name: str, text: str, faults: Faults) -> Iterator[tuple[str, Any]]:
    # Not splitlines: a string may hold other line breaks.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{name} line {number}"
            try:
                yield place, json.loads(line)
            except (ValueError, RecursionError) as error:
                faults.add(_OBJECTS, f"{place}: {error}")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
