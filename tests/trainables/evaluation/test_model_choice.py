"""Choices among models, worked out by hand, and on noise that has nothing to choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.trainables.evaluation.test_choice import ACCURACY, TUNED, drawn, right_in
from trainables.evaluation.choice import Course, Rule, choose_by_others
from trainables.evaluation.model_choice import choose_model_by_others


def test_each_fold_is_scored_by_the_model_that_the_other_folds_choose() -> None:
    one = [right_in([[0.9, 0.2, 0.5]])]
    other = [right_in([[0.1, 0.8, 0.6]])]
    found = choose_model_by_others([one, other], ACCURACY)
    # Sums of the others, by fold: .7 and 1.4; 1.4 and .7; 1.1 and .9.
    assert found.picks[::10].tolist() == [1, 0, 0]
    assert found.validated.part_scores("accuracy").tolist() == pytest.approx([0.1, 0.2, 0.5])
    # On all folds the first has 1.6 and the second 1.5.
    assert found.best == 0
    assert [each.score("accuracy") for each in found.own] == pytest.approx([1.6 / 3, 0.5])


def test_a_model_is_chosen_by_what_its_own_choice_among_configs_comes_to() -> None:
    # Each of the two configs shines where the other fails, so that choosing one comes to little.
    turns = [right_in([[1.0, 0.0, 0.0]]), right_in([[0.0, 0.8, 0.1]])]
    steady = [right_in([[0.3, 0.3, 0.3]])]
    found = choose_model_by_others([turns, steady], ACCURACY)
    # For fold 0 the others are 1 and 2. By fold 2 the second config scores fold 1, by fold 1 it
    # scores fold 2: .8 and .1 against .6. For fold 1: by fold 2 the second scores fold 0, by
    # fold 0 the first scores fold 2, both with nothing. Likewise for fold 2.
    assert found.picks[::10].tolist() == [0, 1, 1]
    # On all folds the configs are chosen B, A, A, each where it fails.
    assert [each.score("accuracy") for each in found.own] == pytest.approx([0.0, 0.3])
    assert found.best == 1
    assert found.validated.part_scores("accuracy").tolist() == pytest.approx([0.0, 0.3, 0.3])


def test_predictions_in_which_nothing_is_left_to_choose_are_scored_as_they_are() -> None:
    one, other = right_in([[0.9, 0.2, 0.5]]), right_in([[0.1, 0.8, 0.6]])
    joined = other.at(0, 0.0)
    found = choose_model_by_others([[one], joined], ACCURACY)
    assert found.picks[::10].tolist() == [1, 0, 0]
    assert found.own[1] is joined


def test_one_model_alone_is_told_as_it_tells_itself() -> None:
    configs = [right_in([[1.0, 0.0, 0.5]]), right_in([[0.0, 1.0, 0.4]])]
    found = choose_model_by_others([configs], ACCURACY)
    alone = choose_by_others(configs, ACCURACY).validated
    assert found.validated.decided.tolist() == alone.decided.tolist()
    assert (found.best, set(found.picks)) == (0, {0})


def test_models_of_one_config_each_are_chosen_among_as_configs_are() -> None:
    labels = drawn(3, 90)[0]
    rows = np.arange(90)
    courses = [
        Course(rows, rows % 5, labels, np.stack([drawn(10 * k + e, 90)[1] for e in range(3)]), 0.4)
        for k in range(4)
    ]
    among_configs = choose_by_others(courses, TUNED)
    among_models = choose_model_by_others([[each] for each in courses], TUNED)
    assert among_models.picks.tolist() == among_configs.picks.tolist()
    assert among_models.validated.decided.tolist() == among_configs.validated.decided.tolist()


def test_the_lowest_loss_is_the_best() -> None:
    low, high = right_in([[0.9, 0.9, 0.9]]), right_in([[0.1, 0.1, 0.1]])
    found = choose_model_by_others([[high], [low]], Rule("loss", -1, "argmax"))
    assert (found.best, set(found.picks)) == (1, {1})


def test_no_sample_has_a_part_in_the_model_that_is_chosen_for_it() -> None:
    labels, rows = drawn(6, 80)[0], np.arange(80)
    said = [np.stack([drawn(10 * k + e, 80)[1] for e in range(2)]) for k in range(6)]
    courses = [Course(rows, rows % 4, labels, each, 0.0) for each in said]
    offers = [courses[:3], courses[3:5], courses[5].at(0, 0.0)]
    before = choose_model_by_others(offers, TUNED)
    mine = rows % 4 == 0
    changed = np.where(mine, (labels + 1) % 3, labels)
    told = [replace(each, labels=changed) for each in courses]
    after = choose_model_by_others([told[:3], told[3:5], told[5].at(0, 0.0)], TUNED)
    assert (before.picks[mine] == after.picks[mine]).all()
    assert (before.validated.decided[mine] == after.validated.decided[mine]).all()
    assert (before.validated.decided != after.validated.decided).any()


@pytest.mark.slow
def test_choosing_among_equal_models_gains_nothing() -> None:
    # Five models with three configs each, all right half of the time.
    told = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        labels, rows = np.arange(200) % 3, np.arange(200)
        offers = []
        for _ in range(5):
            decided = np.where(random.random((3, 200)) < 0.5, labels, (labels + 1) % 3)
            offers.append(
                [Course(rows, rows % 4, labels, np.eye(3)[one][None], 0.0) for one in decided]
            )
        told.append(choose_model_by_others(offers, ACCURACY).validated.score("accuracy"))
    assert abs(np.mean(told) - 0.5) < 3 * 0.5 / np.sqrt(200 * 20)
