"""From probabilities to a class; numpy only, so decisions can be revised without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainables.evaluation.calibration import with_temperature
from trainables.evaluation.classes import SENTIMENTS, Classes

if TYPE_CHECKING:
    from numpy.typing import NDArray


Precision = Literal["float32", "bfloat16", "float16"]


def decide(
    probabilities: NDArray[np.floating],
    neutral_threshold: float = 0.0,
    neutral_weight: float = 1.0,
    classes: Classes = SENTIMENTS,
) -> NDArray[np.int64]:
    """Decide on a class: the most probable, or the fallback if no other class is likely.

    The fallback class is mostly neutral, hence the names.

    Args:
        probabilities: Class probabilities, shape (N, C).
        neutral_threshold: A pair is of the fallback class if the probabilities of all others are
            below it, in [0, 1]; 0 takes the largest probability.
        neutral_weight: Multiplies the probability of the fallback class before the largest is
            taken, > 0 and finite: how many times as much it costs to miss a pair of it as one of
            another. The threshold is independent of it.
        classes: The C classes; without a fallback, neither threshold nor weight matters.

    Returns:
        Classes, shape (N,), int64.

    Source:
        Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001, equation 1, where the cost
        of an error depends on the true class alone.
    """
    assert probabilities.shape[1] == len(classes), f"{probabilities.shape} of {classes}"
    if classes.fallback is None:
        return np.asarray(probabilities.argmax(axis=1), np.int64)
    weights = np.ones(len(classes))
    weights[classes.fallback] = neutral_weight
    decided: NDArray[np.int64] = (probabilities * weights).argmax(axis=1).astype(np.int64)
    unsure = (probabilities[:, classes.others] < neutral_threshold).all(axis=1)
    decided[unsure] = classes.fallback
    return decided


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
        classes: The C classes.
    """

    neutral_threshold: float
    temperature: float = 1.0
    precision: Precision = "float32"
    neutral_weight: float = 1.0
    frozen_precision: Precision = "float32"
    classes: Classes = SENTIMENTS

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Decide on classes (N,), int64, from uncalibrated probabilities (N, C)."""
        return decide(probabilities, self.neutral_threshold, self.neutral_weight, self.classes)

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
