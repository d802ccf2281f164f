"""DeBERTa v2 and v3: attention between contents, and between contents and distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from trainables.modules.blocks.open_block import OpenBlock, Projections

if TYPE_CHECKING:
    from torch import Tensor

_KINDS = ("c2p", "p2c")  # content to position, position to content


class Distances(nn.Module):
    """The embeddings of relative positions, which all blocks of an encoder share.

    Args:
        encoder: The library's encoder, which holds them and their norm.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.embeddings = encoder.rel_embeddings
        self.norm: Any = (
            encoder.LayerNorm if "layer_norm" in encoder.norm_rel_ebd else nn.Identity()
        )
        self.buckets: int = encoder.position_buckets
        self.longest: int = encoder.max_relative_positions

    def forward(self) -> Tensor:
        """Return the embedding of each distance, shape (2 S, D), from -S on."""
        embeddings: Tensor = self.norm(self.embeddings.weight)
        return embeddings

    def places(self, readers: int, tokens: int, device: torch.device) -> Tensor:
        """Find the embedding of the distance from each of the first tokens to each token.

        Distances beyond half the buckets share one, ever wider on a logarithmic scale.

        Returns:
            Indices, shape (R, T), int64.

        Source:
            He et al., "DeBERTa", ICLR 2021, equation 3; the buckets are those of the library's
            `make_log_bucket_position`.
        """
        steps = torch.arange(tokens, device=device)
        away = steps[:readers, None] - steps
        span = self.buckets if self.buckets > 0 else self.longest
        if self.buckets > 0:
            half = self.buckets // 2
            far = away.abs().clamp(min=half).to(torch.float32)
            scale = math.log((self.longest - 1) / half)
            place = torch.ceil(torch.log(far / half) / scale * (half - 1)) + half
            away = torch.where(away.abs() <= half, away, (place * away.sign()).long())
        return (away + span).clamp(0, 2 * span - 1)


class DisentangledBlock(OpenBlock):
    """A block of DeBERTa v2 or v3; its readers are the first tokens of each text."""

    def __init__(self, block: Any, distances: Distances) -> None:
        attention = block.attention.self
        super().__init__(block, attention.attention_head_size, attention.dropout.p)
        self.distances = distances
        self.kinds = [kind for kind in _KINDS if kind in attention.pos_att_type]

    def project(self, readers: Tensor, tokens: Tensor) -> Projections:
        """Compute queries (..., R, D) of the readers, keys and values (..., T, D) of all."""
        attention = self.block.attention.self
        return Projections(
            attention.query_proj(readers), attention.key_proj(tokens), attention.value_proj(tokens)
        )

    def attend(
        self, projections: Projections, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """Compute attention whose scores have a share for distances.

        Args:
            projections: With batch dimension: (B, R, D) and (B, T, D).
            mask: True where a reader may attend, broadcastable to (B, 1, R, T).
            causal: Must be false.

        Returns:
            The context, shape (B, R, D).
        """
        assert not causal
        query, key, value = (
            part.unflatten(-1, (-1, self.head_size)).transpose(1, 2) for part in projections
        )
        scale = 1 / math.sqrt(self.head_size * (1 + len(self.kinds)))
        bias = self._bias(query, key) * scale
        if mask is not None:
            bias = bias.masked_fill(~mask, torch.finfo(bias.dtype).min)
        context = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias,
            dropout_p=self.attention_dropout if self.training else 0.0,
            scale=scale,
        )
        merged: Tensor = context.transpose(1, 2).flatten(2)
        return merged

    def _bias(self, query: Tensor, key: Tensor) -> Tensor:
        """Compute what distances add to scores, unscaled: (B, H, R, T)."""
        attention = self.block.attention.self
        shared = attention.share_att_key
        of_distances = attention.pos_dropout(self.distances())
        places = self.distances.places(query.shape[2], key.shape[2], key.device)
        rows = (*query.shape[:2], -1, -1)
        bias: Tensor = query.new_zeros(*query.shape[:3], key.shape[2])
        if "c2p" in self.kinds:
            project = attention.key_proj if shared else attention.pos_key_proj
            scores = query @ self._heads(project(of_distances)).transpose(-1, -2)  # (B, H, R, 2 S)
            bias = bias + scores.gather(-1, places.expand(rows))
        if "p2c" in self.kinds:
            project = attention.query_proj if shared else attention.pos_query_proj
            scores = key @ self._heads(project(of_distances)).transpose(-1, -2)  # (B, H, T, 2 S)
            bias = bias + scores.gather(-1, places.T.expand(rows)).transpose(-1, -2)
        return bias

    def _heads(self, values: Tensor) -> Any:
        """Part the entries (2 S, D) of distances by head: (H, 2 S, head size)."""
        return values.unflatten(-1, (-1, self.head_size)).transpose(0, 1)

    def finish(self, context: Tensor, readers: Tensor) -> Tensor:
        """Compute the readers' next hidden states (..., R, D)."""
        attended = self.block.attention.output(context, readers)
        output: Tensor = self.block.output(self.block.intermediate(attended), attended)
        return output


def disentangled_blocks(encoder: Any) -> list[DisentangledBlock] | None:
    """Open the blocks of an encoder of DeBERTa v2 or v3; None if it is another, or convolves."""
    if getattr(encoder, "conv", None) is not None or not hasattr(encoder, "rel_embeddings"):
        return None
    if not all(hasattr(block.attention.self, "query_proj") for block in encoder.layer):
        return None
    distances = Distances(encoder)
    return [DisentangledBlock(block, distances) for block in encoder.layer]
