"""Transformer blocks split at their attention, so that some tokens can be computed alone.

If pooling reads one token, the last block's query, output projection and MLP are needed for that
token only; keys and values still come from all. So a block is split into what comes before its
attention (`project`) and what comes after (`finish`), each with the library's own modules and
parameters. Outputs and gradients equal those of the library's block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import attrgetter
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
    """The library's attribute names in a pre-norm block, dots between.

    The scales are learned factors of both residual branches; the dropouts zero parts of them.
    """

    attention: str
    attention_norm: str
    output: str
    mlp_norm: str
    scales: tuple[str, str] = ("", "")
    dropouts: tuple[str, str] = ("dropout", "dropout")


_PRE_NORM = (
    _Names("attention", "layernorm_before", "attention.o_proj", "layernorm_after"),  # ViT, DeiT
    _Names("self_attn", "layer_norm1", "self_attn.out_proj", "layer_norm2"),  # CLIP, SigLIP
    _Names("self_attn", "layer_norm1", "self_attn.projection", "layer_norm2"),  # BLIP's vision
    *(  # DINOv2, as newer and older versions of the library make it
        _Names(
            attention,
            "norm1",
            output,
            "norm2",
            ("layer_scale1", "layer_scale2"),
            ("drop_path", "drop_path"),
        )
        for attention, output in (
            ("attention", "attention.o_proj"),
            ("attention.attention", "attention.output.dense"),
        )
    ),
    _Names(
        "attn", "norm1", "attn.proj", "norm2", ("ls1", "ls2"), ("drop_path1", "drop_path2")
    ),  # timm
)
_DROPOUTS = ("attention_dropout", "dropout", "dropout_prob", "attn_drop")
_PROJECTIONS = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"))
# Of timm's attention: what some of its models have between projections and output.
_INSIDE_ATTENTION = ("q_norm", "k_norm", "norm", "gate")


class PreNormBlock(OpenBlock):
    """A block that norms before attention and before its MLP (ViT, CLIP, DINOv2, timm's ViT).

    Raises:
        TypeError: If the block's class is not supported.
    """

    def __init__(self, block: Any) -> None:
        names = _names_of(block)
        attention = attrgetter(names.attention)(block)
        named = (getattr(attention, name, None) for name in _DROPOUTS)
        dropout = next((found for found in named if found is not None), 0.0)
        head_size = getattr(attention, "head_dim", None) or attention.attention_head_size
        super().__init__(block, head_size, getattr(dropout, "p", dropout))
        self._names = names

    def _part(self, name: str) -> Any:
        return attrgetter(name)(self.block)

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Norm; compute queries (..., R, D) of the readers, keys and values (..., T, D) of all."""
        norm, attention = self._part(self._names.attention_norm), self._part(self._names.attention)
        normed = norm(tokens)
        asking = normed if readers is tokens else norm(readers)
        if hasattr(attention, "qkv"):
            return project_fused(attention.qkv, asking, normed)
        query, key, value = (
            getattr(attention, name)
            for name in next(names for names in _PROJECTIONS if hasattr(attention, names[0]))
        )
        return Projections(query(asking), key(normed), value(normed))

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute the readers' next hidden states (..., R, D)."""
        output = self._part(self._names.output)
        attended = readers + self._branch(0, output(context))
        mlp_norm = self._part(self._names.mlp_norm)
        return attended + self._branch(1, self.block.mlp(mlp_norm(attended)))

    def _branch(self, which: int, values: Tensor) -> Tensor:
        for name in (self._names.scales[which], self._names.dropouts[which]):
            values = getattr(self.block, name, nn.Identity())(values)
        return values


def project_fused(layer: Any, readers: Tensor, tokens: Tensor) -> Projections:
    """Compute queries of the readers, keys and values of all tokens by one layer of all three.

    Args:
        layer: From (..., D) to (..., 3 D): queries, keys and values side by side.
        readers: `tokens` itself or some of them, shape (..., R, D).
        tokens: All tokens, shape (..., T, D).

    Returns:
        The three.
    """
    if readers is tokens:
        return Projections(*layer(tokens).chunk(3, dim=-1))
    weight, width = layer.weight, layer.out_features // 3
    bias = (None, None) if layer.bias is None else (layer.bias[:width], layer.bias[width:])
    query = F.linear(readers, weight[:width], bias[0])
    return Projections(query, *F.linear(tokens, weight[width:], bias[1]).chunk(2, dim=-1))


def is_pre_norm(block: Any) -> bool:
    """Return whether `PreNormBlock` knows a block's parts."""
    return any(_fits(names, block) for names in _PRE_NORM)


def _names_of(block: Any) -> _Names:
    for names in _PRE_NORM:
        if _fits(names, block):
            return names
    msg = f"block must be a pre-norm block of a known kind, got {type(block).__name__}"
    raise TypeError(msg)


def _fits(names: _Names, block: Any) -> bool:
    try:
        attrgetter(names.attention_norm, names.output, names.mlp_norm, "mlp")(block)
        attention = attrgetter(names.attention)(block)
    except AttributeError:
        return False
    inside = (getattr(attention, name, None) for name in _INSIDE_ATTENTION)
    known = ("qkv", *(first for first, *_ in _PROJECTIONS))
    return all(part is None or isinstance(part, nn.Identity) for part in inside) and any(
        hasattr(attention, name) for name in known
    )
