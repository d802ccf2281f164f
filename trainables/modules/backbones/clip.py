"""CLIP: a causal text tower, pooled at the end-of-text token, and a vision transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from transformers import CLIPConfig, CLIPModel

from trainables.config import ROLES
from trainables.modules.backbones.joint import JointModel
from trainables.modules.backbones.loading import (
    OPENAI_COLOURS,
    TINY_VOCABULARY,
    load_colours,
    load_config,
    load_model,
    load_tokenizer,
    reading,
    seeded,
)
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.weights import TINY, WeightsError
from trainables.modules.blocks.open_block import PreNormBlock
from trainables.modules.blocks.packed import PackedTextPiece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from trainables.config import Role
    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.cut import Pooling
    from trainables.modules.blocks.piece import Piece

CLIP = "clip"


class ClipTextTower(TextTower):
    """CLIP's text tower; its embedding is the last token, which attends to the whole text."""

    stacks: ClassVar[tuple[tuple[str, str], ...]] = (("encoder", "layers"),)

    def _read(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1]

    def _piece(self, start: int | None, stop: int, pooling: Pooling | None) -> Piece:
        return PackedTextPiece(
            [PreNormBlock(block) for block in self._blocks[start or 0 : stop]],
            pooling,
            causal=True,
            embeddings=self.model.embeddings if start is None else None,
            finish=None if pooling is None else self.model.final_layer_norm,
        )

    @property
    def _finish(self) -> nn.Module | None:
        return None  # the library's forward already includes the final norm


def load_clip_towers(source: str, roles: Sequence[Role] = ROLES["both"]) -> dict[str, Tower]:
    """Load the towers of CLIP from a folder, a hub id or `tiny`, in float32 on the CPU.

    Returns:
        The towers, by role.

    Raises:
        WeightsError: If the weights cannot be loaded; the message has a remedy.
    """
    if source == TINY:
        with seeded():
            model = CLIPModel(_tiny())
        hashed = HashTokenizer(TINY_VOCABULARY)
        tiny = JointModel(CLIP, model, hashed, OPENAI_COLOURS, source, is_random=True)
        return tiny.towers(roles, ClipTextTower)
    with reading(CLIP, source) as options:
        config = load_config(options)
        if not isinstance(config, CLIPConfig):
            msg = f"backbone {CLIP} must be a CLIP model, got a {config.model_type} from {source}"
            raise WeightsError(msg)
        model, found = load_model(CLIPModel, config, options)
    words = load_tokenizer(CLIP, source, model.text_model, causal=True)
    colours = load_colours(CLIP, source, OPENAI_COLOURS)
    loaded = JointModel(CLIP, model, words, colours, source, found=found)
    return loaded.towers(roles, ClipTextTower)


def _tiny() -> CLIPConfig:
    size: dict[str, Any] = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    }
    text = {"vocab_size": TINY_VOCABULARY, "bos_token_id": 1, "eos_token_id": 2}
    image = {"image_size": 128, "patch_size": 32}
    return CLIPConfig(text_config=size | text, vision_config=size | image, projection_dim=32)
