"""Count the parameters of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def total_parameters(module: nn.Module, *, trainable: bool = False) -> int:
    """Count parameters, in scalars; only those that require gradients if `trainable`."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trainable)
