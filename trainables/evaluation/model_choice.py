"""Nested choice among models, each of which has chosen among its own configs already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from trainables.evaluation.choice import Course, choose_by_others
from trainables.evaluation.resampling import Validated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.evaluation.choice import Rule

Offer: TypeAlias = Sequence[Course] | Validated
"""What a model offers: configs to choose among, or predictions in which nothing is left to choose,
such as those of an ensemble that was selected on other folds."""


class ModelChoice(NamedTuple):
    """Predictions for each sample by the model that the other folds choose.

    Attributes:
        validated: The predictions; no fold took part in the choice for itself.
        picks: The chosen model of each validation, shape (V,), an index into the models.
        own: What each model predicts by itself, its configs chosen by the other folds.
        best: The index of the model with the best score on all folds, the first of ties.
    """

    validated: Validated
    picks: NDArray[np.int64]
    own: list[Validated]
    best: int


def choose_model_by_others(offers: Sequence[Offer], rule: Rule) -> ModelChoice:
    """Decide each fold with the model that the other folds choose.

    For a fold, each model chooses its config and is scored on the other folds alone, so the
    choices within a model and among models are both independent of the fold's own samples.

    Args:
        offers: What each model offers, for the same validations in the same order; at least one.
        rule: How to select.

    Returns:
        The choice.

    Source:
        As `trainables.evaluation.choice.choose_by_others`, one level further out.
    """
    own = [_validated(offer, rule) for offer in offers]
    first = own[0]
    picks = np.zeros(len(first.labels), dtype=np.int64)
    for inside, others in _as_course(first).others() if len(offers) > 1 else []:
        scores = [rule.sign * _score(offer, rule, others) for offer in offers]
        picks[inside] = int(np.argmax(scores))
    places = np.arange(len(picks))
    probabilities = np.stack([one.probabilities for one in own])[picks, places]
    decided = np.stack([one.decided for one in own])[picks, places]
    best = int(np.argmax([rule.sign * one.score(rule.score) for one in own]))
    return ModelChoice(_as_course(first).decided(probabilities, decided), picks, own, best)


def _validated(offer: Offer, rule: Rule) -> Validated:
    return offer if isinstance(offer, Validated) else choose_by_others(offer, rule).validated


def _score(offer: Offer, rule: Rule, where: NDArray[np.bool_]) -> float:
    """Score a model, and choose among its configs, on some validations alone."""
    if isinstance(offer, Validated):
        return offer.score(rule.score, where)
    return _validated([course.where(where) for course in offer], rule).score(rule.score)


def _as_course(one: Validated) -> Course:
    probabilities = one.probabilities[None]
    return Course(
        one.rows,
        one.parts,
        one.labels,
        probabilities,
        0.0,
        one.groups,
        one.repeats,
        one.classes,
    )
