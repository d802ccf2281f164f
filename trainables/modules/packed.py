"""Unfrozen text blocks that compute real tokens only: no padding, and one token where one is read.

A batch of tweets is half padding. Linear layers, norms and MLPs run here on the real tokens of all
texts laid end to end; only attention sees the batch as a rectangle. Where pooling reads the first
token alone, the last block's query, output projection and MLP run for that token alone. Outputs
and gradients equal those of the library's blocks, whose own modules these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from trainables.modules.tower import Activations, Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.modules.cut import Pooling


class Packing(NamedTuple):
    """Where the real tokens of a padded batch are.

    Attributes:
        mask: True where a token is real, shape (B, L).
        places: Their places in the flattened batch, shape (T,), int64.
        texts: Which text each belongs to, shape (T,), int64.
        firsts: Which of them come first in their text, shape (B,), int64.
        lengths: Tokens per text, shape (B,), int64.
    """

    mask: Tensor
    places: Tensor
    texts: Tensor
    firsts: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> Packing:
        """Find the real tokens.

        Args:
            mask: True where a token is real, shape (B, L); the first of each text is.

        Returns:
            Where they are.
        """
        places = mask.flatten().nonzero().squeeze(1)
        lengths = mask.sum(dim=1)
        return cls(mask, places, places // mask.shape[1], lengths.cumsum(0) - lengths, lengths)

    def pad(self, packed: Tensor) -> Tensor:
        """Lay tokens out as a rectangle, with zeros for padding.

        Args:
            packed: Shape (T, D).

        Returns:
            Shape (B, L, D).
        """
        flat = packed.new_zeros(self.mask.numel(), packed.shape[-1])
        return flat.index_copy(0, self.places, packed).view(*self.mask.shape, -1)


class PackedTextPiece(Piece):
    """The last blocks of a BERT-like model, ending in one embedding per text.

    Args:
        blocks: The library's blocks: post-norm, with `attention.self`, `intermediate`, `output`.
        pooling: `cls` reads the first token, `mean` averages all.
    """

    def __init__(self, blocks: Sequence[nn.Module], pooling: Pooling) -> None:
        super().__init__()
        self.blocks: Any = nn.ModuleList(blocks)
        self.pooling = pooling

    def forward(self, activations: Activations) -> Activations:
        """Run the blocks and pool.

        Args:
            activations: Hidden states (B, L, D) with their mask.

        Returns:
            Embeddings (B, D).
        """
        hidden, mask = activations
        if mask is None:
            mask = hidden.new_ones(hidden.shape[:2]).bool()
        packing = Packing.of(mask)
        tokens = hidden.flatten(0, 1)[packing.places]  # (T, D)
        for block in self.blocks[:-1]:
            tokens = self._run(block, tokens, tokens, packing)
        if self.pooling == "cls":
            firsts = tokens[packing.firsts]
            return Activations(self._run(self.blocks[-1], firsts, tokens, packing))
        tokens = self._run(self.blocks[-1], tokens, tokens, packing)
        sums = tokens.new_zeros(len(mask), tokens.shape[-1]).index_add(0, packing.texts, tokens)
        return Activations(sums / packing.lengths[:, None])

    def _run(self, block: Any, readers: Tensor, tokens: Tensor, packing: Packing) -> Tensor:
        """Run one block for some tokens that read all: `readers` is all or the first ones."""
        attention = block.attention.self
        head_size = attention.attention_head_size
        alone = readers is not tokens  # one reader per text: a rectangle already
        query = attention.query(readers)
        query = query.unsqueeze(1) if alone else packing.pad(query)
        context = F.scaled_dot_product_attention(
            _heads(query, head_size),
            _heads(packing.pad(attention.key(tokens)), head_size),
            _heads(packing.pad(attention.value(tokens)), head_size),
            attn_mask=packing.mask[:, None, None],
            dropout_p=attention.dropout.p if self.training else 0.0,
        )
        context = context.transpose(1, 2).flatten(2).flatten(0, 1)  # (B * readers, D)
        if not alone:
            context = context[packing.places]
        attended = block.attention.output(context, readers)
        output: Tensor = block.output(block.intermediate(attended), attended)
        return output


def can_pack(block: Any) -> bool:
    """Say whether a block is of the kind that `PackedTextPiece` runs.

    Args:
        block: A block of a text model.

    Returns:
        Whether it is a post-norm block of BERT's make without cross-attention (BERT, RoBERTa,
        XLM-R, ELECTRA, CamemBERT, ...).
    """
    attention = getattr(getattr(block, "attention", None), "self", None)
    parts = ("query", "key", "value", "dropout", "attention_head_size")
    return (
        all(hasattr(attention, part) for part in parts)
        and hasattr(block, "intermediate")
        and not hasattr(block, "crossattention")
        and not hasattr(attention, "distance_embedding")
    )


def _heads(projected: Tensor, head_size: int) -> Tensor:
    heads: Tensor = projected.unflatten(-1, (-1, head_size))
    return heads.transpose(1, 2)  # (B, H, L, d)
