"""The average of the weights: by hand, as PyTorch's own, and exchanged with the last step's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainables.training.averaging import WeightAverage


def parameters(*values: float) -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor([value])) for value in values]


def step(average: WeightAverage, weights: list[nn.Parameter], *values: float) -> None:
    """Train for an epoch of one step, which ends at these values."""
    average.exchange()
    with torch.no_grad():
        for weight, value in zip(weights, values, strict=True):
            weight.fill_(value)
    average.after_step()
    average.exchange()


def test_the_model_holds_the_average_between_epochs_and_the_last_step_within() -> None:
    weights = parameters(1.0)
    average = WeightAverage(weights, 0.95)
    step(average, weights, 12.0)
    assert weights[0].item() == pytest.approx(2 / 11 * 1 + 9 / 11 * 12)  # (1 + 1) / (10 + 1)
    average.exchange()
    assert weights[0].item() == 12.0
    average.exchange()
    step(average, weights, 0.0)
    assert weights[0].item() == pytest.approx(3 / 12 * 10)


def test_the_decay_grows_up_to_what_is_asked() -> None:
    weights = parameters(0.0)
    average = WeightAverage(weights, 0.5)
    for _ in range(8):  # (1 + 8) / (10 + 8) = 0.5
        step(average, weights, 0.0)
    step(average, weights, 1.0)
    assert weights[0].item() == pytest.approx(0.5)


def test_once_grown_it_is_pytorchs_average() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average = WeightAverage(list(model.parameters()), 0.1)  # from the first step on
    reference = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.1))
    reference.update_parameters(model)  # its first update copies
    for _ in range(4):
        average.exchange()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        average.after_step()
        reference.update_parameters(model)
        average.exchange()
    for ours, theirs in zip(model.parameters(), reference.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_without_a_decay_the_last_step_stays_and_nothing_is_kept() -> None:
    weights = parameters(1.0, 2.0)
    average = WeightAverage(weights, 0.0)
    step(average, weights, 3.0, 4.0)
    assert [weight.item() for weight in weights] == [3.0, 4.0]
    assert average.state_dict()["latest"] == []


def test_a_state_goes_on_as_if_unbroken() -> None:
    weights, others = parameters(1.0, 2.0), parameters(0.0, 0.0)
    average, resumed = WeightAverage(weights, 0.9), WeightAverage(others, 0.9)
    step(average, weights, 3.0, 4.0)
    with torch.no_grad():
        for other, weight in zip(others, weights, strict=True):
            other.copy_(weight)
    resumed.load_state_dict(average.state_dict())
    for one, of in ((average, weights), (resumed, others)):
        step(one, of, 5.0, 7.0)
    assert [w.item() for w in weights] == [w.item() for w in others]
