"""What a trial reports of a split, and which way each score is better.

Pure Python, so that `--help` knows the metrics without waiting for anything.
"""

from __future__ import annotations

import math
from typing import Literal

Mode = Literal["max", "min"]

CLASS_SCORES = ("f1_positive", "f1_neutral", "f1_negative")
"""The F1 of each class, in the order of the classes."""

SCORES = ("loss", "accuracy", "macro_f1", "weighted_f1", *CLASS_SCORES)
"""Every score of a split, by the name that follows `val_`; only the loss is to be minimised."""

METRICS = tuple(f"val_{name}" for name in SCORES)
"""Every objective that a search can have."""

# The cross-entropy of a model that gives the true class the smallest normal float32.
_WORST_LOSS = 126 * math.log(2)


def mode_of(metric: str) -> Mode:
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
    return 0.0 if mode_of(metric) == "max" else _WORST_LOSS
