"""The precision in which towers compute: chosen once per search, by measuring on a CPU.

Weights, optimiser states, heads and losses stay in float32 whatever it is: it is that of autocast.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.conv import _ConvNd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from trainables.evaluation.decision import Precision

    Work = Callable[[Tensor, Tensor, Tensor, Precision], None]

LEAST_SPEEDUP = 1.3
"""How many times as fast as float32 bfloat16 must be on a CPU: less may be noise of a busy one."""

_LEAST_WEIGHTS = 100_000  # of a layer: of less, to cast costs more than it saves
_ROWS = 128  # tokens of the trial run: a few milliseconds a step
_ROUNDS = 5


def precision_of(device: torch.device) -> Precision:
    """Choose a precision by the device alone, without measuring.

    Returns:
        `bfloat16` if the GPU supports it natively (emulation is slow), else `float16` with loss
        scaling; `float32` on the CPU.
    """
    if device.type != "cuda":
        return "float32"
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if native else "float16"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return an autocast context for a precision; does nothing for `float32`."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))


def choose_precision(
    device: torch.device, training: Iterable[nn.Module]
) -> tuple[Precision, float | None]:
    """Choose the precision of a search.

    A CPU is measured, as what it knows of bfloat16 may be emulated, or no faster; but not where
    PyTorch has no fast multiplication for it at all, which would take seconds to see.

    Args:
        device: Where models will train.
        training: What will train of the towers, without heads.

    Returns:
        That of `precision_of` on a GPU. On a CPU `bfloat16` if it is clearly faster on the largest
        linear layer that trains, else `float32`, also where only small ones or none train. Then
        how many times as fast as float32 bfloat16 was; None where that was not measured.
    """
    if device.type != "cpu" or not _multiplies_bfloat16():
        return precision_of(device), None
    layers = (layer for module in training for layer in _linear(module) if _trains(layer))
    return _faster_on(layers, _train_step)


def choose_frozen_precision(
    device: torch.device, frozen: Iterable[nn.Module]
) -> tuple[Precision, float | None]:
    """Choose the precision of the frozen parts of towers, which run once per data set.

    Args:
        device: Where models will train.
        frozen: The towers' models.

    Returns:
        As `choose_precision`, by the forward pass of the largest linear layer of those that gain
        by fewer bits. On a GPU `float32`: a pass over a data set takes no time there, and
        activations are then the same on all GPUs.
    """
    if device.type != "cpu" or not _multiplies_bfloat16():
        return "float32", None
    able = (module for module in frozen if gains_by_fewer_bits(module))
    return _faster_on((layer for module in able for layer in _linear(module)), _forward)


def _faster_on(layers: Iterable[nn.Linear], work: Work) -> tuple[Precision, float | None]:
    """Choose by work on the largest of some layers; float32, unmeasured, if that is small."""
    size = _largest(layers)
    if math.prod(size) < _LEAST_WEIGHTS:
        return "float32", None
    return faster_precision(*_measured(*size, work))


def gains_by_fewer_bits(module: nn.Module) -> bool:
    """Return whether a model mostly multiplies matrices, and large ones; no convolutional does."""
    large = math.prod(_largest(_linear(module))) >= _LEAST_WEIGHTS
    convolved = sum(m.weight.numel() for m in module.modules() if isinstance(m, _ConvNd))
    return large and sum(layer.weight.numel() for layer in _linear(module)) > convolved


def _linear(module: nn.Module) -> Iterator[nn.Linear]:
    return (layer for layer in module.modules() if isinstance(layer, nn.Linear))


def _trains(layer: nn.Linear) -> bool:
    return layer.weight.requires_grad


def _largest(layers: Iterable[nn.Linear]) -> tuple[int, int]:
    """Return the widths in and out of the layer of most weights; of none (0, 0)."""
    sizes = ((layer.in_features, layer.out_features) for layer in layers)
    return max(sizes, key=math.prod, default=(0, 0))


def _multiplies_bfloat16() -> bool:
    """Return whether oneDNN has kernels for bfloat16 on this CPU, real or emulated."""
    if not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def faster_precision(
    float32: Sequence[float], bfloat16: Sequence[float]
) -> tuple[Precision, float]:
    """Choose by seconds of the same work in both, at least one of each.

    Returns:
        `bfloat16` if by medians it is `LEAST_SPEEDUP` times as fast, else `float32`; and how many
        times as fast it is.
    """
    speedup = median(float32) / median(bfloat16)
    return ("bfloat16" if speedup >= LEAST_SPEEDUP else "float32"), speedup


def _measured(width: int, inner: int, work: Work) -> tuple[list[float], list[float]]:
    """Time work on two linear layers in both precisions, in turns."""
    values = torch.ones(_ROWS, width)
    into = torch.full((inner, width), 1 / width, requires_grad=True)
    out = torch.full((width, inner), 1 / inner, requires_grad=True)

    def seconds(precision: Precision) -> float:
        began = time.perf_counter()
        work(values, into, out, precision)
        return time.perf_counter() - began

    rounds = [(seconds("float32"), seconds("bfloat16")) for _ in range(1 + _ROUNDS)]
    float32, bfloat16 = zip(*rounds[1:], strict=True)  # the first one warms up
    return list(float32), list(bfloat16)


def _train_step(values: Tensor, into: Tensor, out: Tensor, precision: Precision) -> None:
    """Run two linear layers forward and backward."""
    with autocast(values.device, precision):
        result = F.linear(F.gelu(F.linear(values, into)), out)
    result.float().sum().backward()
    into.grad = out.grad = None


@torch.inference_mode()
def _forward(values: Tensor, into: Tensor, out: Tensor, precision: Precision) -> None:
    """Run two linear layers forward."""
    with autocast(values.device, precision):
        F.linear(F.gelu(F.linear(values, into)), out)
