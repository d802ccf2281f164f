"""ModernBERT's block: pre-norm, rotary positions, and in most layers a window of attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trainables.modules.blocks.open_block import OpenBlock, Projections, project_fused

if TYPE_CHECKING:
    from torch import Tensor, nn


class RotaryBlock(OpenBlock):
    """A block of ModernBERT; its readers are the first tokens of each text.

    Args:
        block: The library's block.
        rotary: The library's module of rotary positions, which all blocks share.
        window: How far a token attends to each side, inclusive; None for everywhere.
    """

    def __init__(self, block: Any, rotary: nn.Module, window: int | None) -> None:
        attention = block.attn
        super().__init__(block, attention.head_dim, attention.attention_dropout)
        self.rotary = rotary
        self.window = window

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Norm; compute queries (..., R, D) of the readers, keys and values (..., T, D) of all."""
        norm = self.block.attn_norm
        normed = norm(tokens)
        asking = normed if readers is tokens else norm(readers)
        return project_fused(self.block.attn.Wqkv, asking, normed)

    def attend(
        self, projections: Projections, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """Turn queries and keys by their positions, then attend, within the window if any.

        Returns:
            The context, as of `OpenBlock.attend`.
        """
        query, key, value = projections
        positions = torch.arange(key.shape[1], device=key.device)
        cosine, sine = self.rotary(key, positions[None], self.block.attention_type)
        count = query.shape[1]
        turned = Projections(
            self._turned(query, cosine[:, :count], sine[:, :count]),
            self._turned(key, cosine, sine),
            value,
        )
        if self.window is not None and self.window < key.shape[1] - 1:
            near = (positions[:count, None] - positions).abs() <= self.window  # (R, T)
            mask = near if mask is None else mask & near
        return super().attend(turned, mask, causal=causal)

    def _turned(self, values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Rotate each head's pairs of entries.

        Args:
            values: Shape (B, R, D).
            cosine: Of each position's angles, shape (1, R, head size).
            sine: Likewise.

        Returns:
            The rotated values, shape (B, R, D).

        Source:
            Su et al., "RoFormer", Neurocomputing 568, 2024, equation 34; halves are paired, as in
            the library.
        """
        heads = values.unflatten(-1, (-1, self.head_size))
        first, second = heads.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        rotated: Tensor = heads * cosine.unsqueeze(2) + turned * sine.unsqueeze(2)
        return rotated.flatten(2)

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute the readers' next hidden states (..., R, D)."""
        block = self.block
        attended = readers + block.attn.out_drop(block.attn.Wo(context))
        output: Tensor = attended + block.mlp(block.mlp_norm(attended))
        return output


def rotary_blocks(model: Any) -> list[RotaryBlock]:
    """Open the blocks of a ModernBERT."""
    return [
        RotaryBlock(
            block,
            model.rotary_emb,
            model.config.sliding_window if block.attention_type == "sliding_attention" else None,
        )
        for block in model.layers
    ]
