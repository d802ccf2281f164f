"""AdamW's groups and the two schedules, by hand and against torch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainables.config import TrainConfig
from trainables.modules.heads.classifier import Classifier
from trainables.training.optimization import (
    Schedule,
    cosine,
    make_optimizer,
)


def small_classifier() -> Classifier:
    suffix = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    suffix[0].requires_grad_(requires_grad=False)
    return Classifier({"text": suffix}, nn.Linear(3, 4))


def schedule_of(
    steps_per_epoch: int = 5, **values: float | str
) -> tuple[Schedule, torch.optim.AdamW]:
    config = TrainConfig.from_params({"max_epochs": 4, **values})
    optimizer = make_optimizer(small_classifier(), config)
    return Schedule(optimizer, config, steps_per_epoch), optimizer


def rates(optimizer: torch.optim.AdamW) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def test_groups_have_their_rates_and_only_matrices_decay() -> None:
    config = TrainConfig(head_learning_rate=1e-2, backbone_learning_rate=1e-4, weight_decay=0.3)
    classifier = small_classifier()
    groups = make_optimizer(classifier, config).param_groups
    shapes = [[tuple(p.shape) for p in group["params"]] for group in groups]
    assert shapes == [[(4, 3)], [(4,)], [(3, 3)], [(3,), (3,), (3,)]]
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0, 0.3, 0.0]
    assert [group["lr"] for group in groups] == [1e-2, 1e-2, 1e-4, 1e-4]


def test_every_parameter_that_trains_is_in_one_group() -> None:
    classifier = small_classifier()
    grouped = [
        p for g in make_optimizer(classifier, TrainConfig()).param_groups for p in g["params"]
    ]
    trains = [p for p in classifier.parameters() if p.requires_grad]
    assert len(grouped) == len(trains)
    assert {id(p) for p in grouped} == {id(p) for p in trains}


def test_norms_and_biases_do_not_shrink_without_a_gradient() -> None:
    classifier = small_classifier()
    before = [p.clone() for p in classifier.head.parameters()]
    config = TrainConfig(head_learning_rate=0.1, weight_decay=0.5)
    optimizer = make_optimizer(classifier, config)
    for parameter in classifier.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    weight, bias = classifier.head.parameters()
    torch.testing.assert_close(weight, before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(bias, before[1])


@pytest.mark.parametrize(
    ("step", "factor"),
    [(0, 1 / 5), (1, 2 / 5), (3, 4 / 5), (4, 1.0), (8, 0.5), (12, 0.0), (99, 0.0)],
)
def test_the_cosine_after_a_warm_up_of_4_of_12_steps(step: int, factor: float) -> None:
    assert cosine(step, 4, 12) == pytest.approx(factor, abs=1e-12)


def test_the_cosine_at_a_quarter_is_that_of_its_formula() -> None:
    assert cosine(2, 0, 8) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))
    assert cosine(0, 0, 8) == 1


def test_the_cosine_schedule_warms_up_and_ends_at_zero() -> None:
    schedule, optimizer = schedule_of(warmup_ratio=0.2, head_learning_rate=1.0)
    seen = []
    for _ in range(20):
        seen.append(rates(optimizer)[0])
        optimizer.step()
        schedule.after_step()
    assert seen == pytest.approx([cosine(step, 4, 20) for step in range(20)])
    assert rates(optimizer)[0] == pytest.approx(0, abs=1e-12)


def test_the_cosine_schedule_takes_no_notice_of_epochs() -> None:
    schedule, optimizer = schedule_of(warmup_ratio=0.0)
    before = rates(optimizer)
    for _ in range(20):
        schedule.after_epoch(1.0)
    assert rates(optimizer) == before


def test_the_plateau_schedule_lowers_both_rates_after_a_stall() -> None:
    schedule, optimizer = schedule_of(
        schedule="plateau", patience=5, head_learning_rate=1.0, backbone_learning_rate=0.1
    )
    seen = []
    for loss in (1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5):
        schedule.after_step()
        schedule.after_epoch(loss)
        seen.append(rates(optimizer)[0])
    # The first epoch is the best; the fourth that is no better exceeds the patience of 3.
    assert seen == pytest.approx([1, 1, 1, 1, 0.7, 0.7, 0.7])
    assert rates(optimizer) == pytest.approx([0.7, 0.7, 0.07, 0.07])


@pytest.mark.parametrize("patience", range(2, 7))
def test_the_plateau_schedule_acts_before_patience_ends_a_trial(patience: int) -> None:
    schedule, optimizer = schedule_of(schedule="plateau", patience=patience)
    before = rates(optimizer)
    schedule.after_epoch(1.0)
    for _ in range(patience - 1):
        schedule.after_epoch(1.0)
    assert rates(optimizer)[0] < before[0]


def test_the_least_epochs_of_a_plateau_are_those_that_end_with_an_epoch_at_lower_rates() -> None:
    config = TrainConfig(patience=3)
    schedule, optimizer = schedule_of(schedule="plateau", patience=3)
    before, seen = rates(optimizer), 0
    while rates(optimizer) == before:
        schedule.after_epoch(1.0)
        seen += 1
    assert config.least_plateau_epochs == seen + 1 == 4


def test_the_plateau_schedule_stops_at_its_least_rate() -> None:
    schedule, optimizer = schedule_of(schedule="plateau", head_learning_rate=1.2e-7)
    for _ in range(40):
        schedule.after_epoch(1.0)
    assert rates(optimizer)[0] == pytest.approx(1e-7)


@pytest.mark.parametrize("name", ["cosine", "plateau"])
def test_a_schedule_goes_on_from_a_saved_state(name: str) -> None:
    def run(schedule: Schedule, optimizer: torch.optim.AdamW, epochs: int) -> list[list[float]]:
        seen = []
        for _ in range(epochs):
            for _ in range(5):
                optimizer.step()
                schedule.after_step()
            schedule.after_epoch(1.0)
            seen.append(rates(optimizer))
        return seen

    unbroken = run(*schedule_of(schedule=name, max_epochs=9), 9)
    schedule, optimizer = schedule_of(schedule=name, max_epochs=9)
    first = run(schedule, optimizer, 3)
    again, other = schedule_of(schedule=name, max_epochs=9)
    again.load_state_dict(schedule.state_dict())
    other.load_state_dict(optimizer.state_dict())
    assert first + run(again, other, 6) == unbroken
    assert unbroken[0] != unbroken[-1]
