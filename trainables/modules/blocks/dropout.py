"""Dropout whose masks cost little on every CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = 2**16  # that 16 bits tell apart
_EACH = 4  # entries of 16 bits in a number of 64


class FastDropout(nn.Dropout):
    """Dropout that draws 16 random bits for an entry on the CPU, and the same on all of them.

    PyTorch draws 64 for each, one by one, except on a CPU of Intel, which draws others from the
    same seed: a sixth of a step of a small head. On a GPU this is PyTorch's own.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - named as in PyTorch
        """Set entries to 0 with probability `p`, rounded to 16 bits; scale the rest; any shape."""
        kept = round((1 - self.p) * _LEVELS)
        if not self.training or input.device.type != "cpu" or kept in {0, _LEVELS}:
            return super().forward(input)
        count = input.numel()
        words = torch.empty(-(-count // _EACH), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[:count].view(input.shape)  # in [-2**15, 2**15)
        mask = (bits < kept - _LEVELS // 2).to(input.dtype).mul_(_LEVELS / kept)
        return input * mask


def replace_dropout(module: nn.Module) -> None:
    """Replace PyTorch's dropout by `FastDropout` everywhere inside a module."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, FastDropout(child.p).train(child.training))
