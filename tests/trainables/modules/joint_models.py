"""Small random CLIP and BLIP models of the library's own, and folders that hold them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipModel,
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
)

from trainables.modules.backbones.tokenizers import HashTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

VOCABULARY, END = 60, 49
DEPTHS = {"text": 3, "image": 2}
COLOURS = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}

_SIZE = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
_TEXT = {"vocab_size": VOCABULARY, "num_hidden_layers": 3, "bos_token_id": 1, "eos_token_id": END}
_IMAGE = {"image_size": 64, "patch_size": 16, "num_hidden_layers": 2}
# The libraries' small defaults would make every hidden state alike, and errors invisible.
_SPREAD = {"initializer_range": 0.3}


def clip_model() -> Any:
    config = CLIPConfig(
        text_config=_SIZE | _TEXT, vision_config=_SIZE | _IMAGE | _SPREAD, projection_dim=24
    )
    return _made(CLIPModel, config)


def siglip_model() -> Any:
    """A SigLIP whose text is wider, and projected to the width of its images."""
    text = _SIZE | _TEXT | {"hidden_size": 40, "max_position_embeddings": 9, "projection_size": 32}
    return _made(SiglipModel, SiglipConfig(text_config=text, vision_config=_SIZE | _IMAGE))


def open_clip_model() -> Any:
    """A CLIP as OpenCLIP's are published: widths that differ, another activation, an older end."""
    text = _SIZE | _TEXT | {"hidden_size": 40, "hidden_act": "gelu", "eos_token_id": 2}
    image = _SIZE | _IMAGE | _SPREAD | {"hidden_act": "gelu", "patch_size": 8}
    return _made(CLIPModel, CLIPConfig(text_config=text, vision_config=image, projection_dim=24))


def blip_model() -> Any:
    return _made(BlipModel, _blip_config())


def captioning_model(vision_width: int = 32) -> Any:
    return _made(BlipForConditionalGeneration, _blip_config(vision_width))


def retrieval_model() -> Any:
    return _made(BlipForImageTextRetrieval, _blip_config())


def _blip_config(vision_width: int = 32) -> BlipConfig:
    return BlipConfig(
        text_config=_SIZE | _TEXT | _SPREAD,
        vision_config=_SIZE | _IMAGE | _SPREAD | {"hidden_size": vision_width},
        projection_dim=24,
        image_text_hidden_size=28,
        **_SPREAD,
    )


def _made(kind: type[PreTrainedModel], config: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = kind(config).eval()
        for name, parameter in model.named_parameters():
            # Norms and biases that start as ones and zeros would hide that one was forgotten.
            if parameter.ndim == 1:
                start = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
                torch.nn.init.normal_(parameter, start, 0.2)
    return model


def save(model: Any, folder: Path) -> str:
    """Write a checkpoint as it lies on the hub, with words that are hashed."""
    model.save_pretrained(folder)
    HashTokenizer(VOCABULARY).save(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(COLOURS))
    return str(folder)
