"""The precision of a search: what a GPU has natively, and on a CPU what proves faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from trainables.modules.blocks import precision as module
from trainables.modules.blocks.precision import (
    LEAST_SPEEDUP,
    autocast,
    choose_frozen_precision,
    choose_precision,
    faster_precision,
    gains_by_fewer_bits,
    precision_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("native", "emulated", "precision"),
    [(True, True, "bfloat16"), (False, True, "float16"), (False, False, "float16")],
)
def test_a_gpu_trains_in_what_it_has_natively(
    monkeypatch: pytest.MonkeyPatch, native: bool, emulated: bool, precision: str
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return native or (including_emulation and emulated)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert precision_of(torch.device("cuda")) == precision
    assert precision_of(torch.device("cpu")) == "float32"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_matrices_are_multiplied_in_the_precision_asked_for(precision: Any) -> None:
    layer, values = torch.nn.Linear(4, 2), torch.randn(3, 4)
    with autocast(torch.device("cpu"), precision):
        assert layer(values).dtype == getattr(torch, precision)
    with autocast(torch.device("cpu"), "float32"):
        assert layer(values).dtype == torch.float32


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"),
    [
        ([2.0, 2.0, 2.0], [1.0, 1.0, 1.0], ("bfloat16", 2.0)),
        ([1.0, 1.0, 1.0], [4.0, 4.0, 4.0], ("float32", 0.25)),  # emulated
        ([1.3], [1.0], ("bfloat16", LEAST_SPEEDUP)),
        ([1.25], [1.0], ("float32", 1.25)),
        ([2.0, 90.0, 2.0], [1.0, 1.0, 80.0], ("bfloat16", 2.0)),  # a neighbour was at work
    ],
)
def test_a_cpu_trains_in_bfloat16_where_that_is_clearly_faster_by_medians(
    float32: list[float], bfloat16: list[float], expected: tuple[str, float]
) -> None:
    assert faster_precision(float32, bfloat16) == expected


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[int, int]]]:
    """Take some seconds for measured; returns the sizes that were to be measured."""

    def fake(float32: float, bfloat16: float) -> list[tuple[int, int]]:
        sizes: list[tuple[int, int]] = []

        def seconds(width: int, inner: int, _: Any) -> tuple[list[float], list[float]]:
            sizes.append((width, inner))
            return [float32], [bfloat16]

        monkeypatch.setattr(module, "_multiplies_bfloat16", lambda: True)
        monkeypatch.setattr(module, "_measured", seconds)
        return sizes

    return fake


def linear(width: int, inner: int) -> nn.Linear:
    return nn.Linear(width, inner, device="meta")


def test_the_largest_linear_layer_that_trains_is_measured(measured: Any) -> None:
    block = nn.Sequential(linear(300, 900), linear(400, 800), nn.Conv2d(512, 512, 3))
    frozen = linear(2000, 2000).requires_grad_(requires_grad=False)
    sizes = measured(3.0, 1.0)
    assert choose_precision(CPU, [linear(400, 400), block, frozen]) == ("bfloat16", 3.0)
    assert sizes == [(400, 800)]


def test_frozen_parts_are_measured_by_the_largest_linear_layer_of_all_towers(
    measured: Any,
) -> None:
    sizes = measured(3.0, 1.0)
    frozen = linear(2000, 2000).requires_grad_(requires_grad=False)
    convolutional = nn.Sequential(linear(3000, 900), nn.Conv2d(512, 3000, 3, device="meta"))
    towers = [linear(300, 900), convolutional, frozen]
    assert choose_frozen_precision(CPU, towers) == ("bfloat16", 3.0)
    assert sizes == [(2000, 2000)]
    assert choose_frozen_precision(CPU, [nn.Conv2d(512, 512, 3)]) == ("float32", None)
    assert choose_frozen_precision(torch.device("cuda"), towers) == ("float32", None)
    assert sizes == [(2000, 2000)]


def test_convolutions_gain_nothing_by_fewer_bits() -> None:
    assert gains_by_fewer_bits(linear(400, 300))
    convolutional = nn.Sequential(nn.Conv2d(512, 512, 3, device="meta"), linear(512, 1000))
    assert not gains_by_fewer_bits(convolutional), "its classifier is not the most of it"
    assert not gains_by_fewer_bits(linear(64, 128))
    assert not gains_by_fewer_bits(nn.Sequential())


def test_nothing_is_measured_where_no_large_linear_layer_trains(measured: Any) -> None:
    sizes = measured(3.0, 1.0)
    frozen = linear(2000, 2000).requires_grad_(requires_grad=False)
    assert choose_precision(CPU, []) == ("float32", None)
    assert choose_precision(CPU, [frozen, nn.Conv2d(512, 512, 3)]) == ("float32", None)
    assert choose_precision(CPU, [linear(64, 128)]) == ("float32", None)
    assert not sizes


def test_a_gpu_is_not_measured(measured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = measured(3.0, 1.0)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert choose_precision(torch.device("cuda"), [linear(400, 800)]) == ("float16", None)
    assert not sizes


def test_a_cpu_without_kernels_for_bfloat16_is_not_measured(
    measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = measured(3.0, 1.0)
    monkeypatch.setattr(module, "_multiplies_bfloat16", lambda: False)
    assert choose_precision(CPU, [linear(400, 800)]) == ("float32", None)
    assert not sizes


def test_a_pytorch_without_onednn_has_no_kernels_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not module._multiplies_bfloat16()


def test_measuring_takes_time_and_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_multiplies_bfloat16", lambda: True)
    before = torch.get_rng_state()
    precision, speedup = choose_precision(CPU, [linear(400, 300)])
    frozen, again = choose_frozen_precision(CPU, [linear(400, 300)])
    assert torch.equal(torch.get_rng_state(), before)
    assert frozen in {"float32", "bfloat16"}
    assert again is not None
    assert precision in {"float32", "bfloat16"}
    assert speedup is not None
    assert speedup > 0
