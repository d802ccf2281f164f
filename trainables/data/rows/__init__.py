"""Rows of a list file: CSV, JSON lines or Parquet, by the end of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.data.rows.csv_rows import csv_rows
from trainables.data.rows.json_rows import json_rows
from trainables.data.rows.parquet_rows import parquet_rows
from trainables.data.rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from trainables.data.encodings import Decoder
    from trainables.data.faults import Faults

__all__ = ["Row", "read_rows"]

_JSON_LINES = (".jsonl", ".ndjson")
_PARQUET = (".parquet",)


def read_rows(
    path: Path,
    columns: Sequence[str],
    faults: Faults,
    decoder: Decoder,
    *,
    optional: Collection[str] = (),
) -> Iterator[Row]:
    """Read a list file.

    Args:
        path: The file: `.jsonl` or `.ndjson` has an object in each line, `.parquet` is what its
            name says, any other is CSV with a header.
        columns: The columns it must have, in any order and among others.
        faults: Collects faults.
        decoder: Decodes a CSV file, each line separately.
        optional: Columns that may be missing, and are then empty.

    Yields:
        The valid rows, in order.
    """
    ending = path.suffix.lower()
    if ending in _JSON_LINES:
        yield from json_rows(path, columns, faults, optional)
    elif ending in _PARQUET:
        yield from parquet_rows(path, columns, faults, optional)
    else:
        yield from csv_rows(path, columns, faults, decoder, optional)
