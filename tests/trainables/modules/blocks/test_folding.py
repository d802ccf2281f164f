"""Batch norms are folded into the convolutions before them, and nothing else changes."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from tests.conftest import warm
from trainables.modules.blocks.folding import fold_batch_norms


def norm_of(mean: float, variance: float, scale: float, shift: float) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(1, eps=1.0)
    parts = zip((norm.running_mean, norm.running_var), (mean, variance), strict=True)
    for part, value in (*parts, (norm.weight, scale), (norm.bias, shift)):
        nn.init.constant_(part, value)  # type: ignore[arg-type] # tracked here
    return norm


def test_a_folded_convolution_is_as_worked_by_hand() -> None:
    convolution = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(convolution.weight, 4.0)
    # (4 x - 1) / sqrt(3 + 1) * 5 + 7 = 10 x + 4.5
    run = nn.Sequential(convolution, norm_of(1.0, 3.0, 5.0, 7.0)).eval()
    folded: Any = fold_batch_norms(run)
    assert (folded[0].weight.item(), folded[0].bias.item()) == (10.0, 4.5)
    assert isinstance(folded[1], nn.Identity)
    assert folded(torch.full((1, 1, 1, 1), 2.0)).item() == 24.5


def test_a_resnet_says_the_same_without_its_batch_norms() -> None:
    model = resnet18().double().eval()  # in float32, rounding would differ
    warm(model)
    before = copy.deepcopy(model.state_dict())
    pixels = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        folded = fold_batch_norms(model)
        torch.testing.assert_close(folded(pixels), model(pixels), rtol=1e-9, atol=1e-9)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    # The model itself is as it was.
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 20
    torch.testing.assert_close(dict(model.state_dict()), dict(before), rtol=0, atol=0)


def test_a_run_without_batch_norms_after_convolutions_is_not_copied() -> None:
    run = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU()).eval()
    assert fold_batch_norms(run) is run


@pytest.mark.parametrize("kind", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU])
def test_the_activation_after_a_folded_norm_alone_works_in_place(kind: type[nn.Module]) -> None:
    run: Any = nn.Sequential(
        OrderedDict(
            first=kind(), convolution=nn.Conv2d(3, 3, 1), norm=nn.BatchNorm2d(3), second=kind()
        )
    ).eval()
    folded: Any = fold_batch_norms(run)
    able = kind is not nn.GELU
    assert (getattr(folded.second, "inplace", False), run.second is folded.second) == (able, False)
    assert not getattr(folded.first, "inplace", False)
    assert not getattr(run.second, "inplace", False)
    values = torch.randn(2, 3, 4, 4)
    kept = values.clone()
    with torch.no_grad():
        torch.testing.assert_close(folded(values), run(values))
    assert torch.equal(values, kept)
