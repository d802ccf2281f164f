"""Last transformer blocks that compute only the token which is read.

Where pooling reads one token (CLS), the last block's query, output projection and MLP matter for
that token alone; keys and values still come from all tokens. Outputs and gradients equal those of
the library's block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


def read_one_token(block: Any) -> Any:
    """Make a block compute its first token alone, if we know its kind.

    Args:
        block: The last block of a transformer.

    Returns:
        A block that returns (B, 1, D) with the same parameters, or `block` itself if its kind is
        not known.
    """
    if hasattr(block, "layernorm_before") and hasattr(block.attention, "q_proj"):
        return FirstTokenViTBlock(block)
    return block


class FirstTokenViTBlock(nn.Module):
    """A pre-norm block of the ViT family, for the first token.

    Args:
        block: The library's block; its parameters are shared.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.block = block

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        """Run the block for the first token.

        Args:
            hidden_states: Shape (B, L, D).
            attention_mask: True where a query may look, shape (B, 1, L, L), or None for all.

        Returns:
            The first token's next hidden state, shape (B, 1, D).
        """
        block, attention = self.block, self.block.attention
        normed = block.layernorm_before(hidden_states)
        context = F.scaled_dot_product_attention(
            _heads(attention.q_proj(normed[:, :1]), attention.head_dim),
            _heads(attention.k_proj(normed), attention.head_dim),
            _heads(attention.v_proj(normed), attention.head_dim),
            attn_mask=_first_query(attention_mask),
            dropout_p=attention.attention_dropout if self.training else 0.0,
        )
        first = hidden_states[:, :1] + block.dropout(attention.o_proj(_merge(context)))
        output: Tensor = first + block.dropout(block.mlp(block.layernorm_after(first)))
        return output


def _heads(projected: Tensor, head_size: int) -> Tensor:
    heads: Tensor = projected.unflatten(-1, (-1, head_size))
    return heads.transpose(1, 2)  # (B, H, L, d)


def _merge(context: Tensor) -> Tensor:
    merged: Tensor = context.transpose(1, 2).flatten(2)  # (B, L, D)
    return merged


def _first_query(attention_mask: Tensor | None) -> Tensor | None:
    return None if attention_mask is None else attention_mask[..., :1, :]
