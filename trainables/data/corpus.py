"""Data sets from disk, checked whole: what loads here cannot fail in the middle of a search."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainables.data.faults import CorpusError, Faults
from trainables.data.files import FileError, is_there, read_beginning, read_regular
from trainables.data.images import (
    IMAGE_SUFFIXES,
    MAX_IMAGE_BYTES,
    ImageError,
    check_image,
)
from trainables.data.listing import TRAIN_LIST, Entry, list_folder, list_table, refuse_outside
from trainables.data.sample import TAGS, Corpus, Sample
from trainables.data.text import decode_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CorpusError", "find_corpus", "load_corpus"]

# Reading waits for the disk (often a network's), and decoding leaves Python's lock.
_READERS = 8
# Far more than any model reads: a tokenizer would take minutes and gigabytes for ten megabytes.
MAX_TEXT_BYTES = 100_000


def find_corpus(folder: Path) -> Path | None:
    """Look for a data set in the lab's layout.

    Args:
        folder: Where to look.

    Returns:
        `folder` when it holds `train.txt` and `data/`; `folder/data` when that holds `train.txt`;
        otherwise None.
    """
    if (folder / TRAIN_LIST).is_file() and (folder / "data").is_dir():
        return folder
    if (folder / "data" / TRAIN_LIST).is_file():
        return folder / "data"
    return None


def load_corpus(path: Path, *, require_labels: bool = True, allow_outside: bool = False) -> Corpus:
    """Read a data set and check every file of it.

    Each file is read once, and each image decoded. Texts that are no UTF-8 or are empty are
    counted in `Corpus.notes`.

    Args:
        path: A folder with `train.txt` (`guid,tag`), perhaps `test_without_label.txt`, and
            `GUID.txt` and `GUID.jpg` in `data/` or beside the lists; or a CSV file
            `guid,text,image,tag`.
        require_labels: Whether two classes must be labelled, as training needs; without, a data
            set may be there to be predicted only, and a folder needs no list: all its pairs count.
        allow_outside: Whether files outside the folder of the data may be read, which links, `..`
            and absolute paths reach.

    Returns:
        The data set, with absolute image paths.

    Raises:
        CorpusError: If anything is missing or wrong; tells every fault at once.
    """
    path = path.absolute()
    if not is_there(path):
        msg = f"data must be a folder with {TRAIN_LIST} or a CSV file, got {path}: it is missing"
        raise CorpusError(msg)
    faults = Faults()
    if path.is_dir():
        path = find_corpus(path) or path
        if require_labels and not (path / TRAIN_LIST).exists():
            rule = f"a data folder must hold {TRAIN_LIST} (guid,tag) beside the pairs or data/"
            faults.add(rule, f"got {path}")
        entries = list_folder(path, faults)
    else:
        entries = list_table(path, faults)
    if not allow_outside:
        refuse_outside(path, entries, faults)
    if require_labels and not faults:
        _require_classes(entries, faults)
    with ThreadPoolExecutor(_READERS) as readers:
        reads = list(readers.map(_read, entries))
    for read in reads:
        for rule, example in read.faults:
            faults.add(rule, example)
    faults.raise_any(path)
    samples = [read.sample for read in reads]
    return Corpus(
        name=path.stem if path.is_file() else path.name,
        labelled=tuple(sample for sample in samples if sample.label is not None),
        unlabelled=tuple(sample for sample in samples if sample.label is None),
        notes=_notes(reads),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    sample: Sample
    mended: bool  # whether the text had bytes that are no UTF-8
    cut: bool  # whether the text was longer than is read
    faults: list[tuple[str, str]]  # rule and example


def _read(entry: Entry) -> _Read:
    faults: list[tuple[str, str]] = []
    text, mended, cut, raw, size = "", False, False, b"", None
    try:
        written = entry.text
        if not isinstance(written, bytes):
            written = read_beginning(written, MAX_TEXT_BYTES + 1)
        cut = len(written) > MAX_TEXT_BYTES
        text, mended = decode_text(_whole_characters(written[:MAX_TEXT_BYTES]) if cut else written)
    except FileError as error:
        faults.append(("every text file must be readable", f"{entry.text!s}: {error}"))
    try:
        raw = read_regular(entry.image, MAX_IMAGE_BYTES)
        size = check_image(entry.image, raw)
    except FileError as error:
        rule = f"every image file must be readable ({' '.join(IMAGE_SUFFIXES)})"
        faults.append((rule, f"{entry.image}: {error}"))
    except ImageError as error:
        faults.append(("every image file must be whole", str(error)))
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    sample = Sample(entry.guid, text, entry.image, digest, entry.label, size)
    return _Read(sample, mended, cut, faults)


def _whole_characters(raw: bytes) -> bytes:
    """Leave out the last character of a text in UTF-8 that was cut at some byte."""
    end = len(raw)
    while end and raw[end - 1] & 0xC0 == 0x80:
        end -= 1
    return raw[: end - 1] if end and raw[end - 1] >= 0xC0 else raw


def _require_classes(entries: list[Entry], faults: Faults) -> None:
    counts = Counter(entry.label for entry in entries if entry.label is not None)
    if len(counts) < 2:
        found = " and ".join(f"{count:,} {label.tag}" for label, count in counts.items())
        rule = f"at least two of {', '.join(TAGS)} must be labelled"
        faults.add(rule, f"got {found or 'no labelled pair'}")


def _notes(reads: list[_Read]) -> tuple[str, ...]:
    mended = sum(read.mended for read in reads)
    cut = sum(read.cut for read in reads)
    empty = sum(not read.sample.text.strip() for read in reads)
    total = f"of {len(reads):,} texts"
    notes = []
    if mended:
        notes.append(f"{mended:,} {total} are not UTF-8; their undecodable bytes were dropped")
    if cut:
        notes.append(
            f"{cut:,} {total} are longer than {MAX_TEXT_BYTES:,} bytes; the rest is left out"
        )
    if empty:
        notes.append(f"{empty:,} {total} are empty; their images stand alone")
    return tuple(notes)
