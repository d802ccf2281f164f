"""An exponential moving average of the weights, which stands for the model between epochs.

The weights of single steps jump around; their average generalises better, most of all where few
samples train many weights and the learning rate is still high.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.optim.swa_utils import get_ema_multi_avg_fn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn


class WeightAverage:
    """The average of the weights over optimiser steps, in the model's place outside of training.

    The decay grows with the number of steps t, as min(decay, (1 + t) / (10 + t)), so that the
    initial weights are soon forgotten.

    Args:
        parameters: What is trained; holds the average from the end of an epoch to the next.
        decay: Of the average, in [0, 1); 0 keeps the weights of the last step.

    Source:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; the
        growing decay is that of TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self._decay, self._steps = decay, 0
        self._weights = [p.detach() for p in parameters] if decay else []  # of the model itself
        # Whichever of average and last step is not in the model.
        self._other = [weight.clone() for weight in self._weights]

    def after_step(self) -> None:
        """Take the weights of an optimiser step into the average."""
        if not self._weights:
            return
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        get_ema_multi_avg_fn(decay)(self._other, self._weights, self._steps)

    def exchange(self) -> None:
        """Exchange the average with the weights of the last step: before an epoch and after it."""
        for weight, other in zip(self._weights, self._other, strict=True):
            held = weight.clone()
            weight.copy_(other)
            other.copy_(held)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to resume, between epochs, besides the model's weights."""
        return {"steps": self._steps, "latest": self._other}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        self._steps = state["steps"]
        latest: Sequence[Tensor] = state["latest"]
        for other, saved in zip(self._other, latest, strict=True):
            other.copy_(saved)
