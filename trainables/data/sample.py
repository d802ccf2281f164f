"""The data types of the project: one labelled pair, a checked data set, one split of it.

Nothing here imports torch, so the driver of a search stays light.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from trainables.config import ROLES
from trainables.evaluation.classes import SENTIMENTS, Classes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.config import Modality


@dataclass(frozen=True, slots=True)
class Sample:
    """One image-text pair.

    Attributes:
        guid: Its name, unique in a corpus; a string, so that leading zeros are kept.
        text: The raw text, decoded but not cleaned; empty if it is not read, or missing.
        image: Path of the image file; None if it is not read, or missing.
        image_digest: Digest of the image file's bytes; empty if there is none.
        label: The index of its class; None if it is to be predicted.
        image_size: Width and height of the image in pixels; None if unknown.
    """

    guid: str
    text: str
    image: Path | None
    image_digest: str
    label: int | None = None
    image_size: tuple[int, int] | None = None


def image_digest(raw: bytes) -> str:
    """Return the digest of an image file's bytes, as in `Sample.image_digest`."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """A data set whose files were checked.

    Attributes:
        name: Its name in results: that of the folder or file, or `demo`.
        labelled: The samples to train and validate on, in the order of the list file.
        unlabelled: The samples to predict, in the order of the list file.
        is_demo: Whether this is the built-in, generated demo data.
        classes: The classes of the labelled samples.
        notes: Sentences on what was noticed while reading, such as texts that are not UTF-8.
        encoding: Encoding of most texts that are not UTF-8; None if all are.
        given_folds: For each labelled sample the fold that validates it, from 0, or -1 if none
            does, where the data come with a split; else None.
        held_out: For each unlabelled sample the index of its class, where the data have it as a
            test set, or None; empty if they have none. Its samples carry no label, so that nothing
            that learns or chooses can see one.
        missing: How many samples lack their `text` or their `image`, where they may.
    """

    name: str
    labelled: tuple[Sample, ...]
    unlabelled: tuple[Sample, ...] = ()
    is_demo: bool = False
    classes: Classes = SENTIMENTS
    notes: tuple[str, ...] = ()
    encoding: str | None = None
    given_folds: tuple[int, ...] | None = None
    held_out: tuple[int | None, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, the labelled ones first: row i of every activation file is sample i."""
        return self.labelled + self.unlabelled

    def reading(self, modality: Modality) -> Corpus:
        """Return the data set with only the texts or images that a modality reads."""
        gone: dict[str, Any] = {} if "text" in ROLES[modality] else {"text": ""}
        if "image" not in ROLES[modality]:
            gone |= {"image": None, "image_digest": "", "image_size": None}
        labelled, unlabelled = (
            tuple(replace(sample, **gone) for sample in samples)
            for samples in (self.labelled, self.unlabelled)
        )
        return replace(self, labelled=labelled, unlabelled=unlabelled)

    @cached_property
    def tested(self) -> NDArray[np.int64]:
        """Indices of the unlabelled samples that are a labelled test set, shape (T,), int64."""
        rows = [row for row, label in enumerate(self.held_out) if label is not None]
        return np.array(rows, dtype=np.int64)

    @cached_property
    def test_labels(self) -> NDArray[np.int64]:
        """Classes of those samples, shape (T,), int64."""
        return np.array([self.held_out[row] for row in self.tested], dtype=np.int64)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Classes of the labelled samples, shape (N,), int64."""
        return np.array([sample.label for sample in self.labelled], dtype=np.int64)

    @cached_property
    def digest(self) -> str:
        """A digest that differs when any guid, text, image, class or given split does."""
        digest = hashlib.blake2b(digest_size=16)
        for s in self.samples:
            digest.update(f"{s.guid}\0{s.text}\0{s.image_digest}\0{s.label}\0".encode())
        if self.classes.names != SENTIMENTS.names:
            digest.update(repr(self.classes.names).encode())
        for given in (self.given_folds, self.held_out):
            if given:  # without, a data set has the digest that it has always had
                digest.update(repr([None if one is None else int(one) for one in given]).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Fold:
    """One split of the labelled samples.

    Attributes:
        train: Indices into `Corpus.labelled` to train on, shape (T,), int64, ascending.
        val: Indices to validate on, shape (V,), int64, ascending; disjoint from `train`.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
