"""Greedy ensemble selection among configs, from their stored predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from trainables.evaluation.calibration import SMALLEST
from trainables.evaluation.choice import by_others
from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.decision import decide
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trainables.evaluation.choice import Course, Rule

_ROUNDS = 30
_BAGS = 20
_BAG_SHARE = 0.5


Select: TypeAlias = "Callable[[Members], NDArray[np.float64]]"


@dataclass(frozen=True)
class Members:
    """Predictions of several configs for the same validations, in the same order.

    Attributes:
        rows: Index of the labelled sample of each of V validations, shape (V,), int64.
        parts: The fold of each, shape (V,), int64, from 0.
        labels: True classes, shape (V,), int64.
        probabilities: Of each of M configs, shape (M, V, C).
        thresholds: The threshold of each config, shape (M,), in [0, 1].
        classes: The C classes.
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    thresholds: NDArray[np.float64]
    classes: Classes = SENTIMENTS

    def only(self, kept: NDArray[np.int64]) -> Members:
        """Keep the configs of some indices (K,)."""
        return replace(
            self, probabilities=self.probabilities[kept], thresholds=self.thresholds[kept]
        )

    def where(self, chosen: NDArray[np.bool_]) -> Members:
        """Keep the validations of a mask (V,)."""
        return Members(
            self.rows[chosen],
            self.parts[chosen],
            self.labels[chosen],
            self.probabilities[:, chosen],
            self.thresholds,
            self.classes,
        )

    def joined(self, weights: NDArray[np.floating]) -> Validated:
        """Average the configs with weights (M,) of sum 1; decide with their mean threshold."""
        probabilities = np.tensordot(weights, self.probabilities, axes=1)
        threshold = float(weights @ self.thresholds)
        decided = decide(probabilities, threshold, classes=self.classes)
        return Validated(
            self.rows, self.parts, self.labels, probabilities, decided, classes=self.classes
        )


def members_of(courses: Sequence[Course], rule: Rule) -> Members:
    """Take configs as members, each at the epochs that the other folds select."""
    first = courses[0]
    probabilities = [by_others(course, rule).validated.probabilities for course in courses]
    own = [rule.own_threshold(course.neutral_threshold) for course in courses]
    return Members(
        first.rows,
        first.parts,
        first.labels,
        np.stack(probabilities),
        np.array(own),
        first.classes,
    )


def ensemble_threshold(members: Members, weights: NDArray[np.floating], rule: Rule) -> float:
    """Return the threshold of an ensemble.

    Args:
        members: Predictions of the configs.
        weights: Weight of each, shape (M,), of sum 1.
        rule: Tunes it on the ensemble's predictions, or takes the mean of the members'.

    Returns:
        The threshold, in [0, 1].
    """
    probabilities = members.joined(weights).probabilities
    own = float(weights @ members.thresholds)
    return rule.threshold(members.labels, probabilities, own, members.classes)


def select_greedily(members: Members, *, rounds: int = _ROUNDS) -> NDArray[np.float64]:
    """Greedily add configs to the ensemble, with replacement, and keep the best ensemble.

    The criterion is the cross-entropy, averaged over folds, whatever the objective: it reacts to
    the probability of every sample, while a score of decisions changes by whole samples, so
    ensembles selected by it also have the better F1 on other samples.

    Args:
        members: Predictions of M configs.
        rounds: Number of additions, >= 1; 1 selects a single config.

    Returns:
        The weight of each config, shape (M,), of sum 1.

    Source:
        Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble Selection from Libraries of Models",
        ICML 2004, sections 2.1 and 2.2.
    """
    places = np.arange(len(members.labels))
    true = members.probabilities[:, places, members.labels].astype(np.float64)  # (M, V)
    _, part, sizes = np.unique(members.parts, return_inverse=True, return_counts=True)
    shares = 1 / (len(sizes) * sizes[part])
    picked, total = np.zeros(len(true)), np.zeros(len(places))
    best, best_score = picked, -np.inf
    for size in range(1, rounds + 1):
        scores = np.log(np.maximum((total + true) / size, SMALLEST)) @ shares
        chosen = int(np.argmax(scores))
        picked[chosen] += 1
        total += true[chosen]
        if scores[chosen] > best_score:
            best, best_score = picked / size, scores[chosen]
    return best


def ensemble_by_others(
    courses: Sequence[Course], rule: Rule, select: Select = select_greedily
) -> Validated:
    """Decide each fold with the ensemble that is selected on the other folds.

    Args:
        courses: Predictions of each config for the same validations.
        rule: How to choose epochs and the threshold; a tuned one is the ensemble's.
        select: Selects an ensemble and gives the weight of each config, of sum 1.

    Returns:
        The decisions, whose score is independent of the selection.
    """
    first = courses[0]
    # A config's epoch for a fold is selected on the same other folds as the ensemble.
    own = members_of(courses, rule).probabilities
    probabilities = np.empty(first.probabilities.shape[1:])
    decided = np.empty(len(first.labels), dtype=np.int64)
    for inside, others in first.others():
        members = members_of([course.where(others) for course in courses], rule)
        weights = select(members)
        threshold = ensemble_threshold(members, weights, rule)
        probabilities[inside] = np.tensordot(weights, own[:, inside], axes=1)
        decided[inside] = first.decide(probabilities[inside], threshold)
    return first.decided(probabilities, decided)


def select_bagged(members: Members, size: int, *, seed: int = 0) -> NDArray[np.float64]:
    """Select a few of many configs greedily, from random halves of them.

    Among many, one selection takes what happened to be right on these samples; the average over
    random halves takes what is often useful. The largest weights of that average decide the
    members, and one selection among these gives the weights.

    Args:
        members: Predictions of M configs.
        size: The most configs to take, >= 1.
        seed: Of the halves.

    Returns:
        The weight of each config, shape (M,), of sum 1; at most `size` are not 0.

    Source:
        Caruana et al. (see `select_greedily`), section 2.3.
    """
    random = np.random.default_rng(seed)
    count = len(members.probabilities)
    total = np.zeros(count)
    for _ in range(_BAGS):
        kept = np.sort(random.choice(count, max(1, round(_BAG_SHARE * count)), replace=False))
        total[kept] += select_greedily(members.only(kept))
    kept = np.sort(np.argsort(-total, kind="stable")[:size])
    weights = np.zeros(count)
    weights[kept] = select_greedily(members.only(kept))
    return weights


def bagged_by_others(
    members: Members,
    pairs: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    size: int,
    *,
    seed: int = 0,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Predict each fold by the ensemble, and by the one config, that the other folds select.

    Args:
        members: Predictions of M configs for V validations.
        pairs: Each fold and the validations that may select for it, as `Course.others` gives them.
        size: The most configs of an ensemble.
        seed: As in `select_bagged`.

    Returns:
        Class probabilities of both, each of shape (V, C): the ensemble's and the config's.
    """
    together = np.empty(members.probabilities.shape[1:])
    alone = np.empty_like(together)
    for inside, others in pairs:
        selecting = members.where(others)
        weights = select_bagged(selecting, size, seed=seed)
        together[inside] = np.tensordot(weights, members.probabilities[:, inside], axes=1)
        best = int(np.argmax(select_greedily(selecting, rounds=1)))
        alone[inside] = members.probabilities[best, inside]
    return together, alone
