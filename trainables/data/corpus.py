"""Load data sets and check every file, so that a search cannot fail on bad data halfway."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

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
from trainables.data.sample import Corpus, Sample, image_digest
from trainables.data.whole_images import WholeImages
from trainables.evaluation.classes import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainables.config import Modality

__all__ = ["CorpusError", "find_corpus", "load_corpus", "load_pairs"]

# Threads help: reads wait for the disk, often over a network, and decoding releases the GIL.
_READERS = 8
# Far more than any model reads: tokenizing 10 MB takes minutes and gigabytes.
MAX_TEXT_BYTES = 100_000


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
    allow_outside: bool = False,
    modality: Modality = "both",
    decoder: Decoder | None = None,
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
            `guid,text,image,tag`, or a JSON lines or Parquet file of the same. A further column
            `split` gives pairs to train, val or test.
        allow_outside: Whether links, `..` and absolute paths may lead out of the data's folder.
        modality: What is read of a pair; files of the other modality may be missing and are
            ignored.
        decoder: Decodes texts that are not UTF-8.
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
    lists = Lists(faults := Faults(), decoder or Decoder(), images.unpack, modality)
    if path.is_dir() and not (path / TRAIN_LIST).exists():
        rule = f"a data folder must hold {TRAIN_LIST} (guid,tag) beside the pairs or data/"
        faults.add(rule, f"got {path}")
    entries = list_folder(path, lists) if path.is_dir() else list_table(path, lists)
    if not allow_outside:
        refuse_outside(path, entries, faults)
    if given is not None:
        entries = given.part(path, entries, lists)
    if not faults:
        _require_classes(entries, faults)
    return _read_all(path, entries, lists, images)


def load_pairs(
    path: Path,
    *,
    allow_outside: bool = False,
    modality: Modality = "both",
    decoder: Decoder | None = None,
    whole_images: WholeImages | None = None,
) -> Corpus:
    """Load a data set to predict or to score, as `load_corpus` does, whatever its tags are.

    Returns:
        The data set. A table needs no tags, and a folder no list: all its pairs are used.
    """
    path, images = _found(path), whole_images or WholeImages(None)
    lists = Lists(Faults(), decoder or Decoder(), images.unpack, modality)
    if path.is_dir():
        entries = list_folder(path, lists)
    else:
        entries = list_table(path, lists, require_tags=False)
    if not allow_outside:
        refuse_outside(path, entries, lists.faults)
    return _read_all(path, entries, lists, images)


def _found(path: Path) -> Path:
    path = path.absolute()
    if not is_there(path):
        rule = f"data must be a folder with {TRAIN_LIST} or a CSV file"
        msg = f"{rule}, got {legible(path)}: it is missing"
        raise CorpusError(msg)
    return (find_corpus(path) or path) if path.is_dir() else path


def _read_all(path: Path, entries: Sequence[Entry], lists: Lists, known: WholeImages) -> Corpus:
    """Read every file of the pairs; raise all faults found so far."""
    faults, decoder = lists.faults, lists.decoder
    with ThreadPoolExecutor(_READERS) as readers:
        reads = list(readers.map(partial(_read, known=known), entries))
    known.save()
    for read in reads:
        for rule, example in read.faults:
            faults.add(rule, example)
    faults.raise_any(path)
    samples = _samples(entries, reads, decoder)
    learnt = [entry.label is not None and entry.split != TEST for entry in entries]
    rest = [sample for sample, learns in zip(samples, learnt, strict=True) if not learns]
    held_out = tuple(sample.label for sample in rest)
    return Corpus(
        name=path.stem if path.is_file() else path.name,
        labelled=tuple(compress(samples, learnt)),
        unlabelled=tuple(replace(sample, label=None) for sample in rest),
        notes=(*decoder.notes, *_notes(samples, reads, lists.modality)),
        encoding=decoder.encoding,
        given_folds=fold_numbers(list(compress(entries, learnt))),
        held_out=held_out if any(label is not None for label in held_out) else (),
    )


@dataclass(slots=True)
class _Read:
    text: str | bytes = ""  # bytes until the encoding is detected from all texts
    cut: bool = False  # whether the text was truncated
    image_digest: str = ""
    image_size: tuple[int, int] | None = None
    faults: list[tuple[str, str]] = field(default_factory=list)  # (rule, example)


def _read(entry: Entry, known: WholeImages) -> _Read:
    read = _Read()
    if entry.text is not None:
        _read_text(entry.text, read)
    if entry.image is not None:
        _read_image(entry.image, read, known)
    return read


def _read_text(text: Path | str, read: _Read) -> None:
    try:
        written = (
            text.encode() if isinstance(text, str) else read_beginning(text, MAX_TEXT_BYTES + 1)
        )
    except FileError as error:
        read.faults.append(("every text file must be readable", f"{text}: {error}"))
        return
    read.cut = len(written) > MAX_TEXT_BYTES
    if read.cut:
        written = _whole_characters(written[:MAX_TEXT_BYTES])
    read.text = written.decode() if isinstance(text, str) else written


def _read_image(image: Path, read: _Read, known: WholeImages) -> None:
    try:
        raw = read_regular(image, MAX_IMAGE_BYTES)
        digest = image_digest(raw)
        size = known.size_of(digest)
        if size is None:
            size = check_image(image, raw)
            known.add(digest, size)
    except FileError as error:
        rule = f"every image file must be readable ({' '.join(IMAGE_SUFFIXES)})"
        read.faults.append((rule, f"{image}: {error}"))
    except ImageError as error:
        read.faults.append(("every image file must be whole", str(error)))
    else:
        read.image_digest, read.image_size = digest, size


def _samples(entries: Sequence[Entry], reads: Sequence[_Read], decoder: Decoder) -> list[Sample]:
    raws = [read.text for read in reads if isinstance(read.text, bytes)]
    decoded = iter(decoder.decode(raws, "texts"))
    return [
        Sample(
            entry.guid,
            read.text if isinstance(read.text, str) else next(decoded),
            entry.image,
            read.image_digest,
            entry.label,
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


def _require_classes(entries: list[Entry], faults: Faults) -> None:
    counts = Counter(
        entry.label for entry in entries if entry.label is not None and entry.split != TEST
    )
    if len(counts) < 2:
        found = " and ".join(f"{count:,} {label.tag}" for label, count in counts.items())
        rule = f"at least two of {', '.join(CLASSES)} must be labelled"
        faults.add(rule, f"got {found or 'no labelled pair'}")


def _notes(
    samples: Sequence[Sample], reads: Sequence[_Read], modality: Modality
) -> tuple[str, ...]:
    cut = sum(read.cut for read in reads)
    empty = sum(not sample.text.strip() for sample in samples)
    total = f"of {len(reads):,} texts"
    notes = []
    if cut:
        notes.append(
            f"{cut:,} {total} are longer than {MAX_TEXT_BYTES:,} bytes; the rest is left out"
        )
    if empty and modality != "image":
        what = "their images stand alone" if modality == "both" else "they say nothing"
        notes.append(f"{empty:,} {total} are empty; {what}")
    return tuple(notes)
