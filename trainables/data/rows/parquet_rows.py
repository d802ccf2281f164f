"""Rows of a Parquet file, as data sets of the Hugging Face hub are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainables.data.files import FileError, open_regular
from trainables.data.rows.row import Row, first_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from trainables.data.faults import Faults

_IMAGE = "image"
_ROWS = 64  # in memory at once, with their images


def parquet_rows(
    path: Path, columns: Sequence[str], faults: Faults, optional: Collection[str]
) -> Iterator[Row]:
    """Read a Parquet file.

    Args:
        path: The file.
        columns: The columns it must have, in any order and among others; without a `guid`, the
            row's number from 0 is its name. An `image` is the name of a file, its bytes, or a
            record with `bytes` and `path`.
        faults: Collects faults.
        optional: Columns that may be missing, and are then empty.

    Yields:
        The rows, in order.
    """
    import pyarrow as pa  # noqa: PLC0415 - for such files alone

    try:
        with open_regular(path) as file:
            yield from _rows(file, path.name, columns, faults, optional)
    except (FileError, OSError, pa.ArrowException) as error:
        words = " ".join(str(error).split())
        faults.add("every list file must be readable", f"{path}: {words}")


def _rows(
    file: Any, name: str, columns: Sequence[str], faults: Faults, optional: Collection[str]
) -> Iterator[Row]:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - likewise

    table = ParquetFile(file)
    named = {column.strip().lower(): column for column in table.schema_arrow.names}
    if missing := [c for c in columns if c not in {*named, *optional, "guid"}]:
        rule = f"a Parquet file must have the columns {','.join(columns)}"
        faults.add(rule, f"{name}: got no {' and no '.join(missing)}")
        return
    wanted = {c: named[c] for c in (*columns, "split") if c in named}
    number = 0
    for batch in table.iter_batches(batch_size=_ROWS, columns=list(wanted.values())):
        for record in batch.to_pylist():
            values = {column: record[stored] for column, stored in wanted.items()}
            image, images = first_of(values.pop(_IMAGE, None))
            image, raw = image_of(image)
            texts = {column: _text(value) for column, value in values.items()}
            row = {"guid": str(number), **dict.fromkeys(optional, ""), _IMAGE: image, **texts}
            number += 1
            yield Row(f"{name} row {number}", row, raw, images)


def image_of(value: Any) -> tuple[str, bytes | None]:
    """Return the name of an image's file and its bytes, if it is given as such."""
    if isinstance(value, dict):
        return _text(value.get("path")), value.get("bytes")
    return ("", value) if isinstance(value, bytes) else (_text(value), None)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
