"""A linear head: a logistic regression on embeddings and views, as a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.modules.heads.head import Head

if TYPE_CHECKING:
    from collections.abc import Mapping


class LinearHead(Head):
    """Concatenate all that is read, and map it to logits by one linear layer.

    Args:
        widths: Width of each role's embedding, and of the views', in the order of concatenation.
        classes: Number of classes.
    """

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.linear = nn.Linear(sum(widths.values()), classes)

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to logits (B, C)."""
        logits: Tensor = self.linear(torch.cat([embeddings[name] for name in self.names], dim=-1))
        return logits
