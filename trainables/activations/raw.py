"""Raw inputs of a backbone, made from samples on demand: token ids and pixels.

Anything with a `gather` is a source of activations: raw inputs here, a prefix run on them in
`LivePrefix`, a cached file in `store`. A trial cannot tell them apart.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from trainables.data.images import open_image, prepare_image
from trainables.data.text import clean_text
from trainables.modules.backbones.crossed import CrossedTower
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import on_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from trainables.config import InputSettings
    from trainables.data.sample import Sample
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.piece import Piece

_LIVE_ROWS = 64  # run at a time without a cache: of pixels on, thousands would take gigabytes


class Source(Protocol):
    """Rows of activations, by sample index."""

    def gather(self, rows: Tensor) -> Activations:
        """Fetch the activations of some samples.

        Args:
            rows: Indices into the corpus's samples, shape (B,), int64.

        Returns:
            A fresh copy, padded to the longest of these rows.
        """


class RawInputs(Source, Protocol):
    """Raw inputs of all samples.

    Attributes:
        lengths: Tokens of each sample, shape (N,), int64; None where all samples have one shape.
    """

    lengths: Tensor | None

    def __len__(self) -> int:
        """Count the samples."""


class RawTexts(RawInputs):
    """Token ids, made at once: a few dozen integers per sample.

    Args:
        samples: The samples; row i is sample i.
        inputs: Cleaning and length.
        tower: The backbone that will read them.
    """

    def __init__(self, samples: Sequence[Sample], inputs: InputSettings, tower: TextTower) -> None:
        texts = [clean_text(sample.text, inputs.text_cleaning) for sample in samples]
        ids = tower.tokenizer.encode(texts, inputs.text_length)
        lengths = torch.tensor([len(row) for row in ids])
        self.lengths = lengths
        self._ids = torch.tensor([token for row in ids for token in row])
        self._lengths, self._offsets = lengths, lengths.cumsum(0) - lengths
        self._pad_id = tower.tokenizer.pad_id

    def __len__(self) -> int:
        """Count the samples."""
        return len(self._lengths)

    def gather(self, rows: Tensor) -> Activations:
        """Fetch token ids.

        Args:
            rows: Sample indices, shape (B,), int64.

        Returns:
            Ids (B, L) int64 with their mask.
        """
        ids, mask = gather_ragged(self._ids, self._offsets, self._lengths, rows)
        return Activations(ids.masked_fill(~mask, self._pad_id), mask)


class RawImages(RawInputs):
    """Pixels, decoded when asked for: images are never all held at once.

    Args:
        samples: The samples; row i is sample i.
        inputs: Preparation, size and blur.
        threads: Decoders at work at once; None for one per CPU.
    """

    def __init__(
        self, samples: Sequence[Sample], inputs: InputSettings, threads: int | None = None
    ) -> None:
        self.lengths = None
        self._samples = samples
        self._inputs = inputs
        # Pillow drops the interpreter lock while it decodes, resizes and blurs.
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self._samples)

    def gather(self, rows: Tensor) -> Activations:
        """Decode and prepare images.

        Args:
            rows: Sample indices, shape (B,), int64.

        Returns:
            Pixels (B, 3, S, S), uint8.
        """
        pixels = list(self._pool.map(self._prepare, rows.tolist()))
        return Activations(torch.from_numpy(np.stack(pixels)))

    def _prepare(self, row: int) -> NDArray[np.uint8]:
        path = self._samples[row].image
        assert path is not None  # what reads images is given samples that have them
        return prepare_image(open_image(path), self._inputs)


class RawPairs(RawInputs):
    """Token ids, with the pixels that they are read beside.

    Args:
        texts: The token ids.
        images: The pixels.
    """

    def __init__(self, texts: RawTexts, images: RawImages) -> None:
        self.lengths = texts.lengths
        self._texts, self._images = texts, images

    def __len__(self) -> int:
        """Count the samples."""
        return len(self._texts)

    def gather(self, rows: Tensor) -> Activations:
        """Fetch token ids and decode images.

        Args:
            rows: Sample indices, shape (B,), int64.

        Returns:
            Ids (B, L) int64 with their mask and the pixels (B, 3, S, S), uint8.
        """
        return self._texts.gather(rows)._replace(seen=self._images.gather(rows).values)


class LivePrefix:
    """The frozen part of a tower, run anew for every batch: what the cache saves.

    Args:
        raw: The raw inputs.
        prefix: The frozen part.
        device: Where it runs.
    """

    def __init__(self, raw: RawInputs, prefix: Piece, device: torch.device) -> None:
        self._raw = raw
        (self._prefix,) = on_device([prefix], device)
        self._device = device

    def gather(self, rows: Tensor) -> Activations:
        """Compute the activations of some samples, a bounded number at a time.

        Args:
            rows: Sample indices, shape (B,), int64.

        Returns:
            What the prefix makes of them, in float32.
        """
        parts = [self._compute(some) for some in rows.cpu().split(_LIVE_ROWS)]
        return parts[0] if len(parts) == 1 else _joined(parts)

    @torch.no_grad()
    def _compute(self, rows: Tensor) -> Activations:
        activations: Activations = self._prefix(self._raw.gather(rows).to(self._device))
        return activations


def _joined(parts: Sequence[Activations]) -> Activations:
    """Put batches one after another, padded to the longest of them."""
    seen = [part.seen for part in parts if part.seen is not None]
    masks = [part.mask for part in parts if part.mask is not None]
    values = [part.values for part in parts]
    if masks:
        length = max(mask.shape[1] for mask in masks)
        values = [_padded(value, length) for value in values]
        masks = [_padded(mask, length) for mask in masks]
    return Activations(
        torch.cat(values),
        torch.cat(masks) if masks else None,
        torch.cat(seen) if seen else None,
    )


def _padded(values: Tensor, length: int) -> Tensor:
    wanted = (values.shape[0], length, *values.shape[2:])
    padded = values.new_zeros(wanted)
    padded[:, : values.shape[1]] = values
    return padded


def raw_inputs(samples: Sequence[Sample], inputs: InputSettings, tower: Tower) -> RawInputs:
    """Make the raw inputs that a tower reads.

    Args:
        samples: The samples; row i is sample i.
        inputs: How they are prepared.
        tower: The backbone.

    Returns:
        Token ids, pixels, or both.
    """
    if isinstance(tower, CrossedTower):
        return RawPairs(RawTexts(samples, inputs, tower), RawImages(samples, inputs))
    if isinstance(tower, TextTower):
        return RawTexts(samples, inputs, tower)
    return RawImages(samples, inputs)


def gather_ragged(
    values: Tensor, offsets: Tensor, lengths: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Fetch rows of different lengths, padded to the longest of them.

    Args:
        values: All rows one after another, shape (T, ...).
        offsets: Where each row begins, shape (N,), int64.
        lengths: How long it is, shape (N,), int64.
        rows: Rows to fetch, shape (B,), int64.

    Returns:
        Values (B, L, ...), where padding repeats the first entry of its row, and the mask (B, L).
    """
    wanted = lengths[rows]
    steps = torch.arange(int(wanted.max()), device=values.device)
    mask = steps < wanted[:, None]  # (B, L)
    return values[offsets[rows][:, None] + steps * mask], mask
