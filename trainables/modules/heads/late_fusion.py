"""The head of late fusion: a classifier per embedding, combined after both have decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.modules.heads.head import Head
from trainables.modules.heads.views import VIEW, without_views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.config import BranchFusion


class LateFusionHead(Head):
    """Classify each embedding with one hidden layer, then combine their probabilities.

    Args:
        widths: Width of each role's embedding, and of the views', which the text branch classifies
            together with its own.
        hidden_width: Width of each hidden layer.
        classes: Number of classes.
        dropout: Dropout probability of the hidden layers.
        fusion: `weighted` averages probabilities; `vote` takes those of the more certain branch.
        weight: Weight of the first role for `weighted`, in [0, 1]; the second has the rest.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        hidden_width: int,
        classes: int,
        dropout: float,
        *,
        fusion: BranchFusion,
        weight: float,
    ) -> None:
        super().__init__()
        self.classifiers = nn.ModuleDict(
            {
                role: nn.Sequential(
                    nn.Linear(width + (role == "text") * widths.get(VIEW, 0), hidden_width),
                    nn.ReLU(),
                    nn.Dropout(dropout),
                    nn.Linear(hidden_width, classes),
                )
                for role, width in without_views(widths).items()
            }
        )
        self.fusion = fusion
        self.weight = weight

    def branches(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Classify embeddings (B, D) by role to logits (B, C) by role."""
        read = dict(embeddings)
        if VIEW in read:
            read["text"] = torch.cat([read["text"], read[VIEW]], dim=-1)
        return {role: classify(read[role]) for role, classify in self.classifiers.items()}

    def fuse(self, branches: Mapping[str, Tensor]) -> Tensor:
        """Combine the logits (B, C) by role, as `analysis.tables.fusion` does probabilities.

        Returns:
            Log-probabilities, shape (B, C); a single branch's logits are returned unchanged.
        """
        if len(branches) == 1:
            return super().fuse(branches)
        first, second = (F.log_softmax(logits, dim=-1) for logits in branches.values())
        if self.fusion == "vote":
            surer = first.amax(dim=-1, keepdim=True) >= second.amax(dim=-1, keepdim=True)
            return torch.where(surer, first, second)
        weights = torch.tensor([self.weight, 1 - self.weight], device=first.device).log()
        return torch.logaddexp(first + weights[0], second + weights[1])

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to log-probabilities (B, C)."""
        return self.fuse(self.branches(embeddings))
