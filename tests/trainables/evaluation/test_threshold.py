"""The curve against brute force; the honest choice against a careless one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.evaluation.classes import SENTIMENTS
from trainables.evaluation.decision import decide
from trainables.evaluation.metrics import decision_scores
from trainables.evaluation.scores import confusion, score_confusion
from trainables.evaluation.threshold import threshold_curve


def drawn(seed: int, count: int, decimals: int = 9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([1, 0.5, 1], size=count).round(decimals)
    return random.integers(3, size=count), probabilities


def brute(
    name: str, labels: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray
) -> list[float]:
    return [
        float(score_confusion(name, confusion(labels, decide(probabilities, t), 3)))
        for t in thresholds
    ]


@pytest.mark.slow
@given(st.integers(0, 10_000), st.integers(1, 25), st.sampled_from([1, 9]))
def test_the_curve_is_that_of_every_threshold_tried(seed: int, count: int, decimals: int) -> None:
    labels, probabilities = drawn(seed, count, decimals)  # one decimal: many ties
    curve = threshold_curve(labels, probabilities)
    grid = np.unique(np.concatenate([probabilities.ravel(), np.linspace(0, 1, 101)]))
    for name in decision_scores(SENTIMENTS):
        got = brute(name, labels, probabilities, curve.thresholds)
        np.testing.assert_allclose(curve.scores[name], got)
        tried = max(brute(name, labels, probabilities, grid))
        assert curve.best(name)[1] == pytest.approx(tried)


def test_the_best_threshold_is_that_worked_by_hand() -> None:
    # The neutral sample's larger pole is 0.4, that of the surest other 0.45: in between lies all.
    probabilities = np.array([[0.9, 0.05, 0.05], [0.4, 0.3, 0.3], [0.2, 0.35, 0.45]])
    curve = threshold_curve(np.array([0, 1, 2]), probabilities)
    assert curve.thresholds.tolist() == [0, 0.45, 0.9, 1]
    assert curve.best("accuracy") == (0.45, 1.0)
    assert curve.scores["accuracy"].tolist() == pytest.approx([2 / 3, 1, 2 / 3, 1 / 3])


def test_single_precision_is_decided_as_it_was_counted() -> None:
    labels, probabilities = drawn(3, 300)
    single = probabilities.astype(np.float32)
    curve = threshold_curve(labels, single)
    got = brute("macro_f1", labels, single, curve.thresholds)
    np.testing.assert_allclose(curve.scores["macro_f1"], got)
