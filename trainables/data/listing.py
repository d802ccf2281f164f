"""List files: the pairs of a data set, where their files are and what their tags say.

No text or image is opened here. Faults are collected in `Faults`, whose owner raises at the end;
what is returned after a fault only serves to find more of them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.config import ROLES, nearest
from trainables.data.files import is_there
from trainables.data.images import IMAGE_SUFFIXES
from trainables.data.rows import Row, read_rows
from trainables.data.rows.columns import OTHER_NAMES, Columns, Wanted
from trainables.data.tags import NO_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from trainables.config import Missing, Modality
    from trainables.data.encodings import Decoder
    from trainables.data.faults import Faults

TRAIN_LIST = "train.txt"
TEST_LIST = "test_without_label.txt"
LIST_COLUMNS = ("guid", "tag")
TABLE_COLUMNS = ("guid", "text", "image", "tag")
SPLIT_COLUMN = "split"
"""An optional column of every list that has tags."""
SPLITS = ("train", "val", "test")

# What published data sets call them.
_SPLITS = {"": "", "train": "train", "training": "train", "test": "test", "testing": "test"}
_SPLITS |= dict.fromkeys(("val", "valid", "validation", "dev", "development"), "val")
_MAX_NAME_BYTES = 200  # file systems allow 255, and suffixes are added
_PLAIN_NAME = f"guid must be a plain name without / \\ or :, of at most {_MAX_NAME_BYTES} bytes"
_BETWEEN_NAMES = re.compile(r"\s*[;|,]\s*|\s+")
_IMAGE_ENDS = tuple(end for suffix in IMAGE_SUFFIXES for end in (suffix, suffix.upper()))
_PAIRS = {
    "both": "pairs GUID.txt and GUID.jpg",
    "text": "texts GUID.txt",
    "image": "images GUID.jpg",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list file.

    Attributes:
        guid: Its unique name; safe as part of a file name.
        text: The file of the text, or the text itself; None if it is not read.
        image: The file of the image; None if it is not read, or the pair has none.
        tag: Its tag as spelt in the list; empty if it is to be predicted.
        place: Where its row is, for messages.
        split: The part of the data that it is given to: `train`, `val` or `test`, the name of the
            fold that validates it, or empty where nothing says so.
        unpacked: Whether the image was in the list itself, and its file is ours.
    """

    guid: str
    text: Path | str | None
    image: Path | None
    tag: str = ""
    place: str = ""
    split: str = ""
    unpacked: bool = False


@dataclass(frozen=True, slots=True)
class Lists:
    """How lists are read.

    Attributes:
        faults: Collects faults.
        decoder: Decodes the lists.
        unpack: Writes an image that is in a list into a file, and returns it.
        modality: What is read of a pair; files and columns of the other are ignored.
        missing: Whether a pair may lack its text or image.
        remedy: What helps where it may not.
        named: What lists call their columns.
    """

    faults: Faults
    decoder: Decoder
    unpack: Callable[[bytes], Path]
    modality: Modality = "both"
    missing: Missing = "refuse"
    remedy: str = "--missing allow takes pairs that lack one"
    named: Columns = field(default_factory=Columns)

    @property
    def may_lack(self) -> bool:
        """Whether a pair may lack its text or its image: both are read, so one is left."""
        return self.missing == "allow" and self.modality == "both"

    def rows(
        self, path: Path, columns: Sequence[str], optional: Collection[str] = ()
    ) -> Iterator[Row]:
        """Read the rows of a list, as `read_rows`."""
        wanted = Wanted(columns, optional, (SPLIT_COLUMN,), self.named)
        return read_rows(path, wanted, self.faults, self.decoder)


def list_folder(folder: Path, lists: Lists) -> list[Entry]:
    """List the pairs of a folder in the lab's layout.

    Args:
        folder: Holds `train.txt`, `test_without_label.txt` or both, and the pairs' files
            `GUID.txt` and `GUID.jpg` (or another of `IMAGE_SUFFIXES`, the first that exists) in
            `data/`, or beside the lists if there is no `data/`.
        lists: How lists are read.

    Returns:
        The rows of `train.txt`, then those of `test_without_label.txt`, in file order; without any
        list, all pairs by name, to be predicted.
    """
    files, faults, modality = _folder_of_pairs(folder), lists.faults, lists.modality
    if (present := _present(files, faults)) is None:
        return []
    if not any((folder / name).exists() for name in (TRAIN_LIST, TEST_LIST)):
        return _unlisted(files, present, lists)
    entries: list[Entry] = []
    seen: dict[str, str] = {}
    for name, must_be_labelled in ((TRAIN_LIST, True), (TEST_LIST, False)):
        if not (folder / name).exists():
            continue
        optional = () if must_be_labelled else ("tag",)
        for row in lists.rows(folder / name, LIST_COLUMNS, optional):
            if bool(_tag(row)) is not must_be_labelled:
                _misplaced(row, must_be_labelled, faults)
            if (guid := _guid(row, seen, faults)) is not None:
                entry = _pair(files, guid, present, modality, row)
                entries.append(replace(entry, split=_split(row, faults)))
    return entries


def list_more(path: Path, folder: Path, lists: Lists) -> list[Entry]:
    """List pairs of a folder by a list of their own.

    Args:
        path: The list, `guid` and optionally `tag`.
        folder: Holds the pairs, as in `list_folder`.
        lists: How lists are read.

    Returns:
        The rows, in order.
    """
    files, seen = _folder_of_pairs(folder), dict[str, str]()
    present = _present(files, lists.faults) or set()
    return [
        _pair(files, guid, present, lists.modality, row)
        for row in lists.rows(path, LIST_COLUMNS, ["tag"])
        if (guid := _guid(row, seen, lists.faults)) is not None
    ]


def _present(files: Path, faults: Faults) -> set[str] | None:
    try:
        return {path.name for path in files.iterdir()}
    except OSError as error:
        faults.add("every folder must be readable", f"{files}: {error.strerror}")
        return None


def _unlisted(files: Path, present: Collection[str], lists: Lists) -> list[Entry]:
    faults, modality = lists.faults, lists.modality
    ends = (".txt",) if "text" in ROLES[modality] else _IMAGE_ENDS
    if lists.may_lack:
        ends = (".txt", *_IMAGE_ENDS)
    guids = {name[: name.rindex(".")] for name in present if name.endswith(ends)}
    if not guids:
        faults.add(f"a data folder must hold {_PAIRS[modality]}", f"got {files}")
    for guid in guids:
        if not _is_plain_name(guid):
            faults.add(_PLAIN_NAME, f"{files}: got {guid!r}")
    return [_pair(files, guid, present, modality) for guid in sorted(guids)]


def _pair(
    files: Path,
    guid: str,
    present: Collection[str],
    modality: Modality,
    row: Row | None = None,
) -> Entry:
    text = files / f"{guid}.txt" if "text" in ROLES[modality] else None
    image = files / _image_name(guid, present) if "image" in ROLES[modality] else None
    listed = ("", "") if row is None else (_tag(row), row.place)
    return Entry(guid, text, image, *listed)


def list_table(table: Path, lists: Lists, *, require_tags: bool = True) -> list[Entry]:
    """List the pairs of a table.

    Args:
        table: A CSV, JSON or Parquet file with the columns `guid,text,image,tag`, in any order and
            among others; the image is a name relative to its folder, or in a Parquet file the
            image itself, and without that column `GUID.jpg` beside the table or in `data/`; the
            tag is empty or `null` if it is to be predicted; a column `split` may give each to a
            part. A column that is not read may be missing.
        lists: How lists are read.
        require_tags: Whether there must be a column `tag`.

    Returns:
        The rows, in order.
    """
    roles: tuple[str, ...] = ROLES[lists.modality]
    columns = [name for name in TABLE_COLUMNS if name in {"guid", "tag", *roles}]
    entries: list[Entry] = []
    seen: dict[str, str] = {}
    may_be_missing = {"image": True, "text": lists.may_lack, "tag": not require_tags}
    optional = [name for name in columns if may_be_missing.get(name)]
    beside = _ImagesBeside(_folder_of_pairs(table.parent), lists.faults)
    for row in lists.rows(table, columns, optional):
        split, image = _split(row, lists.faults), None
        guid = _guid(row, seen, lists.faults)
        if "image" in roles:
            image = _image(row, table, lists) if "image" in row.values else beside.of(guid)
        if guid is not None and (image is not None or lists.may_lack or "image" not in roles):
            text = row.values.get("text", "") if "text" in roles else None
            unpacked = row.image is not None
            entries.append(Entry(guid, text, image, _tag(row), row.place, split, unpacked))
    if beside.lacks_all and not lists.may_lack:
        rule = (
            "a table must have a column image, or GUID.jpg of its pairs beside it or in data/;"
            f" {OTHER_NAMES}"
        )
        lists.faults.add(rule, f"{table.name}: got neither")
    return entries


class _ImagesBeside:
    """Images that a table has no column for, by the names of its pairs.

    Args:
        folder: Where they are.
        faults: Collects faults.

    Attributes:
        lacks_all: Whether some were asked for, and none is there.
    """

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._folder, self._faults, self.lacks_all = folder, faults, False
        self._present: Collection[str] | None = None

    def of(self, guid: str | None) -> Path | None:
        """Return the file of a pair, which may be missing."""
        if guid is None:
            return None
        if self._present is None:
            found = _present(self._folder, self._faults)
            self._present, self.lacks_all = found or set(), found is not None
        name = _image_name(guid, self._present)
        self.lacks_all = self.lacks_all and name not in self._present
        return self._folder / name


def _image(row: Row, table: Path, lists: Lists) -> Path | None:
    """Return the file of a row's image; None if it has none, a fault unless it may."""
    name = row.values["image"].strip()
    count = row.images if row.images > 1 else _count_names(name, table.parent)
    if count > 1:
        rule = "every pair must have one image: choose one, or join them in one picture"
        lists.faults.add(rule, f"{row.place}: got {count}")
        return None
    if row.image is not None:
        try:
            return lists.unpack(row.image)
        except OSError as error:
            rule = "images in a table must be unpacked into the cache; --cache DIR names another"
            lists.faults.add(rule, f"{error.filename}: {error.strerror}")
            return None
    if not name and lists.may_lack:
        return None
    if not name or not name.isprintable():
        lacks = not name and lists.modality == "both"
        rule = "image must name a file" + f" ({lists.remedy})" * lacks
        lists.faults.add(rule, f"{row.place}: got {name!r}")
        return None
    return table.parent / name


def _count_names(words: str, folder: Path) -> int:
    """Count the images that a value names where it is a list of names and not a name itself."""
    names = [name.strip("\"'") for name in _BETWEEN_NAMES.split(words.strip("[]()"))]
    listed = len(names) > 1 and all(name.endswith(_IMAGE_ENDS) for name in names)
    return len(names) if listed and not is_there(folder / words) else 1


def _folder_of_pairs(folder: Path) -> Path:
    return folder / "data" if (folder / "data").is_dir() else folder


def refuse_outside(data: Path, entries: Sequence[Entry], faults: Faults) -> None:
    """Report files outside a data set: a downloaded one must not expose other files."""
    # The folder of pairs itself may be a link, since the user made it.
    inside = os.path.realpath(_folder_of_pairs(data) if data.is_dir() else data.parent)
    parents: dict[Path, str] = {}
    for entry in entries:
        for path in (entry.text, None if entry.unpacked else entry.image):
            if not isinstance(path, Path):
                continue
            if path.parent not in parents:  # resolving every path would be slow
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
    except OSError:  # the name is too long, which is reported when the file is read
        return path


def _tag(row: Row) -> str:
    """Return a row's tag; empty if it has none."""
    tag = row.values.get("tag", "").strip()
    return "" if tag.lower() in NO_TAG else tag


def _split(row: Row, faults: Faults) -> str:
    """Read which part of the data a row is given to; none where there is no such column."""
    named = row.values.get(SPLIT_COLUMN, "").strip().lower()
    split = _SPLITS.get(named)
    if split is None:
        rule = f"{SPLIT_COLUMN} must be one of {', '.join(SPLITS)}"
        faults.add(rule, f"{row.place}: got {named!r}; {nearest(named, SPLITS)}")
        return ""
    if not _tag(row) and split in {"train", "val"}:
        rule = f"every pair of the {SPLIT_COLUMN}s train and val must have a tag"
        faults.add(rule, f"{row.place}: got none")
    return split


def _misplaced(row: Row, must_be_labelled: bool, faults: Faults) -> None:
    tag = row.values.get("tag", "").strip()
    if must_be_labelled:
        rule = f"every pair in {TRAIN_LIST} must have a tag; move others to {TEST_LIST}"
        faults.add(rule, f"{row.place}: got {tag!r}")
    else:
        rule = f"tag must be null in {TEST_LIST}; move labelled pairs to {TRAIN_LIST}"
        faults.add(rule, f"{row.place}: got {tag!r}")


def _guid(row: Row, seen: dict[str, str], faults: Faults) -> str | None:
    guid = row.values["guid"].strip()
    if not _is_plain_name(guid):
        faults.add(_PLAIN_NAME, f"{row.place}: got {guid!r}")
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
    names = [guid + end for end in _IMAGE_ENDS]
    return next((name for name in names if name in present), names[0])
