"""Checkpoints as they are published: their families, and the models that they were saved as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import transformers

from tests.conftest import warm
from trainables.modules.backbones.tokenizers import HashTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WORDS = 60
TIMM = "timm's"
# The libraries' small default would make every hidden state alike, and errors invisible.
_SMALL = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
_DISTIL = {
    "vocab_size": WORDS,
    "dim": 32,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 48,
    "initializer_range": 0.3,
}
_PIXELS = {"image_size": 64, "patch_size": 16}
_DINO = _PIXELS | {"mlp_ratio": 2}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
_V3 = _RELATIVE | {
    "position_buckets": 8,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
# Windows of two tokens to each side in two of three layers.
_MODERN = {
    "local_attention": 4,
    "global_attn_every_n_layers": 2,
    "bos_token_id": 1,
    "cls_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
}
_TINY_MAPS = {
    "hidden_sizes": [8, 16, 24],
    "depths": [1, 2, 2],
    "num_stages": 3,
    "initializer_range": 0.3,
}
_TINY_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}
_WINDOWS = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 8,
    "depths": [2, 2],
    "num_heads": [2, 2],
    "window_size": 4,
    "initializer_range": 0.3,
}


class Layout(NamedTuple):
    """A kind of checkpoint: its model, as it was saved, and sizes that make it small."""

    family: str
    saved_as: str
    sizes: Mapping[str, Any] = {}


TEXTS: Mapping[str, Layout] = {
    "bert": Layout("Bert", "Model"),
    "bert for pretraining": Layout("Bert", "ForPreTraining"),
    "bert as a masked LM": Layout("Bert", "ForMaskedLM"),
    "bert as a classifier": Layout("Bert", "ForSequenceClassification"),
    "bert for tokens": Layout("Bert", "ForTokenClassification"),
    "bert for questions": Layout("Bert", "ForQuestionAnswering"),
    "roberta as published": Layout("Roberta", "ForMaskedLM"),
    "roberta as a classifier": Layout("Roberta", "ForSequenceClassification"),
    "xlm-roberta": Layout("XLMRoberta", "ForMaskedLM"),
    "camembert": Layout("Camembert", "ForMaskedLM"),
    "electra": Layout("Electra", "ForPreTraining", {"embedding_size": 32}),
    "electra-small": Layout("Electra", "ForPreTraining", {"embedding_size": 16}),
    "electra's generator": Layout("Electra", "ForMaskedLM", {"embedding_size": 16}),
    "distilbert": Layout("DistilBert", "ForMaskedLM", _DISTIL),
    "distilbert as a classifier": Layout("DistilBert", "ForSequenceClassification", _DISTIL),
    "mpnet": Layout("MPNet", "ForMaskedLM"),
    "deberta": Layout("Deberta", "ForMaskedLM", _RELATIVE),
    "deberta-v3": Layout("DebertaV2", "Model", _V3),
    "deberta-v3 as a classifier": Layout("DebertaV2", "ForSequenceClassification", _V3),
    "deberta-v2 of one key each": Layout(
        "DebertaV2", "ForMaskedLM", _V3 | {"share_att_key": False, "norm_rel_ebd": "none"}
    ),
    "modernbert": Layout("ModernBert", "ForMaskedLM", _MODERN),
    "modernbert as a classifier": Layout("ModernBert", "ForSequenceClassification", _MODERN),
    "albert": Layout("Albert", "ForPreTraining", {"embedding_size": 16}),
    "albert of two groups": Layout(
        "Albert", "Model", {"embedding_size": 16, "num_hidden_groups": 2, "inner_group_num": 2}
    ),
    "ernie": Layout("Ernie", "ForMaskedLM"),
    "data2vec": Layout("Data2VecText", "Model"),
    "rembert": Layout("RemBert", "ForMaskedLM", {"input_embedding_size": 16}),
    "convbert": Layout("ConvBert", "ForMaskedLM", {"embedding_size": 16}),
    "mobilebert": Layout(
        "MobileBert", "ForPreTraining", {"embedding_size": 16, "intra_bottleneck_size": 16}
    ),
    "roformer": Layout("RoFormer", "ForMaskedLM", {"embedding_size": 32}),
    "nystromformer": Layout("Nystromformer", "ForMaskedLM"),
    "mra": Layout("Mra", "ForMaskedLM"),
    "yoso": Layout("Yoso", "ForMaskedLM", {"use_expectation": True}),
    "big-bird": Layout("BigBird", "ForMaskedLM", {"attention_type": "original_full"}),
}
"""Read as they are, at every depth."""

_UNCUT = "cannot be cut between its blocks"
_NO_LIST = "backbone text must be of one of the families"
REFUSED_TEXTS: Mapping[str, tuple[Layout, str]] = {
    "roberta-prelayernorm": (Layout("RobertaPreLayerNorm", "ForMaskedLM"), _UNCUT),
    "xlm-roberta-xl": (Layout("XLMRobertaXL", "ForMaskedLM"), _UNCUT),
    "megatron-bert": (Layout("MegatronBert", "ForMaskedLM"), _UNCUT),
    "esm": (Layout("Esm", "ForMaskedLM"), _UNCUT),
    "canine": (Layout("Canine", "Model"), _UNCUT),
    "longformer": (Layout("Longformer", "ForMaskedLM", {"attention_window": 4}), _UNCUT),
    "xmod": (Layout("Xmod", "ForMaskedLM"), _UNCUT),
    "layoutlm": (Layout("LayoutLM", "Model"), _UNCUT),
    "deberta-v2 that convolves": (
        Layout("DebertaV2", "ForMaskedLM", _V3 | {"conv_kernel_size": 3}),
        _UNCUT,
    ),
    "gpt2": (Layout("GPT2", "LMHeadModel"), _NO_LIST),
}
"""Refused in one line, and why."""

IMAGES: Mapping[str, Layout] = {
    "vit": Layout("ViT", "Model", _PIXELS),
    "vit as a classifier": Layout("ViT", "ForImageClassification", _PIXELS),
    "deit": Layout("DeiT", "ForImageClassification", _PIXELS),
    "msn": Layout("ViTMSN", "ForImageClassification", _PIXELS),
    "dinov2": Layout("Dinov2", "Model", _PIXELS | {"mlp_ratio": 2}),
    "dinov2 that gates": Layout(
        "Dinov2", "Model", _PIXELS | {"mlp_ratio": 2, "use_swiglu_ffn": True}
    ),
    "dinov2 with registers": Layout(
        "Dinov2WithRegisters",
        "ForImageClassification",
        _PIXELS | {"mlp_ratio": 2, "num_register_tokens": 3},
    ),
    "clip vision": Layout("CLIPVision", "Model", _PIXELS),
    "siglip vision": Layout("SiglipVision", "Model", _PIXELS),
    "mobilenet": Layout("MobileNetV2", "Model", {"depth_multiplier": 0.35, "image_size": 64}),
    "mobilenet as a classifier": Layout(
        "MobileNetV2", "ForImageClassification", {"depth_multiplier": 0.35, "image_size": 64}
    ),
    "convnext": Layout("ConvNext", "ForImageClassification", _TINY_MAPS),
    "convnext v2": Layout("ConvNextV2", "Model", _TINY_MAPS),
    "swin": Layout("Swin", "ForImageClassification", _WINDOWS),
    "swin with positions": Layout("Swin", "Model", _WINDOWS | {"use_absolute_embeddings": True}),
    "resnet": Layout(
        "ResNet",
        "ForImageClassification",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 24],
            "depths": [1, 2, 2],
            "layer_type": "basic",
        },
    ),
    "resnet of bottlenecks": Layout("ResNet", "Model", _TINY_RESNET),
}

REFUSED_IMAGES: Mapping[str, Layout] = {
    "beit": Layout("Beit", "Model", _PIXELS),
    "bert": Layout("Bert", "Model"),
}

_TIMM_VIT = {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 3, "num_heads": 4}
FAMILY_LAYOUTS: Mapping[str, Layout] = {
    "BERT": TEXTS["bert"],
    "MiniLM": TEXTS["bert for pretraining"],
    "MPNet": TEXTS["mpnet"],
    "RoBERTa": TEXTS["roberta as published"],
    "XLM-R": TEXTS["xlm-roberta"],
    "ModernBERT": TEXTS["modernbert"],
    "DeBERTa": TEXTS["deberta-v3"],
    "ELECTRA": TEXTS["electra-small"],
    "DistilBERT": TEXTS["distilbert"],
    "ALBERT": TEXTS["albert of two groups"],
    "ViT": IMAGES["vit"],
    "DeiT": IMAGES["deit"],
    "MSN": IMAGES["msn"],
    "DINOv2": IMAGES["dinov2"],
    "DINOv2 with registers": IMAGES["dinov2 with registers"],
    "CLIP's image tower": IMAGES["clip vision"],
    "SigLIP's image tower": IMAGES["siglip vision"],
    "ConvNeXt": IMAGES["convnext"],
    "ConvNeXt V2": IMAGES["convnext v2"],
    "Swin": IMAGES["swin"],
    "ResNet": IMAGES["resnet of bottlenecks"],
    "MobileNetV2": IMAGES["mobilenet"],
    "timm's ViT, DeiT, DINOv2, SigLIP": Layout("vit_tiny_patch16_224", TIMM, _TIMM_VIT),
    "timm's ResNet": Layout("resnet10t", TIMM),
    "timm's ConvNeXt": Layout("convnext_atto", TIMM, {"depths": [1, 1, 2, 1], "dims": [8] * 4}),
    "timm's EfficientNet": Layout("tinynet_e", TIMM),
    "timm's MobileNetV3": Layout("mobilenetv3_small_050", TIMM),
}
"""A small model of every family for one role, by its name."""


def made(layout: Layout) -> Any:
    """Make a small model with weights that no two parameters share."""
    if layout.saved_as is TIMM:
        config = transformers.TimmWrapperConfig(
            architecture=layout.family, model_args=dict(layout.sizes), num_labels=0
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return spread(transformers.TimmWrapperModel(config).eval())
    config = getattr(transformers, f"{layout.family}Config")
    kind = getattr(transformers, f"{layout.family}{layout.saved_as}")
    whole = layout.sizes is _DISTIL or {"depth_multiplier", "depths"} & layout.sizes.keys()
    sizes = layout.sizes if whole else {**_SMALL, **layout.sizes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spread(kind(config(**sizes)).eval())


def spread(model: Any) -> Any:
    """Draw anew what starts as zeros or ones, or so small that every hidden state is alike.

    Else nobody would see that a norm, a bias or a scale was forgotten.
    """
    warm(model)
    for name, parameter in model.named_parameters():
        scales = any(word in name for word in ("lambda", "layer_scale", ".ls1", ".ls2"))
        if scales:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif "norm" not in name.lower() and (
            parameter.ndim == 1 or float(parameter.detach().std()) == 0
        ):
            torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model


def save(model: Any, folder: Path) -> str:
    """Write a checkpoint as it lies on the hub, with words that are hashed."""
    model.save_pretrained(folder)
    HashTokenizer(WORDS).save(folder)
    return str(folder)
