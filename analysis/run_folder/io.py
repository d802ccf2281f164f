"""Files that are written whole or not at all, and checked when they are read.

They are written under another name first, then renamed. A file that is missing, damaged or not
what was written raises `ResultsError`, in one line that names the file and what helps.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
from typing import TYPE_CHECKING, Any

import pandas as pd
from pyarrow import ArrowException

from analysis.run_folder import digests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


_MOST_BYTES = 4 << 30  # of a file that is read whole into memory
_MOST_RECORD_BYTES = 64 << 20  # of a JSON record, which takes far more in memory
_MOST_LETTERS = 300  # letters of a fault: it may hold what is in the file

# What spreadsheets take for a formula; a plain word or number may begin with a sign.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\w.-]*$)")


_RESUME = "python -m search.run --resume {run}"
_ANEW = f"{_RESUME} makes it anew"
_REMEDIES: Mapping[str, str] = {
    "search.json": "put back a copy of it: it says what was searched",
    "study.journal": "put back a copy of it: it is the search",
    "history.csv": f"delete it, and {_RESUME} goes on without the epochs that it held",
    "probabilities": "delete it to go without: they are of a trial that has ended",
    "index.json": "python -m analysis.explain {run} makes it anew",
    "explanations": "python -m analysis.explain {run} makes it anew",
    "thumbnails": f"delete it, and {_RESUME} makes it anew",
    **dict.fromkeys(("trials.csv", "best.json", "importances.csv", "fusions.csv"), _ANEW),
    "all_models.json": "put back a copy of it: it says what was searched",
    "best_model.json": _ANEW,
    **dict.fromkeys(("samples.parquet", "stages.json", "floor.parquet"), _ANEW),
    **dict.fromkeys(("predictions.csv", "probabilities.csv"), _ANEW),
    **dict.fromkeys(("rung_zero.csv", "rung_zero.parquet"), _ANEW),
    **dict.fromkeys(("confirmations", "test_probabilities"), _ANEW),
}
"""What helps where a file of a run folder is damaged, by its name or that of its folder."""


class ResultsError(RuntimeError):
    """A run folder lacks, or cannot give, what was asked of it."""


class DamageError(ResultsError):
    """A file is not what it should be; the message, of one line, says what helps.

    Args:
        path: The file.
        fault: What it must be, and what it is.
    """

    def __init__(self, path: Path, fault: str) -> None:
        line = " ".join(fault.split())
        line = line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}..."
        super().__init__("; ".join([f"{path} {line}", *_remedies(path)]))


def _remedies(path: Path) -> Iterator[str]:
    in_run = path.name in _REMEDIES and path.name != "index.json"
    remedy = _REMEDIES.get(path.name) or _REMEDIES.get(path.parent.name)
    if remedy:
        yield remedy.format(run=path.parent if in_run else path.parent.parent)
    if digests.is_noted(path):
        yield f"without {digests.NAME} the files are taken as they are"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of one.

    Args:
        path: The file; its folder is made when missing.
        write: Writes the content to the path it is given.

    Raises:
        DamageError: If a folder is in its place.
    """
    _refuse_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        digests.note(path, partial.read_bytes())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole; a device or a pipe is written directly.

    Raises:
        DamageError: If a folder is in its place.
    """
    _refuse_folder(path)
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
    else:
        write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise DamageError(path, "must be a file to be written, got a folder: move it away")


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON, whole; it must hold no NaN or infinity, which are not JSON."""
    write_text(path, json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path, missing: str) -> dict[str, Any]:
    """Read a JSON record.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.

    Returns:
        The record.

    Raises:
        DamageError: If the file is damaged or no JSON object; `ResultsError` if it is missing.
    """
    text = read_text(path, missing, most=_MOST_RECORD_BYTES)
    try:
        record = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise DamageError(path, f"must be JSON, got {error}") from error
    if not isinstance(record, dict):
        raise DamageError(path, f"must hold a JSON object, got {type(record).__name__}")
    return record


def _finite(spelt: str) -> float:
    number = float(spelt)
    if not math.isfinite(number):
        msg = f"the number {spelt}"
        raise ValueError(msg)
    return number


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, whole, without its index."""
    write_whole(path, lambda partial: frame.to_csv(partial, index=False, lineterminator="\n"))


def spreadsheet_safe(cell: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def read_csv(
    path: Path, missing: str, *, text: Iterable[str] = (), grows: bool = False
) -> pd.DataFrame:
    """Read a CSV table.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.
        text: Columns of text: kept as they are spelt, empty when empty.
        grows: Whether it grows by lines: then a last one without its line end was torn by a kill
            and is left out. Of a table that was written whole, more is missing.

    Returns:
        The table.

    Raises:
        DamageError: If the file is damaged or no table; `ResultsError` if it is missing.
    """
    whole = read_text(path, missing)
    if not grows and whole and not whole.endswith("\n"):
        raise DamageError(path, "must end in a line end, got a torn last line")
    lines = io.StringIO(whole[: whole.rfind("\n") + 1])
    text = set(text)
    try:
        empty = {name: ["", "nan"] for name in next(csv.reader(lines), []) if name not in text}
        lines.seek(0)
        frame = pd.read_csv(
            lines,
            dtype=dict.fromkeys(text, "str"),
            keep_default_na=False,  # a guid may be spelt NA
            na_values=empty,
        )
    except (ValueError, OverflowError, csv.Error) as error:
        raise DamageError(path, f"must be a CSV table, got {error}") from error
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
        old = [read_csv(path, "", grows=True)] if columns else []
        write_csv(path, pd.concat([*old, frame]))
        return
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([row.get(column, "") for column in columns])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(line.getvalue())


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet, whole, without its index."""
    write_whole(path, lambda partial: frame.to_parquet(partial, index=False))


def read_parquet(path: Path, missing: str) -> pd.DataFrame:
    """Read a Parquet table.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.

    Returns:
        The table.

    Raises:
        DamageError: If the file is damaged or no table; `ResultsError` if it is missing.
    """
    content = read_bytes(path, missing)
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError, KeyError, TypeError, MemoryError, ArrowException) as error:
        raise DamageError(path, f"must be a Parquet table, got {error}") from error


def read_text(path: Path, missing: str, most: int = _MOST_BYTES) -> str:
    """Read a text file of at most `most` bytes.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.
        most: A longer file is damaged.

    Returns:
        Its content.

    Raises:
        DamageError: If the file is damaged or no text; `ResultsError` if it is missing.
    """
    try:
        return read_bytes(path, missing, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamageError(
            path, f"must be UTF-8 text, got {error.reason} at {error.start}"
        ) from error


def read_bytes(path: Path, missing: str, most: int = _MOST_BYTES) -> bytes:
    """Read a file of a run folder of at most `most` bytes; every other reader calls this one.

    Args:
        path: The file.
        missing: What it means that the file is missing, for the message.
        most: A longer file is damaged.

    Returns:
        Its content.

    Raises:
        DamageError: If it is no file, cannot be read or is not what was written; `ResultsError`
            if it was never there.
    """
    content = _content(path, missing, most)
    if digests.fault_of(path, content):  # unless it was written anew in between
        content = _content(path, missing, most)
    if fault := digests.fault_of(path, content):
        raise DamageError(path, fault)
    return content


def _content(path: Path, missing: str, most: int) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for ever
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise DamageError(path, f"must be a file, got {what}")
        if found.st_size > most:
            raise DamageError(path, f"must have up to {most:,} bytes, got {found.st_size:,}")
        return path.read_bytes()
    except FileNotFoundError as error:
        if digests.is_noted(path):
            raise DamageError(path, "must be there, as it was written, and is gone") from error
        msg = f"{path} does not exist: {missing}"
        raise ResultsError(msg) from error
    except OSError as error:
        raise DamageError(path, f"cannot be read: {error.strerror}") from error


def _header(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), [])
