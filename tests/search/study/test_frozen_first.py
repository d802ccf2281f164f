"""Which trials keep every tower frozen."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from search.study.frozen_first import OPENS, Order, frozen_params, is_frozen
from search.study.sampler import begin
from search.study.trial import TrialRecord
from spaces import SPACES

REAL = {"text": "google-bert/bert-base-uncased", "image": "resnet18"}
FROZEN = {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}


def test_half_of_the_trials_are_held_but_for_those_that_are_given_in_full() -> None:
    space = SPACES["early_fusion"]
    assert Order.of(space, REAL, 40).frozen(4) == [FROZEN] * 16
    assert Order.of(space, REAL, 4).frozen(4) == []


@pytest.mark.parametrize("layers", [{"text_unfrozen_layers": 0}, {}])
def test_towers_that_may_train_are_frozen_first(layers: dict[str, int]) -> None:
    assert frozen_params(SPACES["early_fusion"].fix(layers), REAL) == FROZEN


def test_nothing_is_held_where_there_is_no_choice_or_towers_are_random() -> None:
    space = SPACES["early_fusion"]
    assert frozen_params(space.fix(FROZEN), REAL) == {}
    assert frozen_params(space.within({"text_unfrozen_layers": (1, 2)}), REAL) == {}
    assert frozen_params(space, dict.fromkeys(REAL, "tiny")) == {}


def test_held_trials_draw_all_else_and_come_after_those_that_are_given() -> None:
    study, space = optuna.create_study(), SPACES["early_fusion"]
    begin(study, {"head_dropout": 0.5}, (), [FROZEN] * 2)
    drawn = []
    for _ in range(4):
        trial = study.ask()
        space.suggest(trial)
        drawn.append(trial.params)
    assert drawn[0]["head_dropout"] == 0.5
    for params in drawn[1:3]:
        assert params.items() >= FROZEN.items()
        assert {"text_pooled_layers", "text_cleaning", "image_preparation"} <= params.keys()
    assert drawn[1]["weight_decay"] != drawn[2]["weight_decay"]


@pytest.mark.parametrize(
    ("params", "frozen"),
    [
        ({"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}, True),
        ({"text_unfrozen_layers": 0, "text_second_unfrozen_layers": 1}, False),
        ({"head_dropout": 0.5}, True),
    ],
)
def test_a_config_is_frozen_where_no_tower_trains(params: dict[str, float], frozen: bool) -> None:
    assert is_frozen(params) == frozen


LEADER = TrialRecord(
    3,
    {
        **FROZEN,
        "text_pooled_layers": "both",
        "head_dropout": 0.4,
        "head_learning_rate": 1e-3,
        "backbone_learning_rate": 1e-5,
    },
    scores={1: 0.7},
    fate="stopped",
)


def opened(study: optuna.Study, order: Order, ranked: list[TrialRecord]) -> dict[str, Any]:
    """The params of the next trial, if it opens towers."""
    trial = order.ask(study, ranked)
    return trial.params if OPENS in trial.user_attrs else {}


def test_every_second_trial_after_the_frozen_ones_opens_towers_of_the_leader() -> None:
    space = SPACES["early_fusion"].within({"text_unfrozen_layers": (0, 1)})
    study, order = optuna.create_study(), Order.of(space, REAL, 4)
    asked = [opened(study, order, [LEADER]) for _ in range(9)]
    assert [n for n, params in enumerate(asked) if params] == [2, 4, 6, 8]
    assert all(params["head_dropout"] == 0.4 for params in asked if params)
    assert all(params["head_learning_rate"] == 1e-3 for params in asked if params)
    assert len({params["backbone_learning_rate"] for params in asked if params} - {1e-5}) == 4
    ways = [(p["text_unfrozen_layers"], p["image_unfrozen_layers"]) for p in asked if p]
    assert ways == [(1, 0), (0, 1), (1, 1), (0, 2)]
    assert study.trials[2].user_attrs[OPENS] == 3


def test_the_way_of_the_best_open_trial_is_taken_again_when_all_are_tried() -> None:
    space = SPACES["early_fusion"].fix({"image_unfrozen_layers": 0})
    study, order = optuna.create_study(), Order.of(space, REAL, 2)
    frozen = TrialRecord(0, FROZEN, scores={1: 0.7}, fate="finished")
    best = TrialRecord(1, FROZEN | {"text_unfrozen_layers": 2}, scores={1: 0.6}, fate="stopped")
    other = TrialRecord(2, FROZEN | {"text_unfrozen_layers": 1}, scores={1: 0.5}, fate="stopped")
    asked = [opened(study, order, [frozen, best, other]) for _ in range(8)]
    assert [params.get("text_unfrozen_layers") for params in asked] == [
        *(None, 1, None, 2),
        *(None, 2, None, 2),
    ]


def test_nothing_is_opened_before_a_frozen_trial_has_a_score_or_where_nothing_is_held() -> None:
    space = SPACES["early_fusion"]
    open_trial = TrialRecord(0, {"text_unfrozen_layers": 1}, scores={1: 0.6}, fate="stopped")
    order = Order.of(space, REAL, 0)
    assert not opened(optuna.create_study(), order, [])
    assert not opened(optuna.create_study(), order, [open_trial])
    assert opened(optuna.create_study(), order, [open_trial, LEADER])
    random = Order.of(space, dict.fromkeys(REAL, "tiny"), 0)
    assert not opened(optuna.create_study(), random, [LEADER])


def test_a_tower_that_the_leader_does_not_read_is_not_opened() -> None:
    second = {"text_second_unfrozen_layers": (0, 1)}
    space = SPACES["early_fusion"].fix({"image_unfrozen_layers": 0}).choose(second)
    order = Order.of(space, REAL, 0)
    params = opened(optuna.create_study(), order, [LEADER])
    assert params["text_unfrozen_layers"] == 1


def test_what_waits_in_the_queue_goes_before_an_opening() -> None:
    study, order = optuna.create_study(), Order.of(SPACES["early_fusion"], REAL, 0)
    study.enqueue_trial({"head_dropout": 0.6})
    study.enqueue_trial({"head_dropout": 0.6})
    assert [bool(opened(study, order, [LEADER])) for _ in range(3)] == [False, False, True]
