"""Both towers of CLIP and of BLIP, cut anywhere, equal the library's own features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainables.modules.joint_models import (
    COLOURS,
    DEPTHS,
    END,
    blip_model,
    clip_model,
    save,
)
from trainables.modules.backbones.blip import load_blip_towers
from trainables.modules.backbones.clip import load_clip_towers
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.open_block import OpenBlock
from trainables.modules.blocks.parameters import total_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.backbones.tower import Tower

LOADERS = {"clip": load_clip_towers, "blip": load_blip_towers}
MODELS = {"clip": clip_model, "blip": blip_model}
TOWERS = [(name, role) for name in MODELS for role in DEPTHS]
CASES = [(name, role, k) for name, role in TOWERS for k in range(DEPTHS[role] + 1)]
# Softmax does not see what all keys have in common.
KEY_BIAS = ("k_proj.bias", "key.bias")
SIDES = {"as trained": 64, "interpolated": 112, "with a remainder": 75}
each_tower = pytest.mark.parametrize(("name", "role"), TOWERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return {n: save(make(), tmp_path_factory.mktemp(n)) for n, make in MODELS.items()}


@pytest.fixture(scope="module")
def towers(folders: Mapping[str, str]) -> Mapping[str, Mapping[str, Tower]]:
    """Both towers of each; a test must not change them."""
    return {name: load(folders[name]) for name, load in LOADERS.items()}


def batch_of(role: str, side: int = 64) -> Activations:
    """Five samples: ids that end where the text does, and padding after; or pixels."""
    generator = torch.Generator().manual_seed(1)
    if role == "image":
        shape = (5, 3, side, side)
        return Activations(torch.randint(256, shape, generator=generator, dtype=torch.uint8))
    lengths = torch.tensor([7, 2, 5, 9, 1])
    places = torch.arange(9)
    ids = torch.randint(3, END, (5, 9), generator=generator)
    ids[places == lengths[:, None] - 1] = END
    mask = places < lengths[:, None]
    return Activations(ids.masked_fill(~mask, 0), mask)


def reference(model: Any, role: str, inputs: Activations) -> Tensor:
    """What the library says of a batch."""
    features: Tensor
    if role == "text":
        assert inputs.mask is not None
        out = model.get_text_features(input_ids=inputs.values, attention_mask=inputs.mask.long())
        features = out.pooler_output
        return features
    mean, std = (torch.tensor(COLOURS[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    pixels = (inputs.values / 255 - mean) / std
    features = model.get_image_features(pixels, interpolate_pos_encoding=True).pooler_output
    return features


def embed(tower: Tower, inputs: Activations, unfrozen: int) -> tuple[Tensor, nn.Module]:
    suffix = tower.suffix(Cut(unfrozen)).eval()
    with torch.no_grad():
        hidden = tower.prefix(Cut(unfrozen))(inputs)
    embedding: Tensor = suffix(hidden).values
    return embedding, suffix


def weighted_sum(embedding: Tensor) -> Tensor:
    weights = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(2))
    return (embedding * weights).sum()


def unfrozen_of(model: Any, role: str, count: int) -> nn.ModuleList:
    """The library's modules that train, in the order of a suffix."""
    if role == "image":
        blocks, projection = model.vision_model.encoder.layers, model.visual_projection
    else:
        encoder = model.text_model.encoder
        blocks = encoder.layer if hasattr(encoder, "layer") else encoder.layers
        projection = model.text_projection
    return nn.ModuleList([*list(blocks)[len(blocks) - count :], projection])


@pytest.mark.parametrize(("name", "role", "unfrozen"), CASES)
def test_prefix_and_suffix_embed_as_the_library(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str, unfrozen: int
) -> None:
    tower, inputs = towers[name][role], batch_of(role)
    embedding, _ = embed(tower, inputs, unfrozen)
    with torch.no_grad():
        expected = reference(MODELS[name](), role, inputs)
    assert embedding.shape == (5, 24) == (5, tower.width)
    assert expected.std(dim=0).max() > 0.1
    torch.testing.assert_close(embedding, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "role", "unfrozen"), CASES)
def test_what_trains_gets_the_gradients_of_the_library(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str, unfrozen: int
) -> None:
    inputs = batch_of(role)
    embedding, suffix = embed(towers[name][role], inputs, unfrozen)
    weighted_sum(embedding).backward()
    model = MODELS[name]().requires_grad_(requires_grad=False)
    modules = unfrozen_of(model, role, unfrozen).requires_grad_(requires_grad=True)
    weighted_sum(reference(model, role, inputs)).backward()
    ours = [parameter for parameter in suffix.parameters() if parameter.requires_grad]
    for got, (which, wanted) in zip(ours, modules.named_parameters(), strict=True):
        if "crossattention" in which:  # reads an image, which nobody shows it
            assert got.grad is None
            assert wanted.grad is None
        else:
            assert wanted.grad is not None
            noise = 1e-5 * max(1.0, float(wanted.grad.abs().max()))
            torch.testing.assert_close(got.grad, wanted.grad, atol=noise, rtol=2e-4)
            assert wanted.grad.abs().max() > 1e-2 or which.endswith(KEY_BIAS)
    assert all(p.grad is None for p in suffix.parameters() if not p.requires_grad)


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("name", MODELS)
def test_images_of_any_size_are_embedded_as_by_the_library(
    towers: Mapping[str, Mapping[str, Tower]], name: str, side: int
) -> None:
    inputs = batch_of("image", side)
    with torch.no_grad():
        expected = reference(MODELS[name](), "image", inputs)
        for unfrozen in (0, 1):
            got, _ = embed(towers[name]["image"], inputs, unfrozen)
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@each_tower
def test_a_tower_frozen_whole_keeps_one_vector_and_trains_its_projection(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str
) -> None:
    tower = towers[name][role]
    with torch.no_grad():
        pooled = tower.prefix(Cut(0))(batch_of(role))
    assert pooled.values.shape == (5, 32)
    assert pooled.mask is None
    suffix = tower.suffix(Cut(0))
    assert [tuple(p.shape) for p in suffix.parameters() if p.requires_grad] == [(24, 32)]
    assert total_parameters(suffix) == 24 * 32


@each_tower
def test_final_norms_and_poolers_stay_frozen(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str
) -> None:
    suffix = towers[name][role].suffix(Cut(1))
    frozen = [p.numel() for p in suffix.parameters() if not p.requires_grad]
    pooler = {("blip", "text"): [32 * 32, 32]}
    assert sorted(frozen) == sorted(pooler.get((name, role), [32, 32]))


@each_tower
def test_pooling_is_always_that_of_the_pretraining(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str
) -> None:
    tower, inputs = towers[name][role], batch_of(role)
    with torch.no_grad():
        for unfrozen in (0, 1):
            hidden = tower.prefix(Cut(unfrozen, "mean"))(inputs)
            other = tower.suffix(Cut(unfrozen, "mean")).eval()(hidden).values
            assert torch.equal(other, embed(tower, inputs, unfrozen)[0])


@each_tower
def test_segments_chain_to_the_deeper_prefix(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str
) -> None:
    tower, inputs = towers[name][role], batch_of(role)
    with torch.no_grad():
        between = tower.prefix(Cut(tower.depth))(inputs)
        middle = tower.segment(Cut(tower.depth), Cut(1))(between)
        chained = tower.segment(Cut(1), Cut(0))(middle)
        at_once = tower.prefix(Cut(0))(inputs)
    torch.testing.assert_close(chained.values, at_once.values, atol=1e-5, rtol=1e-5)


@each_tower
def test_dropout_follows_each_unfrozen_block_in_training_only(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str
) -> None:
    tower, inputs = towers[name][role], batch_of(role)
    hidden = tower.prefix(Cut(2))(inputs)
    suffix = tower.suffix(Cut(2), block_dropout=0.4)
    left: list[Tensor] = []
    opened = [module for module in suffix.modules() if isinstance(module, OpenBlock)]
    for block in opened:
        block.block_dropout.register_forward_hook(lambda _, __, out: left.append(out))
    expected = tower.suffix(Cut(2)).eval()(hidden).values
    assert torch.equal(suffix.eval()(hidden).values, expected)
    assert len(left) == len(opened) == 2
    suffix.train()(hidden)
    for values in left[2:]:
        share = float((values == 0).float().mean())
        assert share == pytest.approx(0.4, abs=0.12)
    assert [block.block_dropout.p for block in opened] == [0.4, 0.4]


@pytest.mark.parametrize("name", MODELS)
def test_padding_has_no_say(towers: Mapping[str, Mapping[str, Tower]], name: str) -> None:
    tower, inputs = towers[name]["text"], batch_of("text")
    assert inputs.mask is not None
    noisy = Activations(inputs.values.masked_fill(~inputs.mask, 7), inputs.mask)
    alone = Activations(inputs.values[2:3, :5], inputs.mask[2:3, :5])
    with torch.no_grad():
        for unfrozen in range(tower.depth + 1):
            embedding, _ = embed(tower, inputs, unfrozen)
            torch.testing.assert_close(embed(tower, noisy, unfrozen)[0], embedding)
            torch.testing.assert_close(
                embed(tower, alone, unfrozen)[0], embedding[2:3], atol=1e-5, rtol=1e-5
            )
