"""How long a step takes, measured for so many seconds and no longer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace(NamedTuple):
    """What a step took.

    Attributes:
        seconds: The mean.
        count: Of how many.
    """

    seconds: float
    count: int


def pace(step: Callable[[], object], seconds: float) -> Pace:
    """Time steps, the device being waited for at the end of many: they may overlap as in training.

    Args:
        step: What is timed; called twice before, to warm up.
        seconds: About how long to time, > 0; at least one step is.

    Returns:
        What a step took.
    """
    for _ in range(2):
        step()
    synchronize()
    began, count, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < seconds:
        for _ in range(next_chunk(count, elapsed, seconds)):
            step()
            count += 1
        synchronize()
        elapsed = time.perf_counter() - began
    return Pace(elapsed / count, count)


def next_chunk(count: int, elapsed: float, seconds: float) -> int:
    """Say how many steps to take before the clock is looked at again.

    Args:
        count: Steps so far.
        elapsed: What they took, in seconds.
        seconds: What all may take.

    Returns:
        As many again, unless the time would end before; at least 1.
    """
    if not count:
        return 1
    return max(1, min(count, int((seconds - elapsed) * count / elapsed)))


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
