"""Greedy selection of an ensemble from configs whose probabilities were kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.resampling import Validated
from analysis.scores import decide

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDS = 30


@dataclass(frozen=True)
class Members:
    """What several configs said of the same validations, in the same order.

    Attributes:
        rows: Which labelled sample each of V validations is of, shape (V,), int64.
        parts: The fold of each, shape (V,), int64, from 0.
        labels: True classes, shape (V,), int64.
        probabilities: Of each of M configs, shape (M, V, C).
        thresholds: The neutral threshold of each config, shape (M,), in [0, 1].
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    thresholds: NDArray[np.float64]

    def where(self, chosen: NDArray[np.bool_]) -> Members:
        """Leave out validations.

        Args:
            chosen: Which stay, shape (V,).

        Returns:
            The rest, as one fold.
        """
        return Members(
            self.rows[chosen],
            np.zeros(int(chosen.sum()), dtype=np.int64),
            self.labels[chosen],
            self.probabilities[:, chosen],
            self.thresholds,
        )

    def joined(self, weights: NDArray[np.floating]) -> Validated:
        """Average configs.

        Args:
            weights: Share of each, shape (M,), of sum 1.

        Returns:
            What the ensemble says: mean probabilities, decided by the mean threshold.
        """
        said = np.tensordot(weights, self.probabilities, axes=1)
        decided = decide(said, float(weights @ self.thresholds))
        return Validated(self.rows, self.parts, self.labels, said, decided)

    def decided_by_others(self, name: str, *, single: bool, sign: int) -> Validated:
        """Decide each fold by what is chosen on the samples of the other folds.

        Args:
            name: The score that chooses, as in `Validated.score`.
            single: Whether to choose the best config instead of an ensemble.
            sign: 1 where more of the score is better, else -1.

        Returns:
            What was said, whose score is not the one that chose.
        """
        said = np.empty(self.probabilities.shape[1:])
        decided = np.empty(len(self.labels), dtype=np.int64)
        for part in np.unique(self.parts):
            inside = self.parts == part
            others = self.where(~np.isin(self.rows, self.rows[inside]))
            weights = select_greedily(name, others, rounds=1 if single else _ROUNDS, sign=sign)
            mine = self.where(inside).joined(weights)
            said[inside], decided[inside] = mine.probabilities, mine.decided
        return Validated(self.rows, self.parts, self.labels, said, decided)


def select_greedily(
    name: str, members: Members, *, rounds: int = _ROUNDS, sign: int = 1
) -> NDArray[np.float64]:
    """Add, with replacement, the config that helps the ensemble most, and keep the best ensemble.

    Args:
        name: The score, as in `Validated.score`.
        members: What the configs said.
        rounds: How many are added, >= 1; with 1 the best config alone is selected.
        sign: 1 where more of the score is better, else -1.

    Returns:
        The share of each config, shape (M,), of sum 1.

    Source:
        Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble Selection from Libraries of Models",
        ICML 2004, sections 2.1 and 2.2.
    """
    count = len(members.probabilities)
    picked = np.zeros(count)
    best, best_score = picked, -np.inf
    for size in range(1, rounds + 1):
        options = (picked + np.eye(count)) / size
        scores = [sign * members.joined(weights).score(name) for weights in options]
        chosen = int(np.argmax(scores))
        picked = picked + np.eye(count)[chosen]
        if scores[chosen] > best_score:
            best, best_score = picked / size, scores[chosen]
    return best
