"""What the library's own models make of inputs, uncut: the oracle of every family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainables.modules.blocks.activations import Activations
    from trainables.modules.blocks.cut import Pooling

    Blocks = Sequence[Sequence[nn.Module]]
    Reference = Callable[[Any, Activations, Pooling], Tensor]


def embed_text(tower: Any, inputs: Activations, pooling: Pooling) -> Tensor:
    assert inputs.mask is not None
    out = tower.model(input_ids=inputs.values, attention_mask=inputs.mask.long())
    hidden: Tensor = out.last_hidden_state
    if pooling == "cls":
        return hidden[:, 0]
    means = [row[mask].mean(dim=0) for row, mask in zip(hidden, inputs.mask, strict=True)]
    return torch.stack(means)


def standardized(tower: Any, inputs: Activations) -> Tensor:
    mean, std = torch.tensor(tower.mean), torch.tensor(tower.std)
    pixels = (inputs.values / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    # As ours: another memory format adds up in another order, which random weights amplify.
    return pixels.contiguous(memory_format=torch.channels_last)


def embed_maps(tower: Any, inputs: Activations, _: Pooling) -> Tensor:
    embedding: Tensor = tower.model(standardized(tower, inputs)).pooler_output
    return embedding.flatten(1)


def embed_vit(tower: Any, inputs: Activations, pooling: Pooling) -> Tensor:
    out = tower.model(standardized(tower, inputs), interpolate_pos_encoding=True)
    hidden: Tensor = out.last_hidden_state
    return hidden[:, 0] if pooling == "cls" else hidden.mean(dim=1)


def embed_patches(tower: Any, inputs: Activations, pooling: Pooling) -> Tensor:
    """Embed by CLS, or by the mean of patches alone."""
    model = tower.model
    hidden: Tensor = model(standardized(tower, inputs)).last_hidden_state
    extra = {"deit": 2, "dinov2_with_registers": 1}.get(model.config.model_type, 1)
    extra += getattr(model.config, "num_register_tokens", 0)
    return hidden[:, 0] if pooling == "cls" else hidden[:, extra:].mean(dim=1)


def embed_clip(tower: Any, inputs: Activations, pooling: Pooling) -> Tensor:
    """Embed by the library's pooled output, or by the mean of its normed patches."""
    out = tower.model(standardized(tower, inputs), interpolate_pos_encoding=True)
    pooled: Tensor = out.pooler_output
    if pooling == "cls":
        return pooled
    if tower.model.config.model_type.startswith("siglip"):
        patches: Tensor = out.last_hidden_state
    else:
        patches = tower.model.post_layernorm(out.last_hidden_state[:, 1:])
    return patches.mean(dim=1)


def embed_timm(tower: Any, inputs: Activations, pooling: Pooling) -> Tensor:
    model = tower.model.timm_model
    tokens: Tensor = model.forward_features(standardized(tower, inputs))
    if pooling == "mean":
        return tokens[:, model.num_prefix_tokens :].mean(dim=1)
    pooled: Tensor = model.forward_head(tokens)
    return pooled


_IMAGES: dict[str, Reference] = {
    "vit": embed_vit,
    "vit_msn": embed_vit,
    "deit": embed_patches,
    "dinov2": embed_patches,
    "dinov2_with_registers": embed_patches,
    "clip_vision_model": embed_clip,
    "siglip_vision_model": embed_clip,
    "timm_wrapper": embed_timm,
}


def reference_of(model: Any) -> Reference:
    """Return how a library's base model embeds."""
    if hasattr(model, "get_input_embeddings") and model.main_input_name == "input_ids":
        return embed_text
    return _IMAGES.get(model.config.model_type, embed_maps)


def blocks_of(model: Any) -> Blocks:
    """List the blocks of a library's base model, each as the modules that train together."""
    if hasattr(model, "timm_model"):
        return _blocks_of_timm(model.timm_model)
    for place in _BLOCKS:
        found: Any = model
        for name in place.split("."):
            found = getattr(found, name, None)
        if found is not None:
            break
    kind = model.config.model_type
    return _BY_TYPE.get(kind, lambda _, blocks: [[block] for block in blocks])(model, found)


def _of_stages(_: Any, stages: Any) -> Blocks:
    starts = {stage.layers[0]: getattr(stage, "downsampling_layer", None) for stage in stages}
    layers = [layer for stage in stages for layer in stage.layers]
    return [[starts[layer], layer] if starts.get(layer) else [layer] for layer in layers]


def _of_swin(_: Any, stages: Any) -> Blocks:
    ends = {stage.blocks[-1]: stage.downsample for stage in stages if stage.downsample}
    layers = [layer for stage in stages for layer in stage.blocks]
    return [[layer, ends[layer]] if layer in ends else [layer] for layer in layers]


_BY_TYPE: dict[str, Callable[[Any, Any], Blocks]] = {
    "albert": lambda _, groups: [[layer] for group in groups for layer in group.albert_layers],
    "mobilenet_v2": lambda m, blocks: [*([b] for b in blocks[:-1]), [blocks[-1], m.conv_1x1]],
    "swin": _of_swin,
    "convnext": _of_stages,
    "convnextv2": _of_stages,
    "resnet": _of_stages,
}


def _blocks_of_timm(model: Any) -> Blocks:
    match type(model).__name__:
        case "VisionTransformer":
            return [[block] for block in model.blocks]
        case "ResNet":
            stages = (model.layer1, model.layer2, model.layer3, model.layer4)
            return [[block] for stage in stages for block in stage]
        case "ConvNeXt":
            starts = {stage.blocks[0]: stage.downsample for stage in model.stages}
            layers = [layer for stage in model.stages for layer in stage.blocks]
            return [[starts[layer], layer] if layer in starts else [layer] for layer in layers]
    blocks = [[block] for stage in model.blocks for block in stage]
    if hasattr(model, "bn2"):  # EfficientNet's last convolution trains with its last block
        blocks[-1] += [model.conv_head, model.bn2]
    return blocks


_BLOCKS = (
    "encoder.layer",
    "encoder.layers",
    "encoder.stages",
    "encoder.albert_layer_groups",
    "transformer.layer",
    "layers",
    "layer",
)
