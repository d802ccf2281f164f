"""Load towers from a local folder or file, the hub or torchvision, or make a tiny random one."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from safetensors.torch import load_file
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import (
    MODEL_MAPPING,
    BertConfig,
    BertModel,
)

from trainables.modules.backbones.families import (
    COLOURS,
    Family,
    MapPlaces,
    TextPlaces,
    TokenPlaces,
    family_of,
    names_of,
)
from trainables.modules.backbones.image_towers import ImageTower, MobileNetTower, ResNetTower
from trainables.modules.backbones.loading import (
    TINY_VOCABULARY,
    first_line,
    load_colours,
    load_config,
    load_model,
    load_tokenizer,
    reading,
    refuse_misfits,
    seeded,
)
from trainables.modules.backbones.map_tower import MapTower
from trainables.modules.backbones.opened_text_tower import OpenedTextTower
from trainables.modules.backbones.parts import declared_places, type_of
from trainables.modules.backbones.text_tower import TextTower, find_stack
from trainables.modules.backbones.timm_tower import TimmVisionTransformerTower
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.torch_files import read_state_dict, without_wrapping
from trainables.modules.backbones.verification import verified
from trainables.modules.backbones.vision_transformer import VisionTransformerTower
from trainables.modules.backbones.weights import (
    RESNET_FILE,
    TINY,
    TORCHVISION_RESNETS,
    WeightsError,
    check_source,
    local_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_TIMM = "timm_wrapper"
_STEM = 64  # channels of a ResNet before its first block
_LONG = 200  # characters of torch's message that are shown


class _NarrowBlock(Bottleneck):  # type: ignore[misc] # torchvision has no types
    """A bottleneck of the `tiny` ResNet: as many channels as between basic blocks."""

    expansion = 1


def load_text_tower(source: str) -> TextTower:
    """Load a text backbone of the BERT family from a folder, a hub id or `tiny`.

    Returns:
        The tower, in float32 on the CPU.

    Raises:
        WeightsError: If the weights cannot be loaded; the message has a remedy.
    """
    if source == TINY:
        config = BertConfig(
            vocab_size=TINY_VOCABULARY,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=128,
            initializer_range=0.1,  # the default gives such narrow layers hardly any signal
            attn_implementation="sdpa",
        )
        with seeded():
            model = BertModel(config)
        return TextTower(model, HashTokenizer(TINY_VOCABULARY), source, is_random=True)
    model = _from_pretrained("text", source)
    places = declared_places(model)
    opens = isinstance(places, TextPlaces) and places.opens
    if not opens:
        find_stack(model)  # report an unsupported family before any other fault
    tokenizer = load_tokenizer("text", source, model)
    tower = OpenedTextTower if opens else TextTower
    return verified(tower(model, tokenizer, source, is_random=False))


def load_image_tower(source: str) -> ImageTower:
    """Load an image backbone.

    Args:
        source: `resnet18`, a ResNet weights file, a folder or hub id of one of the families for
            images, or `tiny`.

    Returns:
        The tower, in float32 on the CPU.

    Raises:
        WeightsError: If the weights cannot be loaded; the message has a remedy.
    """
    if source == TINY:
        with seeded():
            model = ResNet(_NarrowBlock, [1, 1, 1, 1], num_classes=1, width_per_group=8)
        return ResNetTower(model, source, is_random=True)
    if source in TORCHVISION_RESNETS:
        return ResNetTower(_torchvision_resnet(source), source, is_random=False)
    path = local_path(source)
    if path.is_file() or (path / RESNET_FILE).is_file():
        return ResNetTower(_resnet_of(source), source, is_random=False)
    model = _from_pretrained("image", source)
    family = family_of(type_of(model), "image")
    if family is None:  # the class of a model of timm is known once it is made
        raise WeightsError(_no_image_family(type_of(model), source))
    mean, std = load_colours("image", source, COLOURS[family.colours])
    return verified(_image_tower(family)(model, mean, std, source, is_random=False))


def _image_tower(family: Family) -> type[ImageTower]:
    """Return the class of a family's tower, by what is declared of its places."""
    if isinstance(family.places, MapPlaces):
        return MapTower
    if isinstance(family.places, TokenPlaces):
        return TimmVisionTransformerTower if family.library == "timm" else VisionTransformerTower
    return MobileNetTower


def _no_image_family(kind: str, source: str) -> str:
    return (
        f"backbone image must be {', '.join(TORCHVISION_RESNETS)}, a ResNet weights file, or of"
        f" one of the families {names_of('image')}, got {kind} from {source}"
    )


def _from_pretrained(role: str, source: str) -> Any:
    """Load a base model; only its pooler, which is unused, may be missing."""
    with reading(role, source) as options:
        config = load_config(options)
        if role == "image":  # of a checkpoint of both, its image tower
            config = getattr(config, "vision_config", config)
        kind = MODEL_MAPPING.get(type(config), None)
        named = getattr(kind, "__name__", config.model_type)
        is_timm = config.model_type == _TIMM
        if role == "image" and not is_timm and family_of(config.model_type, "image") is None:
            raise WeightsError(_no_image_family(named, source))
        if not isinstance(kind, type):
            msg = (
                f"backbone text must be of one of the families {names_of('text')}, got"
                f" {config.model_type} from {source}"
            )
            raise WeightsError(msg)
        if is_timm and find_spec("timm") is None:
            msg = f"backbone image: {source} is a model of timm; install the extra `timm`"
            raise WeightsError(msg)
        model, found = load_model(kind, config, options, {r"^vision_model\.": ""})
        refuse_misfits(role, source, model, found, ("pooler.",))
        return model


def _torchvision_resnet(name: str) -> ResNet:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    cached = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
    remedy = f"put {cached.name} there, or give --backbone image=FILE (a state dict of {name})"
    if not cached.is_file() and os.environ.get("HF_HUB_OFFLINE", "0") not in {"", "0"}:
        msg = f"backbone image: offline, and {name} is not in {cached.parent}; {remedy}"
        raise WeightsError(msg)
    if not cached.is_file():
        try:  # downloads to `cached`
            weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (OSError, RuntimeError) as error:
            msg = f"backbone image: {name} cannot be fetched to {cached.parent}: {error}; {remedy}"
            raise WeightsError(msg) from error
    return _resnet_of(str(cached))


def _resnet_of(source: str) -> ResNet:
    """Load a ResNet from a file; its classifier may be missing or of any size."""
    path = local_path(source)
    path = path if path.is_file() else path / RESNET_FILE
    if faults := check_source("image", str(path)):
        raise WeightsError("\n".join(faults))
    state = _resnet_state(path)
    with seeded():
        model = _resnet_like(state)
    wanted = model.state_dict()
    head = {name: wanted[name] for name in wanted if name.startswith("fc.")}
    kept = {name: value for name, value in state.items() if not name.startswith("fc.")}
    if all(name in state and state[name].shape == value.shape for name, value in head.items()):
        head = {name: state[name] for name in head}
    try:
        model.load_state_dict(kept | head)
    except RuntimeError as error:
        fault = "; ".join(line.strip() for line in str(error).splitlines()[1:])
        msg = f"backbone image: {source} is no ResNet of torchvision: {fault[:_LONG]}"
        raise WeightsError(msg) from error
    return model


def _resnet_like(state: Mapping[str, Tensor]) -> ResNet:
    """Make a ResNet with the blocks of a state dict: their number, kind and width."""
    blocks = [
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")})
        for stage in range(1, 5)
    ]
    convolutions = [state.get(f"layer1.0.conv{i}.weight", torch.empty(0)) for i in (2, 3)]
    inside, out = (len(weight) if weight.ndim else 0 for weight in convolutions)
    if not (inside and out):
        return ResNet(BasicBlock, blocks)
    block = _NarrowBlock if out == _STEM * _NarrowBlock.expansion else Bottleneck
    return ResNet(block, blocks, width_per_group=inside)


def _resnet_state(path: Path) -> Mapping[str, Tensor]:
    try:
        state: Mapping[str, Tensor] = (
            load_file(path) if path.suffix == ".safetensors" else read_state_dict(path)
        )
    except Exception as error:  # the loaders raise many types; all mean a bad file
        msg = f"backbone image: {path} is no readable ResNet state dict: {first_line(error)}"
        raise WeightsError(msg) from error
    return without_wrapping(state)
