"""Files that are written whole or not at all: under another name first, then renamed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


# What spreadsheets take for a formula; a plain word or number may begin with a sign.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\w.-]*$)")


class ResultsError(RuntimeError):
    """A run folder lacks, or cannot give, what was asked of it."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of one.

    Args:
        path: The file; its folder is made when missing.
        write: Writes the content to the path it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole.

    Args:
        path: The file.
        record: What to write; no NaN or infinity, which are not JSON.
    """
    text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_json(path: Path, missing: str) -> dict[str, Any]:
    """Read a JSON record.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.

    Returns:
        The record.

    Raises:
        ResultsError: If the file is missing or no JSON object.
    """
    try:
        record = json.loads(read_text(path, missing))
    except json.JSONDecodeError as error:
        msg = f"{path} must be JSON, got {error}"
        raise ResultsError(msg) from error
    if not isinstance(record, dict):
        msg = f"{path} must hold a JSON object, got {type(record).__name__}"
        raise ResultsError(msg)
    return record


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, whole.

    Args:
        path: The file.
        frame: The table; its index is not written.
    """
    write_whole(path, lambda partial: frame.to_csv(partial, index=False, lineterminator="\n"))


def spreadsheet_safe(cell: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run as a formula.

    Args:
        cell: A cell of a table.

    Returns:
        The cell, with an apostrophe where it needs one.
    """
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def read_csv(path: Path, missing: str, *, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV table; a last line without its line end was torn by a kill and is left out.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.
        text: Columns of text: kept as they are spelt, empty when empty.

    Returns:
        The table.

    Raises:
        ResultsError: If the file is missing or no table.
    """
    whole = read_text(path, missing)
    lines = io.StringIO(whole[: whole.rfind("\n") + 1])
    text = set(text)
    empty = {name: ["", "nan"] for name in _header(path) if name not in text}
    try:
        frame = pd.read_csv(
            lines,
            dtype=dict.fromkeys(text, "str"),
            keep_default_na=False,  # a guid may be spelt NA
            na_values=empty,
        )
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        msg = f"{path} must be a CSV table, got {error}"
        raise ResultsError(msg) from error
    return frame


def append_csv(path: Path, row: Mapping[str, object]) -> None:
    """Add a row in one write of one line; the whole table is written anew for a new column.

    Args:
        path: The file; the first row makes it.
        row: Values by column; a column that is left out stays empty.
    """
    columns = _header(path)
    if not row.keys() <= set(columns):
        frame = pd.DataFrame([row])
        write_csv(path, pd.concat([read_csv(path, ""), frame]) if columns else frame)
        return
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([row.get(column, "") for column in columns])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(line.getvalue())


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet, whole.

    Args:
        path: The file.
        frame: The table; its index is not written.
    """
    write_whole(path, lambda partial: frame.to_parquet(partial, index=False))


def read_parquet(path: Path, missing: str) -> pd.DataFrame:
    """Read a Parquet table.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.

    Returns:
        The table.

    Raises:
        ResultsError: If the file is missing or no table.
    """
    if not path.exists():
        msg = f"{path} does not exist: {missing}"
        raise ResultsError(msg)
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # of pyarrow: what is cut off, or no table
        msg = f"{path} must be a Parquet table, got {error}"
        raise ResultsError(msg) from error


def read_text(path: Path, missing: str) -> str:
    """Read a text file.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.

    Returns:
        Its content.

    Raises:
        ResultsError: If the file is missing.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        msg = f"{path} does not exist: {missing}"
        raise ResultsError(msg) from error


def _header(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])
