"""Rows of a list file: CSV, JSON or Parquet, by the end of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.data.rows.csv_rows import csv_rows
from trainables.data.rows.json_rows import json_rows
from trainables.data.rows.parquet_rows import parquet_rows
from trainables.data.rows.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainables.data.encodings import Decoder
    from trainables.data.faults import Faults
    from trainables.data.rows.columns import Wanted

__all__ = ["Row", "read_rows"]

_JSON = (".json", ".jsonl", ".ndjson")
_PARQUET = (".parquet",)


def read_rows(path: Path, wanted: Wanted, faults: Faults, decoder: Decoder) -> Iterator[Row]:
    """Read a list file.

    Args:
        path: The file: `.json`, `.jsonl` or `.ndjson` has an object in each line, or is a list of
            objects; `.parquet` is what its name says, any other is CSV with a header.
        wanted: What is read of it.
        faults: Collects faults.
        decoder: Decodes a CSV file, each line separately.

    Yields:
        The valid rows, in order.
    """
    ending = path.suffix.lower()
    if ending in _JSON:
        yield from json_rows(path, wanted, faults)
    elif ending in _PARQUET:
        yield from parquet_rows(path, wanted, faults)
    else:
        yield from csv_rows(path, wanted, faults, decoder)
