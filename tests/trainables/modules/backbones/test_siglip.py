"""SigLIP in place of CLIP, OpenCLIP, and the image towers of pairs alone."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from tests.trainables.modules.comparison import relative, weighted_sum
from tests.trainables.modules.joint_models import (
    END,
    clip_model,
    open_clip_model,
    save,
    siglip_model,
)
from trainables.modules.backbones.clip import load_clip_towers
from trainables.modules.backbones.opened_text_tower import OpenedTextTower
from trainables.modules.backbones.pretrained import load_image_tower
from trainables.modules.backbones.tokenizers import HashTokenizer, PaddedTokenizer
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.parameters import total_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from trainables.modules.backbones.tower import Tower

NOISE = 5e-5
TEXTS = ["what a lovely day", "", "so sad", "one two three four five six seven eight nine ten"]
MODELS = {"siglip": siglip_model, "open_clip": open_clip_model}
DEPTHS = {"text": 3, "image": 2}


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Tower]]:
    """Both towers of each; a test must not change them."""
    return {
        name: load_clip_towers(save(make(), tmp_path_factory.mktemp(name)))
        for name, make in MODELS.items()
    }


def batch_of(tower: Any, name: str) -> Activations:
    if tower.role == "image":
        generator = torch.Generator().manual_seed(1)
        shape = (4, 3, 80, 80)
        return Activations(torch.randint(256, shape, generator=generator, dtype=torch.uint8))
    if name == "siglip":
        ids = torch.tensor(tower.tokenizer.encode(TEXTS, 77))
        return Activations(ids, torch.ones_like(ids, dtype=torch.bool))
    mask = torch.arange(9) < torch.tensor([7, 2, 5, 9])[:, None]
    ids = torch.randint(3, END, (4, 9), generator=torch.Generator().manual_seed(1))
    ids[torch.arange(4), mask.sum(dim=1) - 1] = END + 5  # the highest, as published vocabularies
    return Activations(ids.masked_fill(~mask, 0), mask)


def reference(model: Any, name: str, tower: Any, inputs: Activations) -> Tensor:
    features: Tensor
    if tower.role == "image":
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (tower.mean, tower.std))
        pixels = (inputs.values / 255 - mean) / std
        out = model.get_image_features(pixels, interpolate_pos_encoding=True)
    elif name == "siglip":  # its texts are padded, and attended to, as in its pretraining
        out = model.get_text_features(input_ids=inputs.values)
    else:
        assert inputs.mask is not None
        mask = inputs.mask.long()
        out = model.get_text_features(input_ids=inputs.values, attention_mask=mask)
    features = out.pooler_output
    return features


def unfrozen_of(model: Any, name: str, role: str, count: int) -> nn.ModuleList:
    part = model.text_model if role == "text" else model.vision_model
    projections: dict[tuple[str, str], str] = {
        ("siglip", "text"): "text_model.head",
        ("open_clip", "text"): "text_projection",
        ("open_clip", "image"): "visual_projection",
    }
    place = projections.get((name, role))
    projection = [attrgetter(place)(model)] if place else []
    blocks = list(part.encoder.layers)
    return nn.ModuleList([*blocks[len(blocks) - count :], *projection])


@pytest.mark.parametrize(
    ("name", "role", "unfrozen"),
    [
        (name, role, k)
        for name in MODELS
        for role, depth in DEPTHS.items()
        for k in range(depth + 1)
    ],
)
def test_outputs_and_gradients_equal_the_library(
    towers: Mapping[str, Mapping[str, Tower]], name: str, role: str, unfrozen: int
) -> None:
    tower, cut = towers[name][role], Cut(unfrozen)
    inputs = batch_of(tower, name)
    suffix = tower.suffix(cut).eval()
    with torch.no_grad():
        hidden = tower.prefix(cut)(inputs)
    got = suffix(hidden).values
    model = MODELS[name]().requires_grad_(requires_grad=False)
    trained = unfrozen_of(model, name, role, unfrozen).requires_grad_(requires_grad=True)
    wanted = reference(model, name, tower, inputs)
    assert got.shape == wanted.shape == (4, tower.width)
    assert wanted.std(dim=0).max() > 0.1
    assert relative([got], [wanted]) < NOISE
    ours = [p for p in suffix.parameters() if p.requires_grad]
    assert len(ours) == len(list(trained.parameters()))
    if ours:
        weighted_sum(got).backward()
        weighted_sum(wanted).backward()
        assert relative([p.grad for p in ours], [p.grad for p in trained.parameters()]) < NOISE


def test_texts_have_the_length_of_the_pretraining() -> None:
    tokenizer = PaddedTokenizer(HashTokenizer(60), 6)
    short, long = tokenizer.encode(["a day", "a b c d e f g h"], 32)
    assert short == [*HashTokenizer(60).encode(["a day"], 6)[0], 0, 0]
    assert len(long) == 6
    assert long[-1] == 2, "the end is kept"
    assert tokenizer.encode(["a b c d e f g h"], 4)[0][3:] == [2, 0, 0]
    assert tokenizer.spans("a day", 32) == [(0, 0), (0, 1), (2, 5), (0, 0), (0, 0), (0, 0)]
    assert tokenizer.fingerprint != PaddedTokenizer(HashTokenizer(60), 7).fingerprint


def test_a_saved_siglip_is_the_same_when_loaded(
    towers: Mapping[str, Mapping[str, Tower]], tmp_path: Any
) -> None:
    text = towers["siglip"]["text"]
    text.save(tmp_path)
    again = load_clip_towers(str(tmp_path))
    assert {r: t.fingerprint for r, t in again.items()} == {
        r: t.fingerprint for r, t in towers["siglip"].items()
    }
    assert isinstance(again["text"], OpenedTextTower)
    (alone,) = load_clip_towers(str(tmp_path), ["image"]).values()
    assert alone.fingerprint == towers["siglip"]["image"].fingerprint


def test_the_parameters_of_a_siglip_are_counted_once(
    towers: Mapping[str, Mapping[str, Tower]],
) -> None:
    both = towers["siglip"].values()
    assert sum(tower.parameter_count for tower in both) == total_parameters(siglip_model())


@pytest.mark.parametrize("make", [clip_model, siglip_model])
def test_the_image_tower_of_a_pair_is_a_backbone_alone(make: Any, tmp_path: Any) -> None:
    model = make()
    tower = load_image_tower(save(model, tmp_path / "pair"))
    assert total_parameters(tower.model) == total_parameters(model.vision_model)
    model.vision_model.save_pretrained(tmp_path / "alone")
    (tmp_path / "pair" / "preprocessor_config.json").rename(
        tmp_path / "alone" / "preprocessor_config.json"
    )
    alone = load_image_tower(str(tmp_path / "alone"))
    inputs = batch_of(tower, "")
    with torch.no_grad():
        wanted = reference(model, "", tower, inputs)
        if hasattr(model, "visual_projection"):
            wanted = model.vision_model(
                (inputs.values / 255 - torch.tensor(tower.mean).view(3, 1, 1))
                / torch.tensor(tower.std).view(3, 1, 1),
                interpolate_pos_encoding=True,
            ).pooler_output
        for one in (tower, alone):
            got = one.suffix(Cut(1)).eval()(one.prefix(Cut(1))(inputs)).values
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
