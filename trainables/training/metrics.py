"""Scores of decided classes; numpy only, scikit-learn is their oracle in the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.data.sample import TAGS
from trainables.objective import CLASS_SCORES

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    classes = len(TAGS)
    confusion = np.bincount(labels * classes + decided, minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    hits, support = np.diag(confusion), confusion.sum(axis=1)
    f1 = 2 * hits / np.maximum(support + confusion.sum(axis=0), 1)
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "macro_f1": float(f1[support > 0].mean()),
        "weighted_f1": float(f1 @ support / len(labels)),
        **{name: float(value) for name, value in zip(CLASS_SCORES, f1, strict=True)},
    }
