"""Parameter counts of the real architectures, without their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torchvision.models import resnet18
from transformers import BertConfig, BertModel

from trainables.modules.backbones.image_towers import ResNetTower
from trainables.modules.backbones.text_tower import TextTower
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.worker import Workbench

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainables.experiment import Experiment


def real_towers() -> Mapping[str, Any]:
    """BERT-base and ResNet-18 without weights."""
    with torch.device("meta"):
        bert, resnet = BertModel(BertConfig()), resnet18()
    return {
        "text": TextTower(bert, HashTokenizer(99), "bert-base", is_random=True),
        "image": ResNetTower(resnet, "resnet18", is_random=True),
    }


@pytest.mark.parametrize(
    ("text", "image", "towers"),
    [(0, 0, 0), (1, 0, 7_087_872), (2, 1, 2 * 7_087_872 + 8_393_728)],
)
def test_early_fusion_of_bert_base_and_resnet18_has_the_published_size(
    make_experiment: Callable[..., Experiment], text: int, image: int, towers: int
) -> None:
    bench = Workbench(make_experiment())
    bench.__dict__["towers"] = real_towers()
    layers = {"text_unfrozen_layers": text, "image_unfrozen_layers": image}
    config = bench.config(layers | {"projection_width": 256, "hidden_width": 1024})
    head = 768 * 256 + 256 + 512 * 256 + 256 + 512 * 1024 + 1024 + 1024 * 3 + 3
    counted = bench.count(bench.variant.build(config, bench.towers))
    assert counted == {"total": 121_515_331, "trainable": towers + head}
    assert all(type(count) is int for count in counted.values())
