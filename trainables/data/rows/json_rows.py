"""Rows of a file of JSON lines: an object in each line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trainables.data.files import FileError, read_regular
from trainables.data.rows.csv_rows import MAX_LIST_BYTES
from trainables.data.rows.row import Row, first_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from trainables.data.faults import Faults

_IMAGE = "image"


def json_rows(
    path: Path, columns: Sequence[str], faults: Faults, optional: Collection[str]
) -> Iterator[Row]:
    """Read a file of JSON lines, which is UTF-8.

    Args:
        path: The file.
        columns: The keys that every object must have, among others; without a `guid`, the row's
            number from 0 is its name.
        faults: Collects faults.
        optional: Keys that may be missing, and are then empty.

    Yields:
        The valid rows, in order.
    """
    try:
        text = read_regular(path, MAX_LIST_BYTES).decode("utf-8-sig")
    except FileError as error:
        faults.add("every list file must be readable", f"{path}: {error}")
        return
    except UnicodeDecodeError as error:
        faults.add("every file of JSON lines must be UTF-8", f"{path}: byte {error.start}")
        return
    count = 0
    # Not splitlines: a string may hold other line breaks.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path.name} line {number}"
        found = _object(line, place, faults)
        if found is None:
            continue
        image, images = first_of(found.get(_IMAGE))
        values = {n: _text(image if n == _IMAGE else value) for n, value in found.items()}
        values = {"guid": str(count), **dict.fromkeys(optional, ""), **values}
        count += 1
        if missing := [name for name in columns if name not in values]:
            rule = f"every line must have the keys {','.join(columns)}"
            faults.add(rule, f"{place}: got no {' and no '.join(missing)}")
            continue
        yield Row(place, values, images=images)


def _object(line: str, place: str, faults: Faults) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        faults.add("every line must be a JSON object", f"{place}: {error}")
        return None
    if not isinstance(found, dict):
        faults.add("every line must be a JSON object", f"{place}: got {line.strip()[:40]!r}")
        return None
    return {str(name).strip().lower(): value for name, value in found.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
