"""What speaks for a class: places in the image by Grad-CAM, words by integrated gradients.

Attributions are captum's; here is where to attach them in a tower that is cut in two. Needs the
extra `explain`.
"""

from __future__ import annotations

from contextlib import contextmanager
from math import isqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from captum.attr import LayerAttribution, LayerGradCam, LayerIntegratedGradients
from torch import Tensor, nn

from trainables.activations.raw import raw_inputs
from trainables.data.text import clean_text
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

_STEPS = 32  # of the integral; its error is told by the test


class Attribution(NamedTuple):
    """What spoke for a class in one pair.

    Attributes:
        probability: What the model gives the class.
        pixels: What the image tower saw, shape (3, S, S), uint8; None where none is read.
        heat: Where it saw what speaks for the class, shape (S, S), float32 in [0, 1].
        words: Words of the cleaned text, each with what it adds to the logit, against padding in
            its place; empty where no text is read.
    """

    probability: float
    pixels: NDArray[np.uint8] | None
    heat: NDArray[np.float32] | None
    words: tuple[tuple[str, float], ...]


class Explainer:
    """Attribute the decisions of a model to its inputs.

    Args:
        towers: The towers, by name.
        readings: What is read of which, by slot.
        classifier: What was trained on top.
        inputs: How samples are prepared.
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
        """Say what speaks for a class.

        Args:
            sample: A pair.
            target: The class.

        Returns:
            Its attribution.
        """
        raw = {slot: self._raw(slot, sample) for slot in self._prefixes}
        with torch.no_grad():
            ends = {slot: self._prefixes[slot](values) for slot, values in raw.items()}
            probability = F.softmax(self._classifier(ends).float(), dim=-1)[0, target]
        pixels = raw["image"].values if "image" in raw else None
        return Attribution(
            probability=float(probability),
            pixels=None if pixels is None else pixels[0].byte().cpu().numpy(),
            heat=None if pixels is None else self._heat(pixels, ends, target),
            words=self._words(sample, raw, ends, target),
        )

    def _raw(self, slot: str, sample: Sample) -> Activations:
        inputs = raw_inputs([sample], self._inputs[slot], self._towers[slot])
        return inputs.gather(torch.tensor([0])).to(self._device)

    def _logits(self, slot: str, live: Activations, ends: Mapping[str, Activations]) -> Tensor:
        """Run one tower whole; of the others the ends are taken, for as many rows."""
        rows = len(live.values)
        batch = {name: _repeat(end, rows) for name, end in ends.items() if name != slot}
        logits: Tensor = self._classifier({**batch, slot: self._prefixes[slot](live)})
        return logits

    def _heat(
        self, pixels: Tensor, ends: Mapping[str, Activations], target: int
    ) -> NDArray[np.float32]:
        """Add up where each image tower saw what speaks for the class."""
        heats = [self._seen(slot, pixels, ends, target) for slot in ends if _is(slot, "image")]
        heat = torch.stack(heats).sum(dim=0)
        heat = heat / heat.max().clamp(min=torch.finfo(heat.dtype).tiny)
        array: NDArray[np.float32] = heat.float().cpu().numpy()
        return array

    def _seen(
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
        """Add up what each text tower makes of each word."""
        read = [
            self._said(slot, sample, raw[slot], ends, target) for slot in raw if _is(slot, "text")
        ]
        return tuple(
            (same[0][0], sum(score for _, score in same)) for same in zip(*read, strict=True)
        )

    def _said(
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
            if start < stop:  # what marks the ends of a text stays
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
    """Find where an image tower last knows what is where: before it pools.

    Of a vision transformer that is before its last block, which often computes CLS alone; its
    patches are laid out as the grid that they came from.

    Args:
        modules: All modules of the tower.

    Yields:
        A layer for captum, and whether its input is meant rather than its output.
    """
    modules = list(modules)
    if pools := [module for module in modules if isinstance(module, nn.AdaptiveAvgPool2d)]:
        yield pools[-1], True
        return
    stack = next(m for m in reversed(modules) if isinstance(m, TokenStack) and m.pooling)
    grid = nn.Identity()

    def through(_: nn.Module, __: Any, tokens: Tensor) -> Tensor:
        side = isqrt(tokens.shape[1] - 1)
        seen = grid(tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side)))
        return torch.cat([tokens[:, :1], seen.flatten(2).transpose(1, 2)], dim=1)

    handle = stack.before_last.register_forward_hook(through)
    try:
        yield grid, False
    finally:
        handle.remove()


def embedding_of(prefix: Any) -> nn.Module:
    """Find the embedding stage of a text tower.

    Args:
        prefix: Its frozen part, which begins at token ids.

    Returns:
        The module from ids to the first hidden states.
    """
    embedding: nn.Module = (
        prefix.model.embeddings if hasattr(prefix, "model") else prefix.embeddings
    )
    return embedding


def by_word(
    text: str, spans: Iterable[tuple[int, int]], scores: Iterable[float]
) -> tuple[tuple[str, float], ...]:
    """Add up what the tokens of each word say.

    Args:
        text: Words parted by single spaces.
        spans: Where each token is in the text; empty for what is no part of it.
        scores: Of each token.

    Returns:
        Each word with its sum; 0 for a word past the tokens that were kept.
    """
    words = text.split()
    sums = [0.0] * len(words)
    for (start, stop), score in zip(spans, scores, strict=False):
        if start < stop:
            # A token may begin with the space before its word.
            sums[text[: stop - 1].count(" ")] += score
    return tuple(zip(words, sums, strict=True))


def _repeat(end: Activations, rows: int) -> Activations:
    mask = None if end.mask is None else end.mask.expand(rows, -1)
    return Activations(end.values.expand(rows, *end.values.shape[1:]), mask)


def _with_mask(ids: Tensor) -> Activations:
    return Activations(ids, torch.ones_like(ids, dtype=torch.bool))
