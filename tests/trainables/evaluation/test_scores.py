"""Scores of counts agree with scikit-learn, and decisions with those of a trial."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from trainables.evaluation.decision import decide
from trainables.evaluation.decision import decide as decide_in_a_trial
from trainables.evaluation.scores import (
    DECISION_SCORES,
    classification_scores,
    confusion,
    score_confusion,
)


def drawn(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(3, size=count), random.dirichlet([0.8, 0.4, 0.6], size=count)


def test_scores_are_those_worked_by_hand() -> None:
    # 2 of 3 positive right and one neutral; the neutral one missed; the negative one right.
    counts = confusion(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 2, 2]))
    assert counts.tolist() == [[2, 1, 0], [0, 0, 1], [0, 0, 1]]
    f1 = {"f1_positive": 4 / 5, "f1_neutral": 0.0, "f1_negative": 2 / 3}
    for name, value in f1.items():
        assert score_confusion(name, counts) == pytest.approx(value)
    assert score_confusion("accuracy", counts) == pytest.approx(3 / 5)
    assert score_confusion("macro_f1", counts) == pytest.approx((4 / 5 + 2 / 3) / 3)
    assert score_confusion("weighted_f1", counts) == pytest.approx((3 * 4 / 5 + 2 / 3) / 5)


def test_a_class_that_does_not_occur_has_no_part_in_the_macro_f1() -> None:
    counts = confusion(np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2]))
    both = np.array([counts, np.eye(3, dtype=np.int64)])
    np.testing.assert_allclose(score_confusion("macro_f1", both), [(4 / 5 + 1) / 2, 1])


@given(
    st.lists(st.tuples(*[st.integers(0, 4)] * 3).filter(any), min_size=1),
    st.sampled_from([0.0, 0.25, 1 / 3, 0.4, 0.5, 1.0]),
    st.sampled_from([np.float32, np.float64]),
)
def test_ties_and_probabilities_at_the_threshold_are_decided_as_in_a_trial(
    shares: list[tuple[int, ...]], threshold: float, dtype: type[np.floating]
) -> None:
    probabilities = np.array(shares, dtype)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    decided = decide(probabilities, threshold)
    assert decided.tolist() == decide_in_a_trial(probabilities, threshold).tolist()


@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 30))
def test_scores_and_decisions_are_those_of_a_trial(
    seed: int, threshold: float, count: int
) -> None:
    labels, probabilities = drawn(seed, count)
    decided = decide(probabilities, threshold)
    assert decided.tolist() == decide_in_a_trial(probabilities, threshold).tolist()
    counts = confusion(labels, decided)
    mine = {name: float(score_confusion(name, counts)) for name in DECISION_SCORES}
    assert mine == pytest.approx(classification_scores(labels, decided))


def test_scores_are_scikit_learns_for_many_sets_at_once() -> None:
    pairs = [(drawn(seed)[0], drawn(seed + 100)[0]) for seed in range(5)]
    counts = np.array([confusion(*pair) for pair in pairs])
    for average in ("macro", "weighted"):
        expected = [f1_score(*pair, average=average, labels=[0, 1, 2]) for pair in pairs]
        np.testing.assert_allclose(score_confusion(f"{average}_f1", counts), expected)
    expected = [accuracy_score(*pair) for pair in pairs]
    np.testing.assert_allclose(score_confusion("accuracy", counts), expected)
