"""Transformer blocks split at their attention, so that some tokens can be computed alone.

If pooling reads one token, the last block's query, output projection and MLP are needed for that
token only; keys and values still come from all. So a block is split into what comes before its
attention (`project`) and what comes after (`finish`), each with the library's own modules and
parameters. Outputs and gradients equal those of the library's block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Projections(NamedTuple):
    """The inputs of a block's attention.

    Attributes:
        query: Of the tokens to compute, shape (..., R, D).
        key: Of all tokens, shape (..., T, D).
        value: Of all tokens, shape (..., T, D).
    """

    query: Tensor
    key: Tensor
    value: Tensor


class OpenBlock(nn.Module, ABC):
    """A library's block, split at its attention.

    Args:
        block: The library's block; its parameters are shared.
        head_size: Width of an attention head.
        attention_dropout: Dropout probability of attention weights in training.

    Attributes:
        block_dropout: Dropout on the block's output, which pretraining did not have; 0 by default.
    """

    def __init__(self, block: Any, head_size: int, attention_dropout: float) -> None:
        super().__init__()
        self.block = block
        self.head_size = head_size
        self.attention_dropout = attention_dropout
        self.block_dropout = nn.Dropout(0.0)

    @abstractmethod
    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Compute what comes before attention.

        Args:
            readers: The tokens to compute: `tokens` itself or some of them, shape (..., R, D).
            tokens: All tokens, shape (..., T, D).

        Returns:
            Queries of the readers, keys and values of all tokens.
        """

    @abstractmethod
    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute what comes after attention.

        Args:
            context: The attention's output, shape (..., R, D).
            readers: As given to `project`.

        Returns:
            The readers' next hidden states, shape (..., R, D).
        """

    def forward_output(self, context: Tensor, readers: Tensor) -> Tensor:
        """Finish the block and apply `block_dropout`; arguments and result as in `finish`."""
        output: Tensor = self.block_dropout(self.finish(context, readers))
        return output

    def attend(
        self, projections: Projections, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """Compute scaled dot-product attention.

        Args:
            projections: With batch dimension: (B, R, D) and (B, T, D).
            mask: True where a reader may attend, broadcastable to (B, 1, R, T); None for
                everywhere.
            causal: Whether a reader attends only to tokens up to its own; needs R = T.

        Returns:
            The context, shape (B, R, D).
        """
        query, key, value = (
            part.unflatten(-1, (-1, self.head_size)).transpose(1, 2) for part in projections
        )
        context = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.attention_dropout if self.training else 0.0,
            is_causal=causal,
        )
        merged: Tensor = context.transpose(1, 2).flatten(2)
        return merged


class PostNormBlock(OpenBlock):
    """A BERT-like block, which norms after each residual sum (BERT, RoBERTa, BLIP's text).

    Cross-attention, if the block has it, is skipped.
    """

    def __init__(self, block: Any) -> None:
        attention = block.attention.self
        super().__init__(block, attention.attention_head_size, attention.dropout.p)

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Compute queries (..., R, D) of the readers, keys and values (..., T, D) of all."""
        attention = self.block.attention.self
        return Projections(
            attention.query(readers), attention.key(tokens), attention.value(tokens)
        )

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute the readers' next hidden states (..., R, D)."""
        attended = self.block.attention.output(context, readers)
        output: Tensor = self.block.output(self.block.intermediate(attended), attended)
        return output


class _Names(NamedTuple):
    """The library's attribute names in a pre-norm block."""

    attention: str
    attention_norm: str
    output: str
    mlp_norm: str


_PRE_NORM = (
    _Names("attention", "layernorm_before", "o_proj", "layernorm_after"),  # ViT
    _Names("self_attn", "layer_norm1", "out_proj", "layer_norm2"),  # CLIP
    _Names("self_attn", "layer_norm1", "projection", "layer_norm2"),  # BLIP's vision
)


class PreNormBlock(OpenBlock):
    """A block that norms before attention and before its MLP (ViT, CLIP, BLIP's vision).

    Raises:
        TypeError: If the block's class is not supported.
    """

    def __init__(self, block: Any) -> None:
        names = _names_of(block)
        attention = getattr(block, names.attention)
        dropout = getattr(attention, "attention_dropout", None)
        if dropout is None:
            dropout = getattr(attention.dropout, "p", attention.dropout)
        super().__init__(block, attention.head_dim, dropout)
        self._names = names

    def _part(self, name: str) -> Any:
        return getattr(self.block, getattr(self._names, name))

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Norm; compute queries (..., R, D) of the readers, keys and values (..., T, D) of all."""
        norm, attention = self._part("attention_norm"), self._part("attention")
        normed = norm(tokens)
        asking = normed if readers is tokens else norm(readers)
        if not hasattr(attention, "qkv"):
            return Projections(
                attention.q_proj(asking), attention.k_proj(normed), attention.v_proj(normed)
            )
        if readers is tokens:
            return Projections(*attention.qkv(normed).chunk(3, dim=-1))
        weight, bias, width = attention.qkv.weight, attention.qkv.bias, normed.shape[-1]
        query = F.linear(asking, weight[:width], bias[:width])
        return Projections(query, *F.linear(normed, weight[width:], bias[width:]).chunk(2, dim=-1))

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute the readers' next hidden states (..., R, D)."""
        dropout = getattr(self.block, "dropout", nn.Identity())
        output = getattr(self._part("attention"), self._names.output)
        attended = readers + dropout(output(context))
        result: Tensor = attended + dropout(self.block.mlp(self._part("mlp_norm")(attended)))
        return result


def _names_of(block: Any) -> _Names:
    for names in _PRE_NORM:
        attention = getattr(block, names.attention, None)
        if hasattr(block, names.attention_norm) and hasattr(attention, names.output):
            return names
    msg = f"block must be a pre-norm block of ViT, CLIP or BLIP, got {type(block).__name__}"
    raise TypeError(msg)
