"""Dropout on the CPU: as often as asked, scaled to the same mean, each entry by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from trainables.modules.blocks.dropout import FastDropout, replace_dropout

ENTRIES = 400_000


def masked(probability: float, count: int = ENTRIES, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return FastDropout(probability)(torch.ones(count))


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.7])
def test_entries_are_dropped_as_often_as_asked_and_the_others_scaled(probability: float) -> None:
    values = masked(probability)
    dropped = (values == 0).double().mean().item()
    spread = math.sqrt(probability * (1 - probability) / ENTRIES)
    assert dropped == pytest.approx(probability, abs=4 * spread)
    (scale,) = values[values != 0].unique().tolist()
    assert scale == pytest.approx(1 / (1 - probability), rel=1e-4)


def test_half_of_the_entries_are_kept_and_doubled_exactly() -> None:
    assert masked(0.5).unique().tolist() == [0.0, 2.0]


@pytest.mark.parametrize("apart", [1, 2, 3, 4, 8])
def test_an_entry_does_not_hang_on_one_nearby(apart: int) -> None:
    dropped = (masked(0.3) == 0).double()
    together = (dropped[:-apart] * dropped[apart:]).mean().item()
    assert together == pytest.approx(0.09, abs=4 * math.sqrt(0.09 * 0.91 / ENTRIES) * 2)


def test_gradients_pass_where_values_passed() -> None:
    values = torch.randn(7, 9, requires_grad=True)
    result = FastDropout(0.4)(values)
    result.sum().backward()
    assert values.grad is not None
    assert torch.equal(result, values.detach() * values.grad)
    assert 0 < (values.grad == 0).sum() < 63


@pytest.mark.parametrize("count", range(1, 10))
def test_any_number_of_entries_has_a_mask(count: int) -> None:
    assert masked(0.5, count).shape == (count,)
    assert torch.equal(masked(0.5, count), masked(0.5, count))
    assert torch.equal(masked(0.5, 100)[:count], masked(0.5, count))


@pytest.mark.parametrize("probability", [0.25, 0.5])
def test_masks_are_the_bits_of_the_mersenne_twister(probability: float) -> None:
    raw = np.random.RandomState(7)._bit_generator.random_raw(12)  # 32 bits each
    words = raw[0::2] << 32 | raw[1::2]
    lanes = (words[:, None] >> np.arange(0, 64, 16, dtype=np.uint64)).astype(np.uint16)
    bits = lanes.view(np.int16).flatten().astype(int)
    expected = bits < round((1 - probability) * 2**16) - 2**15
    assert (masked(probability, 24, seed=7).numpy() > 0).tolist() == expected.tolist()


def test_values_keep_their_type() -> None:
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        values = FastDropout(0.5)(torch.ones(50, dtype=kind))
        assert values.dtype == kind
        assert values.unique().tolist() == [0.0, 2.0]


def test_nothing_is_dropped_in_evaluation_or_at_no_probability_and_all_at_one() -> None:
    values = torch.randn(50)
    assert torch.equal(FastDropout(0.5).eval()(values), values)
    assert torch.equal(FastDropout(0.0)(values), values)
    assert torch.equal(FastDropout(1.0)(values), torch.zeros(50))


def test_dropout_is_replaced_wherever_it_stands() -> None:
    inner = nn.Dropout(0.2).eval()
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 2), inner), "b": nn.Dropout(0.3)})
    names = list(dict(model.named_modules()))
    replace_dropout(model)
    assert list(dict(model.named_modules())) == names
    found = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [(type(m), m.p, m.training) for m in found] == [
        (FastDropout, 0.2, False),
        (FastDropout, 0.3, True),
    ]
