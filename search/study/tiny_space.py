"""Random weights: the one rule for every variant where nothing is pretrained.

Spaces and hand-tuned configs are made for pretrained towers and some thousand samples, with low
learning rates, which spoil nothing, and large batches. Tiny random towers know nothing that could
be spoilt; in the few epochs of a demonstration they learn by high rates and many steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from trainables.modules.backbones.weights import TINY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna

    from search.study.space import Space, Value

RATES: Mapping[str, tuple[float, float]] = {
    "head_learning_rate": (2e-3, 2e-2),
    "backbone_learning_rate": (1e-3, 6e-3),
}
"""Lowest and highest learning rates of what learns from scratch, by hyperparameter."""

BATCHES = (8, 16)
"""Samples per optimiser step."""


def is_tiny(backbones: Mapping[str, str]) -> bool:
    """Say whether nothing is pretrained.

    Args:
        backbones: Where the weights of each role come from.

    Returns:
        Whether all are tiny and random.
    """
    return set(backbones.values()) == {TINY}


@dataclass(frozen=True)
class TinySpace:
    """A variant's space with the learning rates of `RATES` and the batches of `BATCHES`.

    Attributes:
        space: The variant's space.
    """

    space: Space

    def __call__(self, trial: optuna.Trial) -> None:
        """Suggest one trial.

        Args:
            trial: The Optuna trial that draws the values.
        """
        self.space(cast("optuna.Trial", _TinyTrial(trial)))


class _TinyTrial:
    """Draws learning rates and batches from other ranges, and all else as it is asked to."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def suggest_float(self, name: str, low: float, high: float, **how: Any) -> float:
        return self._trial.suggest_float(name, *RATES.get(name, (low, high)), **how)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        kept = list(BATCHES) if name == "batch_size" else choices
        return cast("Value", self._trial.suggest_categorical(name, kept))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trial, name)


def at_tiny_rates(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give a hand-tuned config the learning rates of what learns from scratch.

    Args:
        params: Values by name.

    Returns:
        The same, with the geometric middle of each range in `RATES`.
    """
    return {**params, **{name: math.sqrt(low * high) for name, (low, high) in RATES.items()}}
