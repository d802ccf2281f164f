"""Greedy ensembles: by hand, and honest about noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainables.evaluation.choice import Course, Rule, choose_by_others
from trainables.evaluation.decision import decide
from trainables.evaluation.ensembling import (
    Members,
    bagged_by_others,
    ensemble_by_others,
    ensemble_threshold,
    members_of,
    select_bagged,
    select_greedily,
)
from trainables.evaluation.threshold import threshold_curve


def made_of(*said: np.ndarray, labels: np.ndarray) -> Members:
    rows = np.arange(len(labels))
    return Members(rows, rows * 0, labels, np.stack(said), np.zeros(len(said)))


def noisy(seed: int, labels: np.ndarray, right: float) -> np.ndarray:
    random = np.random.default_rng(1000 + seed)
    others = random.integers(3, size=len(labels))
    sure = np.where(random.random(len(labels)) < right, labels, others)
    return 0.4 * np.eye(3)[sure] + 0.6 * random.dirichlet([2, 2, 2], size=len(labels))


def test_two_that_mend_each_other_are_joined_as_worked_by_hand() -> None:
    # True classes have .9, .4, .9 and .4, .9, .9: alone the product is .324, half and half it is
    # .65 * .65 * .9 = .380, the most that any shares come to. Right are then all three.
    labels = np.array([0, 1, 2])
    one = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0, 0.1, 0.9]])
    other = np.array([[0.4, 0.6, 0], [0, 0.9, 0.1], [0.1, 0, 0.9]])
    useless = np.full((3, 3), 1 / 3)
    members = made_of(useless, one, other, labels=labels)
    weights = select_greedily(members)
    assert weights.tolist() == pytest.approx([0, 0.5, 0.5])
    assert members.joined(weights).score("accuracy") == 1
    assert members.joined(weights).score("loss") == pytest.approx(-np.log(0.65 * 0.65 * 0.9) / 3)
    alone = select_greedily(members, rounds=1)
    assert sorted(alone) == [0, 0, 1]
    assert alone[0] == 0


def test_folds_count_alike_whatever_their_size() -> None:
    # The first is right in the fold of one, the second in the fold of three.
    labels = np.zeros(4, int)
    sure, unsure = [0.8, 0.1, 0.1], [0.4, 0.3, 0.3]
    said = np.array([[sure, *[unsure] * 3], [unsure, *[sure] * 3]])
    members = Members(np.arange(4), np.array([0, 1, 1, 1]), labels, said, np.zeros(2))
    assert select_greedily(members).tolist() == [0.5, 0.5]


def test_an_ensemble_selected_by_loss_has_a_lower_one_than_any_member() -> None:
    labels = np.random.default_rng(0).integers(3, size=200)
    members = made_of(*(noisy(k, labels, 0.5) for k in range(4)), labels=labels)
    weights = select_greedily(members)
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


ACCURACY = Rule("accuracy", 1, "argmax")


def courses_of(seed: int, count: int, right: float, samples: int) -> list[Course]:
    labels = np.random.default_rng(seed).integers(3, size=samples)
    rows = np.arange(samples)
    return [
        Course(rows, rows % 5, labels, noisy(k, labels, right)[None], 0.0) for k in range(count)
    ]


def test_an_ensemble_of_noise_is_no_better_than_its_members_by_others() -> None:
    # Every config guesses: an ensemble of them guesses too, however well it was selected.
    inside, honest = [], []
    for seed in range(8):
        courses = courses_of(seed, 20, 0.0, 150)
        members = members_of(courses, ACCURACY)
        inside.append(members.joined(select_greedily(members)).score("accuracy"))
        honest.append(ensemble_by_others(courses, ACCURACY).score("accuracy"))
    error = np.sqrt(2 / 9 / 150 / 8)
    assert np.mean(inside) - 1 / 3 > 4 * error
    assert abs(np.mean(honest) - 1 / 3) < 2 * error


def test_configs_that_mend_each_other_win_by_others_too() -> None:
    courses = courses_of(2, 6, 0.4, 600)
    ensemble = ensemble_by_others(courses, ACCURACY).score("accuracy")
    single = choose_by_others(courses, ACCURACY).validated.score("accuracy")
    assert ensemble > single + 0.05


def test_an_ensemble_decides_by_the_rule_of_its_search() -> None:
    courses = [replace(one, neutral_threshold=0.6) for one in courses_of(3, 3, 0.4, 200)]
    for decision, expected in (("searched", 0.6), ("argmax", 0.0)):
        rule = Rule("accuracy", 1, decision)
        members = members_of(courses, rule)
        weights = np.full(3, 1 / 3)
        assert ensemble_threshold(members, weights, rule) == pytest.approx(expected)
    rule = Rule("accuracy", 1, "tuned")
    members = members_of(courses, rule)
    said = members.joined(weights).probabilities
    best, _ = threshold_curve(members.labels, said).best("accuracy")
    assert ensemble_threshold(members, weights, rule) == best


def test_of_many_a_bagged_selection_takes_no_more_than_asked_for() -> None:
    labels = np.random.default_rng(1).integers(3, size=300)
    members = made_of(*(noisy(k, labels, 0.5) for k in range(12)), labels=labels)
    weights = select_bagged(members, 4)
    assert (weights > 0).sum() == 4
    assert weights.sum() == pytest.approx(1)
    assert np.array_equal(weights, select_bagged(members, 4))  # a seed, a selection
    best = members.joined(np.eye(12)[int(np.argmax(select_greedily(members, rounds=1)))])
    assert members.joined(weights).score("loss") < best.score("loss")


def test_a_bagged_selection_of_one_is_the_one_that_is_most_often_taken() -> None:
    labels = np.random.default_rng(2).integers(3, size=300)
    said = [noisy(k, labels, right) for k, right in enumerate((0.2, 0.9, 0.2))]
    assert select_bagged(made_of(*said, labels=labels), 1).tolist() == [0, 1, 0]


def test_each_fold_is_predicted_by_what_the_others_select() -> None:
    # Each member is right in one half alone; the other half so takes the one that is wrong there.
    labels = np.zeros(40, int)
    right, wrong = [0.9, 0.05, 0.05], [0.1, 0.45, 0.45]
    said = np.array([[right] * 20 + [wrong] * 20, [wrong] * 20 + [right] * 20])
    halves = np.repeat([0, 1], 20)
    members = Members(np.arange(40), halves, labels, said, np.zeros(2))
    pairs = [(halves == part, halves != part) for part in (0, 1)]
    together, alone = bagged_by_others(members, pairs, 2)
    assert together.tolist() == alone.tolist() == [wrong] * 40


def test_many_members_of_pure_noise_gain_nothing_where_they_did_not_choose() -> None:
    random = np.random.default_rng(3)
    labels = random.integers(3, size=400)
    said = random.dirichlet([4, 4, 4], size=(40, 400))
    folds = np.arange(400) % 4
    members = Members(np.arange(400), folds, labels, said, np.zeros(40))
    pairs = [(folds == part, folds != part) for part in range(4)]
    together, _ = bagged_by_others(members, pairs, 8)
    loss = -np.log(together[np.arange(400), labels]).mean()
    weights = select_bagged(members, 8)
    assert members.joined(weights).score("loss") < np.log(3) < loss
