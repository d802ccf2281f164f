"""The training loss, with remedies for class imbalance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from trainables.config import TrainConfig

_LEAST_DOUBT = 1e-6


def class_weights(counts: Tensor, smoothing: float) -> Tensor:
    r"""Weight rare classes more, by a logarithm whose strength is continuous.

    With :math:`r_c = N / (C n_c)` for the class counts :math:`n_c`, the weight of class c is
    proportional to :math:`\log(1 + r_c / s)`. It tends to equal weights as s falls to 0, and to
    inverse frequency :math:`r_c` as s grows. Weights are scaled to a mean of 1 over the N samples,
    which keeps the scale of the loss, and so of the learning rate.

    Args:
        counts: Training samples of each class, shape (C,), each > 0.
        smoothing: The strength s, >= 0.

    Returns:
        Weights, shape (C,), float32.
    """
    counts = counts.double()
    if smoothing == 0:
        return torch.ones(len(counts))
    # Beyond these the limits are reached, and the quotient would overflow or underflow.
    strength = min(max(smoothing, 1e-300), 1e12)
    ratios = counts.sum() / (len(counts) * counts)
    weights = torch.log1p(ratios / strength)
    return (weights * counts.sum() / (weights * counts).sum()).float()


@dataclass(frozen=True)
class ClassificationLoss:
    """Cross-entropy with optional remedies for class imbalance.

    Attributes:
        weights: Weight of each class, shape (C,), with mean 1 over the samples of an epoch.
        offsets: Added to the logits of each class, shape (C,); see `prior_offsets`.
        label_smoothing: Probability mass moved from the true class to all classes, in [0, 1).
        focal_gamma: Exponent that reduces the loss of confident samples, >= 0.
    """

    weights: Tensor
    offsets: Tensor
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        r"""Compute the loss.

        The focal factor is :math:`(1 - p_t)^\gamma` with the true class's probability p_t.

        Args:
            logits: Shape (B, C).
            labels: Class indices in [0, C), shape (B,), int64.

        Returns:
            The mean over the batch, a scalar in nats. It is divided by the batch size and not, as
            in `F.cross_entropy`, by the sum of weights, which would make a sample's weight depend
            on the rest of its batch.

        Source:
            Label smoothing: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016,
            section 7. Focal factor: Lin et al., "Focal Loss for Dense Object Detection", ICCV
            2017, eq. 4, here on softmax probabilities.
        """
        logits = logits + self.offsets
        losses = F.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        if self.focal_gamma:
            # For gamma < 1, the gradient of x^gamma is infinite at 0.
            doubt = 1 - logits.softmax(dim=-1).gather(1, labels[:, None])[:, 0]
            losses = losses * doubt.clamp(min=_LEAST_DOUBT) ** self.focal_gamma
        return (losses * self.weights[labels]).mean()


def prior_offsets(counts: Tensor, tau: float) -> Tensor:
    r"""Compute the logit adjustment added to the logits in training: :math:`\tau \log \pi_c`.

    The model then need not learn the class frequencies, and its unadjusted logits, used for
    decisions, treat the classes alike.

    Args:
        counts: Training samples of each class, shape (C,), each > 0.
        tau: The strength, >= 0; at 1 the loss is consistent for the balanced error.

    Returns:
        Offsets, shape (C,), float32.

    Source:
        Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021, eq. 10.
    """
    counts = counts.double()
    return (tau * (counts / counts.sum()).log()).float()


def make_loss(counts: Tensor, config: TrainConfig, device: torch.device) -> ClassificationLoss:
    """Make the loss of a config.

    Args:
        counts: Expected samples of each class in an epoch, shape (C,), each >= 0.
        config: The hyperparameters.
        device: Where the model is trained.

    Returns:
        The loss.
    """
    counts = counts.clamp(min=1)  # the weight of a class that does not occur has no effect
    return ClassificationLoss(
        class_weights(counts, config.class_weight_smoothing).to(device),
        prior_offsets(counts, config.logit_adjustment).to(device),
        config.label_smoothing,
        config.focal_gamma,
    )
