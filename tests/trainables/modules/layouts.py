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
_RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
_V3 = _RELATIVE | {
    "position_buckets": 8,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
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
_NO_LIST = "text backbone must be of the BERT family"
REFUSED_TEXTS: Mapping[str, tuple[Layout, str]] = {
    "roberta-prelayernorm": (Layout("RobertaPreLayerNorm", "ForMaskedLM"), _UNCUT),
    "xlm-roberta-xl": (Layout("XLMRobertaXL", "ForMaskedLM"), _UNCUT),
    "megatron-bert": (Layout("MegatronBert", "ForMaskedLM"), _UNCUT),
    "esm": (Layout("Esm", "ForMaskedLM"), _UNCUT),
    "canine": (Layout("Canine", "Model"), _UNCUT),
    "longformer": (Layout("Longformer", "ForMaskedLM", {"attention_window": 4}), _UNCUT),
    "xmod": (Layout("Xmod", "ForMaskedLM"), _UNCUT),
    "layoutlm": (Layout("LayoutLM", "Model"), _UNCUT),
    "albert": (Layout("Albert", "ForMaskedLM", {"embedding_size": 16}), _NO_LIST),
    "modernbert": (Layout("ModernBert", "ForMaskedLM"), _NO_LIST),
    "gpt2": (Layout("GPT2", "LMHeadModel"), _NO_LIST),
}
"""Refused in one line, and why."""

IMAGES: Mapping[str, Layout] = {
    "vit": Layout("ViT", "Model", _PIXELS),
    "vit as a classifier": Layout("ViT", "ForImageClassification", _PIXELS),
    "mobilenet": Layout("MobileNetV2", "Model", {"depth_multiplier": 0.35, "image_size": 64}),
    "mobilenet as a classifier": Layout(
        "MobileNetV2", "ForImageClassification", {"depth_multiplier": 0.35, "image_size": 64}
    ),
}

REFUSED_IMAGES: Mapping[str, Layout] = {
    "deit": Layout("DeiT", "ForImageClassification", _PIXELS),
    "beit": Layout("Beit", "Model", _PIXELS),
    "dinov2": Layout("Dinov2", "Model", _PIXELS | {"num_hidden_layers": 1}),
    "bert": Layout("Bert", "Model"),
}


def made(layout: Layout) -> Any:
    """Make a small model with weights that no two parameters share."""
    config = getattr(transformers, f"{layout.family}Config")
    kind = getattr(transformers, f"{layout.family}{layout.saved_as}")
    whole = layout.sizes is _DISTIL or "depth_multiplier" in layout.sizes
    sizes = layout.sizes if whole else {**_SMALL, **layout.sizes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(config(**sizes)).eval()
        if "depth_multiplier" in sizes:
            warm(model)
            return model
        for name, parameter in model.named_parameters():
            # Norms and biases that start as ones and zeros would hide that one was forgotten.
            if parameter.ndim == 1 and "norm" not in name.lower():
                torch.nn.init.normal_(parameter, 0.0, 0.2)
    return model


def save(model: Any, folder: Path) -> str:
    """Write a checkpoint as it lies on the hub, with words that are hashed."""
    model.save_pretrained(folder)
    HashTokenizer(WORDS).save(folder)
    return str(folder)
