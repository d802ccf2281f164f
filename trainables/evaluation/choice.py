"""Nested selection of an epoch, a threshold or a config, from predictions alone.

For each fold, the choice is made on the samples of the other folds and scored on its own. So no
score is the maximum over many on the samples that selected it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.decision import decide
from trainables.evaluation.metrics import decision_score
from trainables.evaluation.resampling import Validated
from trainables.evaluation.threshold import threshold_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_INNER_PARTS = 5


@dataclass(frozen=True)
class Rule:
    """How to select, and how probabilities become classes.

    Attributes:
        score: The score that selects, as in `Validated.score`.
        sign: 1 if larger is better, else -1.
        decision: `tuned` selects the threshold of the fallback class, `argmax` takes the largest
            probability, `searched` uses the config's threshold. Without a fallback class, all of
            them take the largest.
    """

    score: str
    sign: int
    decision: str

    def own_threshold(self, neutral_threshold: float) -> float:
        """Return the threshold where none is tuned: the config's, or 0 for `argmax`."""
        return 0.0 if self.decision == "argmax" else neutral_threshold

    def threshold(
        self,
        labels: NDArray[np.int64],
        probabilities: NDArray[np.floating],
        neutral_threshold: float,
        classes: Classes = SENTIMENTS,
    ) -> float:
        """Return the threshold of the fallback class to decide with.

        Args:
            labels: True classes of the samples to tune on, shape (N,).
            probabilities: Their class probabilities, shape (N, C).
            neutral_threshold: The config's, in [0, 1].
            classes: The C classes.

        Returns:
            The threshold; 0 without a fallback class. If the score is the loss, which no threshold
            changes, it is tuned on weighted F1.
        """
        if classes.fallback is None:
            return 0.0
        if self.decision != "tuned":
            return self.own_threshold(neutral_threshold)
        return threshold_curve(labels, probabilities, classes).best(decision_score(self.score))[0]


@dataclass(frozen=True)
class Course:
    """A config's predictions for samples that it did not train on, after each epoch.

    Attributes:
        rows: Index of the labelled sample of each of V validations, shape (V,), int64.
        parts: The fold of each, shape (V,), int64, from 0; repeats continue the count.
        labels: True classes, shape (V,), int64.
        probabilities: Class probabilities by epoch, shape (E, V, C).
        neutral_threshold: The config's, in [0, 1].
        groups: The group of duplicates of each validation's sample, shape (V,); None if unknown.
        repeats: The repeat of each, shape (V,); None for a single one.
        classes: The C classes.
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    neutral_threshold: float
    groups: NDArray[np.int64] | None = None
    repeats: NDArray[np.int64] | None = None
    classes: Classes = SENTIMENTS

    def where(self, chosen: NDArray[np.bool_]) -> Course:
        """Select validations by a mask (V,); the folds are renumbered."""
        return Course(
            self.rows[chosen],
            np.unique(self.parts[chosen], return_inverse=True)[1].astype(np.int64),
            self.labels[chosen],
            self.probabilities[:, chosen],
            self.neutral_threshold,
            None if self.groups is None else self.groups[chosen],
            None if self.repeats is None else self.repeats[chosen],
            self.classes,
        )

    def at(self, epoch: int, threshold: float) -> Validated:
        """Decide the predictions of one epoch, from 0, with a threshold in [0, 1]."""
        probabilities = self.probabilities[epoch]
        return self.decided(probabilities, self.decide(probabilities, threshold))

    def decide(self, probabilities: NDArray[np.floating], threshold: float) -> NDArray[np.int64]:
        """Decide on classes (N,) from probabilities (N, C), with a threshold in [0, 1]."""
        return decide(probabilities, threshold, classes=self.classes)

    def decided(
        self, probabilities: NDArray[np.floating], decided: NDArray[np.int64]
    ) -> Validated:
        """Combine the same samples with other probabilities (V, C) and decisions (V,)."""
        return Validated(
            self.rows,
            self.parts,
            self.labels,
            probabilities,
            decided,
            self.groups,
            self.repeats,
            self.classes,
        )

    def others(self) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Pair each fold with the validations that may select for it.

        Returns:
            Masks of shape (V,): a fold's validations, and those of samples that the fold does not
            contain. A single fold is divided into five, keeping duplicates together; if no others
            are left, as with one sample, its own are used.
        """
        parts = self.parts if len(np.unique(self.parts)) > 1 else self._dealt()
        inside = [parts == part for part in np.unique(parts)]
        pairs = [(mine, ~np.isin(self.rows, self.rows[mine])) for mine in inside]
        return [(mine, others if others.any() else mine) for mine, others in pairs]

    def _dealt(self) -> NDArray[np.int64]:
        groups = self.rows if self.groups is None else self.groups
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        dealt = np.empty(len(first), dtype=np.int64)
        for label in np.unique(self.labels[first]):
            where = np.flatnonzero(self.labels[first] == label)
            dealt[where] = np.arange(len(where)) % _INNER_PARTS
        return dealt[group]


class NestedPredictions(NamedTuple):
    """Predictions for each sample by what the other folds selected.

    Attributes:
        validated: The predictions; no fold took part in the selection for itself.
        epochs: The selected epoch of each validation, shape (V,), from 0.
        picks: The selected config of each validation, shape (V,), an index into the candidates.
    """

    validated: Validated
    epochs: NDArray[np.int64]
    picks: NDArray[np.int64]


def best_epochs(
    course: Course, rule: Rule, wheres: Sequence[NDArray[np.bool_]]
) -> list[tuple[int, float]]:
    """Find the epoch with the best mean score over folds, the first of ties, and its threshold.

    Args:
        course: The predictions of a config.
        rule: How to select; epochs are compared with the config's threshold.
        wheres: Masks of the validations that select, each of shape (V,).

    Returns:
        For each mask the epoch, from 0, and the threshold.
    """
    own = rule.own_threshold(course.neutral_threshold)
    epochs = range(len(course.probabilities))
    decisions = [course.at(epoch, own) for epoch in epochs] if len(epochs) > 1 else []
    found = []
    for where in wheres:
        scores = [rule.sign * each.score(rule.score, where) for each in decisions]
        epoch = int(np.argmax(scores)) if scores else 0
        labels, probabilities = course.labels[where], course.probabilities[epoch, where]
        own_threshold = course.neutral_threshold
        found.append((epoch, rule.threshold(labels, probabilities, own_threshold, course.classes)))
    return found


def by_others(course: Course, rule: Rule) -> NestedPredictions:
    """Decide each fold of one config with the epoch and threshold that the other folds select."""
    pairs = course.others()
    probabilities = np.empty(course.probabilities.shape[1:])
    decided, epochs = (np.empty(len(course.labels), dtype=np.int64) for _ in range(2))
    chosen = best_epochs(course, rule, [others for _, others in pairs])
    for (inside, _), (epoch, threshold) in zip(pairs, chosen, strict=True):
        probabilities[inside] = course.probabilities[epoch, inside]
        decided[inside] = course.decide(probabilities[inside], threshold)
        epochs[inside] = epoch
    return NestedPredictions(course.decided(probabilities, decided), epochs, np.zeros_like(epochs))


def choose(courses: Sequence[Course], rule: Rule) -> int:
    """Return the index of the config with the best score under nested epochs and thresholds."""
    if len(courses) == 1:
        return 0
    scores = [rule.sign * by_others(each, rule).validated.score(rule.score) for each in courses]
    return int(np.argmax(scores))


def choose_by_others(courses: Sequence[Course], rule: Rule) -> NestedPredictions:
    """Decide each fold with the config, epoch and threshold that the other folds select.

    The score estimates the whole selection among these configs, not any one of them: the best of K
    equal configs is no better than they are, and this score is not biased by the selection.
    Nothing is trained for it.

    Args:
        courses: Predictions of each config for the same validations, at least one.
        rule: How to select.

    Returns:
        The decisions.

    Source:
        Varma and Simon, "Bias in error estimation when using cross-validation for model
        selection", BMC Bioinformatics 7, 2006: nested cross-validation. The inner loop needs no
        further models here, since the fold's own samples are excluded from the selection.
    """
    if len(courses) == 1:
        return by_others(courses[0], rule)
    own = [by_others(course, rule) for course in courses]
    picks = np.empty(len(courses[0].labels), dtype=np.int64)
    for inside, others in courses[0].others():
        picks[inside] = choose([course.where(others) for course in courses], rule)
    places = np.arange(len(picks))
    # For each fold, a config's own epoch and threshold were selected on the same other folds.
    probabilities = np.stack([one.validated.probabilities for one in own])[picks, places]
    decided = np.stack([one.validated.decided for one in own])[picks, places]
    epochs = np.stack([one.epochs for one in own])[picks, places]
    return NestedPredictions(courses[0].decided(probabilities, decided), epochs, picks)
