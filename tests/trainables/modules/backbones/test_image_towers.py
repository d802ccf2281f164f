"""Image towers: their sizes, their colours, and what a saved one gives back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torchvision.models import resnet18
from transformers import MobileNetV2Config, MobileNetV2Model, ResNetConfig, ResNetModel
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from tests.conftest import warm
from trainables.modules.backbones.image_towers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImageTower,
    MobileNetTower,
    ResNetTower,
    Standardize,
)
from trainables.modules.backbones.map_tower import MapTower
from trainables.modules.backbones.pretrained import load_image_tower
from trainables.modules.backbones.verification import verified
from trainables.modules.backbones.weights import RESNET_FILE
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.parameters import total_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainables.modules.backbones.tower import Tower


def test_pixels_are_standardized_channel_by_channel() -> None:
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    values = Standardize((0.5, 0.0, 0.1), (0.25, 0.5, 0.1))(pixels).flatten()
    # Red is (0 - .5) / .25, and so on.
    torch.testing.assert_close(values, torch.tensor([-2.0, 2.0, 1.0]))


def test_resnet18_has_its_published_size_without_its_classifier() -> None:
    with torch.device("meta"):
        model = resnet18()
    tower = ResNetTower(model, "resnet18", is_random=True)
    assert (tower.depth, tower.width) == (4, 512)
    assert tower.parameter_count == 11_176_512
    # The last stage: 3x3 convolutions 256->512 and 3 of 512->512, a 1x1 of 256->512, 5 norms.
    stage = 256 * 512 * 9 + 3 * 512 * 512 * 9 + 256 * 512 + 5 * 2 * 512
    assert total_parameters(tower.suffix(Cut(1)), trainable=True) == stage


@pytest.mark.parametrize("size", [64, 96])
def test_any_image_size_is_read(towers: Mapping[str, Tower], size: int) -> None:
    pixels = Activations(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    for family in ("resnet", "mobilenet", "vit"):
        with torch.no_grad():
            embedding = towers[family].prefix(Cut(0))(pixels).values
        assert embedding.shape == (1, towers[family].width)
        assert embedding.isfinite().all()


@pytest.mark.parametrize("size", [64, 75, 97])
def test_a_mobilenet_pads_as_its_library_does(size: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MobileNetV2Model(MobileNetV2Config(depth_multiplier=0.35)).eval()
        warm(model)
    library = copy.deepcopy(model)
    tower = MobileNetTower(model, IMAGENET_MEAN, IMAGENET_STD, "made", is_random=True)
    pixels = torch.randn(2, 3, size, size)
    with torch.no_grad():
        mine, theirs = (each(pixels).pooler_output for each in (tower.model, library))
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    assert theirs.std() > 0.01
    # Only convolutions that shrink their maps are padded by a copy.
    copied = [layer for layer in tower.model.modules() if getattr(layer, "convolution", None)]
    steps = [layer.convolution.stride for layer in copied if layer.config.tf_padding]
    assert steps == [(2, 2)] * 5
    assert tower.model.config.tf_padding


@pytest.mark.parametrize("family", ["resnet", "mobilenet"])
def test_what_is_frozen_runs_without_batch_norms_and_what_trains_keeps_them(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations], family: str
) -> None:
    def norms(module: torch.nn.Module) -> int:
        return sum(isinstance(each, torch.nn.BatchNorm2d) for each in module.modules())

    tower: Any = towers[family]
    folded = tower.prefix(Cut(0))
    assert norms(folded) == 0
    assert norms(tower.suffix(Cut(1))) > 0
    tower.folds = False
    try:
        plain = tower.prefix(Cut(0))
    finally:
        del tower.folds
    assert norms(plain) > 0
    with torch.no_grad():
        mine, theirs = (each(inputs["image"]).values for each in (folded, plain))
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_batch_norms_stay_where_a_model_calls_them_in_another_order_than_it_registers() -> None:
    class NormFirst(ResNetConvLayer):  # type: ignore[misc] # of transformers, untyped
        def forward(self, maps: torch.Tensor) -> Any:
            return self.activation(self.convolution(self.normalization(maps)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = ResNetModel(ResNetConfig(hidden_sizes=[8, 8], depths=[1, 1])).eval()
        model.encoder.stages[0].layers[0].layer[1].__class__ = NormFirst
        warm(model)
    tower = MapTower(model, IMAGENET_MEAN, IMAGENET_STD, "made", is_random=True)
    assert tower.folds
    assert not verified(tower).folds


def test_a_vit_frozen_whole_pools_its_patches_as_asked(
    towers: Mapping[str, Tower], inputs: Mapping[str, Activations]
) -> None:
    with torch.no_grad():
        first, mean = (towers["vit"].prefix(Cut(0, p))(inputs["image"]) for p in ("cls", "mean"))
    assert not torch.allclose(first.values, mean.values, atol=1e-2)


@pytest.mark.parametrize("family", ["resnet", "mobilenet", "vit"])
def test_a_saved_tower_is_the_same_when_loaded(
    towers: Mapping[str, Any], tmp_path: Path, family: str
) -> None:
    tower: ImageTower = towers[family]
    tower.save(tmp_path)
    again = load_image_tower(str(tmp_path))
    assert type(again) is type(tower)
    assert again.fingerprint == tower.fingerprint
    assert (again.mean, again.std) == (tower.mean, tower.std)
    assert (tmp_path / RESNET_FILE).exists() == (family == "resnet")


def test_a_resnet_takes_the_colours_of_imagenet(towers: Mapping[str, Any]) -> None:
    assert (towers["resnet"].mean, towers["resnet"].std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert towers["vit"].mean == (0.4, 0.5, 0.6)
    assert towers["vit"].std == (0.2, 0.25, 0.3)
