"""Scores of decisions, vectorised over many sets of counts.

Numpy only, like `threshold`, `calibration` and `resampling`, so that the report and the search use
the same code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.metrics import Counts, decision_scores, score_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def confusion(
    labels: NDArray[np.int64], decided: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count decided classes by true class.

    Args:
        labels: True classes in [0, C), shape (N,).
        decided: Decided classes in [0, C), shape (N,).
        classes: Number of classes, C.

    Returns:
        Counts, shape (C, C): a row per true class, a column per decided class.
    """
    counts = np.bincount(labels * classes + decided, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def score(
    name: str,
    hits: NDArray[np.generic],
    decided: NDArray[np.generic],
    support: NDArray[np.generic],
    classes: Classes = SENTIMENTS,
) -> NDArray[np.float64]:
    """Compute a score from counts, for many sets at once.

    Args:
        name: One of `decision_scores`.
        hits: Correct decisions by class, shape (..., C).
        decided: Decisions by class, shape (..., C).
        support: Samples by class, shape (..., C); may be weighted.
        classes: The C classes.

    Returns:
        The score of each set, in [0, 1], shape (...). The F1 of a class that neither occurs nor is
        decided is 0, as in scikit-learn with `zero_division=0`; the macro F1 is the mean over
        classes that occur.
    """
    compute = score_of(name).compute
    assert compute is not None, f"{name} needs probabilities"
    counts = [np.asarray(each, dtype=np.float64) for each in (hits, decided, support)]
    return np.asarray(compute(Counts(counts[0], counts[1], counts[2], classes.names)))


def score_confusion(
    name: str, counts: NDArray[np.generic], classes: Classes = SENTIMENTS
) -> NDArray[np.float64]:
    """Compute a score from confusion matrices, true class by decided, (..., C, C) to (...)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return score(name, hits, counts.sum(-2), counts.sum(-1), classes)


def classification_scores(
    labels: NDArray[np.int64], decided: NDArray[np.int64], classes: Classes = SENTIMENTS
) -> dict[str, float]:
    """Compute all of `decision_scores` from true and decided classes, each of shape (N,)."""
    counts = confusion(labels, decided, len(classes))
    return {
        name: float(score_confusion(name, counts, classes)) for name in decision_scores(classes)
    }
