"""Batch norms of a frozen run, folded into the convolutions that they read.

A batch norm with constant statistics scales and shifts each channel, and so can the convolution
whose output it reads. On a CPU the norm, and the activation after it, else read and write whole
feature maps that the convolution has just written.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_PLACE = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish)

Run = TypeVar("Run", bound=nn.Module)


def fold_batch_norms(run: Run) -> Run:
    """Fold the batch norms of a run that does not train into the convolutions before them.

    A norm is taken to read the convolution that its module registers just before it, and the
    activation registered after it to read the norm alone; whoever folds checks the outputs.

    Args:
        run: In evaluation mode.

    Returns:
        A copy without these norms, whose outputs differ by rounding; the run itself where it has
        none.

    Source:
        Markus, "Fusing batch normalization and convolution in runtime", 2018, as
        `torch.nn.utils.fusion` does it.
    """
    if not any(True for module in run.modules() for _ in _pairs(module)):
        return run
    folded = copy.deepcopy(run)
    for module in list(folded.modules()):
        for convolution, norm in list(_pairs(module)):
            _fold(module, convolution, norm)
    return folded


def _pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Name each convolution and the batch norm that is registered just after it."""
    for (first, convolution), (second, norm) in pairwise(module.named_children()):
        if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            yield first, second


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    names = list(module._modules)
    fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
    setattr(module, convolution, fused)
    setattr(module, norm, nn.Identity())
    following = names[names.index(norm) + 1 :][:1]
    for activation in (getattr(module, name) for name in following):
        if isinstance(activation, _IN_PLACE):
            activation.inplace = True
