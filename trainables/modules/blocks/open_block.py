"""Transformer blocks, opened at their attention so that some tokens alone can read.

Where pooling reads one token, the last block's query, output projection and MLP matter for that
token alone; keys and values still come from all. So a block is split in what comes before its
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
    """What a block's attention reads.

    Attributes:
        query: Of the readers, shape (..., R, D).
        key: Of all tokens, shape (..., T, D).
        value: Of all tokens, shape (..., T, D).
    """

    query: Tensor
    key: Tensor
    value: Tensor


class OpenBlock(nn.Module, ABC):
    """A library's block in two halves around its attention.

    Args:
        block: The library's block; its parameters are shared.
        head_size: Width of an attention head.
        attention_dropout: Drop probability of attention weights in training.

    Attributes:
        after: What hidden states go through on leaving the block: a dropout that training may
            ask for, and pretraining had not.
    """

    def __init__(self, block: Any, head_size: int, attention_dropout: float) -> None:
        super().__init__()
        self.block = block
        self.head_size = head_size
        self.attention_dropout = attention_dropout
        self.after = nn.Dropout(0.0)

    @abstractmethod
    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Do all that comes before attention.

        Args:
            readers: The tokens to be computed: `tokens` itself, or some of them, (..., R, D).
            tokens: All tokens, shape (..., T, D).

        Returns:
            Queries of the readers, keys and values of all.
        """

    @abstractmethod
    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Do all that comes after attention.

        Args:
            context: What the readers attended to, shape (..., R, D).
            readers: As given to `project`.

        Returns:
            The readers' next hidden states, shape (..., R, D).
        """

    def leave(self, context: Tensor, readers: Tensor) -> Tensor:
        """Finish, and go through what comes after the block.

        Args:
            context: What the readers attended to, shape (..., R, D).
            readers: As given to `project`.

        Returns:
            The readers' next hidden states, shape (..., R, D).
        """
        left: Tensor = self.after(self.finish(context, readers))
        return left

    def attend(
        self, projections: Projections, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """Attend.

        Args:
            projections: Of rectangles: (B, R, D) and (B, T, D).
            mask: True where a reader may look, broadcast to (B, 1, R, T); None for everywhere.
            causal: Whether a reader sees only the tokens up to its own, for R = T.

        Returns:
            What the readers attended to, shape (B, R, D).
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
    """A block of BERT's make, which norms after each residual sum (BERT, RoBERTa, BLIP's text).

    Cross-attention, where there is one, is not run: it reads an image.

    Args:
        block: The library's block; its parameters are shared.
    """

    def __init__(self, block: Any) -> None:
        attention = block.attention.self
        super().__init__(block, attention.attention_head_size, attention.dropout.p)

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Do all that comes before attention.

        Args:
            readers: The tokens to be computed, shape (..., R, D).
            tokens: All tokens, shape (..., T, D).

        Returns:
            Queries of the readers, keys and values of all.
        """
        attention = self.block.attention.self
        return Projections(
            attention.query(readers), attention.key(tokens), attention.value(tokens)
        )

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Do all that comes after attention.

        Args:
            context: What the readers attended to, shape (..., R, D).
            readers: As given to `project`.

        Returns:
            The readers' next hidden states, shape (..., R, D).
        """
        attended = self.block.attention.output(context, readers)
        output: Tensor = self.block.output(self.block.intermediate(attended), attended)
        return output


class _Names(NamedTuple):
    """What a library calls the parts of a pre-norm block."""

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

    Args:
        block: The library's block; its parameters are shared.

    Raises:
        TypeError: If the block is of a make that we do not know.
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
        """Norm, then do all that comes before attention.

        Args:
            readers: The tokens to be computed, shape (..., R, D).
            tokens: All tokens, shape (..., T, D).

        Returns:
            Queries of the readers, keys and values of all.
        """
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
        """Do all that comes after attention.

        Args:
            context: What the readers attended to, shape (..., R, D).
            readers: As given to `project`.

        Returns:
            The readers' next hidden states, shape (..., R, D).
        """
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
