"""How much of a GPU's memory each of several processes may take."""

from __future__ import annotations

CONTEXT_MB = 600.0
"""What CUDA takes of a GPU for each process besides: PyTorch's own count leaves it out."""


def memory_fraction(share: float, total_mb: float) -> float:
    """Compute the part of a GPU's memory that PyTorch may take for one of several trials.

    Args:
        share: The trial's share of the GPU, > 0; 1 or more if it shares none.
        total_mb: What the GPU has.

    Returns:
        The share without what CUDA itself takes for the process; on a GPU too small for that,
        half the share; 1 for whole GPUs.
    """
    if share >= 1:
        return 1.0
    return max(share - CONTEXT_MB / total_mb, share / 2)
