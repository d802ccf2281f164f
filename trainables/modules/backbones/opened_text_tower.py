"""Text encoders whose blocks our code runs from token ids on: ModernBERT, ALBERT, CLIP, SigLIP.

Their parts are run one after another on real tokens alone: embeddings, blocks, a final norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainables.modules.backbones.parts import declared_places, part, parts
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.albert_block import albert_blocks
from trainables.modules.blocks.open_block import PreNormBlock
from trainables.modules.blocks.packed import PackedTextPiece
from trainables.modules.blocks.rotary_block import rotary_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from trainables.modules.backbones.families import TextPlaces
    from trainables.modules.blocks.cut import Pooling
    from trainables.modules.blocks.open_block import OpenBlock
    from trainables.modules.blocks.piece import Piece

# How blocks are split that are no pre-norm blocks of the usual make, by the model's type.
_OPENERS: Mapping[str, Callable[[Any], Sequence[OpenBlock]]] = {
    "modernbert": rotary_blocks,
    "albert": albert_blocks,
}


class OpenedTextTower(TextTower):
    """A text encoder that is opened everywhere; its places are declared by its family."""

    @property
    def _places(self) -> TextPlaces:
        places: TextPlaces = declared_places(self.model)
        return places

    def _find_blocks(self) -> Any:
        opener = _OPENERS.get(self.model.config.model_type)
        if opener is not None:
            return opener(self.model)
        return [PreNormBlock(block) for block in part(self.model, self._places.blocks)]

    def _opened(self) -> Sequence[Any]:
        return list(self._blocks)

    @property
    def _norm_of_tokens(self) -> nn.Module | None:
        place = self._places.norm
        return part(self.model, place) if place else None

    def _read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if not self._places.reads_last:
            return super()._read(hidden, mask)
        return hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1]

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        norm = None if pooling is None else self._norm_of_tokens
        # A pair reads one token alone; saved models have its norm under the second name.
        ending = {"finish": norm} if self.joint else {"norm": norm}
        embeddings = self._embeddings if start is None else None
        blocks = self._blocks[start or 0 : stop]
        piece = PackedTextPiece(blocks, pooling, embeddings=embeddings, **ending)
        piece.causal, piece.reads_last = self._places.causal, self._places.reads_last
        return piece

    @property
    def _embeddings(self) -> nn.Module:
        first, *after = parts(self.model, self._places.embeddings)
        return nn.Sequential(first, *after) if after else first

    @property
    def _finish(self) -> nn.Module | None:
        return None  # the library's last hidden states have passed the norm
