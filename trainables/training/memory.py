"""What training takes of memory, and what does not fit the GPU: half a batch at a time then."""

from __future__ import annotations

import gc
import resource
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")

PARTS = 2
"""In how many parts a batch is computed once it has not fit whole."""


def fitting(work: Callable[[int], ResultT], parts: int = 1) -> tuple[ResultT, int]:
    """Do work on whole batches; if the GPU's memory does not do, once more on their halves.

    Args:
        work: Does it from its beginning, with the batches in so many parts; whatever it left on
            the GPU must be free to go when it is called again.
        parts: How many to begin with.

    Returns:
        What the work gave, and in how many parts.

    Raises:
        torch.OutOfMemoryError: If the halves do not fit either.
    """
    try:
        return work(parts), parts
    except torch.OutOfMemoryError:
        if parts >= PARTS:
            raise
    # Only here are the frames gone that hold the first try's tensors.
    gc.collect()
    torch.cuda.empty_cache()
    return work(PARTS), PARTS


def peak_memory_mb(device: torch.device) -> float:
    """Say how much memory training has taken at most.

    Args:
        device: Where it runs.

    Returns:
        On the GPU, since its statistics were reset, as PyTorch counts; else of the process since
        its start. In MB.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def said_of(parts: int, batch_size: int) -> str:
    """Say what a trial did to fit.

    Args:
        parts: In how many parts its batches were computed.
        batch_size: Samples per optimiser step.

    Returns:
        One sentence; empty when whole batches fit.
    """
    if parts == 1:
        return ""
    return (
        f"out of GPU memory with {batch_size} samples at a time: each step was computed in"
        f" {parts} parts"
    )
