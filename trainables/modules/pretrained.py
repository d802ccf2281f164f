"""Load towers: from a local folder or file, the hub, torchvision, or small and random (`tiny`)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torchvision.models.resnet import BasicBlock, ResNet
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
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
    ViTTower,
)
from trainables.modules.text_tower import TextTower
from trainables.modules.tokenizers import HashTokenizer, PretrainedTokenizer, is_hashed
from trainables.modules.weights import (
    TINY,
    TORCHVISION_RESNETS,
    WeightsError,
    check_source,
    is_local,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

# Random weights are the same everywhere, so that their activations can be cached like any other.
_TINY_SEED = 20_261
_TINY_VOCABULARY = 2_048
_HALF = 0.5


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
            vocab_size=_TINY_VOCABULARY,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=128,
            initializer_range=0.1,
        )
        tokenizer = HashTokenizer(_TINY_VOCABULARY)
        return TextTower(_seeded(BertModel, config), tokenizer, source, is_random=True)
    model = _from_pretrained("text", source)
    folder = Path(source).expanduser()
    try:
        if is_hashed(folder):
            hashed = HashTokenizer(model.config.vocab_size)
            return TextTower(model, hashed, source, is_random=False)
        pretrained = PretrainedTokenizer(AutoTokenizer.from_pretrained(_where(source)))
    except (OSError, ValueError) as error:
        msg = f"backbone text: no tokenizer can be loaded from {source}: {_first_line(error)}"
        raise WeightsError(msg) from error
    return TextTower(model, pretrained, source, is_random=False)


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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_TINY_SEED)
            return ResNetTower(ResNet(BasicBlock, [1, 1, 1, 1]), source, is_random=True)
    if source in TORCHVISION_RESNETS:
        return ResNetTower(_torchvision_resnet(source), source, is_random=False)
    path = Path(source).expanduser()
    if path.is_file() or (path / RESNET_FILE).is_file():
        state = _resnet_state(path if path.is_file() else path / RESNET_FILE)
        return ResNetTower(_resnet_of(state, source), source, is_random=False)
    model = _from_pretrained("image", source)
    mean, std = _colours(source)
    if isinstance(model, MobileNetV2Model):
        return MobileNetTower(model, mean, std, source, is_random=False)
    if isinstance(model, ViTModel):
        return ViTTower(model, mean, std, source, is_random=False)
    msg = (
        "backbone image must be resnet18, a ResNet weights file, or a MobileNetV2 or ViT of "
        f"transformers, got {type(model).__name__} from {source}"
    )
    raise WeightsError(msg)


def _from_pretrained(role: str, source: str) -> PreTrainedModel:
    if faults := check_source(role, source):
        raise WeightsError("\n".join(faults))
    # SDPA takes boolean masks, which the blocks that read one token rely on.
    options: dict[str, Any] = {"dtype": torch.float32}
    try:
        config = AutoConfig.from_pretrained(_where(source))
        if getattr(MODEL_MAPPING.get(type(config), None), "_supports_sdpa", False):
            options["attn_implementation"] = "sdpa"
        return AutoModel.from_pretrained(_where(source), config=config, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        remedy = (
            "the files are damaged or of a kind that transformers does not know"
            if is_local(source)
            else "give a local folder (--backbone "
            f"{role}=DIR), or go online once so that the hub's files are cached"
        )
        msg = f"backbone {role} cannot be loaded from {source}: {_first_line(error)}; {remedy}"
        raise WeightsError(msg) from error


def _where(source: str) -> str:
    return str(Path(source).expanduser()) if is_local(source) else source


def _seeded(model: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    config._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_TINY_SEED)
        return model(config)


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
        msg = f"backbone image: {path} is no readable ResNet state dict: {_first_line(error)}"
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
        msg = f"backbone image: {source} is no ResNet-18 or -34: {_first_line(error)}"
        raise WeightsError(msg) from error
    return model


def _colours(source: str) -> tuple[list[float], list[float]]:
    """Colour statistics from the preprocessor's file; one half where there is none."""
    from transformers.image_processing_base import ImageProcessingMixin  # noqa: PLC0415 - slow

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(_where(source))
    except OSError:
        settings = {}
    half = [_HALF] * 3
    return settings.get("image_mean", half), settings.get("image_std", half)


def _first_line(error: Exception) -> str:
    return re.split(r"\n", str(error).strip(), maxsplit=1)[0]
