"""Load towers: from a local folder or file, the hub, torchvision, or small and random (`tiny`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from safetensors.torch import load_file
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    BertConfig,
    BertModel,
    MobileNetV2Model,
    ViTModel,
)

from trainables.modules.image_towers import (
    RESNET_FILE,
    ImageTower,
    MobileNetTower,
    ResNetTower,
)
from trainables.modules.loading import (
    TINY_VOCABULARY,
    first_line,
    load_colours,
    load_tokenizer,
    reading,
    seeded,
)
from trainables.modules.text_tower import TextTower
from trainables.modules.tokenizers import HashTokenizer
from trainables.modules.vision_transformer import VisionTransformerTower
from trainables.modules.weights import TINY, TORCHVISION_RESNETS, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PreTrainedModel

# Colours of a checkpoint that does not say its own: what ViT was trained on.
_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def load_text_tower(source: str) -> TextTower:
    """Load a text backbone of the BERT family.

    Args:
        source: A folder, a hub id or `tiny`.

    Returns:
        The tower, in float32 on the CPU.

    Raises:
        WeightsError: If the weights cannot be had, with the remedy.
    """
    if source == TINY:
        config = BertConfig(
            vocab_size=TINY_VOCABULARY,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=128,
            initializer_range=0.1,  # of layers so narrow, the library's default shows little
            attn_implementation="sdpa",
        )
        with seeded():
            model = BertModel(config)
        return TextTower(model, HashTokenizer(TINY_VOCABULARY), source, is_random=True)
    model = _from_pretrained("text", source)
    tokenizer = load_tokenizer("text", source, model.config.vocab_size)
    return TextTower(model, tokenizer, source, is_random=False)


def load_image_tower(source: str) -> ImageTower:
    """Load an image backbone.

    Args:
        source: `resnet18`, a ResNet weights file, a folder or hub id of MobileNetV2 or ViT, or
            `tiny`.

    Returns:
        The tower, in float32 on the CPU.

    Raises:
        WeightsError: If the weights cannot be had, with the remedy.
    """
    if source == TINY:
        with seeded():
            return ResNetTower(ResNet(BasicBlock, [1, 1, 1, 1]), source, is_random=True)
    if source in TORCHVISION_RESNETS:
        return ResNetTower(_torchvision_resnet(source), source, is_random=False)
    path = Path(source).expanduser()
    if path.is_file() or (path / RESNET_FILE).is_file():
        state = _resnet_state(path if path.is_file() else path / RESNET_FILE)
        return ResNetTower(_resnet_of(state, source), source, is_random=False)
    model = _from_pretrained("image", source)
    mean, std = load_colours("image", source, _HALVES)
    if isinstance(model, MobileNetV2Model):
        return MobileNetTower(model, mean, std, source, is_random=False)
    if isinstance(model, ViTModel):
        return VisionTransformerTower(model, mean, std, source, is_random=False)
    msg = (
        "backbone image must be resnet18, a ResNet weights file, or a MobileNetV2 or ViT of "
        f"transformers, got {type(model).__name__} from {source}"
    )
    raise WeightsError(msg)


def _from_pretrained(role: str, source: str) -> PreTrainedModel:
    # SDPA takes boolean masks and is faster; not all families have it.
    options: dict[str, Any] = {"dtype": torch.float32}
    with reading(role, source) as place:
        config = AutoConfig.from_pretrained(place)
        if getattr(MODEL_MAPPING.get(type(config), None), "_supports_sdpa", False):
            options["attn_implementation"] = "sdpa"
        return AutoModel.from_pretrained(place, config=config, **options)


def _torchvision_resnet(name: str) -> ResNet:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    cached = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
    remedy = f"put {cached.name} there, or give --backbone image=FILE (a state dict of {name})"
    if not cached.is_file() and os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        msg = f"backbone image: offline, and {name} is not in {cached.parent}; {remedy}"
        raise WeightsError(msg)
    try:
        return torchvision.models.get_model(name, weights=weights)
    except (OSError, RuntimeError) as error:
        msg = f"backbone image: {name} cannot be fetched to {cached.parent}: {error}; {remedy}"
        raise WeightsError(msg) from error


def _resnet_state(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # the loaders raise many types; all mean a bad file
        msg = f"backbone image: {path} is no readable ResNet state dict: {first_line(error)}"
        raise WeightsError(msg) from error


def _resnet_of(state: Mapping[str, Tensor], source: str) -> ResNet:
    """Build the ResNet of basic blocks that a state dict belongs to."""
    blocks = [
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")})
        for stage in range(1, 5)
    ]
    model = ResNet(BasicBlock, blocks)
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        msg = f"backbone image: {source} is no ResNet-18 or -34: {first_line(error)}"
        raise WeightsError(msg) from error
    return model
