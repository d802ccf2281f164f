"""BLIP's text tower with cross-attention: each of its blocks attends to the image's tokens.

While the image tower is frozen entirely, the frozen text blocks give the same output for a pair in
every epoch, so the text's hidden states are cached up to the cut, beside the image's tokens. If
image blocks train, their output changes with every step: only the text's embeddings are cached,
and the frozen text blocks run in every step.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch.nn.functional as F

from trainables.modules.backbones.image_towers import ImageTower
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
"""The role of text with cross-attention to its image."""


class CrossAttentionTower(TextTower):
    """A text tower with cross-attention to its image; shares the weights of both towers."""

    role: ClassVar[Role] = PAIR

    def __init__(self, text: TextTower, image: ImageTower) -> None:
        super().__init__(
            text.model, text.tokenizer, text.source, is_random=text.is_random, joint=text.joint
        )
        self.image = image
        self.frozen_precision = text.frozen_precision

    def _refuse_not_finite(self) -> None:
        pass  # both towers have been checked

    def _reads(self) -> dict[str, Any]:
        # Before revision 1, activations cached together with those of a live cut lacked the image.
        return super()._reads() | {"image": self.image.fingerprint, "revision": 1}

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        blocks = list(self._blocks[start or 0 : stop])
        finish = self._finish if pooling else None
        piece = self._whole(blocks, pooling, finish, from_ids=start is None)
        return piece if start is not None else self._with_image(piece, encodes=bool(blocks))

    def _with_image(self, piece: Piece, *, encodes: bool) -> CrossAttentionPiece:
        image_encoder = self.image.prefix(Cut(0, "tokens")) if encodes else None
        return CrossAttentionPiece(image_encoder, piece)

    def segment(self, start: Cut | None, stop: Cut) -> Piece:
        """Make the frozen layers between two cuts; the first that attend encode the image."""
        piece = super().segment(start, stop)
        if start is None or self._frozen(start) or not self._frozen(stop):
            return piece
        whole = self._with_image(piece, encodes=True).eval()
        whole.precision = self.frozen_precision
        return whole

    def suffix(self, cut: Cut, block_dropout: float = 0.0) -> nn.Module:
        """Make the trainable part, which attends to the image's tokens.

        Args:
            cut: Where it starts; after the embeddings if the cut is live.
            block_dropout: Dropout probability after each unfrozen block, in [0, 1).

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


class CrossAttentionPiece(Piece):
    """The prefix of a cross-attention tower: encodes the image, then the text.

    Args:
        image_encoder: From pixels to the image's tokens; None leaves the pixels to a later piece.
        text_encoder: From token ids to hidden states or embeddings.
    """

    def __init__(self, image_encoder: Piece | None, text_encoder: Piece) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder

    def forward(self, activations: Activations) -> Activations:
        """Encode image and text.

        Args:
            activations: Token ids (B, L) with their mask, and pixels (B, 3, H, W) in
                `encoder_hidden_states`.

        Returns:
            Hidden states (B, L, D) with the mask and the image's tokens, or its pixels; or
            embeddings (B, D).
        """
        pixels = activations.encoder_hidden_states
        read: Activations
        if self.image_encoder is None:
            read = self.text_encoder(activations._replace(encoder_hidden_states=None))
            return read._replace(encoder_hidden_states=pixels)
        assert pixels is not None
        tokens = self.image_encoder(Activations(pixels)).values
        read = self.text_encoder(activations._replace(encoder_hidden_states=tokens))
        return read


def tower_for(name: str, towers: Mapping[str, Tower]) -> Tower:
    """Return the tower named `ROLE` or `ROLE/SOURCE`; that of `pair` is made of the other two."""
    if len(parts := parts_of(name)) == 1:
        return towers[name]
    text, image = (towers[part] for part in parts)
    assert isinstance(text, TextTower)
    assert isinstance(image, ImageTower)
    return CrossAttentionTower(text, image)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the names of the pretrained towers in one: itself, or a pair's text and image."""
    role, slash, source = name.partition("/")
    return (f"text{slash}{source}", f"image{slash}{source}") if role == PAIR else (name,)


def _drop(probability: float, block: nn.Module, _: Any, output: Tensor) -> Tensor:
    return F.dropout(output, probability, training=block.training)
