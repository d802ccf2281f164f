"""The modules that a cut tower is made of."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from trainables.modules.blocks.activations import Activations


class Piece(nn.Module):
    """A run of a tower's layers; its batch norms always use their pretrained statistics.

    Statistics of small batches are noise, and moving averages would differ between a cached and
    an uncached run; the affine parameters of unfrozen batch norms still train.
    """

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off; batch norms stay as pretrained.

        Args:
            mode: Whether to train.

        Returns:
            Itself.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


def on_device(pieces: Sequence[Piece], device: torch.device) -> list[Piece]:
    """Give pieces where they are to run; the towers that they share weights with stay on the host.

    Args:
        pieces: Of towers on the CPU; where they share weights, so do those returned.
        device: Where they are to run.

    Returns:
        The pieces themselves on the CPU, copies elsewhere.
    """
    if device.type == "cpu":
        return list(pieces)
    return [piece.to(device) for piece in copy.deepcopy(list(pieces))]


class PassPooled(nn.Module):
    """The suffix of a tower that is frozen whole: its embedding is already there."""

    def forward(self, activations: Activations) -> Activations:
        """Pass the embedding through.

        Args:
            activations: Pooled embeddings, shape (B, D).

        Returns:
            The same.
        """
        return activations


class Projected(nn.Module):
    """The suffix of a tower that ends in a projection.

    Args:
        piece: From the activations at the cut to the tower's own embedding.
        projection: From there into the shared space.
    """

    def __init__(self, piece: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.piece = piece
        self.projection = projection

    def forward(self, activations: Activations) -> Activations:
        """Embed.

        Args:
            activations: As at the cut.

        Returns:
            Embeddings in the shared space, shape (B, D).
        """
        pooled: Activations = self.piece(activations)
        return pooled._replace(values=self.projection(pooled.values))
