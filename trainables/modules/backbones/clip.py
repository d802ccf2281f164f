"""CLIP, OpenCLIP and SigLIP: a text tower pooled at its last token, and a vision transformer.

CLIP's text is causal, and ends in the token that is read. SigLIP's texts are padded to the length
of its pretraining, padding is attended to like any token, and the last position is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from trainables.config import ROLES
from trainables.modules.backbones.families import COLOURS, names_of
from trainables.modules.backbones.joint import PARTS, JointModel, Parts
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
from trainables.modules.backbones.opened_text_tower import OpenedTextTower
from trainables.modules.backbones.tokenizers import HashTokenizer, PaddedTokenizer
from trainables.modules.backbones.weights import TINY, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.config import Role
    from trainables.modules.backbones.tower import Tower

CLIP = "clip"

# SigLIP's image embedding is what its head pools, without a projection.
_SIGLIP: Parts = {"text": ("text_model", "text_model.head"), "image": ("vision_model", "")}


def load_clip_towers(source: str, roles: Sequence[Role] = ROLES["both"]) -> dict[str, Tower]:
    """Load the towers of CLIP or SigLIP from a folder, a hub id or `tiny`, in float32 on the CPU.

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
        return tiny.towers(roles, OpenedTextTower)
    with reading(CLIP, source) as options:
        config = load_config(options)
        if not isinstance(config, CLIPConfig | SiglipConfig):
            msg = (
                f"backbone {CLIP} must be a CLIP or SigLIP model, got a {config.model_type} from"
                f" {source} (families of pairs: {names_of('pair')})"
            )
            raise WeightsError(msg)
        pads = isinstance(config, SiglipConfig)
        model, found = load_model(SiglipModel if pads else CLIPModel, config, options)
    words = load_tokenizer(CLIP, source, model.text_model, causal=not pads)
    if pads:
        words = PaddedTokenizer(words, config.text_config.max_position_embeddings)
    colours = load_colours(CLIP, source, COLOURS["halves"] if pads else OPENAI_COLOURS)
    parts = _SIGLIP if pads else PARTS
    loaded = JointModel(CLIP, model, words, colours, source, found=found, parts=parts)
    return loaded.towers(roles, OpenedTextTower)


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
