"""Scores of decisions and of counts, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.metrics import scores_of
from trainables.evaluation.scores import classification_scores, confusion, score_confusion


def drawn(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, size=40)


def test_scores_of_counts_are_those_worked_by_hand() -> None:
    # 2 of 3 positive right and one neutral; the neutral one missed; the negative one right.
    counts = confusion(np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 2, 2]), 3)
    assert counts.tolist() == [[2, 1, 0], [0, 0, 1], [0, 0, 1]]
    f1 = {"f1_positive": 4 / 5, "f1_neutral": 0.0, "f1_negative": 2 / 3}
    for name, value in f1.items():
        assert score_confusion(name, counts) == pytest.approx(value)
    assert score_confusion("accuracy", counts) == pytest.approx(3 / 5)
    assert score_confusion("macro_f1", counts) == pytest.approx((4 / 5 + 2 / 3) / 3)
    assert score_confusion("weighted_f1", counts) == pytest.approx((3 * 4 / 5 + 2 / 3) / 5)


def test_a_class_that_does_not_occur_has_no_part_in_the_macro_f1() -> None:
    counts = confusion(np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2]), 3)
    both = np.array([counts, np.eye(3, dtype=np.int64)])
    np.testing.assert_allclose(score_confusion("macro_f1", both), [(4 / 5 + 1) / 2, 1])


def test_scores_are_scikit_learns_for_many_sets_at_once() -> None:
    pairs = [(drawn(seed), drawn(seed + 100)) for seed in range(5)]
    counts = np.array([confusion(*pair, 3) for pair in pairs])
    for average in ("macro", "weighted"):
        expected = [f1_score(*pair, average=average, labels=[0, 1, 2]) for pair in pairs]
        np.testing.assert_allclose(score_confusion(f"{average}_f1", counts), expected)
    expected = [accuracy_score(*pair) for pair in pairs]
    np.testing.assert_allclose(score_confusion("accuracy", counts), expected)


PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


@pytest.mark.slow
@given(PAIRS)
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, decided = np.array(pairs, dtype=np.int64).T
    options = {"labels": [0, 1, 2], "zero_division": 0}
    per_class = f1_score(labels, decided, average=None, **options)
    assert classification_scores(labels, decided) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, decided),
            "macro_f1": f1_score(
                labels, decided, average="macro", labels=np.unique(labels), zero_division=0
            ),
            "weighted_f1": f1_score(labels, decided, average="weighted", **options),
            "f1_positive": per_class[0],
            "f1_neutral": per_class[1],
            "f1_negative": per_class[2],
        }
    )


def test_scores_of_decisions_are_those_worked_by_hand() -> None:
    labels = np.array([0, 0, 0, 2])
    decided = np.array([0, 0, 2, 2])
    scores = classification_scores(labels, decided)
    # Positive: 2 hits of 2 decided and 3 true; negative: 1 hit of 2 decided and 1 true.
    assert scores["f1_positive"] == pytest.approx(4 / 5)
    assert scores["f1_negative"] == pytest.approx(2 / 3)
    assert scores["f1_neutral"] == 0
    assert scores["accuracy"] == 0.75
    assert scores["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2), "of what occurs"
    assert scores["weighted_f1"] == pytest.approx((3 * 4 / 5 + 2 / 3) / 4)


def test_every_score_but_the_loss_is_computed() -> None:
    labels = np.array([0, 1, 2])
    assert {"loss", *classification_scores(labels, labels)} == {*scores_of(SENTIMENTS)}
