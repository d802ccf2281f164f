"""BLIP's text tower reading its image: every block attends to the image's tokens.

Its frozen blocks give the same for a pair in every epoch as long as the image tower is frozen
whole: then the text up to the cut is kept, beside the image's tokens. Where image blocks train,
what is read changes with every step, so that nothing of the text after its embeddings can be kept
and the frozen blocks run in every step too.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F

from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.piece import PassPooled, Piece, Projected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from trainables.config import Role
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling

PAIR: Role = "pair"
"""The role of text that reads its image."""


class CrossedTower(TextTower):
    """A text tower that attends to its image; shares the weights of both towers.

    Args:
        text: The text tower, of blocks with cross-attention.
        image: The image tower of the same checkpoint.
    """

    role: ClassVar[Role] = PAIR

    def __init__(self, text: TextTower, image: Tower) -> None:
        super().__init__(
            text.model, text.tokenizer, text.source, is_random=text.is_random, joint=text.joint
        )
        self.image = image

    def _refuse_not_finite(self) -> None:
        pass  # its towers have been looked at

    def _reads(self) -> dict[str, Any]:
        return super()._reads() | {"image": self.image.fingerprint}

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        blocks = list(self._blocks[start or 0 : stop])
        finish = self._finish if pooling else None
        piece = self._whole(blocks, pooling, finish, from_ids=start is None)
        eyes = self.image.prefix(Cut(0, "tokens")) if start is None and blocks else None
        return piece if start is not None else SeeingPiece(eyes, piece)

    def suffix(self, cut: Cut, block_dropout: float = 0.0) -> nn.Module:
        """Make the part that trains, which reads the image's tokens.

        Args:
            cut: Where it begins: after the embeddings where it is live.
            block_dropout: Drop probability after each unfrozen block, in [0, 1).

        Returns:
            A module from the activations at the cut, with the image's tokens, to embeddings.
        """
        self.check(cut)
        suffix: nn.Module = PassPooled()
        if cut.live or cut.unfrozen_layers:
            start = 0 if cut.live else self._frozen(cut)
            suffix = copy.deepcopy(self._piece(start, self.depth, "cls"))
            blocks = self._trainable(suffix)[0]
            for block in list(blocks)[len(blocks) - cut.unfrozen_layers :]:
                block.requires_grad_(requires_grad=True)
                block.register_forward_hook(partial(_drop, block_dropout))
        projection = copy.deepcopy(self.projection).requires_grad_(requires_grad=True)
        return Projected(suffix, projection)

    def _trainable(self, suffix: Any) -> Sequence[Any]:
        return [getattr(getattr(suffix.model, self._stack), self._list)]


class SeeingPiece(Piece):
    """The first run of a crossed tower: it looks at the pixels, then reads the text.

    Args:
        eyes: From pixels to the image's tokens; None where no block reads them.
        reader: From token ids to hidden states or embeddings.
    """

    def __init__(self, eyes: Piece | None, reader: Piece) -> None:
        super().__init__()
        self.eyes = eyes
        self.reader = reader

    def forward(self, activations: Activations) -> Activations:
        """Look and read.

        Args:
            activations: Token ids (B, L) with their mask, and pixels (B, 3, H, W) to look at.

        Returns:
            Hidden states (B, L, D) with the mask and the image's tokens, or embeddings (B, D).
        """
        seen = None
        if self.eyes is not None:
            assert activations.seen is not None
            seen = self.eyes(Activations(activations.seen)).values
        read: Activations = self.reader(activations._replace(seen=seen))
        return read


def tower_for(name: str, towers: Mapping[str, Tower]) -> Tower:
    """Give the tower of a name.

    Args:
        name: `text`, `image`, or `pair` for text that reads its image; or `ROLE/SOURCE`.
        towers: The pretrained towers.

    Returns:
        The tower; that of a pair shares the weights of both.
    """
    if len(parts := parts_of(name)) == 1:
        return towers[name]
    text, image = (towers[part] for part in parts)
    assert isinstance(text, TextTower)
    return CrossedTower(text, image)


def parts_of(name: str) -> tuple[str, ...]:
    """Say which pretrained towers stand behind a name.

    Args:
        name: Of a tower: `ROLE` or `ROLE/SOURCE`.

    Returns:
        Itself; of a pair, the names of its text and its image tower.
    """
    role, slash, source = name.partition("/")
    return (f"text{slash}{source}", f"image{slash}{source}") if role == PAIR else (name,)


def _drop(probability: float, block: nn.Module, _: Any, output: Tensor) -> Tensor:
    return F.dropout(output, probability, training=block.training)
