"""Text blocks that compute real tokens only: no padding, and one token where one is read.

A batch of tweets is half padding. Linear layers, norms and MLPs run here on the real tokens of all
texts laid end to end; only attention sees the batch as a rectangle. Where pooling reads one token,
the last block computes that token alone. Outputs and gradients equal those of the library's
blocks, whose own modules these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.open_block import OpenBlock, PostNormBlock, Projections
from trainables.modules.blocks.piece import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.modules.blocks.cut import Pooling


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
            mask: True where a token is real, shape (B, L); the first of each text is, and
                padding follows.

        Returns:
            Where they are.
        """
        places = mask.flatten().nonzero().squeeze(1)
        lengths = mask.sum(dim=1)
        return cls(mask, places, places // mask.shape[1], lengths.cumsum(0) - lengths, lengths)

    @property
    def lasts(self) -> Tensor:
        """Which of the real tokens come last in their text, shape (B,), int64."""
        return self.firsts + self.lengths - 1

    def mean(self, packed: Tensor) -> Tensor:
        """Average the tokens of each text.

        Args:
            packed: Shape (T, D).

        Returns:
            Shape (B, D).
        """
        sums = packed.new_zeros(len(self.mask), packed.shape[-1])
        return sums.index_add(0, self.texts, packed) / self.lengths[:, None]

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
    """A run of a text model's blocks.

    Args:
        blocks: The blocks, the library's of BERT's make or opened ones.
        pooling: How it ends in one embedding per text: `cls` reads one token, `mean` averages
            all; None ends in hidden states.
        causal: Whether a token sees only those before it; then the last one is read, not the
            first.
        embeddings: From token ids to the first hidden states; None begins at hidden states.
        finish: What the model puts after the token that is read, from (B, D) to (B, D).
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        pooling: Pooling | None,
        *,
        causal: bool = False,
        embeddings: nn.Module | None = None,
        finish: nn.Module | None = None,
    ) -> None:
        super().__init__()
        opened = (b if isinstance(b, OpenBlock) else PostNormBlock(b) for b in blocks)
        self.blocks: Any = nn.ModuleList(opened)
        self.pooling = pooling
        self.causal = causal
        self.embeddings = embeddings
        self.finish = finish

    def forward(self, activations: Activations) -> Activations:
        """Run the blocks and pool.

        Args:
            activations: Token ids (B, L) or hidden states (B, L, D), with their mask.

        Returns:
            Hidden states (B, L, D) with the mask, zero where padded, or embeddings (B, D).
        """
        values, mask, _ = activations
        hidden = values if self.embeddings is None else self.embeddings(values)
        if mask is None:
            mask = hidden.new_ones(hidden.shape[:2]).bool()
        packing = Packing.of(mask)
        tokens = hidden.flatten(0, 1)[packing.places]  # (T, D)
        whole = self.blocks[:-1] if self.pooling == "cls" else self.blocks
        for block in whole:
            tokens = self._run(block, tokens, tokens, packing)
        if self.pooling is None:
            return Activations(packing.pad(tokens), mask)
        if self.pooling == "cls":
            embedding = tokens[packing.lasts if self.causal else packing.firsts]
            for block in self.blocks[-1:]:
                embedding = self._run(block, embedding, tokens, packing)
        else:
            embedding = packing.mean(tokens)
        return Activations(embedding if self.finish is None else self.finish(embedding))

    def _run(self, block: OpenBlock, readers: Tensor, tokens: Tensor, packing: Packing) -> Tensor:
        """Run one block for some tokens that read all: `readers` is all or one of each text."""
        query, key, value = block.project(readers, tokens)
        seen = packing.mask[:, None, None]  # (B, 1, 1, L)
        if readers is not tokens:  # one reader per text: a rectangle already
            parts = Projections(query.unsqueeze(1), packing.pad(key), packing.pad(value))
            return block.leave(block.attend(parts, seen).squeeze(1), readers)
        parts = Projections(packing.pad(query), packing.pad(key), packing.pad(value))
        # Padding follows the text, so a causal reader never comes to see any.
        context = block.attend(parts, None if self.causal else seen, causal=self.causal)
        return block.leave(context.flatten(0, 1)[packing.places], readers)


def can_pack(block: Any) -> bool:
    """Say whether a block is of the kind that `PostNormBlock` opens.

    Args:
        block: A block of a text model.

    Returns:
        Whether it is a post-norm block of BERT's make that reads in both directions (BERT,
        RoBERTa, XLM-R, ELECTRA, CamemBERT, BLIP's text, ...).
    """
    attention = getattr(getattr(block, "attention", None), "self", None)
    parts = ("query", "key", "value", "dropout", "attention_head_size")
    return (
        all(hasattr(attention, part) for part in parts)
        and hasattr(block, "intermediate")
        and not getattr(block, "is_decoder", False)
        and not hasattr(attention, "distance_embedding")
    )
