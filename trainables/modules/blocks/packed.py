"""Text blocks that compute real tokens only, and a single token where pooling reads one.

About half of a batch of tweets is padding. Linear layers, norms and MLPs run here on the real
tokens of all texts, concatenated; only attention sees a padded batch. If pooling reads one token,
the last block is computed for that token alone. Outputs and gradients equal those of the library's
blocks, whose modules are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.open_block import OpenBlock, PostNormBlock, Projections
from trainables.modules.blocks.piece import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.modules.blocks.cut import Pooling


# On a CPU, oneDNN compiles its bfloat16 kernels for every number of rows that it meets: a third of
# a training step, where every batch has another.
_MULTIPLE = 32


class TokenLayout(NamedTuple):
    """Where the real tokens of a padded batch are.

    Packed tokens are S >= T rows, a multiple of 32: those beyond the T real ones are copies of the
    batch's first, which nothing reads.

    Attributes:
        mask: True for real tokens, shape (B, L).
        places: Indices in the flattened batch of the packed tokens, shape (S,), int64.
        texts: Index of the text that each real token belongs to, shape (T,), int64.
        firsts: Index of each text's first token among the real tokens, shape (B,), int64.
        lengths: Tokens per text, shape (B,), int64.
    """

    mask: Tensor
    places: Tensor
    texts: Tensor
    firsts: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, mask: Tensor) -> TokenLayout:
        """Find the real tokens by a mask (B, L): at least one per text, before its padding."""
        places = mask.flatten().nonzero().squeeze(1)
        lengths = mask.sum(dim=1)
        packed = F.pad(places, (0, -places.shape[0] % _MULTIPLE))
        return cls(mask, packed, places // mask.shape[1], lengths.cumsum(0) - lengths, lengths)

    @property
    def lasts(self) -> Tensor:
        """Index of each text's last token among the real tokens, shape (B,), int64."""
        return self.firsts + self.lengths - 1

    def mean(self, packed: Tensor) -> Tensor:
        """Average the tokens (S, D) of each text to (B, D)."""
        sums = packed.new_zeros(self.mask.shape[0], packed.shape[-1])
        return sums.index_add(0, self.texts, self._real(packed)) / self.lengths[:, None]

    def pad(self, packed: Tensor) -> Tensor:
        """Scatter tokens (S, D) into a padded batch (B, L, D), with zeros for padding."""
        flat = packed.new_zeros(self.mask.numel(), packed.shape[-1])
        filled = flat.index_copy(0, self._real(self.places), self._real(packed))
        return filled.view(*self.mask.shape, -1)

    def _real(self, packed: Tensor) -> Tensor:
        return packed[: self.texts.shape[0]]


class PackedTextPiece(Piece):
    """A run of a text model's blocks.

    Args:
        blocks: The library's BERT-like blocks, or blocks already split; one that stands there
            several times runs several times.
        pooling: How it ends in one embedding per text: `cls` reads one token, `mean` averages all;
            None ends in hidden states.
        embeddings: From token ids to the first hidden states; None starts at hidden states.
        norm: What norms tokens before they are pooled.
        finish: What the model applies to the pooled token, from (B, D) to (B, D).

    Attributes:
        causal: Whether a token attends only to those before it.
        reads_last: Whether `cls` reads the last token, rather than the first.
    """

    causal = False
    reads_last = False

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        pooling: Pooling | None,
        *,
        embeddings: nn.Module | None = None,
        norm: nn.Module | None = None,
        finish: nn.Module | None = None,
    ) -> None:
        super().__init__()
        opened = [b if isinstance(b, OpenBlock) else PostNormBlock(b) for b in blocks]
        distinct = list(dict.fromkeys(opened))
        self.blocks: Any = nn.ModuleList(distinct)
        self.order = [distinct.index(block) for block in opened]
        self.pooling = pooling
        self.embeddings = embeddings
        self.norm = norm or nn.Identity()
        self.finish = finish

    def forward(self, activations: Activations) -> Activations:
        """Run the blocks and pool.

        Args:
            activations: Token ids (B, L) or hidden states (B, L, D) with their mask.

        Returns:
            Hidden states (B, L, D) with the mask, zero where padded, or embeddings (B, D).
        """
        values, mask, _ = activations
        hidden = values if self.embeddings is None else self.embeddings(values)
        if mask is None:
            mask = hidden.new_ones(hidden.shape[:2]).bool()
        layout = TokenLayout.of(mask)
        tokens = hidden.flatten(0, 1)[layout.places]  # (S, D)
        blocks = [self.blocks[place] for place in self.order]
        for block in blocks[:-1] if self.pooling == "cls" else blocks:
            tokens = self._run(block, tokens, tokens, layout)
        if self.pooling is None:
            return Activations(layout.pad(tokens), mask)
        if self.pooling == "cls":
            embedding = tokens[layout.lasts if self.reads_last else layout.firsts]
            for block in blocks[-1:]:
                embedding = self._run(block, embedding, tokens, layout)
            embedding = self.norm(embedding)
        else:
            embedding = layout.mean(self.norm(tokens))
        return Activations(embedding if self.finish is None else self.finish(embedding))

    def _run(
        self, block: OpenBlock, readers: Tensor, tokens: Tensor, layout: TokenLayout
    ) -> Tensor:
        """Run one block for `readers`, which is all tokens or one of each text."""
        query, key, value = block.project(readers, tokens)
        visible = layout.mask[:, None, None]  # (B, 1, 1, L)
        if readers is not tokens:  # one reader per text needs no padding
            parts = Projections(query.unsqueeze(1), layout.pad(key), layout.pad(value))
            return block.forward_output(block.attend(parts, visible).squeeze(1), readers)
        parts = Projections(layout.pad(query), layout.pad(key), layout.pad(value))
        # Padding follows the text, so causal attention never reaches it.
        context = block.attend(parts, None if self.causal else visible, causal=self.causal)
        return block.forward_output(context.flatten(0, 1)[layout.places], readers)


def can_pack(block: Any) -> bool:
    """Return whether `PostNormBlock` splits a block: BERT-like, bidirectional and post-norm."""
    attention = getattr(getattr(block, "attention", None), "self", None)
    parts = ("query", "key", "value", "dropout", "attention_head_size")
    return (
        all(hasattr(attention, part) for part in parts)
        and hasattr(block, "intermediate")
        and not getattr(block, "is_decoder", False)
        and not hasattr(attention, "distance_embedding")
    )
