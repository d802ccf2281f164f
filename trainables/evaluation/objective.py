"""The metrics of a trial, and whether larger or smaller is better.

Pure Python, so that `--help` can list the metrics without heavy imports.
"""

from __future__ import annotations

import math
from typing import Literal

Mode = Literal["max", "min"]

CLASS_SCORES = ("f1_positive", "f1_neutral", "f1_negative")
"""The F1 of each class, in the order of the classes."""

SCORES = ("loss", "accuracy", "macro_f1", "weighted_f1", *CLASS_SCORES)
"""All scores of a split, by name without `val_`; only the loss is minimised."""

METRICS = tuple(f"val_{name}" for name in SCORES)
"""All objectives that a search can have."""

# The cross-entropy if the true class has the smallest normal float32 as its probability.
_WORST_LOSS = 126 * math.log(2)


def mode_of(metric: str) -> Mode:
    """Return `min` for the loss and `max` for all other metrics."""
    return "min" if metric.endswith("loss") else "max"


def is_better(metric: str, new: float, old: float) -> bool:
    """Return whether a new value of a metric is strictly better than the old one."""
    return new > old if mode_of(metric) == "max" else new < old


def worst(metric: str) -> float:
    """Return the finite value that a diverged trial reports.

    Returns:
        0 for a score in [0, 1]; for the loss, that of a model that is certain and always wrong.
    """
    return 0.0 if mode_of(metric) == "max" else _WORST_LOSS
