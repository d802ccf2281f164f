"""Choices judged by samples that had no part in them: of an epoch, a threshold, a config.

Each part (a fold) is decided by what is best on the samples of the other parts, and scored on its
own. So no score is the best of many on the samples that made it the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.evaluation.decision import decide
from trainables.evaluation.resampling import Validated
from trainables.evaluation.threshold import threshold_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_INNER_PARTS = 5


@dataclass(frozen=True)
class Rule:
    """By what is chosen, and how probabilities become classes.

    Attributes:
        score: What chooses, as in `Validated.score`.
        sign: 1 where more of it is better, else -1.
        decision: `tuned` chooses the neutral threshold, `argmax` takes the largest probability,
            `searched` decides by the config's threshold.
    """

    score: str
    sign: int
    decision: str

    def own_threshold(self, neutral_threshold: float) -> float:
        """Give the neutral threshold of a config where none is tuned.

        Args:
            neutral_threshold: The config's, in [0, 1].

        Returns:
            The config's; 0 where the largest probability decides.
        """
        return 0.0 if self.decision == "argmax" else neutral_threshold

    def threshold(
        self,
        labels: NDArray[np.int64],
        probabilities: NDArray[np.floating],
        neutral_threshold: float,
    ) -> float:
        """Give the neutral threshold to decide by.

        Args:
            labels: Classes of samples that may choose it, shape (N,).
            probabilities: Of their classes, shape (N, C).
            neutral_threshold: The config's, in [0, 1].

        Returns:
            The threshold; it is tuned on weighted F1 for the loss, which no threshold changes.
        """
        if self.decision != "tuned":
            return self.own_threshold(neutral_threshold)
        name = "weighted_f1" if self.score == "loss" else self.score
        return threshold_curve(labels, probabilities).best(name)[0]


@dataclass(frozen=True)
class Course:
    """What a config said of samples that it did not train on, after each epoch.

    Attributes:
        rows: Which labelled sample each of V validations is of, shape (V,), int64.
        parts: The fold of each, shape (V,), int64, from 0; repeats go on counting.
        labels: True classes, shape (V,), int64.
        probabilities: Class probabilities by epoch, shape (E, V, C).
        neutral_threshold: The config's, in [0, 1].
        groups: Which duplicates each validation's sample belongs to, shape (V,); None where it
            is not known.
        repeats: The repeat that each is of, shape (V,); None for a single one.
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    neutral_threshold: float
    groups: NDArray[np.int64] | None = None
    repeats: NDArray[np.int64] | None = None

    def where(self, chosen: NDArray[np.bool_]) -> Course:
        """Leave out validations.

        Args:
            chosen: Which stay, shape (V,).

        Returns:
            The rest, its folds counted anew.
        """
        return Course(
            self.rows[chosen],
            np.unique(self.parts[chosen], return_inverse=True)[1].astype(np.int64),
            self.labels[chosen],
            self.probabilities[:, chosen],
            self.neutral_threshold,
            None if self.groups is None else self.groups[chosen],
            None if self.repeats is None else self.repeats[chosen],
        )

    def at(self, epoch: int, threshold: float) -> Validated:
        """Decide what was said after one epoch.

        Args:
            epoch: From 0.
            threshold: Of neutral, in [0, 1].

        Returns:
            The decisions.
        """
        said = self.probabilities[epoch]
        return self.decided(said, decide(said, threshold))

    def decided(
        self, probabilities: NDArray[np.floating], decided: NDArray[np.int64]
    ) -> Validated:
        """Say something else of the same samples.

        Args:
            probabilities: Of their classes, shape (V, C).
            decided: Their classes, shape (V,).

        Returns:
            It.
        """
        return Validated(
            self.rows, self.parts, self.labels, probabilities, decided, self.groups, self.repeats
        )

    def others(self) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Pair each part with the validations that may choose for it.

        Returns:
            Which validations a part has and which are of none of its samples, each of shape (V,).
            A single part is dealt out in five, duplicates together; where that leaves no others,
            as with one sample, its own must do.
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


class Honest(NamedTuple):
    """What was said of each sample by what the other parts chose.

    Attributes:
        validated: It; its score has no part that chose for itself.
        epochs: The epoch of each validation, shape (V,), from 0.
        picks: The config of each validation, shape (V,), an index of those to choose among.
    """

    validated: Validated
    epochs: NDArray[np.int64]
    picks: NDArray[np.int64]


def best_epochs(
    course: Course, rule: Rule, wheres: Sequence[NDArray[np.bool_]]
) -> list[tuple[int, float]]:
    """Find the epoch of the best mean over parts, the first of equals, and its threshold.

    Args:
        course: What a config said.
        rule: By what is chosen; the config's threshold decides until an epoch is chosen.
        wheres: Which validations choose, each of shape (V,).

    Returns:
        For each of them the epoch, from 0, and the neutral threshold.
    """
    own = rule.own_threshold(course.neutral_threshold)
    epochs = range(len(course.probabilities))
    said = [course.at(epoch, own) for epoch in epochs] if len(epochs) > 1 else []
    found = []
    for where in wheres:
        scores = [rule.sign * each.score(rule.score, where) for each in said]
        epoch = int(np.argmax(scores)) if scores else 0
        labels, probabilities = course.labels[where], course.probabilities[epoch, where]
        found.append((epoch, rule.threshold(labels, probabilities, course.neutral_threshold)))
    return found


def by_others(course: Course, rule: Rule) -> Honest:
    """Decide each part of one config by the epoch and the threshold that the others choose.

    Args:
        course: What the config said.
        rule: By what is chosen.

    Returns:
        The decisions.
    """
    pairs = course.others()
    said = np.empty(course.probabilities.shape[1:])
    decided, epochs = (np.empty(len(course.labels), dtype=np.int64) for _ in range(2))
    chosen = best_epochs(course, rule, [others for _, others in pairs])
    for (inside, _), (epoch, threshold) in zip(pairs, chosen, strict=True):
        said[inside] = course.probabilities[epoch, inside]
        decided[inside] = decide(said[inside], threshold)
        epochs[inside] = epoch
    return Honest(course.decided(said, decided), epochs, np.zeros_like(epochs))


def choose(courses: Sequence[Course], rule: Rule) -> int:
    """Choose a config, the first of equals.

    Args:
        courses: What each said of the same validations.
        rule: By what is chosen.

    Returns:
        Which of them has the best score where its own epochs and thresholds are chosen by others.
    """
    if len(courses) == 1:
        return 0
    scores = [rule.sign * by_others(each, rule).validated.score(rule.score) for each in courses]
    return int(np.argmax(scores))


def choose_by_others(courses: Sequence[Course], rule: Rule) -> Honest:
    """Decide each part by the config, the epoch and the threshold that the others choose.

    Its score is of choosing among these configs, not of any one of them: the best of K equal
    configs is no better than they are, and this says so. Nothing is trained for it.

    Args:
        courses: What each config said of the same validations, at least one.
        rule: By what is chosen.

    Returns:
        The decisions.

    Source:
        Varma and Simon, "Bias in error estimation when using cross-validation for model
        selection", BMC Bioinformatics 7, 2006: nested cross-validation; here the inner part needs
        no other models, since the fold's own samples are left out of what chooses for it.
    """
    if len(courses) == 1:
        return by_others(courses[0], rule)
    own = [by_others(course, rule) for course in courses]
    picks = np.empty(len(courses[0].labels), dtype=np.int64)
    for inside, others in courses[0].others():
        picks[inside] = choose([course.where(others) for course in courses], rule)
    places = np.arange(len(picks))
    # A config's own epoch and threshold of a part are of the same others.
    said = np.stack([one.validated.probabilities for one in own])[picks, places]
    decided = np.stack([one.validated.decided for one in own])[picks, places]
    epochs = np.stack([one.epochs for one in own])[picks, places]
    return Honest(courses[0].decided(said, decided), epochs, picks)
