"""Heads that fuse the embeddings of several towers before they classify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.modules.heads.head import Head
from trainables.modules.heads.views import VIEW, without_views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fusion = Literal["add", "concat", "cross"]


class EarlyFusionHead(Head):
    """Project each embedding, concatenate, classify.

    Args:
        widths: Width of each role's embedding, and of the views', which is not projected again.
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
            {r: nn.Linear(width, projection_width) for r, width in without_views(widths).items()}
        )
        fused = len(self.projections) * projection_width + widths.get(VIEW, 0)
        self.hidden = nn.Linear(fused, hidden_width)
        self.output = nn.Linear(hidden_width, classes)
        self.dropout = nn.Dropout(dropout)
        self.normalize = normalize

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to logits (B, C)."""
        projected = [project(embeddings[role]) for role, project in self.projections.items()]
        projected = [F.normalize(p, dim=-1) if self.normalize else F.relu(p) for p in projected]
        if VIEW in embeddings:
            projected.append(embeddings[VIEW])
        fused = self.dropout(torch.cat(projected, dim=-1))
        logits: Tensor = self.output(self.dropout(F.relu(self.hidden(fused))))
        return logits


class JointHead(Head):
    """Fuse embeddings of a shared space, classify with one hidden layer.

    Args:
        widths: Width of each role's embedding, all equal; and of the views', which is concatenated
            to what they are fused to.
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
        own = without_views(widths)
        self.roles = tuple(own)
        fused = sum(own.values()) if fusion == "concat" else next(iter(own.values()))
        self.hidden = nn.Linear(fused + widths.get(VIEW, 0), hidden_width)
        self.output = nn.Linear(hidden_width, classes)
        self.dropout = nn.Dropout(dropout)
        self.fusion = fusion
        self.normalize = normalize

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to logits (B, C)."""
        parts = [embeddings[role] for role in self.roles]
        if self.normalize:
            parts = [F.normalize(part, dim=-1) for part in parts]
        fused = torch.cat(parts, dim=-1) if self.fusion == "concat" else _sum(parts)
        if VIEW in embeddings:
            fused = torch.cat([fused, embeddings[VIEW]], dim=-1)
        logits: Tensor = self.output(self.dropout(F.relu(self.hidden(fused))))
        return logits


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
