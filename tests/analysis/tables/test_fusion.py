"""Fusing by hand, and every fusion scored from what one training kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from analysis.tables.fusion import branches_of, fuse, fusion_scores
from trainables.evaluation.choice import Course, Rule
from trainables.evaluation.classes import SENTIMENTS

TEXT = np.array([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3], [0.5, 0.25, 0.25]])
IMAGE = np.array([[0.2, 0.2, 0.6], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])


def test_fusing_weighs_both_branches() -> None:
    weighted = [[0.3, 0.225, 0.475], [0.175, 0.15, 0.675], [0.3125, 0.4375, 0.25]]
    assert fuse(TEXT, IMAGE, "weighted", 0.25) == pytest.approx(np.array(weighted))
    assert (fuse(TEXT, IMAGE, "weighted", 1.0) == TEXT).all()


def test_a_vote_is_that_of_the_more_certain_branch_and_of_the_first_at_a_tie() -> None:
    assert (fuse(TEXT, IMAGE, "vote", 0.0) == np.stack([TEXT[0], IMAGE[1], TEXT[2]])).all()


def table_of(labels: np.ndarray, parts: np.ndarray, threshold: float = 0.0) -> pd.DataFrame:
    rows = np.arange(len(labels))
    times = len(labels) // 3
    first, second = (
        Course(rows, parts, labels, np.tile(said, (times, 1))[None], threshold)
        for said in (TEXT, IMAGE)
    )
    return fusion_scores(first, second, Rule("accuracy", 1, "searched"))


def test_every_fusion_is_scored() -> None:
    labels = np.array([2, 2, 0])
    table = table_of(labels, np.zeros(3, int))
    assert table["fusion"].tolist() == ["vote", *["weighted"] * 22]
    assert table["weight"].tolist()[1:-1] == pytest.approx(np.linspace(0, 1, 21))
    assert table["chosen"].tolist() == [*["no"] * 22, "others"]
    vote, image, text = table.iloc[0], table.iloc[1], table.iloc[-2]
    # The vote decides positive, negative, positive; the image negative, negative, neutral.
    assert vote["accuracy"] == pytest.approx(2 / 3)
    assert (image["accuracy"], text["accuracy"]) == pytest.approx((2 / 3, 1 / 3))
    decided = fuse(TEXT, IMAGE, "weighted", 0.5).argmax(axis=1)
    half = table.iloc[11]
    assert half["accuracy"] == pytest.approx(accuracy_score(labels, decided))
    weighted = f1_score(labels, decided, average="weighted", labels=[0, 1, 2], zero_division=0)
    assert half["weighted_f1"] == pytest.approx(weighted)


def test_scores_are_means_over_folds_as_everywhere() -> None:
    # Text decides positive three times, the image negative, negative, neutral. Three samples are
    # in fold 0 and six in fold 1, so that a pool of both is another number.
    labels = np.array([0, 0, 0, 2, 2, 1, 2, 2, 1])
    table = table_of(labels, np.repeat([0, 1], [3, 6]))
    image, text = table.iloc[1], table.iloc[-2]
    assert (image["accuracy"], text["accuracy"]) == (0.5, 0.5)  # pooled: 6/9 and 3/9


def test_a_weight_is_judged_on_folds_that_did_not_choose_it() -> None:
    # In fold 0 the text is right and in fold 1 the image is: each fold has the other's weight.
    labels = np.array([0, 0, 0, 2, 2, 1])
    table = table_of(labels, np.repeat([0, 1], 3))
    assert table["accuracy"][1:-1].max() == 0.5
    assert table.iloc[-1]["accuracy"] == 0.0


def test_the_threshold_takes_part_in_every_fusion() -> None:
    table = table_of(np.array([1, 1, 1]), np.zeros(3, int), 0.9)
    assert table["accuracy"].tolist() == [1.0] * 23


def test_branches_are_found_by_their_columns() -> None:
    whole = pd.DataFrame(TEXT, columns=["positive", "neutral", "negative"])
    assert branches_of(whole, SENTIMENTS) == {}
    for branch, values in (("text", TEXT), ("image", IMAGE)):
        whole[[f"{branch}_{name}" for name in ("positive", "neutral", "negative")]] = values
    found = branches_of(whole, SENTIMENTS)
    assert list(found) == ["text", "image"]
    assert (found["text"] == TEXT).all()
    assert (found["image"] == IMAGE).all()
