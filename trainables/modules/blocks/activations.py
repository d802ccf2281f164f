"""The values passed between the pieces of a tower."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Activations(NamedTuple):
    """Values passed between the pieces of a tower, from raw inputs to the pooled embedding.

    Attributes:
        values: Token ids (B, L) int64, pixels (B, 3, H, W) uint8, hidden states (B, L, D) or
            (B, C, h, w), or embeddings (B, D).
        mask: True for real tokens, shape (B, L), bool; None if nothing is padded.
        encoder_hidden_states: What text with cross-attention attends to: the image's tokens, shape
            (B, T, D), or its pixels until the image encoder has run; never cached with the text.
    """

    values: Tensor
    mask: Tensor | None = None
    encoder_hidden_states: Tensor | None = None

    def to(self, device: torch.device) -> Activations:
        """Return the same values on a device; blocks until they are there.

        Stale rows could be read from a host copy that is not waited for, and what is copied to a
        GPU is freed here at once.
        """
        moved = (part if part is None else part.to(device) for part in self[1:])
        return Activations(self.values.to(device), *moved)
