"""Which way a score is better, and the worst that a trial can report."""

from __future__ import annotations

import math

import pytest

from trainables.evaluation.classes import CLASSES
from trainables.evaluation.metrics import (
    CLASS_SCORES,
    HEADLINES,
    METRICS,
    SCORES,
    decision_score,
    is_better,
    mode_of,
    score_of,
)


def test_the_scores_of_the_classes_are_in_the_order_of_the_classes() -> None:
    assert tuple(f"f1_{tag}" for tag in CLASSES) == CLASS_SCORES


@pytest.mark.parametrize("metric", METRICS)
def test_only_the_loss_is_to_be_minimised(metric: str) -> None:
    assert mode_of(metric) == ("min" if metric == "val_loss" else "max")


def test_better_is_strictly_better() -> None:
    assert is_better("val_accuracy", 0.6, 0.5)
    assert not is_better("val_accuracy", 0.5, 0.5)
    assert is_better("val_loss", 0.4, 0.5)
    assert not is_better("val_loss", 0.5, 0.5)
    assert not is_better("val_loss", 0.6, 0.5)


@pytest.mark.parametrize("metric", METRICS)
def test_the_worst_is_finite_and_no_better_than_any_score(metric: str) -> None:
    poor = 80.0 if metric == "val_loss" else 0.0
    assert math.isfinite(score_of(metric).worst)
    assert not is_better(metric, score_of(metric).worst, poor)


def test_no_two_metrics_are_called_the_same() -> None:
    assert len({score.heading for score in SCORES.values()}) == len(SCORES)
    assert len({score.title for score in SCORES.values()}) == len(SCORES)


def test_headlines_have_places_of_their_own() -> None:
    places = [SCORES[name].headline for name in HEADLINES]
    assert places == sorted(set(places))
    assert HEADLINES[:4] == ("accuracy", "weighted_f1", "macro_f1", "f1_positive")


def test_the_loss_which_no_decision_changes_is_decided_for_weighted_f1() -> None:
    assert decision_score("val_loss") == decision_score("loss") == "weighted_f1"
    assert decision_score("val_f1_neutral") == "f1_neutral"
