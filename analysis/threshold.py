"""The neutral threshold: its exact curve, its best value, and an honest score of choosing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.scores import DECISION_SCORES, NEUTRAL, POLAR, decide, score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_INNER_PARTS = 5


@dataclass(frozen=True)
class ThresholdCurve:
    """Every score at every neutral threshold that makes a difference.

    Attributes:
        thresholds: Ascending from 0, shape (T,), in [0, 1]. Each stands for all values above the
            one before it, and up to itself.
        scores: By name (`DECISION_SCORES`), each of shape (T,), in [0, 1].
    """

    thresholds: NDArray[np.float64]
    scores: Mapping[str, NDArray[np.float64]]

    def best(self, name: str) -> tuple[float, float]:
        """Find the best threshold, the lowest of equals.

        Args:
            name: The score, one of `DECISION_SCORES`.

        Returns:
            The threshold and its score.
        """
        index = int(self.scores[name].argmax())
        return float(self.thresholds[index]), float(self.scores[name][index])


def threshold_curve(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating]
) -> ThresholdCurve:
    """Score every neutral threshold, in the time of one sort: O(N log N).

    Decisions change only where the threshold passes the larger polar probability of a sample, and
    then only that sample's, to neutral: so the counts behind every score are running sums.

    Args:
        labels: True classes, shape (N,), N >= 1.
        probabilities: Class probabilities, shape (N, C).

    Returns:
        The curve.
    """
    classes = np.arange(probabilities.shape[1])
    polar = probabilities[:, POLAR].max(axis=1)
    order = np.argsort(polar, kind="stable")
    polar, truth = polar[order], labels[order, None] == classes
    first = probabilities[order].argmax(axis=1)[:, None] == classes
    turned = np.broadcast_to(classes == NEUTRAL, first.shape)
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
        {name: score(name, hits, decided, support) for name in DECISION_SCORES},
    )


def decide_by_others(
    name: str,
    rows: NDArray[np.int64],
    parts: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
) -> NDArray[np.int64]:
    """Decide each part by the threshold that is best on the samples of the other parts.

    So the score of these decisions is not the one that the threshold was chosen on.

    Args:
        name: The score that chooses, one of `DECISION_SCORES`.
        rows: Which sample each of V validations is of, shape (V,); with repeats a sample has
            several, and none of them helps to decide the others.
        parts: The fold of each validation, shape (V,); a single one is parted in five.
        labels: True classes, shape (V,).
        probabilities: Class probabilities, shape (V, C).

    Returns:
        Decided classes, shape (V,).
    """
    if len(np.unique(parts)) == 1:
        parts = _even_parts(labels)
    decided = np.empty(len(labels), dtype=np.int64)
    for part in np.unique(parts):
        inside = parts == part
        others = ~np.isin(rows, rows[inside])
        chosen, _ = threshold_curve(labels[others], probabilities[others]).best(name)
        decided[inside] = decide(probabilities[inside], chosen)
    return decided


def _even_parts(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal the samples of each class out in turn."""
    parts = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        where = np.flatnonzero(labels == label)
        parts[where] = np.arange(len(where)) % _INNER_PARTS
    return parts
