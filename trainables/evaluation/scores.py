"""Decisions and their scores, many at once: what follows from labels and probabilities alone.

Everything of this kind is here, in `threshold`, `calibration` and `resampling`: numpy only, so
that the report and the search's choice use the same lines. A trial scores its own epochs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.classes import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray


DECISION_SCORES = ("accuracy", "macro_f1", "weighted_f1", *(f"f1_{name}" for name in CLASSES))
"""The scores that follow from decisions; `loss`, the only other one, needs probabilities."""


def confusion(labels: NDArray[np.int64], decided: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count decisions by truth.

    Args:
        labels: True classes in [0, C), shape (N,).
        decided: Decided classes in [0, C), shape (N,).

    Returns:
        Counts, shape (C, C): a row for each true class, a column for each decided one.
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
    """Score counts of decisions, of many sets at once.

    Args:
        name: One of `DECISION_SCORES`.
        hits: Right decisions by class, shape (..., C).
        decided: Decisions by class, shape (..., C).
        support: Samples by class, shape (..., C); may be weights.

    Returns:
        The score of each set, in [0, 1], shape (...). The F1 of a class that neither occurs nor
        is decided is 0, as in scikit-learn with `zero_division=0`; the macro F1 is the mean over
        classes that occur.
    """
    hits, decided, support = (np.asarray(x, dtype=np.float64) for x in (hits, decided, support))
    if name == "accuracy":
        return np.asarray(hits.sum(-1) / support.sum(-1))
    either = support + decided
    f1 = 2 * hits / np.where(either > 0, either, 1)
    if name == "macro_f1":
        occurs = support > 0
        return np.asarray((f1 * occurs).sum(-1) / occurs.sum(-1))
    if name == "weighted_f1":
        return np.asarray((f1 * support).sum(-1) / support.sum(-1))
    return np.asarray(f1[..., CLASSES.index(name.removeprefix("f1_"))])


def score_confusion(name: str, counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """Score confusion matrices.

    Args:
        name: One of `DECISION_SCORES`.
        counts: Counts or weights by true and decided class, shape (..., C, C).

    Returns:
        The score of each, in [0, 1], shape (...).
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return score(name, hits, counts.sum(-2), counts.sum(-1))


def classification_scores(
    labels: NDArray[np.int64], decided: NDArray[np.int64]
) -> dict[str, float]:
    """Score decisions against the truth.

    Args:
        labels: True classes in [0, C), shape (N,), N >= 1.
        decided: Decided classes, shape (N,).

    Returns:
        Accuracy, macro and weighted F1 and the F1 of each class, each in [0, 1]. The F1 of a
        class that neither occurs nor is decided is 0, as scikit-learn has it with
        `zero_division=0` and all labels given; the macro F1 is the mean over classes that occur.
    """
    counts = confusion(labels, decided)
    return {name: float(score_confusion(name, counts)) for name in DECISION_SCORES}
