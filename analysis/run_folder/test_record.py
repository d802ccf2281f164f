"""`test_scores.json`: the final model on a labelled test set, which was held out and used once."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - the check is made from the annotations
from dataclasses import dataclass

from analysis.run_folder.records import Count, Interval  # noqa: TC001 - likewise


@dataclass(frozen=True, kw_only=True)
class TestScores:
    """Scores of a model on pairs that had no part in training it or in choosing it.

    Attributes:
        pairs: How many there are.
        classes: How many of each class.
        shared: How many share their text or image with pairs that were trained on.
        scores: By name, as `trainables.evaluation.metrics.scores_of` the classes; the loss is that
            of the calibrated probabilities.
        intervals: Of 95 %, by the bootstrap over pairs, duplicates together.
        majority: What always predicting the most frequent class of the training data scores.
        confusion: Pairs by true class, then by predicted class.
    """

    __test__ = False  # pytest takes the name for a test

    pairs: Count
    classes: Mapping[str, Count]
    shared: Count
    scores: Mapping[str, float]
    intervals: Mapping[str, Interval]
    majority: Mapping[str, float]
    confusion: tuple[tuple[Count, ...], ...]
