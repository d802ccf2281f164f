"""Where a backbone is cut: what lies before is frozen and runs once, what lies after trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pooling = Literal["cls", "mean", "tokens"]

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
    """

    unfrozen_layers: int
    pooling: Pooling = "cls"
    live: bool = False

    @property
    def place(self) -> str:
        """A name for what the prefix computes; equal names mean equal activations."""
        if self.unfrozen_layers == EVERY_LAYER:
            return "before all"
        if self.unfrozen_layers:
            return f"before the last {self.unfrozen_layers}"
        return f"pooled by {self.pooling}"

    @property
    def prefix(self) -> Cut:
        """The one cut that stands for all whose frozen part is the same."""
        if self.live:
            return Cut(EVERY_LAYER)
        return Cut(self.unfrozen_layers) if self.unfrozen_layers else self
