"""The weight of neutral, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.evaluation.neutral_weight import best_neutral_weight

# Neutral pairs have a third of the probability of the likeliest class, positive ones a tenth of
# it and negative ones none: any weight above 3 and below 10 decides all of them rightly.
LABELS = np.array([0] * 6 + [1] * 2 + [2] * 4)
SAID = np.array([[0.9, 0.09, 0.01]] * 6 + [[0.6, 0.2, 0.2]] * 2 + [[0.1, 0.0, 0.9]] * 4)


@pytest.mark.parametrize("score", ["weighted_f1", "macro_f1", "f1_neutral", "accuracy", "loss"])
def test_the_least_weight_that_decides_rightly_is_chosen(score: str) -> None:
    weight = best_neutral_weight(LABELS, SAID, score)
    assert 3 < weight < 3.2  # the next of the grid above 3


def test_where_no_weight_is_better_neutral_counts_as_the_others() -> None:
    said = np.eye(3)[LABELS]
    assert best_neutral_weight(LABELS, said, "weighted_f1") == 1


def test_a_flat_weighted_f1_leaves_the_choice_to_macro_f1() -> None:
    # Above 2.04, one of two neutral pairs is found for one positive pair that is lost, of many.
    labels = np.array([0] * 50 + [1] * 2 + [2] * 30)
    said = np.eye(3)[labels] * 0.98 + 0.01
    said[[0, 50]] = [0.5, 0.2, 0.3], [0.5, 0.245, 0.255]
    said[1] = [0.5, 0.245, 0.255]
    assert best_neutral_weight(labels, said, "f1_positive") == 1
    assert best_neutral_weight(labels, said, "weighted_f1") > 2
