"""Rows of a CSV file with commas, semicolons or tabs, and a header."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from trainables.data.encodings import is_wide
from trainables.data.files import FileError, read_regular
from trainables.data.rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainables.data.encodings import Decoder
    from trainables.data.faults import Faults
    from trainables.data.rows.columns import Wanted

MAX_LIST_BYTES = 500_000_000

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_SOUND = "every list file must be sound CSV"


def csv_rows(path: Path, wanted: Wanted, faults: Faults, decoder: Decoder) -> Iterator[Row]:
    """Read a CSV file that starts with a header.

    Args:
        path: The file.
        wanted: What is read of it, and whatever else it has.
        faults: Collects faults.
        decoder: Decodes the file, each line separately.

    Yields:
        The valid rows, in order.
    """
    text = _text(path, faults, decoder)
    if text is None:
        return
    first = next((line for line in StringIO(text) if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    lines = _lines(path.name, text, delimiter, faults)
    theirs = next(lines, ("", []))[1]
    header = wanted.named.ours(theirs)
    if _header_faults(path.name, theirs, header, wanted, faults):
        return
    for place, values in lines:
        if len(values) == len(header):
            yield Row(place, dict(zip(header, values, strict=True)))
        else:
            mark = _DELIMITERS[delimiter]
            rule = f"every line must have {len(header)} values, quoted where they hold a {mark}"
            faults.add(rule, f"{place}: got {len(values)}")


def _text(path: Path, faults: Faults, decoder: Decoder) -> str | None:
    try:
        raw = read_regular(path, MAX_LIST_BYTES)
    except FileError as error:
        faults.add("every list file must be readable", f"{path}: {error}")
        return None
    if is_wide(raw):
        return decoder.decode([raw], f"lists, {path.name},")[0]
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "\n".join(decoder.decode(raw.split(b"\n"), f"lines of {path.name}"))


def _header_faults(
    name: str, theirs: Sequence[str], header: Sequence[str], wanted: Wanted, faults: Faults
) -> bool:
    if missing := wanted.missing(header):
        rule = f"the first line must name the columns {wanted.described}"
        shown = ",".join(column.strip() for column in theirs)[:80]
        faults.add(rule, f"{name}: got {shown!r}")
    twice = sorted({column for column in wanted.columns if header.count(column) > 1})
    for column in twice:
        faults.add("every column must be named once", f"{name}: got {column!r} twice or more")
    return bool(missing or twice)


def _lines(
    name: str, text: str, delimiter: str, faults: Faults
) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(
        StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    start = 0
    try:
        for values in reader:
            if any(value.strip() for value in values):
                yield f"{name} line {start + 1}", values
            start = reader.line_num
    except csv.Error as error:
        number, what = _stray_quote(text, start, delimiter)
        fault = f"the quote that opens here {what}" if what else str(error)
        faults.add(_SOUND, f"{name} line {number}: {fault}")


def _stray_quote(text: str, start: int, delimiter: str) -> tuple[int, str]:
    """Find the quote that makes a row of a CSV invalid, after `start` lines of the file.

    Returns:
        The line where the quote opens and what is wrong with it; the row's first line and an empty
        string if the row has no such quote.
    """
    number = opened = start + 1
    quoted, before = False, delimiter
    for line in list(StringIO(text, newline=""))[start:]:
        place = 0
        while place < len(line):
            mark, after = line[place], line[place + 1 : place + 2]
            if quoted and mark == after == '"':
                place += 1
            elif mark == '"' and quoted:
                quoted = False
                if after not in {"", "\r", "\n", delimiter}:
                    return opened, f"closes in line {number} in the middle of a value"
            elif mark == '"' and before in {delimiter, "\n", "\r"}:
                quoted, opened = True, number
            if mark != " " or before not in {delimiter, "\n", "\r"}:
                before = mark
            place += 1
        number += 1
    return (opened, "is never closed") if quoted else (start + 1, "")
