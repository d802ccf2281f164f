"""Uncertainty of scores: bootstrap intervals and paired comparisons.

Samples are drawn by group of duplicates, and so are repeats of the folds. A score's standard
error, its interval and every "number of standard errors" come from the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainables.evaluation.calibration import log_losses
from trainables.evaluation.classes import SENTIMENTS, Classes
from trainables.evaluation.scores import score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DRAWS = 2000
_CHUNK = 250  # draws in memory at once, each with one float per sample


@dataclass(frozen=True)
class Validated:
    """Predictions of one config for samples that it did not train on, and their scores.

    Attributes:
        rows: Index of the labelled sample of each of V validations, shape (V,), int64.
        parts: The fold of each, shape (V,), int64, from 0; repeats continue the count.
        labels: True classes, shape (V,), int64.
        probabilities: Class probabilities, shape (V, C).
        decided: Decided classes, shape (V,), int64.
        groups: The group of duplicates of each validation's sample, shape (V,); None if unknown,
            in which case samples are drawn singly.
        repeats: The repeat of the folds of each, shape (V,); None for a single one.
        classes: The C classes.
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    decided: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    repeats: NDArray[np.int64] | None = None
    classes: Classes = SENTIMENTS

    def __post_init__(self) -> None:
        width = self.probabilities.shape[1]
        assert width == len(self.classes), f"{width} probabilities of {self.classes}"

    @property
    def covers(self) -> str:
        """Which sources of variation an interval of its score covers, and which not."""
        samples = "which samples are scored"
        if self.groups is not None:
            samples += " (duplicates together)"
        count = 1 if self.repeats is None else len(np.unique(self.repeats))
        if count == 1:
            return f"{samples}; not other seeds and folds, which --repeats would add"
        return f"{samples}, and seeds and folds ({count} repeats)"

    def part_scores(
        self, name: str, weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Score each fold.

        Args:
            name: One of `decision_scores`, or `loss`.
            weights: Weight of each validation in each of B draws, shape (B, V); all 1 by default.

        Returns:
            The scores, shape (B, F), or (F,) without weights.
        """
        count = int(self.parts.max()) + 1
        if name == "loss":
            losses = log_losses(self.labels, self.probabilities)
            if weights is None:
                sizes = np.bincount(self.parts, minlength=count)
                return np.asarray(np.bincount(self.parts, losses, count) / sizes)
            member = (self.parts[:, None] == np.arange(count)).astype(np.float64)
            return np.asarray((weights * losses) @ member / (weights @ member))
        hits, decided, support = (self._counted(each, weights) for each in self._kinds())
        return score(name, hits, decided, support, self.classes)

    def _kinds(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Yield the classes, shape (V,), and a mask of what counts: of hits, decided, support."""
        right, every = self.labels == self.decided, np.ones(len(self.labels), bool)
        yield from ((self.labels, right), (self.decided, every), (self.labels, every))

    def _counted(
        self,
        kind: tuple[NDArray[np.int64], NDArray[np.bool_]],
        weights: NDArray[np.float64] | None,
    ) -> NDArray[np.generic]:
        """Count classes in each fold, shape (B, F, C), or (F, C) without weights."""
        classes, counted = kind
        shape = int(self.parts.max()) + 1, len(self.classes)
        cells = (self.parts * len(self.classes) + classes)[counted]
        if weights is None:
            return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        member = np.eye(shape[0] * shape[1])[cells]
        counts: NDArray[np.float64] = weights[:, counted] @ member
        return counts.reshape(len(weights), *shape)

    def score(self, name: str, where: NDArray[np.bool_] | None = None) -> float:
        """Score all folds.

        Args:
            name: One of `decision_scores`, or `loss`.
            where: Mask of the validations to score, shape (V,); all by default.

        Returns:
            The mean over the folds that have any validation.
        """
        if where is None:
            return float(self.part_scores(name).mean())
        parts = self.parts[where]
        some = Validated(
            self.rows,
            parts,
            self.labels[where],
            self.probabilities[where],
            self.decided[where],
            classes=self.classes,
        )
        there = np.bincount(parts) > 0
        with np.errstate(invalid="ignore"):
            return float(some.part_scores(name)[there].mean())


@dataclass(frozen=True)
class PairedDifference:
    """The difference of two configs' scores on the same samples, by the paired bootstrap.

    Attributes:
        difference: The first config's score minus the second's.
        standard_error: Of the difference, over bootstrap samples.
        interval: Lower and upper end of its 95 % interval.
        p_value: Two-sided: how often resampling reverses the sign, in (0, 1].
    """

    difference: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float


def resampled_scores(
    name: str, candidates: list[Validated], *, seed: int = 0, draws: int = DRAWS
) -> NDArray[np.float64]:
    """Score configs on bootstrap samples, the same for all configs, so that scores are paired.

    Groups of duplicates are drawn with replacement within each class (that of the group's first
    sample), and a sample brings all its repeats. Of R repeats, R - 1 are drawn as well, with
    replacement, so that the spread is that of a mean over R and includes seeds and folds.

    Args:
        name: One of `decision_scores`, or `loss`.
        candidates: A configs, each validated on the same labelled samples; groups and repeats are
            taken from the first.
        seed: Seed of the draws.
        draws: Number of bootstrap samples, B >= 1.

    Returns:
        Mean scores over folds, shape (A, B); a fold without a drawn sample is left out.

    Source:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 8; Davison
        and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8: clusters.
        McCarthy and Snowden, "The Bootstrap and Finite Population Sampling", 1985: n - 1 of n.
    """
    random = np.random.default_rng(seed)
    first = candidates[0]
    group_of = first.rows if first.groups is None else first.groups
    groups, where = np.unique(group_of, return_index=True)
    labels = first.labels[where]
    rows, where = np.unique(first.rows, return_index=True)
    group_of = np.searchsorted(groups, group_of[where])
    places = [group_of[np.searchsorted(rows, each.rows)] for each in candidates]
    scores: list[list[NDArray[np.float64]]] = [[] for _ in candidates]
    for begin in range(0, draws, _CHUNK):
        count = min(_CHUNK, draws - begin)
        weights = _weights(labels, count, random)
        parts = _part_weights(first, count, random)
        for mine, candidate, place in zip(scores, candidates, places, strict=True):
            mine.append(_means(candidate, name, weights[:, place], parts))
    return np.array([np.concatenate(mine) for mine in scores])


def _means(
    one: Validated, name: str, weights: NDArray[np.float64], parts: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Compute mean scores over folds, shape (B,)."""
    with np.errstate(invalid="ignore"):
        scores = one.part_scores(name, weights)
    if parts is None and np.isfinite(scores).all():
        return np.asarray(scores.mean(axis=1))
    used = np.isfinite(scores) * (1.0 if parts is None else parts[:, : scores.shape[1]])
    # If a draw has no sample of the folds it drew, average over all folds.
    used = np.where(used.any(axis=1, keepdims=True), used, np.isfinite(scores))
    return np.asarray((np.nan_to_num(scores) * used).sum(axis=1) / used.sum(axis=1))


def _part_weights(
    one: Validated, draws: int, random: np.random.Generator
) -> NDArray[np.float64] | None:
    """Draw the weight of each fold by its repeat, shape (B, F); None for a single repeat."""
    if one.repeats is None:
        return None
    repeats, of = np.unique(one.repeats, return_inverse=True)
    if len(repeats) == 1:
        return None
    part_of = np.zeros(int(one.parts.max()) + 1, dtype=np.int64)
    part_of[one.parts] = of
    drawn = random.multinomial(len(repeats) - 1, [1 / len(repeats)] * len(repeats), size=draws)
    return drawn[:, part_of].astype(np.float64)


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
    """Return the 2.5th and 97.5th percentile of resampled values (B,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def paired_bootstrap(
    name: str, one: Validated, other: Validated, *, seed: int = 0
) -> PairedDifference:
    """Compare two configs on the same samples by the paired bootstrap: `one` minus `other`."""
    mine, theirs = resampled_scores(name, [one, other], seed=seed)
    return paired(one.score(name) - other.score(name), mine - theirs)


def paired(difference: float, drawn: NDArray[np.float64]) -> PairedDifference:
    """Summarise a difference and its bootstrap distribution `drawn`, shape (B,)."""
    # Plus one, as a finite number of draws cannot show that the probability is 0.
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return PairedDifference(
        difference=difference,
        standard_error=float(drawn.std(ddof=1)),
        interval=interval(drawn),
        p_value=min(1.0, 2 * (float(tail) + 1) / (len(drawn) + 1)),
    )
