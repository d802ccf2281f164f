"""A linear head: what a logistic regression on embeddings and views is as a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from trainables.modules.heads.head import Head

if TYPE_CHECKING:
    from collections.abc import Mapping


class LinearHead(Head):
    """Concatenate all that is read, and map it to logits by one linear layer.

    It computes in float32 whatever the precision of the rest: the features are not standardised,
    so that fewer digits would be lost to their means.

    Args:
        widths: Width of each role's embedding, and of the views', in the order of concatenation.
        classes: Number of classes.
    """

    def __init__(self, widths: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.linear = nn.Linear(sum(widths.values()), classes)

    def forward(self, embeddings: Mapping[str, Tensor]) -> Tensor:
        """Classify embeddings (B, D) by role to logits (B, C), float32."""
        features = torch.cat([embeddings[name].float() for name in self.names], dim=-1)
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.linear(features)
        return logits
