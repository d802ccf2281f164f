"""Loss of a batch, with the remedies for unequal classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


def class_weights(counts: Tensor, smoothing: float) -> Tensor:
    r"""Weigh rare classes more, by a logarithm that can be turned from off to full strength.

    With :math:`r_c = N / (C n_c)` for the class counts :math:`n_c`, the weight of class c is
    proportional to :math:`\log(1 + r_c / s)`. It tends to equal weights as s falls to 0, and to
    inverse frequency :math:`r_c` as s grows; it is scaled so that the mean weight of the N samples
    is 1, which keeps the scale of the loss, and so of the learning rate.

    Args:
        counts: Samples of each class, shape (C,), each >= 1.
        smoothing: The strength s, >= 0.

    Returns:
        Weights, shape (C,), float32.
    """
    counts = counts.double()
    if smoothing == 0:
        return torch.ones(len(counts))
    # Beyond these, where the limits are long reached, the quotient would leave the floats.
    strength = min(max(smoothing, 1e-300), 1e12)
    ratios = counts.sum() / (len(counts) * counts)
    weights = torch.log1p(ratios / strength)
    return (weights * counts.sum() / (weights * counts).sum()).float()


def classification_loss(
    logits: Tensor, labels: Tensor, weights: Tensor, label_smoothing: float
) -> Tensor:
    """Cross-entropy against smoothed targets, each sample weighed by its true class.

    Args:
        logits: Unnormalised scores, shape (B, C).
        labels: Class indices in [0, C), shape (B,), int64.
        weights: Weight of each class, shape (C,), of mean 1 over the training samples.
        label_smoothing: Mass moved from the true class to all classes, in [0, 1).

    Returns:
        The mean over the batch, a scalar in nats. It is divided by the batch's size, not by its
        sum of weights as `F.cross_entropy` does: that would weigh a sample by its batch mates.

    Source:
        Label smoothing: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016,
        section 7.
    """
    losses = F.cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="none")
    return (losses * weights[labels]).mean()
