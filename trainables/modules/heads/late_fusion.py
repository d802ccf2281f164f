"""The head of late fusion: a classifier per embedding, fused when both have decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.modules.heads.head import Head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.config import BranchFusion


class LateFusionHead(Head):
    """Classify each embedding with one hidden layer, then make one decision of all.

    Args:
        widths: Size of each role's embedding.
        hidden_width: Size of each hidden layer.
        classes: Number of classes.
        dropout: Drop probability of the hidden layers.
        fusion: `weighted` averages probabilities; `vote` takes those of the more certain branch.
        weight: Weight of the first role in `weighted`, in [0, 1]; the second has the rest.
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
                    nn.Linear(width, hidden_width),
                    nn.ReLU(),
                    nn.Dropout(dropout),
                    nn.Linear(hidden_width, classes),
                )
                for role, width in widths.items()
            }
        )
        self.fusion = fusion
        self.weight = weight

    def branches(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Classify embeddings, each on its own.

        Args:
            embeddings: By role, each of shape (B, D).

        Returns:
            Logits by role, shape (B, C).
        """
        return {role: classify(embeddings[role]) for role, classify in self.classifiers.items()}

    def fuse(self, branches: Mapping[str, Tensor]) -> Tensor:
        """Make one of both branches.

        `analysis.tables.fusion` does the same to the probabilities that a trial kept.

        Args:
            branches: Logits by role, each of shape (B, C); the logits of one alone stay as they
                are.

        Returns:
            Log-probabilities, shape (B, C).
        """
        if len(branches) == 1:
            return super().fuse(branches)
        first, second = (F.log_softmax(logits.float(), dim=-1) for logits in branches.values())
        if self.fusion == "vote":
            surer = first.amax(dim=-1, keepdim=True) >= second.amax(dim=-1, keepdim=True)
            return torch.where(surer, first, second)
        weights = torch.tensor([self.weight, 1 - self.weight], device=first.device).log()
        return torch.logaddexp(first + weights[0], second + weights[1])

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings.

        Args:
            embeddings: By role, each of shape (B, D).

        Returns:
            Log-probabilities, shape (B, C).
        """
        return self.fuse(self.branches(embeddings))
