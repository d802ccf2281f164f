"""Which scores some classes have, which way each is better, and the worst that a trial reports."""

from __future__ import annotations

import math

import pytest

from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named
from trainables.evaluation.metrics import (
    class_scores,
    decision_score,
    headlines,
    is_better,
    is_score,
    mode_of,
    score_of,
    scores_of,
)

YES_NO = Classes(("no", "yes"))
METRICS = [f"val_{name}" for name in {**scores_of(SENTIMENTS), **scores_of(YES_NO)}]


def test_the_scores_of_the_classes_are_in_the_order_of_the_classes() -> None:
    assert class_scores(SENTIMENTS) == ("f1_positive", "f1_neutral", "f1_negative")
    assert class_scores(YES_NO) == ("f1_no", "f1_yes")


def test_where_no_class_is_the_fallback_the_worst_class_is_scored_as_well() -> None:
    of_all = ["loss", "accuracy", "macro_f1", "weighted_f1"]
    assert list(scores_of(SENTIMENTS)) == [*of_all, *class_scores(SENTIMENTS)]
    assert list(scores_of(YES_NO)) == [*of_all, "worst_f1", *class_scores(YES_NO)]
    assert list(scores_of(classes_named(("a", "b"), "b"))) == [*of_all, "f1_a", "f1_b"]


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


@pytest.mark.parametrize("classes", [SENTIMENTS, YES_NO, Classes(tuple("abcdefg"), 3)])
def test_no_two_metrics_are_called_the_same(classes: Classes) -> None:
    scores = scores_of(classes).values()
    assert len({score.title for score in scores}) == len(scores)


def test_headlines_begin_with_the_averages_and_end_with_the_classes() -> None:
    averages = ("accuracy", "weighted_f1", "macro_f1")
    assert headlines(SENTIMENTS) == (*averages, *class_scores(SENTIMENTS))
    assert headlines(YES_NO) == (*averages, "worst_f1", *class_scores(YES_NO))


def test_a_metric_is_one_of_all_classes_or_of_one() -> None:
    assert is_score("val_macro_f1")
    assert is_score("worst_f1")
    assert is_score("val_f1_surprise")
    assert score_of("val_f1_surprise").of_class == "surprise"
    assert not is_score("val_f1_")
    assert not is_score("val_recall")


def test_the_loss_which_no_decision_changes_is_decided_for_weighted_f1() -> None:
    assert decision_score("val_loss") == decision_score("loss") == "weighted_f1"
    assert decision_score("val_f1_neutral") == "f1_neutral"
