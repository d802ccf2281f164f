"""Tiny random weights: the one rule for every variant where nothing is pretrained.

Spaces and hand-tuned configs are made for pretrained towers and thousands of samples: low
learning rates, which preserve what was learnt, and large batches. Tiny random towers have learnt
nothing; in the few epochs of a demonstration they need high rates and many steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trainables.hyperparameter import Choices, FloatRange
from trainables.modules.backbones.weights import TINY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.space import Space

RATES: Mapping[str, tuple[float, float]] = {
    "head_learning_rate": (2e-3, 2e-2),
    "backbone_learning_rate": (1e-3, 6e-3),
}
"""Lowest and highest learning rates of tiny random towers, by hyperparameter."""

WAYS_TO_READ = ("text_cleaning", "text_pooled_layers", "image_preparation")
"""What changes how towers read, which is the same to random ones."""

BATCHES = (8, 16)
"""Samples per optimiser step."""


def is_tiny(backbones: Mapping[str, str]) -> bool:
    """Return whether all weights are tiny and random."""
    return set(backbones.values()) == {TINY}


def tiny_space(space: Space) -> Space:
    """Give a variant's space the rates of `RATES`, `BATCHES`, and one way to read."""
    rates = {name: FloatRange(*ends, log=True) for name, ends in RATES.items()}
    space = space.without(WAYS_TO_READ)
    return space.replace({**rates, "batch_size": Choices(*BATCHES)})


def at_tiny_rates(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give a hand-tuned config the geometric middle of each range in `RATES`."""
    return {**params, **{name: math.sqrt(low * high) for name, (low, high) in RATES.items()}}
