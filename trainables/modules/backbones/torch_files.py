"""State dicts as torch saved them, out of the wrappings in which training leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HOLDERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "model.")  # of DataParallel, and of a trainer's own module


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file of weights; nothing in it is run.

    Args:
        path: A file that `torch.save` wrote.

    Returns:
        Its tensors by name, without what wraps them: `{"state_dict": ...}`, `module.`.

    Raises:
        ValueError: If it holds no tensors by name.
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
    """Take off what training puts before all names of a model.

    Args:
        state: Tensors by name.

    Returns:
        The same under their own names.
    """
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return dict(state)
