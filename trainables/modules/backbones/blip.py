"""BLIP. The only module that uses its classes in transformers, so that a change there stays local.

The library has deprecated `BlipModel`, which holds both towers and their projections; `BlipTowers`
replaces it, made of the classes that stay, with the same parameter names. Captioning checkpoints
hold the text tower as their decoder, without pooler and projections; retrieval checkpoints have
projections that read the first token directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipPreTrainedModel,
    BlipTextModel,
    BlipVisionModel,
)

from trainables.config import ROLES
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
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.weights import TINY, WeightsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainables.config import Role
    from trainables.modules.backbones.tower import Tower

BLIP = "blip"

_CAPTIONING = "BlipForConditionalGeneration"
# Where the text tower is: in captioning checkpoints, and in those for VQA or retrieval.
_DECODER = {r"^text_decoder\.bert\.": "text_model."}
_ENCODER = {r"^text_encoder\.": "text_model."}

_RETRIEVAL: Parts = {
    "text": ("text_encoder", "text_proj"),
    "image": ("vision_model", "vision_proj"),
}


class BlipTowers(BlipPreTrainedModel):  # type: ignore[misc] # transformers is not typed
    """Both towers of BLIP with their projections, named as in the library's `BlipModel`."""

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        text, vision, width = config.text_config, config.vision_config, config.projection_dim
        self.text_model = BlipTextModel(text)
        self.vision_model = BlipVisionModel(vision)
        self.visual_projection = nn.Linear(vision.hidden_size, width, bias=False)
        self.text_projection = nn.Linear(text.hidden_size, width, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))
        self.post_init()


def load_blip_towers(source: str, roles: Sequence[Role] = ROLES["both"]) -> dict[str, Tower]:
    """Load the towers of BLIP from a folder, a hub id or `tiny`, in float32 on the CPU.

    The text tower's cross-attention is loaded and counted, but unused for text alone.

    Returns:
        The towers, by role. Their notes list the parts that the checkpoint lacks, which are
        initialised randomly with a fixed seed.

    Raises:
        WeightsError: If the weights cannot be loaded; the message has a remedy.
    """
    if source == TINY:
        with seeded():
            model = BlipTowers(_tiny())
        hashed = HashTokenizer(TINY_VOCABULARY)
        tiny = JointModel(BLIP, model, hashed, OPENAI_COLOURS, source, is_random=True)
        return tiny.towers(roles)
    rest: dict[str, Any] = {}
    with reading(BLIP, source) as options:
        config = load_config(options)
        if not isinstance(config, BlipConfig):
            msg = f"backbone {BLIP} must be a BLIP model, got a {config.model_type} from {source}"
            raise WeightsError(msg)
        purposes = config.architectures or [_CAPTIONING]
        if BlipForImageTextRetrieval.__name__ in purposes:
            model, found = load_model(BlipForImageTextRetrieval, config, options)
            rest = {"parts": _RETRIEVAL, "reads_first_token": True}
        else:
            names = _DECODER if _CAPTIONING in purposes else _ENCODER
            model, found = load_model(BlipTowers, config, options, names)
    text = getattr(model, rest.get("parts", PARTS)["text"][0])
    words = load_tokenizer(BLIP, source, text)
    colours = load_colours(BLIP, source, OPENAI_COLOURS)
    return JointModel(BLIP, model, words, colours, source, found=found, **rest).towers(roles)


def _tiny() -> BlipConfig:
    size: dict[str, Any] = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "initializer_range": 0.1,
    }
    return BlipConfig(
        text_config=size | {"vocab_size": TINY_VOCABULARY, "bos_token_id": 1, "eos_token_id": 2},
        vision_config=size | {"image_size": 128, "patch_size": 32},
        projection_dim=32,
        initializer_range=0.1,
    )
