"""Metrics, with scikit-learn as their oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from trainables.evaluation.objective import METRICS, SCORES
from trainables.evaluation.scores import classification_scores

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60)


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


def test_scores_are_those_worked_by_hand() -> None:
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
    assert {"loss", *classification_scores(labels, labels)} == set(SCORES)
    assert list(METRICS) == [f"val_{name}" for name in SCORES]
