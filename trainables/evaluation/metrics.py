"""The metrics: one table of what each is called, says and is computed by, and which way is better.

Whatever lists, heads or computes metrics iterates over `SCORES`. No import of numpy, so that
`--help` can list the metrics without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainables.evaluation.classes import Sentiment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

Mode = Literal["max", "min"]

# The cross-entropy if the true class has the smallest normal float32 as its probability.
_WORST_LOSS = 126 * math.log(2)


@dataclass(frozen=True)
class Counts:
    """Decisions counted by class, of many sets at once.

    Attributes:
        hits: Correct decisions, shape (..., C).
        decided: Decisions, shape (..., C).
        support: Samples, shape (..., C); may be weighted.
    """

    hits: NDArray[np.float64]
    decided: NDArray[np.float64]
    support: NDArray[np.float64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 by class, (..., C): 0 for one that neither occurs nor is decided, as scikit-learn."""
        either = self.support + self.decided
        f1: NDArray[np.float64] = 2 * self.hits / (either + (either == 0))
        return f1


@dataclass(frozen=True)
class Score:
    """A metric, of one split or one set of samples.

    Attributes:
        title: What it is called.
        meaning: What it is, with its range.
        compute: Its values of counts, shape (...); None for one that needs probabilities.
        mode: Whether more or less of it is better.
        worst: The finite value that a diverged trial reports, no better than any other.
        headline: Its place where a search is summed up, on the terminal and on the model card,
            from 1; 0 leaves it out there.
        of_class: The class that it is of; None for one of all classes.
        short: What it is called over a narrow column; empty for the title.
    """

    title: str
    meaning: str
    compute: Callable[[Counts], NDArray[np.float64]] | None
    mode: Mode = "max"
    worst: float = 0.0
    headline: int = 0
    of_class: Sentiment | None = None
    short: str = ""

    @property
    def heading(self) -> str:
        """What it is called over a narrow column."""
        return self.short or self.title


def _macro_f1(counts: Counts) -> NDArray[np.float64]:
    occurs = counts.support > 0
    mean: NDArray[np.float64] = (counts.f1 * occurs).sum(-1) / occurs.sum(-1)
    return mean


def _f1_of(sentiment: Sentiment) -> Score:
    return Score(
        title=f"F1 {sentiment.tag}",
        meaning=f"F1 of {sentiment.tag}, in [0, 1]",
        compute=lambda counts: counts.f1[..., sentiment],
        headline=4 + sentiment,
        of_class=sentiment,
        short=f"F1 {sentiment.tag[:3]}",
    )


SCORES: Mapping[str, Score] = {
    "loss": Score(
        "loss",
        "validation cross-entropy, in nats",
        compute=None,
        mode="min",
        worst=_WORST_LOSS,
    ),
    "accuracy": Score(
        "accuracy",
        "share of samples decided right, in [0, 1]",
        lambda counts: counts.hits.sum(-1) / counts.support.sum(-1),
        headline=1,
    ),
    "macro_f1": Score(
        "macro F1", "mean F1 of the classes that occur, in [0, 1]", _macro_f1, headline=3
    ),
    "weighted_f1": Score(
        "weighted F1",
        "mean F1 weighted by the classes' counts, in [0, 1]",
        lambda counts: (counts.f1 * counts.support).sum(-1) / counts.support.sum(-1),
        headline=2,
    ),
    **{f"f1_{sentiment.tag}": _f1_of(sentiment) for sentiment in Sentiment},
}
"""All metrics, by name; a trial reports each as `val_NAME`. Tables have them in this order."""

METRICS = tuple(f"val_{name}" for name in SCORES)
"""All objectives that a search can have."""

DECISION_SCORES = tuple(name for name, score in SCORES.items() if score.compute)
"""The scores of decisions; those that remain need probabilities."""

CLASS_SCORES = tuple(name for name, score in SCORES.items() if score.of_class is not None)
"""The scores of one class each, in the order of the classes."""

AVERAGE_SCORES = tuple(name for name in DECISION_SCORES if name not in CLASS_SCORES)
"""The scores of decisions that are of all classes."""

HEADLINES = tuple(
    sorted((name for name in SCORES if SCORES[name].headline), key=lambda n: SCORES[n].headline)
)
"""The scores that sum up a search, in the order in which they are shown."""


def score_of(metric: str) -> Score:
    """Return what is declared of a metric, given with or without `val_`."""
    return SCORES[metric.removeprefix("val_")]


def mode_of(metric: str) -> Mode:
    """Return whether a metric is to be maximised or minimised."""
    return score_of(metric).mode


def is_better(metric: str, new: float, old: float) -> bool:
    """Return whether a new value of a metric is strictly better than the old one."""
    return new > old if mode_of(metric) == "max" else new < old


def decision_score(metric: str) -> str:
    """Return the score of decisions to go by: the metric's own, else weighted F1."""
    name = metric.removeprefix("val_")
    return name if name in DECISION_SCORES else "weighted_f1"
