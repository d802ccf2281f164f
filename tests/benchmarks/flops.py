"""Floating-point operations of a step, and how many of them lie in frozen modules.

A module is frozen in a step when nothing that it returns requires a gradient: what it computes is
the same in every epoch, so a training step that is cut well has no operation there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


class Flops(NamedTuple):
    """Operations of one training step; a multiplication and an addition count 2.

    Attributes:
        total: Of the whole step.
        frozen: In frozen modules.
        frozen_modules: Their names, outermost only, where operations were counted.
    """

    total: int
    frozen: int
    frozen_modules: tuple[str, ...]


def count_training(model: nn.Module, step: Callable[[], Any]) -> Flops:
    """Count a training step.

    Args:
        model: The module that the step calls.
        step: Runs it forward and backward.

    Returns:
        The counts; operations between modules are in `total` alone.
    """
    frozen: set[str] = set()
    root = type(model).__name__
    hooks = [
        module.register_forward_hook(_note_frozen(f"{root}.{name}", frozen))
        for name, module in model.named_modules()
        if name
    ]
    try:
        with FlopCounterMode(display=False) as counter:
            step()
    finally:
        for hook in hooks:
            hook.remove()
    by_module = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    names = [name for name in sorted(frozen) if by_module.get(name)]
    outermost = tuple(n for n in names if not any(n.startswith(f"{other}.") for other in names))
    return Flops(counter.get_total_flops(), sum(by_module[n] for n in outermost), outermost)


def count_evaluation(step: Callable[[], Any]) -> int:
    """Count a step without gradients.

    Args:
        step: Runs a model forward.

    Returns:
        Its operations.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        step()
    return int(counter.get_total_flops())


def _note_frozen(name: str, frozen: set[str]) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
        if tensors and not any(tensor.requires_grad for tensor in tensors):
            frozen.add(name)

    return hook
