"""What flows through a tower, between any two of its pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Activations(NamedTuple):
    """What flows through a tower, from raw inputs to the pooled embedding.

    Attributes:
        values: Token ids (B, L) int64, pixels (B, 3, H, W) uint8, hidden states (B, L, D) or
            (B, C, h, w), or embeddings (B, D).
        mask: True where a token is real, shape (B, L), bool; None where nothing is padded.
        seen: What text attends to where it reads its image: pixels, then the image's tokens,
            shape (B, T, D); never stored with it.
    """

    values: Tensor
    mask: Tensor | None = None
    seen: Tensor | None = None

    def to(self, device: torch.device) -> Activations:
        """Move to a device.

        Args:
            device: Where to.

        Returns:
            The same values there.
        """
        # A GPU waits for what is on its way to it. Nobody waits on the host, where the rows of
        # before would be read.
        later = device.type != "cpu"
        moved = (p if p is None else p.to(device, non_blocking=later) for p in self[1:])
        return Activations(self.values.to(device, non_blocking=later), *moved)
