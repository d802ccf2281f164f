"""Which way a score is better, and the worst that a trial can report."""

from __future__ import annotations

import math

import pytest

from trainables.evaluation.classes import CLASSES
from trainables.evaluation.objective import CLASS_SCORES, METRICS, is_better, mode_of, worst


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
    assert math.isfinite(worst(metric))
    assert not is_better(metric, worst(metric), poor)
