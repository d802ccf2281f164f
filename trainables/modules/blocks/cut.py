"""Where a backbone is cut: what lies before is frozen and runs once, what lies after trains."""

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
"""As a number of unfrozen layers: all that there are."""


@dataclass(frozen=True, order=True)
class Cut:
    """A place in a backbone.

    A tower that is frozen whole is cut after its pooling, where a sample is one vector, so the
    pooling is part of the place; with unfrozen layers the frozen part is the same for all.

    Attributes:
        unfrozen_layers: Blocks after the cut, >= 0.
        pooling: How tokens become one embedding; `mean` leaves out padding, `tokens` keeps them
            all for another tower to read. Image towers without tokens pool in the one way they
            were trained for.
        live: Whether what the tower reads of another tower trains, so that nothing after the
            embeddings can be kept, though only the unfrozen layers train.
        layers: Which layers of a tower that is frozen whole are pooled: the last, the third-last,
            `both` side by side, or the mean of the last four (as Devlin et al., "BERT", NAACL
            2019, section 5.3, read features off it).
    """

    unfrozen_layers: int
    pooling: Pooling = "cls"
    live: bool = False
    layers: Layers = "last"

    @property
    def place(self) -> str:
        """A name for what the prefix computes; equal names mean equal activations."""
        if self.unfrozen_layers == EVERY_LAYER:
            return "before all"
        if self.unfrozen_layers:
            return f"before the last {self.unfrozen_layers}"
        pooled = f"pooled by {self.pooling}"
        return pooled if self.layers == "last" else f"{pooled} of layers {self.layers}"

    @property
    def prefix(self) -> Cut:
        """The one cut that stands for all whose frozen part is the same."""
        if self.live:
            return Cut(EVERY_LAYER)
        return Cut(self.unfrozen_layers) if self.unfrozen_layers else self

    @property
    def reach(self) -> int:
        """Layers before the last that it must see the output of: it begins before them."""
        return 0 if self.unfrozen_layers else max(POOLED_LAYERS[self.layers])
