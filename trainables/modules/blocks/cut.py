"""Where a backbone is split: layers before the cut are frozen and run once, those after train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Pooling = Literal["cls", "mean", "tokens"]
Layers = Literal["last", "third_last", "both", "last_four"]

POOLED_LAYERS: Mapping[Layers, tuple[int, ...]] = {
    "last": (0,),
    "third_last": (2,),
    "both": (0, 2),
    "last_four": (0, 1, 2, 3),
}
"""Which layers are pooled, each counted back from the last: 0 is the last, 2 the third-last."""

EVERY_LAYER = 1_000_000
"""As a number of unfrozen layers: all of them."""


@dataclass(frozen=True, order=True)
class Cut:
    """A place to split a backbone.

    A tower that is frozen entirely is cut after its pooling, where each sample is one vector, so
    the pooling is part of the place. With unfrozen layers, the frozen part does not depend on the
    pooling.

    Attributes:
        unfrozen_layers: Number of blocks after the cut, >= 0.
        pooling: How tokens become one embedding: `cls`; `mean` over real tokens; `tokens` keeps
            all of them for cross-attention. Image towers without tokens have one pooling only.
        live: Whether the other tower that this one attends to trains, so that only the embeddings
            can be cached, although only the unfrozen layers train.
        layers: Which layers of an entirely frozen tower are pooled: the last, the third-last,
            `both` concatenated, or the mean of the last four (as the feature-based approach of
            Devlin et al., "BERT", NAACL 2019, section 5.3).
    """

    unfrozen_layers: int
    pooling: Pooling = "cls"
    live: bool = False
    layers: Layers = "last"

    @property
    def place(self) -> str:
        """A name for what the prefix computes; equal names imply equal activations."""
        if self.unfrozen_layers == EVERY_LAYER:
            return "before all"
        if self.unfrozen_layers:
            return f"before the last {self.unfrozen_layers}"
        pooled = f"pooled by {self.pooling}"
        return pooled if self.layers == "last" else f"{pooled} of layers {self.layers}"

    @property
    def prefix(self) -> Cut:
        """The cut that represents all cuts with the same frozen part."""
        if self.live:
            return Cut(EVERY_LAYER)
        return Cut(self.unfrozen_layers) if self.unfrozen_layers else self

    @property
    def reach(self) -> int:
        """Layers before the last that it must see the output of: it begins before them."""
        return 0 if self.unfrozen_layers else max(POOLED_LAYERS[self.layers])
