"""CLIP and BLIP: faults of their config, what it decides, and the sizes of the real models."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import BlipConfig, CLIPConfig, CLIPModel

from trainables.config import ROLES, ConfigError
from trainables.modules.backbones.blip import BlipTowers
from trainables.modules.backbones.joint import JointModel
from trainables.modules.backbones.loading import OPENAI_COLOURS
from trainables.modules.backbones.opened_text_tower import OpenedTextTower
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.cut import Cut
from trainables.variants import VARIANTS
from trainables.variants.joint import BlipFusionConfig, ClipFusionConfig
from trainables.worker import Workbench, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.experiment import Experiment
    from trainables.modules.backbones.tower import Tower

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"fusion": "sum"}, "fusion must be add or concat, got 'sum'"),
    ({"text_unfrozen_layers": -1}, "text_unfrozen_layers must be >= 0, got -1"),
    ({"image_unfrozen_layers": -2}, "image_unfrozen_layers must be >= 0, got -2"),
    ({"hidden_width": 0}, "hidden_width must be >= 1, got 0"),
    ({"head_dropout": 1.0}, "head_dropout must be in [0, 1), got 1.0"),
    ({"head_dropout": math.nan}, "head_dropout must be in [0, 1), got nan"),
    ({"block_dropout": 1.0}, "block_dropout must be in [0, 1), got 1.0"),
]
NAMES = ("clip", "blip", "blip_enhanced")
# What each loads: one checkpoint for both towers.
CHECKPOINTS = {"clip": "clip", "blip": "blip", "blip_enhanced": "blip"}
each = pytest.mark.parametrize("name", NAMES)


@pytest.mark.parametrize(("values", "message"), FAULTS)
def test_a_bad_value_is_named_with_its_rule(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        ClipFusionConfig.from_params(values)
    assert str(error.value) == message


def test_all_faults_come_at_once() -> None:
    values = {name: value for case, _ in FAULTS for name, value in case.items()}
    assert len(list(ClipFusionConfig(**values).faults())) == len(values)


def test_a_config_says_where_the_towers_are_cut() -> None:
    config = ClipFusionConfig(text_unfrozen_layers=2, image_unfrozen_layers=0)
    assert config.cuts() == {"text": Cut(2), "image": Cut(0)}


@each
@pytest.mark.parametrize(("fusion", "fused"), [("add", 32), ("concat", 64)])
def test_a_config_shapes_the_head(name: str, fusion: Any, fused: int) -> None:
    towers = VARIANTS[name].load({CHECKPOINTS[name]: "tiny"}, ROLES["both"])
    config = ClipFusionConfig(fusion=fusion, hidden_width=7, head_dropout=0.25, normalize=True)
    head: Any = VARIANTS[name].build(config, towers).head
    assert head.hidden.weight.shape == (7, fused)
    assert head.dropout.p == 0.25
    assert head.normalize


@each
def test_a_backbone_that_cannot_be_had_is_an_error_of_weights(name: str) -> None:
    with pytest.raises(
        WeightsError, match=rf"backbone {CHECKPOINTS[name]} .* no folder \./no/such"
    ):
        VARIANTS[name].load({CHECKPOINTS[name]: "./no/such"}, ROLES["both"])


def real_towers(name: str) -> Mapping[str, Tower]:
    """CLIP ViT-B/32, or BLIP-base at 384 px, without weights."""
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig()) if name == "clip" else BlipTowers(BlipConfig())
    joint = JointModel(name, model, HashTokenizer(99), OPENAI_COLOURS, name, is_random=True)
    return joint.towers(ROLES["both"], OpenedTextTower if name == "clip" else TextTower)


@pytest.mark.parametrize(
    ("name", "total", "trainable"),
    [
        ("clip", 151_409_412, 21_267_971),
        # The lab left the image projection at its random start.
        ("blip", 224_792_068, 33_538_563 + 393_216),
        ("blip_enhanced", 224_858_116, 33_604_611 + 393_216),
    ],
)
def test_the_hand_tuned_classifiers_have_the_sizes_of_the_lab(
    make_experiment: Callable[..., Experiment], name: str, total: int, trainable: int
) -> None:
    bench = Workbench(make_experiment(variant=name, backbones={CHECKPOINTS[name]: "tiny"}))
    bench.__dict__["towers"] = real_towers(name)
    counted = bench.count(bench.variant.build(bench.variant.hand_tuned, bench.towers))
    assert counted == {"total": total, "trainable": trainable}


def test_the_large_checkpoint_is_of_the_published_sizes(
    make_experiment: Callable[..., Experiment],
) -> None:
    # blip-image-captioning-large: ViT-L/16 beside a text tower of the base size that reads it.
    vision = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    config = BlipConfig(vision_config=vision | {"intermediate_size": 4096})
    with torch.device("meta"):
        model = BlipTowers(config)
    joint = JointModel("blip", model, HashTokenizer(99), OPENAI_COLOURS, "large", is_random=True)
    bench = Workbench(make_experiment(variant="blip", backbones={"blip": "tiny"}))
    bench.__dict__["towers"] = joint.towers()
    counted = bench.count(bench.variant.build(bench.variant.hand_tuned, bench.towers))
    block = 12 * 1024 * 1024 + 13 * 1024
    image = 24 * block + (3 * 16 * 16 + 1) * 1024 + (577 + 1) * 1024 + 2 * 1024 + 1024 * 512
    # The base text tower, whose cross-attention reads 1024 values instead of 768 by two maps.
    text = bench.towers["text"].parameter_count
    wider = 12 * 2 * (1024 - 768) * 768
    assert text == real_towers("blip")["text"].parameter_count + wider
    assert counted["total"] == image + text + (512 + 1) * 128 + 129 * 3
    trained = 2 * block + 2 * (9_451_776 + 2 * (1024 - 768) * 768) + 1024 * 512 + 768 * 512
    assert counted["trainable"] == trained + (512 + 1) * 128 + 129 * 3


def test_text_that_reads_its_image_trains_its_blocks_and_one_projection(
    make_experiment: Callable[..., Experiment],
) -> None:
    bench = Workbench(make_experiment(variant="blip", backbones={"blip": "tiny"}))
    bench.__dict__["towers"] = real_towers("blip")
    config = replace(bench.variant.hand_tuned, fusion="cross", image_unfrozen_layers=0)
    counted = bench.count(bench.variant.build(config, bench.towers))
    assert counted == {"total": 224_792_068, "trainable": 2 * 9_451_776 + 393_216 + 66_051}


@pytest.mark.parametrize(
    ("text", "image", "cuts"),
    [
        (0, 0, {"pair": Cut(0)}),
        (2, 0, {"image": Cut(0, "tokens"), "pair": Cut(2)}),
        (1, 1, {"image": Cut(1, "tokens"), "pair": Cut(1, live=True)}),
    ],
)
def test_what_is_kept_of_text_that_reads_its_image_hangs_on_the_frozen_image(
    text: int, image: int, cuts: dict[str, Cut]
) -> None:
    layers = {"text_unfrozen_layers": text, "image_unfrozen_layers": image}
    assert BlipFusionConfig(fusion="cross", **layers).cuts() == cuts


def test_only_text_of_blip_reads_images() -> None:
    assert list(BlipFusionConfig(fusion="cross").faults()) == []
    assert list(BlipFusionConfig(fusion="sum").faults()) == [  # type: ignore[arg-type] # the fault
        "fusion must be add, concat or cross, got 'sum'"
    ]
    assert list(ClipFusionConfig(fusion="cross").faults()) == [
        "fusion must be add or concat, got 'cross'"
    ]


def test_text_alone_never_trains_cross_attention() -> None:
    suffix = real_towers("blip")["text"].suffix(Cut(2))
    crossed = [p.numel() for n, p in suffix.named_parameters() if ".crossattention." in n]
    # Of each block: four maps of 768 x 768 + 768, and a norm.
    assert sum(crossed) == 2 * (4 * (768 * 768 + 768) + 2 * 768)


@each
def test_a_description_names_a_backbone_once(
    make_experiment: Callable[..., Experiment], name: str
) -> None:
    described = describe(make_experiment(variant=name, backbones={CHECKPOINTS[name]: "tiny"}))
    assert described["random_backbones"] == [CHECKPOINTS[name]]
    assert described["fingerprints"].keys() == {"text", "image"}
    assert described["notes"] == []
