"""The decision rule, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from trainables.training.decision import decide

# Positive, neutral, negative.
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.45, 0.1, 0.45], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])


@pytest.mark.parametrize(
    ("threshold", "classes"),
    [
        (0.0, [0, 0, 2, 1]),
        (0.3, [0, 0, 2, 1]),
        (0.46, [0, 1, 2, 1]),
        (0.5, [0, 1, 2, 1]),
        (0.6, [1, 1, 2, 1]),
        (1.0, [1, 1, 1, 1]),
    ],
)
def test_a_pair_is_neutral_where_both_poles_are_under_the_threshold(
    threshold: float, classes: list[int]
) -> None:
    decided = decide(PROBABILITIES, threshold)
    assert decided.dtype == np.int64
    assert decided.tolist() == classes


def test_one_pole_at_the_threshold_keeps_the_most_probable_class() -> None:
    assert decide(np.array([[0.3, 0.6, 0.1]]), 0.3).tolist() == [1]
    assert decide(np.array([[0.3, 0.1, 0.6]]), 0.5).tolist() == [2]


def test_probabilities_are_left_as_they_were() -> None:
    before = PROBABILITIES.copy()
    decide(PROBABILITIES, 0.6)
    assert (before == PROBABILITIES).all()


def test_no_samples_make_no_decisions() -> None:
    assert decide(np.empty((0, 3))).shape == (0,)
