"""Load data sets and check every file, so that a search cannot fail on bad data halfway."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainables.data.encodings import Decoder
from trainables.data.faults import CorpusError, Faults, legible
from trainables.data.files import FileError, is_there, read_beginning, read_regular
from trainables.data.given_splits import TEST, GivenSplits, fold_numbers
from trainables.data.images import (
    IMAGE_SUFFIXES,
    MAX_IMAGE_BYTES,
    ImageError,
    check_image,
)
from trainables.data.listing import (
    TRAIN_LIST,
    Entry,
    Lists,
    list_folder,
    list_table,
    refuse_outside,
)
from trainables.data.rows.columns import Columns
from trainables.data.sample import Corpus, Sample, image_digest
from trainables.data.tags import Tagged, Tagging, read_tags
from trainables.data.whole_images import WholeImages
from trainables.evaluation.classes import SENTIMENTS, Classes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainables.config import Missing, Modality

__all__ = [
    "Allowed",
    "CorpusError",
    "Spelling",
    "find_classes",
    "find_corpus",
    "load_corpus",
    "load_pairs",
]

# Threads help: reads wait for the disk, often over a network, and decoding releases the GIL.
_READERS = 8
# Far more than any model reads: tokenizing 10 MB takes minutes and gigabytes.
MAX_TEXT_BYTES = 100_000


class Allowed(NamedTuple):
    """What a data set is refused for, unless it is asked for.

    Attributes:
        outside: Whether links, `..` and absolute paths may lead out of the data's folder.
        missing: Whether a pair may lack its text or its image, if both are read; never both, nor
            may all pairs that are learnt from lack the same.
    """

    outside: bool = False
    missing: Missing = "refuse"


@dataclass(frozen=True)
class Spelling:
    """How a data set is spelt, as far as it is known before it is read.

    Attributes:
        decoder: Decodes texts that are not UTF-8.
        tagging: What is known of its classes; by default they are called as its tags are.
        columns: What its lists call their columns; by default as we do.
    """

    decoder: Decoder = field(default_factory=Decoder)
    tagging: Tagging = field(default_factory=Tagging)
    columns: Columns = field(default_factory=Columns)


def find_corpus(folder: Path) -> Path | None:
    """Return `folder` or its `data`, whichever is a data set in the lab's layout, or None."""
    if (folder / TRAIN_LIST).is_file() and (folder / "data").is_dir():
        return folder
    if (folder / "data" / TRAIN_LIST).is_file():
        return folder / "data"
    return None


def load_corpus(
    path: Path,
    *,
    allowed: Allowed | None = None,
    modality: Modality = "both",
    spelling: Spelling | None = None,
    whole_images: WholeImages | None = None,
    given: GivenSplits | None = None,
) -> Corpus:
    """Load a data set to learn from, and check all its files.

    Each file is read once, and each image decoded. Texts that are not UTF-8 or are empty are
    counted in `Corpus.notes`; those that are not UTF-8 are assumed to share one encoding, which is
    detected from all of them.

    Args:
        path: A folder with `train.txt` (`guid,tag`), optionally `test_without_label.txt`, and
            `GUID.txt` and `GUID.jpg` in `data/` or beside the lists; or a CSV file
            `guid,text,image,tag`, or a JSON or Parquet file of the same. A further column `split`
            gives pairs to train, val or test.
        allowed: What is refused unless asked for; None for nothing.
        modality: What is read of a pair; files of the other modality may be missing and are
            ignored.
        spelling: How texts are encoded and tags spelt; found by default.
        whole_images: Images that need not be decoded again; newly decoded ones are added. Images
            in a Parquet file are unpacked beside its record.
        given: Files that part the data set.

    Returns:
        The data set, with absolute image paths.

    Raises:
        CorpusError: If anything is missing or invalid, or fewer than two classes are labelled;
            lists all faults.
    """
    path, images = _found(path), whole_images or WholeImages(None)
    faults, allowed, spelling = Faults(), allowed or Allowed(), spelling or Spelling()
    lists = Lists(
        faults,
        spelling.decoder,
        images.unpack,
        modality,
        allowed.missing,
        named=spelling.columns,
    )
    if path.is_dir() and not (path / TRAIN_LIST).exists():
        rule = f"a data folder must hold {TRAIN_LIST} (guid,tag) beside the pairs or data/"
        faults.add(rule, f"got {path}")
    entries = list_folder(path, lists) if path.is_dir() else list_table(path, lists)
    if not allowed.outside:
        refuse_outside(path, entries, faults)
    if given is not None:
        entries = given.part(path, entries, lists, outside=allowed.outside)
    corpus = _read_all(path, entries, lists, images, spelling.tagging)
    _require_some(corpus, faults)
    faults.raise_any(path)
    return corpus


def load_pairs(
    path: Path,
    *,
    allowed: Allowed | None = None,
    modality: Modality = "both",
    spelling: Spelling | None = None,
    whole_images: WholeImages | None = None,
) -> Corpus:
    """Load a data set to predict or to score, as `load_corpus` does, where tags may be missing.

    Args:
        path: As `load_corpus`.
        allowed: Likewise.
        modality: Likewise.
        spelling: Likewise; the classes must be known, and are the lab's by default.
        whole_images: Likewise.

    Returns:
        The data set. A table needs no tags, and a folder no list: all its pairs are used.
    """
    path, images = _found(path), whole_images or WholeImages(None)
    allowed = allowed or Allowed()
    spelling = spelling or Spelling(tagging=Tagging(known=SENTIMENTS))
    remedy = "a model that was searched with --missing allow takes pairs that lack one"
    decoder, missing = spelling.decoder, allowed.missing
    named = spelling.columns
    lists = Lists(Faults(), decoder, images.unpack, modality, missing, remedy, named)
    if path.is_dir():
        entries = list_folder(path, lists)
    else:
        entries = list_table(path, lists, require_tags=False)
    if not allowed.outside:
        refuse_outside(path, entries, lists.faults)
    return _read_all(path, entries, lists, images, spelling.tagging)


def find_classes(
    path: Path, spelling: Spelling, modality: Modality, given: GivenSplits | None = None
) -> Classes | None:
    """Find the classes of a data set in its lists alone, in a moment.

    Args:
        path: As `load_corpus`.
        spelling: Likewise.
        modality: Likewise.
        given: Likewise.

    Returns:
        The classes; None where a list is wrong, which `load_corpus` tells.
    """
    if not is_there(path):
        return None
    path, faults = _found(path), Faults()
    lists = Lists(
        faults, spelling.decoder, lambda _: path, modality, "allow", named=spelling.columns
    )
    entries = list_folder(path, lists) if path.is_dir() else list_table(path, lists)
    if given is not None:
        entries = given.part(path, entries, lists, outside=True)
    reading = read_tags(_tagged(entries), spelling.tagging, faults)
    return None if faults else reading.classes


def _tagged(entries: Sequence[Entry]) -> list[Tagged]:
    return [Tagged(e.tag, e.place, e.split != TEST) for e in entries if e.tag]


def _found(path: Path) -> Path:
    path = path.absolute()
    if not is_there(path):
        rule = f"data must be a folder with {TRAIN_LIST} or a CSV file"
        msg = f"{rule}, got {legible(path)}: it is missing"
        raise CorpusError(msg)
    return (find_corpus(path) or path) if path.is_dir() else path


def _read_all(
    path: Path, entries: Sequence[Entry], lists: Lists, known: WholeImages, tagging: Tagging
) -> Corpus:
    """Read every file of the pairs; raise all faults found so far."""
    faults, decoder = lists.faults, lists.decoder
    reading = read_tags(_tagged(entries), tagging, faults)
    with ThreadPoolExecutor(_READERS) as readers:
        reads = list(readers.map(partial(_read, lists=lists, known=known), entries))
    known.save()
    for entry, read in zip(entries, reads, strict=True):
        for rule, example in read.faults:
            faults.add(rule, example)
        if lists.may_lack and not read.faults and not read.text.strip() and not read.image_digest:
            faults.add("every pair must have a text or an image", f"got neither for {entry.guid}")
    faults.raise_any(path)
    samples = _samples(entries, reads, decoder, reading.label_of)
    learnt = [bool(entry.tag) and entry.split != TEST for entry in entries]
    rest = [sample for sample, learns in zip(samples, learnt, strict=True) if not learns]
    held_out = tuple(sample.label for sample in rest)
    return Corpus(
        name=path.stem if path.is_file() else path.name,
        labelled=tuple(compress(samples, learnt)),
        unlabelled=tuple(replace(sample, label=None) for sample in rest),
        classes=reading.classes,
        notes=(*reading.notes, *decoder.notes, *_notes(samples, reads, lists.modality)),
        encoding=decoder.encoding,
        given_folds=fold_numbers(list(compress(entries, learnt))),
        held_out=held_out if any(label is not None for label in held_out) else (),
        missing=_missing(samples, reads) if lists.may_lack else {},
    )


@dataclass(slots=True)
class _Read:
    text: str | bytes = ""  # bytes until the encoding is detected from all texts
    cut: bool = False  # whether the text was truncated
    lacks_text: bool = False
    image_digest: str = ""
    image_size: tuple[int, int] | None = None
    faults: list[tuple[str, str]] = field(default_factory=list)  # (rule, example)


def _read(entry: Entry, lists: Lists, known: WholeImages) -> _Read:
    read = _Read()
    if entry.text is not None:
        _read_text(entry.text, read, lists)
    if entry.image is not None:
        _read_image(entry.image, read, lists, known)
    return read


def _read_text(text: Path | str, read: _Read, lists: Lists) -> None:
    try:
        written = (
            text.encode() if isinstance(text, str) else read_beginning(text, MAX_TEXT_BYTES + 1)
        )
    except FileError as error:
        read.lacks_text = lists.may_lack and isinstance(text, Path) and not is_there(text)
        if not read.lacks_text:
            rule = "every text file must be readable" + _remedy(text, lists)
            read.faults.append((rule, f"{text}: {error}"))
        return
    read.cut = len(written) > MAX_TEXT_BYTES
    if read.cut:
        written = _whole_characters(written[:MAX_TEXT_BYTES])
    read.text = written.decode() if isinstance(text, str) else written


def _read_image(image: Path, read: _Read, lists: Lists, known: WholeImages) -> None:
    try:
        raw = read_regular(image, MAX_IMAGE_BYTES)
        digest = image_digest(raw)
        size = known.size_of(digest)
        if size is None:
            size = check_image(image, raw)
            known.add(digest, size)
    except FileError as error:
        if not lists.may_lack or is_there(image):
            rule = f"every image file must be readable ({' '.join(IMAGE_SUFFIXES)})"
            read.faults.append((rule + _remedy(image, lists), f"{image}: {error}"))
    except ImageError as error:
        read.faults.append(("every image file must be whole", str(error)))
    else:
        read.image_digest, read.image_size = digest, size


def _remedy(path: Path | str, lists: Lists) -> str:
    """Say what helps where a file is not there at all."""
    lacks = isinstance(path, Path) and not is_there(path) and lists.modality == "both"
    return f"; {lists.remedy}" * lacks


def _samples(
    entries: Sequence[Entry],
    reads: Sequence[_Read],
    decoder: Decoder,
    label_of: Mapping[str, int],
) -> list[Sample]:
    raws = [read.text for read in reads if isinstance(read.text, bytes)]
    decoded = iter(decoder.decode(raws, "texts"))
    return [
        Sample(
            entry.guid,
            read.text if isinstance(read.text, str) else next(decoded),
            entry.image if read.image_digest else None,
            read.image_digest,
            label_of.get(entry.tag),
            read.image_size,
        )
        for entry, read in zip(entries, reads, strict=True)
    ]


def _whole_characters(raw: bytes) -> bytes:
    """Drop the last character of UTF-8 text that was cut at an arbitrary byte."""
    end = len(raw)
    while end and raw[end - 1] & 0xC0 == 0x80:
        end -= 1
    return raw[: end - 1] if end and raw[end - 1] >= 0xC0 else raw


def _missing(samples: Sequence[Sample], reads: Sequence[_Read]) -> dict[str, int]:
    """Count the samples without text and without image, of those whose both are read."""
    texts = sum(read.lacks_text for read in reads)
    return {"text": texts, "image": sum(sample.image is None for sample in samples)}


def _require_some(corpus: Corpus, faults: Faults) -> None:
    """Report that no pair at all has its text, or its image: the folder may be another."""
    for role, count in corpus.missing.items():
        if count == len(corpus.samples):
            other = "image" if role == "text" else "text"
            rule = f"some pair must have its {role}; --modality {other} reads {other}s alone"
            faults.add(rule, f"got none in {count:,} pairs")


def _notes(
    samples: Sequence[Sample], reads: Sequence[_Read], modality: Modality
) -> tuple[str, ...]:
    cut = sum(read.cut for read in reads)
    missing = _missing(samples, reads)
    empty = sum(not sample.text.strip() for sample in samples) - missing["text"]
    total = f"of {len(reads):,} texts"
    notes = []
    if modality == "both":
        stands = {"text": "the empty text", "image": "a square of the backbone's mean colour"}
        notes += [
            f"{count:,} of {len(reads):,} pairs lack their {role}: {stands[role]} stands for it"
            for role, count in missing.items()
            if count
        ]
    if cut:
        notes.append(
            f"{cut:,} {total} are longer than {MAX_TEXT_BYTES:,} bytes; the rest is left out"
        )
    if empty and modality != "image":
        what = "their images stand alone" if modality == "both" else "they say nothing"
        notes.append(f"{empty:,} {total} are empty; {what}")
    return tuple(notes)
