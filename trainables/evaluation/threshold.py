"""The threshold of the fallback class: its exact score curve and its best value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.metrics import decision_scores
from trainables.evaluation.scores import score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ThresholdCurve:
    """All scores at every threshold where decisions change.

    Attributes:
        thresholds: Ascending from 0, shape (T,), in [0, 1]. Each represents the values above the
            previous one, up to and including itself.
        scores: By name (`decision_scores`), each of shape (T,), in [0, 1].
    """

    thresholds: NDArray[np.float64]
    scores: Mapping[str, NDArray[np.float64]]

    def best(self, name: str) -> tuple[float, float]:
        """Return the threshold with the best score, the lowest of ties, and that score."""
        index = int(self.scores[name].argmax())
        return float(self.thresholds[index]), float(self.scores[name][index])


def threshold_curve(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], classes: Classes = SENTIMENTS
) -> ThresholdCurve:
    """Score every threshold in O(N log N).

    Decisions change only where the threshold passes the largest probability of a sample among all
    classes but the fallback, and then only that sample's, to the fallback; so all counts are
    cumulative sums over sorted samples.

    Args:
        labels: True classes, shape (N,), N >= 1.
        probabilities: Class probabilities, shape (N, C).
        classes: The C classes, with a fallback.

    Returns:
        The curve.
    """
    each = np.arange(len(classes))
    polar = probabilities[:, classes.others].max(axis=1)
    order = np.argsort(polar, kind="stable")
    polar, truth = polar[order], labels[order, None] == each
    first = probabilities[order].argmax(axis=1)[:, None] == each
    turned = np.broadcast_to(each == classes.fallback, first.shape)
    values = np.unique(polar)
    thresholds = np.concatenate([[0.0], values[1:], [1.0] if values[-1] < 1 else []])
    flipped = np.searchsorted(polar, thresholds, side="left")

    def running(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> NDArray[np.int64]:
        changes = np.cumsum(after.astype(np.int64) - before, axis=0)
        start = before.sum(axis=0)
        return np.asarray(start + np.vstack([np.zeros_like(start), changes])[flipped])

    hits, decided = running(first & truth, turned & truth), running(first, turned)
    support = truth.sum(axis=0)
    return ThresholdCurve(
        thresholds.astype(np.float64),
        {name: score(name, hits, decided, support, classes) for name in decision_scores(classes)},
    )
