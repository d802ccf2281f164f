"""Greedy ensembles: by hand, and honest about noise."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.ensembling import Members, select_greedily
from analysis.scores import decide


def members_of(*said: np.ndarray, labels: np.ndarray, folds: int = 1) -> Members:
    rows = np.arange(len(labels))
    return Members(rows, rows % folds, labels, np.stack(said), np.zeros(len(said)))


def noisy(seed: int, labels: np.ndarray, right: float) -> np.ndarray:
    random = np.random.default_rng(1000 + seed)
    others = random.integers(3, size=len(labels))
    sure = np.where(random.random(len(labels)) < right, labels, others)
    return 0.4 * np.eye(3)[sure] + 0.6 * random.dirichlet([2, 2, 2], size=len(labels))


def test_two_that_mend_each_other_are_joined_as_worked_by_hand() -> None:
    # Each is wrong on one sample where the other is surer: half and half all three are right.
    labels = np.array([0, 1, 2])
    one = np.array([[0.9, 0.1, 0], [0.5, 0.4, 0.1], [0, 0.1, 0.9]])
    other = np.array([[0.4, 0.5, 0.1], [0, 0.9, 0.1], [0.1, 0.1, 0.8]])
    useless = np.full((3, 3), 1 / 3)
    members = members_of(useless, one, other, labels=labels)
    weights = select_greedily("accuracy", members)
    assert weights.tolist() == [0, 0.5, 0.5]
    assert members.joined(weights).score("accuracy") == 1
    alone = select_greedily("accuracy", members, rounds=1)
    assert alone.tolist() == [0, 1, 0]


def test_a_loss_is_made_lower() -> None:
    labels = np.random.default_rng(0).integers(3, size=200)
    members = members_of(*(noisy(k, labels, 0.5) for k in range(4)), labels=labels)
    weights = select_greedily("loss", members, sign=-1)
    alone = [members.joined(row).score("loss") for row in np.eye(4)]
    assert members.joined(weights).score("loss") < min(alone)
    assert weights.sum() == pytest.approx(1)


def test_thresholds_are_averaged_with_the_probabilities() -> None:
    labels = np.array([1, 0])
    said = np.array([[0.5, 0.2, 0.3], [0.8, 0.1, 0.1]])
    members = Members(
        np.arange(2), np.zeros(2, int), labels, np.stack([said] * 2), np.array([0.4, 0.8])
    )
    joined = members.joined(np.array([0.5, 0.5]))
    assert joined.decided.tolist() == decide(said, 0.6).tolist() == [1, 0]


def test_noise_is_not_taken_for_a_better_config() -> None:
    # Twenty configs of equal worth: the best one in sample seems better than it is by others.
    labels = np.random.default_rng(1).integers(3, size=150)
    members = members_of(*(noisy(k, labels, 0.3) for k in range(20)), labels=labels, folds=5)
    alone = select_greedily("accuracy", members, rounds=1)
    honest = members.decided_by_others("accuracy", single=True, sign=1).score("accuracy")
    typical = np.mean([members.joined(row).score("accuracy") for row in np.eye(20)])
    assert members.joined(alone).score("accuracy") > typical + 0.04
    assert honest < typical + 0.02


def test_configs_of_real_worth_win_by_others_too() -> None:
    labels = np.random.default_rng(2).integers(3, size=600)
    members = members_of(*(noisy(k, labels, 0.4) for k in range(6)), labels=labels, folds=5)
    ensemble = members.decided_by_others("accuracy", single=False, sign=1).score("accuracy")
    single = members.decided_by_others("accuracy", single=True, sign=1).score("accuracy")
    assert ensemble > single + 0.05
