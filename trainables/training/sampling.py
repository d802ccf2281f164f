"""Which training samples an epoch draws, and the class counts that result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.config import Sampling


_EVERY = 20


def draw_epoch(labels: Tensor, sampling: Sampling) -> Tensor:
    """Draw the samples of an epoch from torch's global generator, on the CPU for reproducibility.

    Args:
        labels: Classes of the N training samples, shape (N,), int64, on the CPU.
        sampling: `none` takes each sample once; `weighted` draws N with replacement, all classes
            equally often; `undersample` takes as many of each class as the rarest has, redrawn
            every epoch.

    Returns:
        Indices into `labels` in random order, shape (E,), int64.

    Source:
        He and Garcia, "Learning from Imbalanced Data", IEEE TKDE 21(9), 2009, section 3.1.
    """
    if sampling == "weighted":
        shares = 1.0 / torch.bincount(labels).clamp(min=1)[labels].double()
        return torch.multinomial(shares, len(labels), replacement=True)
    order = torch.randperm(len(labels))
    if sampling == "none":
        return order
    drawn = labels[order]
    kept = torch.zeros(len(order), dtype=torch.bool)
    counts = torch.bincount(labels)
    for label, count in enumerate(counts):
        if count:
            kept[(drawn == label).nonzero()[: int(counts[counts > 0].min()), 0]] = True
    return order[kept]


def hold_back(labels: Tensor) -> Tensor:
    """Hold back every twentieth sample of each class; deterministic, so that a resume agrees.

    Args:
        labels: Classes of the N training samples, shape (N,), int64.

    Returns:
        Mask of the samples held back, shape (N,), bool: at least one of each class that has two.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        own = (labels == label).nonzero().squeeze(1)
        held[own[::_EVERY]] = len(own) > 1
    return held


def drawn_counts(labels: Tensor, sampling: Sampling, classes: int) -> Tensor:
    """Compute the expected number of samples of each class in an epoch, shape (C,), float64."""
    counts = torch.bincount(labels, minlength=classes).double()
    there = counts > 0
    if sampling == "weighted":
        return there * counts.sum() / there.sum()
    return there * counts[there].min() if sampling == "undersample" else counts
