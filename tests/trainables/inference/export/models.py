"""Small models of every variant, as they ship: written to disk without training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from tests.trainables.modules.joint_models import captioning_model, clip_model, save, siglip_model
from trainables.config import InputSettings
from trainables.evaluation.decision import DecisionRule
from trainables.inference.model_folder import Member, save_model
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from trainables.config import Modality

INPUTS = InputSettings(image_size=64, text_length=12, image_preparation="imagenet")
RULE = DecisionRule(0.36, temperature=1.7, neutral_weight=1.4)
_DEEP = {"text_unfrozen_layers": 2, "image_unfrozen_layers": 1}
_FROZEN = {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}
_SECOND_CLEANING = {"text_cleaning": "minimal", "image_preparation": "basic"}
_PAIR = {"text": "bert", "image": "vit"}
_JOINT: Mapping[str, Callable[[], Any]] = {
    "clip": clip_model,
    "siglip": siglip_model,
    "captions": lambda: captioning_model(vision_width=48),
}


class Model(NamedTuple):
    """A model to write.

    Attributes:
        variant: Its variant.
        members: What each changes of the hand-tuned config.
        backbones: The sources of its backbones, by the names of fixtures.
        modality: What it reads.
        regressions: How many members, the last ones, are regressions.
        inputs: How pairs are preprocessed.
    """

    variant: str
    members: Sequence[Mapping[str, Any]]
    backbones: Mapping[str, str] = _PAIR
    modality: Modality = "both"
    regressions: int = 0
    inputs: InputSettings = INPUTS


MODELS: Mapping[str, Model] = {
    "early fusion with the lexicon": Model("early_fusion", [_DEEP | {"lexicon": True}]),
    "late fusion by weight and by vote": Model(
        "late_fusion",
        [_DEEP, _FROZEN | {"fusion": "vote"}],
        {"text": "roberta", "image": "mobilenet"},
    ),
    "clip": Model("clip", [_DEEP], {"clip": "clip"}),
    "siglip": Model("clip", [_DEEP | {"fusion": "concat"}], {"clip": "siglip"}),
    "blip, and blip whose text, open or frozen, reads its image": Model(
        "blip",
        [_DEEP, _DEEP | {"fusion": "cross"}, _FROZEN | {"fusion": "cross"}],
        {"blip": "captions"},
    ),
    "blip enhanced": Model("blip_enhanced", [_DEEP], {"blip": "captions"}),
    "text alone": Model("early_fusion", [_DEEP], {"text": "distilbert"}, "text"),
    "image alone": Model("early_fusion", [_DEEP], {"image": "resnet"}, "image"),
    "an ensemble that reads in several ways": Model(
        "early_fusion",
        [_DEEP, _SECOND_CLEANING | _DEEP, _FROZEN | {"text_pooled_layers": "both"}],
        regressions=1,
    ),
    "two texts": Model(
        "early_fusion",
        [_FROZEN | {"text_backbone": "a+b"}, _DEEP | {"text_backbone": "b"}],
        {"text/a": "bert", "text/b": "roberta", "image": "vit"},
    ),
    "pairs that may lack a part": Model(
        "early_fusion",
        [_FROZEN | {"image_backbone": "a+b"}],
        {"text": "bert", "image/a": "vit", "image/b": "resnet"},
        inputs=replace(INPUTS, missing="allow"),
    ),
    "a regression": Model("early_fusion", [_FROZEN | {"lexicon": True}], regressions=1),
}
"""All kinds of models that ship."""


def write(model: Model, weights: Mapping[str, str], folder: Path) -> Path:
    """Write a model folder; its heads are larger than drawn, so that they tell samples apart."""
    sources = {
        name: save(_JOINT[source](), folder / source) if source in _JOINT else weights[source]
        for name, source in model.backbones.items()
    }
    variant = VARIANTS[model.variant]
    towers = variant.load_towers(sources, model.modality)
    members = []
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for number, changes in enumerate(model.members):
            config = replace(variant.hand_tuned, **changes)
            is_last = number >= len(model.members) - model.regressions
            kind = "regression" if is_last else "trained"
            classifier = variant.build(config, towers, kind)
            for parameter in classifier.starts_random.parameters():
                parameter.data *= 2
            members.append(Member(config, classifier, 1.0 + number, kind))
    save_model(folder / "model", variant, model.inputs, towers, members, RULE)
    return folder / "model"
