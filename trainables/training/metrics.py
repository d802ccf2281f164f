"""Scores of decided classes; numpy only, scikit-learn is their oracle in the tests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainables.data.sample import TAGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Every score of a split, by the name that follows `val_`; only the loss is to be minimised.
SCORES: tuple[str, ...] = (
    "loss",
    "accuracy",
    "macro_f1",
    "weighted_f1",
    *(f"f1_{tag}" for tag in TAGS),
)
METRICS: tuple[str, ...] = tuple(f"val_{name}" for name in SCORES)


def mode_of(metric: str) -> Literal["max", "min"]:
    """Say whether more of a metric is better.

    Args:
        metric: One of `METRICS`.

    Returns:
        `min` for the loss, `max` for all others.
    """
    return "min" if metric.endswith("loss") else "max"


def is_better(metric: str, new: float, old: float) -> bool:
    """Compare two values of a metric.

    Args:
        metric: One of `METRICS`.
        new: The later value.
        old: The best value so far.

    Returns:
        Whether the later value is strictly better.
    """
    return new > old if mode_of(metric) == "max" else new < old


def worst(metric: str) -> float:
    """Give the finite value that a diverged trial reports.

    Args:
        metric: One of `METRICS`.

    Returns:
        0 for a score in [0, 1]; for the loss, that of a model that is sure and always wrong.
    """
    return 0.0 if mode_of(metric) == "max" else -math.log(np.finfo(np.float32).tiny)


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
        `zero_division=0` and all labels given.
    """
    classes = len(TAGS)
    confusion = np.bincount(labels * classes + decided, minlength=classes**2)
    confusion = confusion.reshape(classes, classes)
    hits, support = np.diag(confusion), confusion.sum(axis=1)
    f1 = 2 * hits / np.maximum(support + confusion.sum(axis=0), 1)
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float(f1 @ support / len(labels)),
        **{f"f1_{tag}": float(value) for tag, value in zip(TAGS, f1, strict=True)},
    }
