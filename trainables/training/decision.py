"""From probabilities to a class; numpy only, so that it can be redone without any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.data.sample import Sentiment

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POLAR = [Sentiment.POSITIVE, Sentiment.NEGATIVE]


def decide(
    probabilities: NDArray[np.floating], neutral_threshold: float = 0.0
) -> NDArray[np.int64]:
    """Decide on a class: the most probable, or neutral where neither pole is likely.

    Args:
        probabilities: Class probabilities, shape (N, C).
        neutral_threshold: A pair is neutral when both its polar probabilities are under it, in
            [0, 1]; 0 leaves the decision to the largest probability.

    Returns:
        Classes, shape (N,), int64.
    """
    classes: NDArray[np.int64] = probabilities.argmax(axis=1).astype(np.int64)
    unsure = (probabilities[:, _POLAR] < neutral_threshold).all(axis=1)
    classes[unsure] = Sentiment.NEUTRAL
    return classes
