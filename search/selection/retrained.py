"""A config that was trained again, read from what its confirmation has kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.run_folder.confirmation import course_of
from search.selection.candidates import rule_of
from search.study.trial import neutral_threshold
from trainables.evaluation.choice import by_others

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.config.plan import Plan
    from search.study.trial import TrialRecord
    from trainables.evaluation.choice import Course
    from trainables.evaluation.resampling import Validated


@dataclass(frozen=True)
class Retrained:
    """A config that was trained again.

    Attributes:
        record: Its trial.
        course: Its out-of-fold predictions after each epoch.
        validated: The same at the epochs, and by the thresholds, that other folds chose.
        epochs: The epoch of each fold, from 1, shape (F,).
        repeats: How often the folds were drawn anew.
        score: The objective of this config, chosen or not, the mean over folds.
    """

    record: TrialRecord
    course: Course
    validated: Validated
    epochs: NDArray[np.int64]
    repeats: int
    score: float

    @property
    def mean_epochs(self) -> int:
        """The mean of the epochs that its folds were scored at, rounded."""
        return max(1, round(float(self.epochs.mean())))


def read_retrained(
    plan: Plan,
    record: TrialRecord,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
) -> Retrained | None:
    """Read a config that was trained again.

    Args:
        plan: The search.
        record: The config's trial.
        labels: Classes of the labelled samples, shape (N,).
        groups: Group of duplicates of each, shape (N,); None if unknown.

    Returns:
        The config; None where it was not confirmed.
    """
    if not plan.folder.confirmation(record.number).exists():
        return None
    rule, own = rule_of(plan), neutral_threshold(record.params)
    frame = plan.folder.read_courses(record.number)
    course = course_of(frame, labels, plan.classes, neutral_threshold=own, groups=groups)
    honest, one_epoch = by_others(course, rule), len(course.probabilities) == 1
    # Chosen anew: a search that goes on may decide in another way than when they were kept.
    epochs = frame["epoch"].to_numpy(np.int64) if one_epoch else honest.epochs + 1
    firsts = np.unique(course.parts, return_index=True)[1]
    repeats = int(frame["repeat"].max()) + 1
    score = honest.validated.score(rule.score)
    return Retrained(record, course, honest.validated, epochs[firsts], repeats, score)
