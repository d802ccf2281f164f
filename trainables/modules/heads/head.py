"""What every head is: from the embeddings of the towers to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

WHOLE = "pair"
"""The name of the one branch of a head that fuses before it classifies."""


class Head(nn.Module):
    """Classifies embeddings: called with them, by role and each (B, D), it gives logits (B, C).

    A head may have several branches, each with a loss of its own, that are fused when they have
    decided. Fusing is part of the decision and trains nothing. By default there is one branch.
    """

    def branches(self, embeddings: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Classify embeddings, each branch on its own.

        Args:
            embeddings: By role, each of shape (B, D).

        Returns:
            Logits of each branch, shape (B, C).
        """
        return {WHOLE: self(embeddings)}

    def fuse(self, branches: Mapping[str, Tensor]) -> Tensor:
        """Make one of all branches.

        Args:
            branches: Logits by branch, each of shape (B, C).

        Returns:
            Logits, shape (B, C).
        """
        (logits,) = branches.values()
        return logits
