"""Models of timm as its checkpoints lie on the hub, and every way that its ViTs pool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

from tests.trainables.modules.comparison import compare
from tests.trainables.modules.layouts import FAMILY_LAYOUTS, made, save, spread
from trainables.modules.backbones import pretrained
from trainables.modules.backbones.pretrained import load_image_tower
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut

timm = pytest.importorskip("timm")

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOISE = 5e-5
VIT = FAMILY_LAYOUTS["timm's ViT, DeiT, DINOv2, SigLIP"]
WAYS: Mapping[str, tuple[dict[str, Any], bool]] = {
    "mean": ({"global_pool": "avg"}, True),
    "its norm after the mean": ({"global_pool": "avg", "fc_norm": True}, True),
    "attention, without CLS": ({"global_pool": "map", "class_token": False}, True),
    "registers and scales": ({"reg_tokens": 3, "init_values": 0.5}, True),
    "without bias": ({"qkv_bias": False}, True),
    "norms of queries": ({"qk_norm": True}, False),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_vit_is_pooled_as_it_was_pretrained(
    inputs: Mapping[str, Activations], tmp_path: Path, way: str
) -> None:
    changes, opens = WAYS[way]
    model = made(VIT._replace(sizes={**VIT.sizes, **changes}))
    tower: Any = load_image_tower(save(model, tmp_path))
    assert tower.opens == opens
    for pooling in tower.poolings:
        for unfrozen in (0, 2):
            found = compare(model, tower, inputs["image"], Cut(unfrozen, pooling))
            assert max(found) < NOISE, (pooling, unfrozen)


@pytest.mark.parametrize("side", [64, 96])
def test_images_of_another_size_are_read(tmp_path: Path, side: int) -> None:
    tower = load_image_tower(save(made(VIT), tmp_path))
    pixels = Activations(torch.zeros(1, 3, side, side, dtype=torch.uint8))
    with torch.no_grad():
        assert tower.prefix(Cut(0))(pixels).values.shape == (1, 32)
        assert tower.prefix(Cut(1))(pixels).values.shape == (1, (side // 16) ** 2 + 1, 32)


def test_a_checkpoint_as_timm_publishes_it_is_read(
    inputs: Mapping[str, Activations], tmp_path: Path
) -> None:
    model = spread(timm.create_model("resnet10t", num_classes=7).eval())
    save_file(model.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
    colours = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "input_size": [3, 176, 176]}
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": "resnet10t", "num_classes": 7, "pretrained_cfg": colours})
    )
    tower = load_image_tower(str(tmp_path))
    assert (tower.mean, tower.std) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (tower.mean, tower.std))
    with torch.no_grad():
        pixels = (inputs["image"].values / 255 - mean) / std
        wanted = model.forward_head(model.forward_features(pixels), pre_logits=True)
        got = tower.prefix(Cut(0))(inputs["image"]).values
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)
    tower.save(tmp_path / "again")
    assert load_image_tower(str(tmp_path / "again")).fingerprint == tower.fingerprint


def test_a_model_that_no_family_is_like_is_refused_by_its_class(tmp_path: Path) -> None:
    source = save(made(VIT._replace(family="mobilevit_xxs", sizes={})), tmp_path)
    with pytest.raises(
        WeightsError, match=r"one of the families .*timm's ResNet.*, got ByobNet f"
    ):
        load_image_tower(source)


def test_without_timm_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(made(VIT), tmp_path)
    monkeypatch.setattr(pretrained, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r"is a model of timm; install the extra `timm`$"):
        load_image_tower(source)
