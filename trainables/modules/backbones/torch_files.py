"""State dicts saved by torch, with the wrappings of training scripts removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HOLDERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.")  # of DataParallel, and of a LightningModule or the like


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Load a file of weights written by `torch.save`, without executing any code in it.

    Returns:
        Its tensors by name, unwrapped from `{"state_dict": ...}` and without prefixes like
        `module.`.

    Raises:
        ValueError: If it contains no named tensors.
    """
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    held = content if isinstance(content, dict) else {}
    while inner := next((held[n] for n in _HOLDERS if isinstance(held.get(n), dict)), None):
        held = inner
    state = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    if not state:
        msg = f"{path} must hold tensors by name, got a {type(content).__name__} without any"
        raise ValueError(msg)
    return without_wrapping(state)


def without_wrapping(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove prefixes that training adds to all names of a model."""
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)
