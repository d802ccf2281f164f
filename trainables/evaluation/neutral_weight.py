"""The weight of the fallback class in a decision, chosen on samples with known classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.decision import decide
from trainables.evaluation.metrics import decision_score
from trainables.evaluation.scores import confusion, score_confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WEIGHTS = np.geomspace(0.5, 4, 43)
# Weighted F1 and accuracy hardly change over a wide range of weights, in which the rare class
# gains a lot: macro F1, which counts it as much as the others, decides there.
_FLAT = ("weighted_f1", "accuracy", "loss")


def best_neutral_weight(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    score: str,
    classes: Classes = SENTIMENTS,
) -> float:
    """Choose the weight of the fallback class.

    Args:
        labels: True classes of samples that no model was trained on, shape (N,).
        probabilities: Their class probabilities, shape (N, C).
        score: What it is chosen for: one of `decision_scores`, or `loss`, which no weight
            changes and which stands for weighted F1. For weighted F1 and for accuracy, the
            criterion is the mean with macro F1.
        classes: The C classes.

    Returns:
        The weight, as in `decide`: of those with the best score, the nearest to 1; 1 without a
        fallback class.
    """
    if classes.fallback is None:
        return 1.0
    wanted = decision_score(score)
    names = [wanted, "macro_f1"] if score in _FLAT else [wanted]

    def value(weight: float) -> float:
        decided = decide(probabilities, neutral_weight=weight, classes=classes)
        counts = confusion(labels, decided, len(classes))
        return float(np.mean([score_confusion(name, counts, classes) for name in names]))

    weights = sorted([1.0, *_WEIGHTS.tolist()], key=lambda weight: abs(np.log(weight)))
    return float(max(weights, key=value))
