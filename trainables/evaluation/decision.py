"""From probabilities to a class; numpy only, so decisions can be revised without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainables.evaluation.calibration import with_temperature
from trainables.evaluation.classes import Sentiment

if TYPE_CHECKING:
    from numpy.typing import NDArray


Precision = Literal["float32", "bfloat16", "float16"]

NEUTRAL = Sentiment.NEUTRAL
POLAR = [Sentiment.POSITIVE, Sentiment.NEGATIVE]


def decide(
    probabilities: NDArray[np.floating],
    neutral_threshold: float = 0.0,
    neutral_weight: float = 1.0,
) -> NDArray[np.int64]:
    """Decide on a class: the most probable, or neutral if neither polar class is likely.

    Args:
        probabilities: Class probabilities, shape (N, C).
        neutral_threshold: A pair is neutral if both polar probabilities are below it, in [0, 1];
            0 takes the largest probability.
        neutral_weight: Multiplies the probability of neutral before the largest is taken, > 0 and
            finite: how many times as much it costs to miss a neutral pair as a polar one. The
            threshold is independent of it.

    Returns:
        Classes, shape (N,), int64.

    Source:
        Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001, equation 1, where the cost
        of an error depends on the true class alone.
    """
    weights = np.ones(probabilities.shape[1])
    weights[NEUTRAL] = neutral_weight
    classes: NDArray[np.int64] = (probabilities * weights).argmax(axis=1).astype(np.int64)
    unsure = (probabilities[:, POLAR] < neutral_threshold).all(axis=1)
    classes[unsure] = NEUTRAL
    return classes


@dataclass(frozen=True)
class DecisionRule:
    """How a final model decides, and how its probabilities are calibrated.

    Attributes:
        neutral_threshold: As in `decide`; applied before calibration, as when it was chosen.
        temperature: Divides the logits of the reported probabilities, > 0; 1 leaves them
            unchanged.
        precision: Precision in which the probabilities were computed when it was chosen.
        neutral_weight: As in `decide`; applied before calibration, too.
        frozen_precision: Precision in which frozen parts of backbones were computed then.
    """

    neutral_threshold: float
    temperature: float = 1.0
    precision: Precision = "float32"
    neutral_weight: float = 1.0
    frozen_precision: Precision = "float32"

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Decide on classes (N,), int64, from uncalibrated probabilities (N, C)."""
        return decide(probabilities, self.neutral_threshold, self.neutral_weight)

    def calibrate(self, probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
        """Apply temperature scaling to probabilities (N, C) as the model outputs them.

        Returns:
            Calibrated probabilities, shape (N, C), in the same order; the input itself at
            temperature 1.

        Source:
            Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML
            2017, section 4.2.
        """
        if self.temperature == 1:
            return probabilities
        return with_temperature(probabilities, self.temperature)
