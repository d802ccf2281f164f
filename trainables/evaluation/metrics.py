"""The metrics: one table of what each is called, says and is computed by, and which way is better.

Whatever lists, heads or computes metrics iterates over `scores_of` the classes of the data: the
entries of the table, and one for each class. No import of numpy, so that `--help` can list the
metrics without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from trainables.evaluation.classes import Classes

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
        names: What the C classes are called.
    """

    hits: NDArray[np.float64]
    decided: NDArray[np.float64]
    support: NDArray[np.float64]
    names: tuple[str, ...]

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
    """

    title: str
    meaning: str
    compute: Callable[[Counts], NDArray[np.float64]] | None
    mode: Mode = "max"
    worst: float = 0.0
    headline: int = 0
    of_class: str | None = None


def _macro_f1(counts: Counts) -> NDArray[np.float64]:
    occurs = counts.support > 0
    mean: NDArray[np.float64] = (counts.f1 * occurs).sum(-1) / occurs.sum(-1)
    return mean


def _worst_f1(counts: Counts) -> NDArray[np.float64]:
    worst: NDArray[np.float64] = (counts.f1 + (counts.support == 0)).min(-1)
    return worst


def _f1_of(name: str) -> Score:
    return Score(
        title=f"F1 {name}",
        meaning=f"F1 of {name}, in [0, 1]",
        compute=lambda counts: counts.f1[..., counts.names.index(name)],
        headline=5,
        of_class=name,
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
}
"""The metrics of all classes, by name."""

AVERAGE_SCORES = tuple(name for name, score in SCORES.items() if score.compute)
"""The scores of decisions that are of all classes."""

WORST = "worst_f1"
"""Of data without a fallback class: beside the averages, it shows what they hide, as the F1 of
the fallback class does elsewhere."""

_WORST = Score("worst F1", "lowest F1 of the classes that occur, in [0, 1]", _worst_f1, headline=4)
_OF_CLASS = "f1_"


def scores_of(classes: Classes) -> dict[str, Score]:
    """Return all metrics of some classes, by name.

    Returns:
        The metrics, in the order of tables: those of all classes, then one of each class. A trial
        reports each as `val_NAME`, and a search can have it as its objective.
    """
    worst = {WORST: _WORST} if classes.fallback is None else {}
    return {**SCORES, **worst, **{name: _f1_of(of) for name, of in _class_names(classes).items()}}


def _class_names(classes: Classes) -> dict[str, str]:
    return {f"{_OF_CLASS}{name}": name for name in classes.names}


def decision_scores(classes: Classes) -> tuple[str, ...]:
    """Return the names of the scores of decisions; the others need probabilities."""
    return tuple(name for name, score in scores_of(classes).items() if score.compute)


def class_scores(classes: Classes) -> tuple[str, ...]:
    """Return the names of the scores of one class each, in the order of the classes."""
    return tuple(_class_names(classes))


def headlines(classes: Classes) -> tuple[str, ...]:
    """Return the names of the scores that sum up a search, in the order they are shown in."""
    scores = scores_of(classes)
    return tuple(
        sorted(
            (name for name in scores if scores[name].headline), key=lambda n: scores[n].headline
        )
    )


def score_of(metric: str) -> Score:
    """Return what is declared of a metric of any classes, given with or without `val_`.

    Raises:
        KeyError: If there is no such metric.
    """
    name = metric.removeprefix("val_")
    if name.startswith(_OF_CLASS) and name != _OF_CLASS:
        return _f1_of(name.removeprefix(_OF_CLASS))
    return _WORST if name == WORST else SCORES[name]


def is_score(metric: str) -> bool:
    """Return whether there is such a metric of some classes, given with or without `val_`."""
    try:
        score_of(metric)
    except KeyError:
        return False
    return True


def mode_of(metric: str) -> Mode:
    """Return whether a metric is to be maximised or minimised."""
    return score_of(metric).mode


def is_better(metric: str, new: float, old: float) -> bool:
    """Return whether a new value of a metric is strictly better than the old one."""
    return new > old if mode_of(metric) == "max" else new < old


def decision_score(metric: str) -> str:
    """Return the score of decisions to go by: the metric's own, else weighted F1."""
    is_of_decisions = is_score(metric) and score_of(metric).compute
    return metric.removeprefix("val_") if is_of_decisions else "weighted_f1"
