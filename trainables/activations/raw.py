"""Raw inputs of a backbone, made from samples on demand: token ids and pixels.

Anything with a `gather` is a source of activations: raw inputs, a prefix that runs on them
(`LivePrefix`), or a cached file (`StoredActivations`). Training code cannot tell them apart.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from trainables.data.images import open_image, prepare_image, square_of
from trainables.data.text import clean_text
from trainables.modules.backbones.cross_attention import CrossAttentionTower
from trainables.modules.backbones.image_towers import ImageTower
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import on_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from trainables.config import InputSettings
    from trainables.data.images import Colour
    from trainables.data.sample import Sample
    from trainables.data.views.view import View
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.piece import Piece

_LIVE_ROWS = 64  # rows per chunk: the pixels of thousands would take gigabytes


class Source(Protocol):
    """Activations by sample index."""

    def gather(self, rows: Tensor) -> Activations:
        """Fetch samples by index (B,), int64: a copy, padded to the longest of them."""


class RawInputs(Source, Protocol):
    """Raw inputs of all samples.

    Attributes:
        lengths: Tokens of each sample, shape (N,), int64; None if all samples have the same shape.
    """

    lengths: Tensor | None

    def __len__(self) -> int:
        """Return the number of samples."""


class RawTexts(RawInputs):
    """Token ids of all samples, tokenised up front: a few dozen integers per sample."""

    def __init__(self, samples: Sequence[Sample], inputs: InputSettings, tower: TextTower) -> None:
        texts = [clean_text(sample.text, inputs.text_cleaning) for sample in samples]
        ids = tower.tokenizer.encode(texts, inputs.text_length)
        lengths = torch.tensor([len(row) for row in ids])
        self.lengths = lengths
        self._ids = torch.tensor([token for row in ids for token in row])
        self._lengths, self._offsets = lengths, lengths.cumsum(0) - lengths
        self._pad_id = tower.tokenizer.pad_id

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._lengths)

    def gather(self, rows: Tensor) -> Activations:
        """Fetch token ids (B, L), int64, with their mask, for rows (B,), int64."""
        ids, mask = gather_ragged(self._ids, self._offsets, self._lengths, rows)
        return Activations(ids.masked_fill(~mask, self._pad_id), mask)


class RawImages(RawInputs):
    """Pixels of all samples, decoded on demand: the images are never all in memory.

    Args:
        samples: The samples; row i is sample i.
        inputs: Preparation, size and blur.
        colour: Of every pixel of an image that is missing; None where none is.
        threads: Number of decoding threads; None for one per CPU.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        inputs: InputSettings,
        colour: Colour | None = None,
        threads: int | None = None,
    ) -> None:
        self.lengths = None
        self._samples = samples
        self._inputs = inputs
        self._colour = colour
        # Pillow releases the GIL while it decodes, resizes and blurs.
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._samples)

    def gather(self, rows: Tensor) -> Activations:
        """Decode and prepare images to pixels (B, 3, S, S), uint8, for rows (B,), int64."""
        pixels = list(self._pool.map(self._prepare, rows.tolist()))
        return Activations(torch.from_numpy(np.stack(pixels)))

    def _prepare(self, row: int) -> NDArray[np.uint8]:
        path = self._samples[row].image
        if path is None:
            assert self._colour is not None  # else all samples have images
            return square_of(self._colour, self._inputs.image_size)
        return prepare_image(open_image(path), self._inputs)


class RawPairs(RawInputs):
    """Token ids together with the pixels of their image, for text with cross-attention."""

    def __init__(self, texts: RawTexts, images: RawImages) -> None:
        self.lengths = texts.lengths
        self._texts, self._images = texts, images

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._texts)

    def gather(self, rows: Tensor) -> Activations:
        """Fetch token ids (B, L) with their mask and pixels (B, 3, S, S), uint8, for rows (B,)."""
        pixels = self._images.gather(rows).values
        return self._texts.gather(rows)._replace(encoder_hidden_states=pixels)


class ViewFeatures:
    """The features of a view, computed at once: a few dozen numbers per sample."""

    def __init__(self, view: View, samples: Sequence[Sample], device: torch.device) -> None:
        self._values = torch.from_numpy(view.features(samples)).to(device)

    def gather(self, rows: Tensor) -> Activations:
        """Fetch the features of samples by index (B,), int64, shape (B, W), float32."""
        return Activations(self._values[rows.to(self._values.device)])


class LivePrefix:
    """The frozen part of a tower, recomputed for every batch: training without the cache."""

    def __init__(self, raw: RawInputs, prefix: Piece, device: torch.device) -> None:
        self._raw = raw
        (self._prefix,) = on_device([prefix], device)
        self._device = device

    def gather(self, rows: Tensor) -> Activations:
        """Compute samples by index (B,), int64, in chunks of bounded size; in float32."""
        parts = [self._compute(some) for some in rows.cpu().split(_LIVE_ROWS)]
        return parts[0] if len(parts) == 1 else _joined(parts)

    @torch.no_grad()
    def _compute(self, rows: Tensor) -> Activations:
        activations: Activations = self._prefix(self._raw.gather(rows).to(self._device))
        return activations


def _joined(parts: Sequence[Activations]) -> Activations:
    """Concatenate batches, padded to the longest."""
    states = [p.encoder_hidden_states for p in parts if p.encoder_hidden_states is not None]
    masks = [part.mask for part in parts if part.mask is not None]
    values = [part.values for part in parts]
    if masks:
        length = max(mask.shape[1] for mask in masks)
        values = [_padded(value, length) for value in values]
        masks = [_padded(mask, length) for mask in masks]
    return Activations(
        torch.cat(values),
        torch.cat(masks) if masks else None,
        torch.cat(states) if states else None,
    )


def _padded(values: Tensor, length: int) -> Tensor:
    wanted = (values.shape[0], length, *values.shape[2:])
    padded = values.new_zeros(wanted)
    padded[:, : values.shape[1]] = values
    return padded


def raw_inputs(samples: Sequence[Sample], inputs: InputSettings, tower: Tower) -> RawInputs:
    """Make the raw inputs of a tower: token ids, pixels, or both."""
    if isinstance(tower, CrossAttentionTower):
        images = RawImages(samples, inputs, tower.image.mean_colour)
        return RawPairs(RawTexts(samples, inputs, tower), images)
    if isinstance(tower, TextTower):
        return RawTexts(samples, inputs, tower)
    assert isinstance(tower, ImageTower)
    return RawImages(samples, inputs, tower.mean_colour)


def gather_ragged(
    values: Tensor, offsets: Tensor, lengths: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Fetch rows of different lengths, padded to the longest.

    Args:
        values: All rows concatenated, shape (T, ...).
        offsets: Start of each row, shape (N,), int64.
        lengths: Length of each row, shape (N,), int64.
        rows: Rows to fetch, shape (B,), int64.

    Returns:
        Values (B, L, ...), padded with the first entry of their row, and the mask (B, L).
    """
    wanted = lengths[rows]
    steps = torch.arange(int(wanted.max()), device=values.device)
    mask = steps < wanted[:, None]  # (B, L)
    return values[offsets[rows][:, None] + steps * mask], mask
