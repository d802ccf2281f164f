"""Which trials keep every tower frozen."""

from __future__ import annotations

import optuna
import pytest

from search.study.frozen_first import frozen_first, frozen_params
from search.study.sampler import begin
from spaces import SPACES

REAL = {"text": "google-bert/bert-base-uncased", "image": "resnet18"}
FROZEN = {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}


def test_half_of_the_trials_are_held_but_for_those_that_are_given_in_full() -> None:
    space = SPACES["early_fusion"]
    assert frozen_first(space, REAL, 40, 4) == [FROZEN] * 16
    assert frozen_first(space, REAL, 4, 4) == []


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
