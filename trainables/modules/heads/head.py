"""The interface of a head: from the embeddings of the towers to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

WHOLE = "pair"
"""The name of the only branch of a head that fuses before it classifies."""


class Head(nn.Module):
    """Maps embeddings by role, each (B, D), to logits (B, C).

    A head may have several branches that each have their own loss and are fused after their
    decision. Fusing has no trainable parameters. By default there is one branch.
    """

    def branches(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Classify embeddings (B, D) by role to logits (B, C) of each branch."""
        return {WHOLE: self(embeddings)}

    def fuse(self, branches: Mapping[str, Tensor]) -> Tensor:
        """Combine the logits (B, C) of all branches to logits (B, C)."""
        (logits,) = branches.values()
        return logits
