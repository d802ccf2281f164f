"""How sure a score is: bootstrap intervals, paired comparisons, standard errors over folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.calibration import log_losses
from analysis.results import CLASSES
from analysis.scores import score_confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = 2000
_CHUNK = 250  # draws held at a time: a float for each sample of each


@dataclass(frozen=True)
class Validated:
    """What one config said of samples that it did not train on, and how that is scored.

    Attributes:
        rows: Which labelled sample each of V validations is of, shape (V,), int64.
        parts: The fold of each, shape (V,), int64, from 0; repeats go on counting.
        labels: True classes, shape (V,), int64.
        probabilities: Class probabilities, shape (V, C).
        decided: Decided classes, shape (V,), int64.
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    decided: NDArray[np.int64]

    def part_scores(
        self, name: str, weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Score each fold.

        Args:
            name: One of `DECISION_SCORES`, or `loss`.
            weights: How often each validation counts, shape (B, V); once by default.

        Returns:
            The scores, shape (B, F), or (F,) without weights.
        """
        used = np.ones((1, len(self.labels))) if weights is None else weights
        count = int(self.parts.max()) + 1
        member = (self.parts[:, None] == np.arange(count)).astype(np.float64)
        if name == "loss":
            losses = log_losses(self.labels, self.probabilities)
            scores = (used * losses) @ member / (used @ member)
        else:
            classes = len(CLASSES)
            cells = (self.parts * classes + self.labels) * classes + self.decided
            table = np.eye(count * classes**2)[cells]
            counts = (used @ table).reshape(len(used), count, classes, classes)
            scores = score_confusion(name, counts)
        return np.asarray(scores[0] if weights is None else scores)

    def score(self, name: str) -> float:
        """Score all folds.

        Args:
            name: One of `DECISION_SCORES`, or `loss`.

        Returns:
            The mean over folds.
        """
        return float(self.part_scores(name).mean())


@dataclass(frozen=True)
class Comparison:
    """Two configs on the same samples.

    Attributes:
        difference: The first one's score less the second one's.
        standard_error: Of the difference, over resampled samples.
        interval: 95 % of its resampled values, lowest and highest.
        p_value: Two-sided: how often resampling turns the sign round, in (0, 1].
    """

    difference: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float


def resampled_scores(
    name: str, candidates: list[Validated], *, seed: int = 0, draws: int = DRAWS
) -> NDArray[np.float64]:
    """Score configs on resampled samples: the same ones for all, so that they can be paired.

    Samples are drawn with replacement within each class, and a sample brings all its repeats.

    Args:
        name: One of `DECISION_SCORES`, or `loss`.
        candidates: A configs, each validated on the same labelled samples.
        seed: Seeds the draws.
        draws: How many, B >= 1.

    Returns:
        Mean scores over folds, shape (A, B).

    Source:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 8.
    """
    random = np.random.default_rng(seed)
    rows, first = np.unique(candidates[0].rows, return_index=True)
    labels = candidates[0].labels[first]
    places = [np.searchsorted(rows, candidate.rows) for candidate in candidates]
    scores: list[list[NDArray[np.float64]]] = [[] for _ in candidates]
    for begin in range(0, draws, _CHUNK):
        weights = _weights(labels, min(_CHUNK, draws - begin), random)
        for mine, candidate, place in zip(scores, candidates, places, strict=True):
            mine.append(candidate.part_scores(name, weights[:, place]).mean(axis=1))
    return np.array([np.concatenate(mine) for mine in scores])


def _weights(
    labels: NDArray[np.int64], draws: int, random: np.random.Generator
) -> NDArray[np.float64]:
    weights = np.zeros((draws, len(labels)))
    offsets = np.arange(draws)[:, None]
    for label in np.unique(labels):
        where = np.flatnonzero(labels == label)
        drawn = random.integers(len(where), size=(draws, len(where))) + offsets * len(where)
        counts = np.bincount(drawn.ravel(), minlength=draws * len(where))
        weights[:, where] = counts.reshape(draws, len(where))
    return weights


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Give the range of the middle 95 %.

    Args:
        values: Resampled scores or differences, shape (B,).

    Returns:
        The 2.5th and the 97.5th percentile.
    """
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def compare(name: str, one: Validated, other: Validated, *, seed: int = 0) -> Comparison:
    """Compare two configs on the same samples.

    Args:
        name: One of `DECISION_SCORES`, or `loss`.
        one: The first.
        other: The second; validated on the same labelled samples.
        seed: Seeds the draws.

    Returns:
        The comparison, by the paired bootstrap.
    """
    mine, theirs = resampled_scores(name, [one, other], seed=seed)
    drawn = mine - theirs
    # One more than was counted: no finite number of draws shows that something never happens.
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return Comparison(
        difference=one.score(name) - other.score(name),
        standard_error=float(drawn.std(ddof=1)),
        interval=interval(drawn),
        p_value=min(1.0, 2 * (float(tail) + 1) / (len(drawn) + 1)),
    )


def fold_standard_error(scores: NDArray[np.float64], validation_share: float) -> float:
    """Estimate the standard error of a mean over folds, whose training sets overlap.

    Args:
        scores: One per fold, repeats included, shape (J,).
        validation_share: Share of the samples that a fold validates on, in (0, 1).

    Returns:
        The standard error; NaN for a single fold.

    Source:
        Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003,
        section 3: the variance over folds times (1/J + validation size / training size).
    """
    if len(scores) < 2:
        return math.nan
    overlap = validation_share / (1 - validation_share)
    return math.sqrt(float(np.var(scores, ddof=1)) * (1 / len(scores) + overlap))
