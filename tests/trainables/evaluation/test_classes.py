"""Two and seven classes: scores as scikit-learn's, decisions and thresholds by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from trainables.evaluation.calibration import log_losses
from trainables.evaluation.choice import Course, Rule, by_others
from trainables.evaluation.classes import SENTIMENTS, Classes, classes_named
from trainables.evaluation.decision import decide
from trainables.evaluation.neutral_weight import best_neutral_weight
from trainables.evaluation.resampling import Validated, resampled_scores
from trainables.evaluation.scores import classification_scores
from trainables.evaluation.threshold import threshold_curve

YES_NO = Classes(("no", "yes"))
SEVEN = classes_named(("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"))


def drawn(classes: Classes, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(len(classes))
    labels = random.integers(len(classes), size=count)
    logits = random.normal(size=(count, len(classes))) + 1.5 * np.eye(len(classes))[labels]
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


def test_the_fallback_is_neutral_where_that_is_a_class_or_what_is_named() -> None:
    assert classes_named(("positive", "neutral", "negative")) == SENTIMENTS
    assert SEVEN.fallback_name == "neutral"
    assert SEVEN.others == (0, 1, 2, 3, 5, 6)
    assert classes_named(("no", "yes")).fallback is None
    assert classes_named(("no", "yes"), "no").unlikely == "the probability of yes is"


@pytest.mark.parametrize("classes", [YES_NO, SEVEN, Classes(SEVEN.names)])
def test_scores_of_any_number_of_classes_are_those_of_scikit_learn(classes: Classes) -> None:
    labels, probabilities = drawn(classes)
    decided = decide(probabilities, classes=classes)
    scores = classification_scores(labels, decided, classes)
    each = f1_score(labels, decided, average=None)
    assert scores["accuracy"] == pytest.approx(np.mean(labels == decided))
    for average in ("macro", "weighted"):
        expected = f1_score(labels, decided, average=average)
        assert scores[f"{average}_f1"] == pytest.approx(expected)
    for name, expected in zip(classes.names, each, strict=True):
        assert scores[f"f1_{name}"] == pytest.approx(expected)
    assert scores.get("worst_f1", each.min()) == pytest.approx(each.min())
    assert ("worst_f1" in scores) is (classes.fallback is None)


@pytest.mark.parametrize("classes", [YES_NO, SEVEN])
def test_resampled_scores_are_those_of_the_resampled_samples(classes: Classes) -> None:
    labels, probabilities = drawn(classes, 60)
    decided = decide(probabilities, classes=classes)
    rows = np.arange(len(labels))
    one = Validated(rows, rows % 3, labels, probabilities, decided, classes=classes)
    counts = np.random.default_rng(0).integers(3, size=len(rows))
    for name in ("macro_f1", f"f1_{classes.names[1]}"):
        found = one.part_scores(name, counts[None].astype(float))[0]
        for part in range(3):
            again = np.repeat(rows, counts * (rows % 3 == part))
            expected = classification_scores(labels[again], decided[again], classes)[name]
            assert found[part] == pytest.approx(expected)
    assert resampled_scores("accuracy", [one], draws=10).shape == (1, 10)
    loss = np.mean([log_losses(labels[p::3], probabilities[p::3]).mean() for p in range(3)])
    assert one.score("loss") == pytest.approx(loss)


def test_a_pair_is_of_the_fallback_class_where_no_other_is_likely_enough() -> None:
    likely, unsure = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1], [0.19, 0.18, 0.15, 0.14, 0.0, 0.2, 0.14]
    probabilities = np.array([likely, unsure])
    assert decide(probabilities, 0.25, classes=SEVEN).tolist() == [0, 4]
    assert decide(probabilities, 0.0, classes=SEVEN).tolist() == [0, 5]
    assert decide(probabilities, 0.0, 3.5, SEVEN).tolist() == [4, 5]


def test_of_two_classes_the_fallback_is_what_the_other_is_not_likely_enough_for() -> None:
    named = classes_named(("no", "yes"), "no")
    probabilities = np.array([[0.35, 0.65], [0.45, 0.55], [0.6, 0.4]])
    assert decide(probabilities, 0.6, classes=named).tolist() == [1, 0, 0]
    assert decide(probabilities, 0.6, 9.0, YES_NO).tolist() == [1, 1, 0], "without, the likeliest"


def test_probabilities_of_another_number_of_classes_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match=r"\(1, 3\) of Classes"):
        decide(np.full((1, 3), 1 / 3), classes=YES_NO)


def test_the_curve_of_the_threshold_is_that_of_deciding_by_each() -> None:
    labels, probabilities = drawn(SEVEN)
    curve = threshold_curve(labels, probabilities, SEVEN)
    for index in range(0, len(curve.thresholds), 40):
        decided = decide(probabilities, curve.thresholds[index], classes=SEVEN)
        scores = classification_scores(labels, decided, SEVEN)
        for name, values in curve.scores.items():
            assert values[index] == pytest.approx(scores[name])


def test_without_a_fallback_class_there_is_nothing_to_tune() -> None:
    labels, probabilities = drawn(YES_NO)
    rule = Rule("macro_f1", 1, "tuned")
    assert rule.threshold(labels, probabilities, 0.4, YES_NO) == 0
    assert best_neutral_weight(labels, probabilities, "macro_f1", YES_NO) == 1
    rows = np.arange(len(labels))
    course = Course(rows, rows % 4, labels, probabilities[None], 0.4, classes=YES_NO)
    decided = by_others(course, rule).validated.decided
    assert decided.tolist() == probabilities.argmax(axis=1).tolist()
