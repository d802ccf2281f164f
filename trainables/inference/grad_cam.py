"""Explain decisions: image regions by Grad-CAM, words by integrated gradients.

The attributions are computed by captum; this module attaches them to towers that are split into
prefix and suffix. Needs the extra `explain`.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from captum.attr import LayerAttribution, LayerGradCam, LayerIntegratedGradients
from torch import Tensor, nn

from trainables.activations.raw import ViewFeatures, raw_inputs
from trainables.data.text import clean_text
from trainables.data.views import VIEWS
from trainables.modules.backbones.vision_transformer import TokenStack
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.piece import on_device
from trainables.modules.blocks.slots import role_of
from trainables.variants.reading import prepared_as

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from trainables.config import InputSettings, Role
    from trainables.data.sample import Sample
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.heads.classifier import Classifier
    from trainables.variants.reading import Reading

_STEPS = 32  # of the integral; the test measures its error


class Attribution(NamedTuple):
    """Evidence for a class in one pair.

    Attributes:
        probability: The model's probability of the class.
        pixels: The input of the image tower, shape (3, S, S), uint8; None if it reads no image.
        heat: Evidence by pixel, shape (S, S), float32 in [0, 1].
        words: Words of the cleaned text with their contribution to the logit, relative to padding
            in their place; empty if the model reads no text.
    """

    probability: float
    pixels: NDArray[np.uint8] | None
    heat: NDArray[np.float32] | None
    words: tuple[tuple[str, float], ...]


class Explainer:
    """Attribute the decisions of a model to its inputs.

    Args:
        towers: The towers, by name.
        readings: The tower, cut and inputs of each slot.
        classifier: The trained suffixes and head.
        inputs: How samples are preprocessed.
        device: Where to compute.
    """

    def __init__(
        self,
        towers: Mapping[str, Tower],
        readings: Mapping[str, Reading],
        classifier: Classifier,
        inputs: InputSettings,
        device: torch.device,
    ) -> None:
        self._towers = {slot: towers[read.tower] for slot, read in readings.items()}
        self._inputs = {
            slot: prepared_as(inputs, read.prepared) for slot, read in readings.items()
        }
        self._device = device
        self._classifier = classifier.to(device).eval()
        cuts = [self._towers[slot].prefix(read.cut) for slot, read in readings.items()]
        self._prefixes = dict(zip(readings, on_device(cuts, device), strict=True))

    def explain(self, sample: Sample, target: int) -> Attribution:
        """Compute the attribution of a class for one pair."""
        raw = {slot: self._raw(slot, sample) for slot in self._prefixes}
        with torch.no_grad():
            ends = {slot: self._prefixes[slot](values) for slot, values in raw.items()}
            ends |= self._views(sample)
            probability = F.softmax(self._classifier(ends).float(), dim=-1)[0, target]
        pixels = raw["image"].values if "image" in raw else None
        return Attribution(
            probability=float(probability),
            pixels=None if pixels is None else pixels[0].byte().cpu().numpy(),
            heat=None if pixels is None else self._heat(pixels, ends, target),
            words=self._words(sample, raw, ends, target),
        )

    def _views(self, sample: Sample) -> dict[str, Activations]:
        """Return the features of views, which the head reads beside the attributed towers."""
        views = self._classifier.views
        return {
            name: ViewFeatures(VIEWS[name], [sample], self._device).gather(torch.tensor([0]))
            for name in (() if views is None else views.names)
        }

    def _raw(self, slot: str, sample: Sample) -> Activations:
        inputs = raw_inputs([sample], self._inputs[slot], self._towers[slot])
        return inputs.gather(torch.tensor([0])).to(self._device)

    def _logits(self, slot: str, live: Activations, ends: Mapping[str, Activations]) -> Tensor:
        """Run one tower from raw inputs; the others' activations are repeated for as many rows."""
        rows = len(live.values)
        batch = {name: _repeat(end, rows) for name, end in ends.items() if name != slot}
        logits: Tensor = self._classifier({**batch, slot: self._prefixes[slot](live)})
        return logits

    def _heat(
        self, pixels: Tensor, ends: Mapping[str, Activations], target: int
    ) -> NDArray[np.float32]:
        """Sum the evidence over the image towers."""
        heats = [self._heat_of(slot, pixels, ends, target) for slot in ends if _is(slot, "image")]
        heat = torch.stack(heats).sum(dim=0)
        heat = heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny)
        array: NDArray[np.float32] = heat.float().cpu().numpy()
        return array

    def _heat_of(
        self, slot: str, pixels: Tensor, ends: Mapping[str, Activations], target: int
    ) -> Tensor:
        modules = [*self._prefixes[slot].modules(), *self._suffix(slot).modules()]
        with feature_map(modules) as (layer, at_input):
            found: Any = LayerGradCam(
                lambda values: self._logits(slot, Activations(values), ends), layer
            ).attribute(
                pixels.float(),
                target,
                attribute_to_layer_input=at_input,
                relu_attributions=True,
            )
        heat = LayerAttribution.interpolate(found.detach(), tuple(pixels.shape[-2:]), "bilinear")
        return heat[0, 0]  # type: ignore[no-any-return] # captum is not typed

    def _words(
        self,
        sample: Sample,
        raw: Mapping[str, Activations],
        ends: Mapping[str, Activations],
        target: int,
    ) -> tuple[tuple[str, float], ...]:
        """Sum the contributions of each word over the text towers."""
        read = [
            self._words_of(slot, sample, raw[slot], ends, target)
            for slot in raw
            if _is(slot, "text")
        ]
        return tuple(
            (same[0][0], sum(score for _, score in same)) for same in zip(*read, strict=True)
        )

    def _words_of(
        self,
        slot: str,
        sample: Sample,
        ids: Activations,
        ends: Mapping[str, Activations],
        target: int,
    ) -> tuple[tuple[str, float], ...]:
        tower: Any = self._towers[slot]
        inputs = self._inputs[slot]
        text = clean_text(sample.text, inputs.text_cleaning)
        spans = tower.tokenizer.spans(text, inputs.text_length)
        empty = ids.values.clone()
        for place, (start, stop) in enumerate(spans):
            if start < stop:  # special tokens stay
                empty[0, place] = tower.tokenizer.pad_id
        attributed: Any = LayerIntegratedGradients(
            lambda values: self._logits(slot, _with_mask(values), ends),
            embedding_of(self._prefixes[slot]),
        ).attribute(ids.values, empty, target, n_steps=_STEPS)
        scores = attributed.detach().sum(dim=-1)[0].tolist()
        return by_word(text, spans, scores)

    def _suffix(self, slot: str) -> nn.Module:
        return self._classifier.suffixes[slot]


def _is(slot: str, role: Role) -> bool:
    return role_of(slot) == role


@contextmanager
def feature_map(modules: Iterable[nn.Module]) -> Iterator[tuple[nn.Module, bool]]:
    """Find the last spatial feature map of an image tower, before pooling.

    In a vision transformer that is the input of the last block, which often computes CLS alone;
    its patches are arranged in their original grid.

    Yields:
        A layer for captum, and whether to attribute to its input rather than its output.
    """
    modules = list(modules)
    if pools := [module for module in modules if isinstance(module, nn.AdaptiveAvgPool2d)]:
        yield pools[-1], True
        return
    stack = next(m for m in reversed(modules) if isinstance(m, TokenStack) and m.pooling)
    grid = nn.Identity()

    def through(_: nn.Module, __: Any, tokens: Tensor) -> Tensor:
        extra, side = stack.extra_tokens, isqrt(tokens.shape[1] - stack.extra_tokens)
        patches = grid(tokens[:, extra:].transpose(1, 2).unflatten(2, (side, side)))
        return torch.cat([tokens[:, :extra], patches.flatten(2).transpose(1, 2)], dim=1)

    handle = stack.before_last.register_forward_hook(through)
    try:
        yield grid, False
    finally:
        handle.remove()


def embedding_of(prefix: Any) -> nn.Module:
    """Return the embedding module of a text tower's prefix."""
    embedding: nn.Module = (
        prefix.model.embeddings if hasattr(prefix, "model") else prefix.embeddings
    )
    return embedding


def by_word(
    text: str, spans: Iterable[tuple[int, int]], scores: Iterable[float]
) -> tuple[tuple[str, float], ...]:
    """Sum token scores by word.

    Args:
        text: Words separated by single spaces.
        spans: Start and end of each token in the text; start == end for special tokens.
        scores: The score of each token.

    Returns:
        Each word with its sum; 0 for words that were truncated.
    """
    words = text.split()
    sums = [0.0] * len(words)
    for (start, stop), score in zip(spans, scores, strict=False):
        if start < stop:
            # A token may include the space before its word.
            sums[text[: stop - 1].count(" ")] += score
    return tuple(zip(words, sums, strict=True))


def _repeat(end: Activations, rows: int) -> Activations:
    mask = None if end.mask is None else end.mask.expand(rows, -1)
    return Activations(end.values.expand(rows, *end.values.shape[1:]), mask)


def _with_mask(ids: Tensor) -> Activations:
    return Activations(ids, torch.ones_like(ids, dtype=torch.bool))
