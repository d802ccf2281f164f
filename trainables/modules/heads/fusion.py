"""Heads that fuse the embeddings of several towers before they classify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.modules.heads.head import Head

if TYPE_CHECKING:
    from collections.abc import Mapping

Fusion = Literal["add", "concat", "cross"]


class EarlyFusionHead(Head):
    """Project each embedding, concatenate, classify.

    Args:
        widths: Width of each role's embedding.
        projection_width: Width each is projected to.
        hidden_width: Width of the hidden layer.
        classes: Number of classes.
        dropout: Dropout probability of the projected embeddings and of the hidden layer.
        normalize: Whether projected embeddings are scaled to unit L2 norm; otherwise ReLU.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        projection_width: int,
        hidden_width: int,
        classes: int,
        dropout: float,
        *,
        normalize: bool,
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleDict(
            {role: nn.Linear(width, projection_width) for role, width in widths.items()}
        )
        self.hidden = nn.Linear(len(widths) * projection_width, hidden_width)
        self.output = nn.Linear(hidden_width, classes)
        self.dropout = nn.Dropout(dropout)
        self.normalize = normalize

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to logits (B, C)."""
        projected = [project(embeddings[role]) for role, project in self.projections.items()]
        projected = [F.normalize(p, dim=-1) if self.normalize else F.relu(p) for p in projected]
        fused = self.dropout(torch.cat(projected, dim=-1))
        logits: Tensor = self.output(self.dropout(F.relu(self.hidden(fused))))
        return logits


class JointHead(Head):
    """Fuse embeddings of a shared space, classify with one hidden layer.

    Args:
        widths: Width of each role's embedding; all equal.
        hidden_width: Width of the hidden layer.
        classes: Number of classes.
        dropout: Dropout probability of the hidden layer.
        fusion: `add` sums the embeddings, `concat` concatenates them; `cross` has only one.
        normalize: Whether embeddings are first scaled to unit L2 norm.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        hidden_width: int,
        classes: int,
        dropout: float,
        *,
        fusion: Fusion,
        normalize: bool,
    ) -> None:
        super().__init__()
        self.roles = tuple(widths)
        fused = sum(widths.values()) if fusion == "concat" else next(iter(widths.values()))
        self.hidden = nn.Linear(fused, hidden_width)
        self.output = nn.Linear(hidden_width, classes)
        self.dropout = nn.Dropout(dropout)
        self.fusion = fusion
        self.normalize = normalize

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to logits (B, C)."""
        parts = [embeddings[role] for role in self.roles]
        if self.normalize:
            parts = [F.normalize(part, dim=-1) for part in parts]
        fused = torch.cat(parts, dim=-1) if self.fusion == "concat" else sum(parts)
        logits: Tensor = self.output(self.dropout(F.relu(self.hidden(fused))))
        return logits
