"""Scores of decisions, vectorised over many sets of counts.

Numpy only, like `threshold`, `calibration` and `resampling`, so that the report and the search use
the same code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.classes import CLASSES
from trainables.evaluation.metrics import DECISION_SCORES, SCORES, Counts

if TYPE_CHECKING:
    from numpy.typing import NDArray


def confusion(labels: NDArray[np.int64], decided: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count decided classes by true class.

    Args:
        labels: True classes in [0, C), shape (N,).
        decided: Decided classes in [0, C), shape (N,).

    Returns:
        Counts, shape (C, C): a row per true class, a column per decided class.
    """
    classes = len(CLASSES)
    counts = np.bincount(labels * classes + decided, minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def score(
    name: str,
    hits: NDArray[np.generic],
    decided: NDArray[np.generic],
    support: NDArray[np.generic],
) -> NDArray[np.float64]:
    """Compute a score from counts, for many sets at once.

    Args:
        name: One of `DECISION_SCORES`.
        hits: Correct decisions by class, shape (..., C).
        decided: Decisions by class, shape (..., C).
        support: Samples by class, shape (..., C); may be weighted.

    Returns:
        The score of each set, in [0, 1], shape (...). The F1 of a class that neither occurs nor is
        decided is 0, as in scikit-learn with `zero_division=0`; the macro F1 is the mean over
        classes that occur.
    """
    compute = SCORES[name].compute
    assert compute is not None, f"{name} needs probabilities"
    counts = (np.asarray(each, dtype=np.float64) for each in (hits, decided, support))
    return np.asarray(compute(Counts(*counts)))


def score_confusion(name: str, counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Compute a score from confusion matrices, true class by decided, (..., C, C) to (...)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return score(name, hits, counts.sum(-2), counts.sum(-1))


def classification_scores(
    labels: NDArray[np.int64], decided: NDArray[np.int64]
) -> dict[str, float]:
    """Compute all of `DECISION_SCORES` from true and decided classes, each of shape (N,)."""
    counts = confusion(labels, decided)
    return {name: float(score_confusion(name, counts)) for name in DECISION_SCORES}
