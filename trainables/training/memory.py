"""Memory use of training, and gradient accumulation where a batch does not fit the GPU."""

from __future__ import annotations

import gc
import resource
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")

ACCUMULATION_STEPS = 2
"""Gradient accumulation steps per batch, once a whole batch does not fit."""


def accumulate_on_oom(work: Callable[[int], ResultT], steps: int = 1) -> tuple[ResultT, int]:
    """Run a function that trains; if the GPU is out of memory, run it again with accumulation.

    Args:
        work: Trains from the start, with the number of gradient accumulation steps per batch as
            its argument; must not keep GPU tensors alive between calls.
        steps: The number to start with.

    Returns:
        The function's result, and the number of accumulation steps it ran with.

    Raises:
        torch.OutOfMemoryError: If it does not fit with accumulation either.
    """
    try:
        return work(steps), steps
    except torch.OutOfMemoryError:
        if steps >= ACCUMULATION_STEPS:
            raise
    # After the except block, the traceback no longer holds the first attempt's tensors.
    gc.collect()
    torch.cuda.empty_cache()
    return work(ACCUMULATION_STEPS), ACCUMULATION_STEPS


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory of training, in MB.

    Returns:
        On a GPU, PyTorch's peak since its statistics were reset; otherwise the peak resident set
        size of the process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6  # given in KiB


def memory_note(steps: int, batch_size: int) -> str:
    """Describe how a trial was made to fit; empty if whole batches fit."""
    if steps == 1:
        return ""
    return (
        f"out of GPU memory with {batch_size} samples at a time: each step was computed in"
        f" {steps} parts"
    )
