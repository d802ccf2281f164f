from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from search.selection.test_set import labelled_pairs, predicted, score_pairs, score_test_set
from tests.sentiments import NEGATIVE, NEUTRAL, POSITIVE
from trainables.data.faults import CorpusError
from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from trainables.data.sample import Corpus


def test_scores_are_those_of_scikit_learn_and_of_the_majority_learnt(corpus: Corpus) -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([1, 1, 1], size=6)
    labels, decided = np.array([0, 1, 2, 0, 0, 1]), probabilities.argmax(axis=1)
    learnt = [replace(sample, label=NEGATIVE) for sample in corpus.labelled[:3]]
    tested = score_pairs(
        corpus.unlabelled, predicted(labels, probabilities, decided, SENTIMENTS), learnt
    )
    assert tested.pairs == 6
    assert tested.classes == {"positive": 3, "neutral": 2, "negative": 1}
    assert tested.scores["accuracy"] == pytest.approx(accuracy_score(labels, decided))
    assert tested.scores["loss"] == pytest.approx(
        log_loss(labels, probabilities, labels=[0, 1, 2])
    )
    for average in ("macro", "weighted"):
        expected = f1_score(labels, decided, average=average, zero_division=0)
        assert tested.scores[f"{average}_f1"] == pytest.approx(expected)
    assert tested.majority["accuracy"] == pytest.approx(1 / 6)
    assert np.sum(tested.confusion) == 6
    for name, (low, high) in tested.intervals.items():
        assert low <= tested.scores[name] <= high


def test_pairs_that_the_training_knows_are_counted(corpus: Corpus) -> None:
    labels, decided = np.zeros(6, np.int64), np.zeros(6, np.int64)
    sure = np.eye(3)[decided]
    known = replace(corpus.unlabelled[2], guid="other", label=POSITIVE)
    made = predicted(labels, sure, decided, SENTIMENTS)
    tested = score_pairs(corpus.unlabelled, made, [*corpus.labelled, known])
    assert tested.shared == 1
    assert tested.scores["accuracy"] == 1


def test_only_the_labelled_of_what_is_predicted_are_scored(corpus: Corpus) -> None:
    held_out = (None, NEUTRAL, None, POSITIVE, None, None)
    decided = np.array([0, 1, 0, 2, 0, 0])
    sure = np.eye(3)[decided] * 0.97 + 0.01
    tested = score_test_set(replace(corpus, held_out=held_out), sure, decided, seed=0)
    assert tested is not None
    assert (tested.pairs, tested.scores["accuracy"]) == (2, 0.5)
    assert tested.confusion == ((0, 0, 1), (0, 1, 0), (0, 0, 0))
    assert score_test_set(corpus, sure, decided, seed=0) is None


def test_a_model_is_scored_on_the_test_part_or_else_on_all_that_has_a_tag(corpus: Corpus) -> None:
    held_out = (None, NEUTRAL, None, None, None, None)
    pairs, labels = labelled_pairs(replace(corpus, held_out=held_out))
    assert (pairs, labels.tolist()) == ([corpus.unlabelled[1]], [1])
    pairs, labels = labelled_pairs(corpus)
    assert (pairs, labels.tolist()) == (list(corpus.labelled), corpus.labels.tolist())
    with pytest.raises(CorpusError, match="must have pairs with a tag, got none in small"):
        labelled_pairs(replace(corpus, labelled=()))
