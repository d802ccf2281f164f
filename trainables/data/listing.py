"""List files: which pairs a data set has, where their parts are and what their tags say.

Nothing here opens a text or an image. Every fault is noted in `Faults`, whose owner raises in the
end; so what comes back after a fault is for finding further faults only.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.config import nearest
from trainables.data.files import FileError, read_regular
from trainables.data.images import IMAGE_SUFFIXES
from trainables.data.sample import TAGS, Sentiment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from trainables.data.faults import Faults

TRAIN_LIST = "train.txt"
TEST_LIST = "test_without_label.txt"
LIST_COLUMNS = ("guid", "tag")
TABLE_COLUMNS = ("guid", "text", "image", "tag")
MAX_LIST_BYTES = 500_000_000

_NO_TAG = ("", "null")
_MAX_NAME_BYTES = 200  # a file system takes 255 at most, and something is added


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list file.

    Attributes:
        guid: Its name, unique; safe as a part of a file's name.
        text: The file of the text, or the text's own bytes.
        image: The file of the image.
        label: The class, or None where it is to be predicted.
    """

    guid: str
    text: Path | bytes
    image: Path
    label: Sentiment | None


@dataclass(frozen=True, slots=True)
class _Row:
    place: str  # file and line, for messages
    values: dict[str, str]  # by column


def list_folder(folder: Path, faults: Faults) -> list[Entry]:
    """List the pairs of a folder in the lab's layout.

    Args:
        folder: Holds `train.txt`, `test_without_label.txt` or both, and the pairs' files
            `GUID.txt` and `GUID.jpg` (or another of `IMAGE_SUFFIXES`, the first found) in
            `data/`, or beside the lists when there is no `data/`.
        faults: Takes what is wrong.

    Returns:
        The rows of `train.txt`, then those of `test_without_label.txt`, each in its order; without
        any list, every pair by name, to be predicted.
    """
    files = _folder_of_pairs(folder)
    try:
        present = {path.name for path in files.iterdir()}
    except OSError as error:
        faults.add("every folder must be readable", f"{files}: {error.strerror}")
        return []
    if not any((folder / name).exists() for name in (TRAIN_LIST, TEST_LIST)):
        return _unlisted(files, present, faults)
    entries: list[Entry] = []
    seen: dict[str, str] = {}
    for name, must_be_labelled in ((TRAIN_LIST, True), (TEST_LIST, False)):
        if not (folder / name).exists():
            continue
        for row in _rows(folder / name, LIST_COLUMNS, faults):
            label = _label(row, faults)
            if (label is not None) is not must_be_labelled:
                _misplaced(row, must_be_labelled, faults)
            if (guid := _guid(row, seen, faults)) is not None:
                image = files / _image_name(guid, present)
                entries.append(Entry(guid, files / f"{guid}.txt", image, label))
    return entries


def _unlisted(files: Path, present: Collection[str], faults: Faults) -> list[Entry]:
    guids = sorted(name.removesuffix(".txt") for name in present if name.endswith(".txt"))
    if not guids:
        faults.add("a data folder must hold pairs GUID.txt and GUID.jpg", f"got {files}")
    return [
        Entry(guid, files / f"{guid}.txt", files / _image_name(guid, present), None)
        for guid in guids
    ]


def list_table(table: Path, faults: Faults) -> list[Entry]:
    """List the pairs of a CSV file.

    Args:
        table: A file with the columns `guid,text,image,tag`, in any order and among others;
            images relative to its folder; no tag or `null` where it is to be predicted.
        faults: Takes what is wrong.

    Returns:
        The rows, in order.
    """
    entries: list[Entry] = []
    seen: dict[str, str] = {}
    for row in _rows(table, TABLE_COLUMNS, faults):
        label = _label(row, faults)
        image = row.values["image"].strip()
        named = bool(image) and image.isprintable()
        if not named:
            faults.add("image must name a file", f"{row.place}: got {image!r}")
        guid = _guid(row, seen, faults)
        if named and guid is not None:
            text = row.values["text"].encode(errors="surrogateescape")
            entries.append(Entry(guid, text, table.parent / image, label))
    return entries


def _folder_of_pairs(folder: Path) -> Path:
    return folder / "data" if (folder / "data").is_dir() else folder


def refuse_outside(data: Path, entries: Sequence[Entry], faults: Faults) -> None:
    """Refuse files outside a data set: one from elsewhere must not have others read and shown.

    Args:
        data: The folder, or the CSV file.
        entries: Its rows.
        faults: Takes what is wrong.
    """
    # A link may be the whole folder of pairs: whoever laid it knows where it leads.
    inside = os.path.realpath(_folder_of_pairs(data) if data.is_dir() else data.parent)
    parents: dict[Path, str] = {}
    for entry in entries:
        for path in (entry.text, entry.image):
            if isinstance(path, bytes):
                continue
            if path.parent not in parents:  # a look at every part of every path would take long
                parents[path.parent] = os.path.realpath(path.parent)
            target = _followed(Path(parents[path.parent], path.name))
            if not target.is_relative_to(inside):
                rule = (
                    "every file must lie in the data folder; copy it there, or use --allow-outside"
                )
                faults.add(rule, f"{path} is {target}")


def _followed(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path)) if path.is_symlink() else path
    except OSError:  # of a name that is too long, which is told where it is read
        return path


def _rows(path: Path, columns: Sequence[str], faults: Faults) -> Iterator[_Row]:
    lines = _lines(path, faults)
    _, first = next(lines, ("", []))
    header = [name.strip().lower() for name in first]
    if not set(columns) <= set(header):
        rule = f"the first line must name the columns {','.join(columns)}"
        faults.add(rule, f"{path.name}: got {','.join(header)[:80]!r}")
        return
    for place, values in lines:
        if len(values) == len(header):
            yield _Row(place, dict(zip(header, values, strict=True)))
        else:
            rule = f"every line must have {len(header)} values, quoted where they hold a comma"
            faults.add(rule, f"{place}: got {len(values)}")


def _lines(path: Path, faults: Faults) -> Iterator[tuple[str, list[str]]]:
    try:
        raw = read_regular(path, MAX_LIST_BYTES)
    except FileError as error:
        faults.add("every list file must be readable", f"{path}: {error}")
        return
    # Surrogates carry bytes that are no UTF-8 to the one value they belong to.
    text = raw.decode("utf-8-sig", errors="surrogateescape")
    reader = csv.reader(StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        for values in reader:
            if any(value.strip() for value in values):
                yield f"{path.name} line {reader.line_num}", values
    except csv.Error as error:
        place = f"{path.name} line {reader.line_num}"
        faults.add("every list file must be sound CSV", f"{place}: {error}")


def _label(row: _Row, faults: Faults) -> Sentiment | None:
    tag = row.values["tag"].strip().lower()
    if tag in _NO_TAG:
        return None
    if tag not in TAGS:
        rule = f"tag must be one of {', '.join(TAGS)}"
        faults.add(rule, f"{row.place}: got {tag!r}; {nearest(tag, TAGS)}")
        return None
    return Sentiment[tag.upper()]


def _misplaced(row: _Row, must_be_labelled: bool, faults: Faults) -> None:
    tag = row.values["tag"].strip()
    if must_be_labelled and tag.lower() in _NO_TAG:
        rule = f"every pair in {TRAIN_LIST} must have a tag; move others to {TEST_LIST}"
        faults.add(rule, f"{row.place}: got {tag!r}")
    elif not must_be_labelled:
        rule = f"tag must be null in {TEST_LIST}; move labelled pairs to {TRAIN_LIST}"
        faults.add(rule, f"{row.place}: got {tag!r}")


def _guid(row: _Row, seen: dict[str, str], faults: Faults) -> str | None:
    guid = row.values["guid"].strip()
    if not _is_plain_name(guid):
        rule = f"guid must be a plain name without / \\ or :, of at most {_MAX_NAME_BYTES} bytes"
        faults.add(rule, f"{row.place}: got {guid!r}")
        return None
    if guid in seen:
        faults.add("guid must be unique", f"{row.place}: got {guid!r}, as in {seen[guid]}")
        return None
    seen[guid] = row.place
    return guid


def _is_plain_name(guid: str) -> bool:
    if not guid or guid in {".", ".."} or set(guid) & set("/\\:") or not guid.isprintable():
        return False
    return len(guid.encode()) <= _MAX_NAME_BYTES


def _image_name(guid: str, present: Collection[str]) -> str:
    names = [guid + form for suffix in IMAGE_SUFFIXES for form in (suffix, suffix.upper())]
    return next((name for name in names if name in present), names[0])
