"""The decision rule, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.evaluation.decision import DecisionRule, decide

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


@pytest.mark.parametrize(
    ("weight", "classes"),
    # Neutral wins from a weight of 5/3 in the first row, 4.5 in the second, 3.5 in the third, and
    # down to 3/4 in the last.
    [
        (0.7, [0, 0, 2, 0]),
        (1.0, [0, 0, 2, 1]),
        (1.7, [1, 0, 2, 1]),
        (3.6, [1, 0, 1, 1]),
        (4.6, [1, 1, 1, 1]),
    ],
)
def test_the_probability_of_neutral_is_multiplied_by_its_weight(
    weight: float, classes: list[int]
) -> None:
    for kind in (np.float64, np.float32):
        assert decide(PROBABILITIES.astype(kind), neutral_weight=weight).tolist() == classes
    assert DecisionRule(0.0, neutral_weight=weight).decide(PROBABILITIES).tolist() == classes


def test_the_threshold_acts_on_polar_probabilities_that_no_weight_changed() -> None:
    # A small weight would take neutral from the last row; the threshold alone gives it back.
    assert decide(PROBABILITIES, 0.46, 0.7).tolist() == [0, 1, 2, 1]
    assert decide(PROBABILITIES, 0.46, 1.7).tolist() == [1, 1, 2, 1]
    assert DecisionRule(0.46, neutral_weight=1.7).decide(PROBABILITIES).tolist() == [1, 1, 2, 1]


def test_probabilities_are_left_as_they_were() -> None:
    before = PROBABILITIES.copy()
    decide(PROBABILITIES, 0.6, 2.0)
    assert (before == PROBABILITIES).all()


def test_no_samples_make_no_decisions() -> None:
    assert decide(np.empty((0, 3))).shape == (0,)


def test_a_rule_decides_before_it_calibrates() -> None:
    rule = DecisionRule(0.45, 2.0)
    probabilities = np.array([[0.64, 0.0, 0.36], [0.4, 0.3, 0.3]])
    assert rule.decide(probabilities).tolist() == [0, 1]
    # At temperature 2 probabilities go as their square roots: 0.8 to 0.6.
    np.testing.assert_allclose(rule.calibrate(probabilities)[0], [8 / 14, 0, 6 / 14], atol=1e-5)
    assert DecisionRule(0.3).calibrate(probabilities) is probabilities


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=1, max_size=8),
    threshold=st.floats(0, 1),
    weight=st.floats(0.1, 10),
)
def test_a_rule_decides_each_pair_by_itself_and_neutral_grows_with_threshold_and_weight(
    rows: list[list[float]], threshold: float, weight: float
) -> None:
    probabilities = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    decided = decide(probabilities, threshold, weight)
    alone = [int(decide(row[None], threshold, weight)[0]) for row in probabilities]
    assert alone == decided.tolist()
    higher = decide(probabilities, min(1.0, threshold + 0.1), weight)
    heavier = decide(probabilities, threshold, weight * 1.2)
    neutral = set(np.flatnonzero(decided == 1))
    assert neutral <= set(np.flatnonzero(higher == 1))
    assert neutral <= set(np.flatnonzero(heavier == 1))
    poles = probabilities[:, [0, 2]].max(axis=1)
    assert (decided[poles < threshold] == 1).all()
