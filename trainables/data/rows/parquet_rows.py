"""Rows of a Parquet file, as data sets of the Hugging Face hub are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainables.data.files import FileError, open_regular
from trainables.data.rows.row import Row, first_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trainables.data.faults import Faults
    from trainables.data.rows.columns import Wanted

_IMAGE = "image"
_ROWS = 64  # in memory at once, with their images


def parquet_rows(path: Path, wanted: Wanted, faults: Faults) -> Iterator[Row]:
    """Read a Parquet file.

    Args:
        path: The file.
        wanted: What is read of it; without a `guid`, the row's number from 0 is its name. An
            `image` is the name of a file, its bytes, or a record with `bytes` and `path`.
        faults: Collects faults.

    Yields:
        The rows, in order.
    """
    import pyarrow as pa  # noqa: PLC0415 - for such files alone

    try:
        with open_regular(path) as file:
            yield from _rows(file, path.name, wanted, faults)
    except (FileError, OSError, pa.ArrowException) as error:
        words = " ".join(str(error).split())
        faults.add("every list file must be readable", f"{path}: {words}")


def _rows(file: Any, name: str, wanted: Wanted, faults: Faults) -> Iterator[Row]:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - likewise

    table = ParquetFile(file)
    theirs = table.schema_arrow.names
    stored_as = dict(zip(wanted.named.ours(theirs), theirs, strict=True))
    if missing := wanted.missing({*stored_as, "guid"}):
        rule = f"a Parquet file must have the columns {wanted.described}"
        shown = ",".join(theirs)[:80]
        faults.add(rule, f"{name}: got no {' and no '.join(missing)} in {shown!r}")
        return
    names = (*wanted.columns, *wanted.further)
    read = {name: stored_as[name] for name in names if name in stored_as}
    number = 0
    for batch in table.iter_batches(batch_size=_ROWS, columns=list(read.values())):
        for record in batch.to_pylist():
            values = {column: record[stored] for column, stored in read.items()}
            image, images = first_of(values.get(_IMAGE))
            image, raw = image_of(image)
            texts = {c: image if c == _IMAGE else _text(v) for c, v in values.items()}
            row = {"guid": str(number), **texts}
            number += 1
            yield Row(f"{name} row {number}", row, raw, images)


def image_of(value: Any) -> tuple[str, bytes | None]:
    """Return the name of an image's file and its bytes, if it is given as such."""
    if isinstance(value, dict):
        return _text(value.get("path")), value.get("bytes")
    return ("", value) if isinstance(value, bytes) else (_text(value), None)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
