"""Backbones with two towers on disk: written once, in the library's format, and read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import BlipModel, CLIPModel

from tests.trainables.modules.joint_models import COLOURS, DEPTHS, blip_model, clip_model, save
from trainables.modules.backbones.blip import load_blip_towers
from trainables.modules.backbones.clip import load_clip_towers
from trainables.modules.backbones.loading import OPENAI_COLOURS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOADERS = {"clip": load_clip_towers, "blip": load_blip_towers}
MODELS = {"clip": clip_model, "blip": blip_model}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return {n: save(make(), tmp_path_factory.mktemp(n)) for n, make in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("source", ["saved", "tiny"])
def test_either_tower_saves_the_whole_backbone(
    folders: Mapping[str, str], tmp_path: Path, name: str, source: str
) -> None:
    pair = LOADERS[name]("tiny" if source == "tiny" else folders[name])
    assert [tower.backbone for tower in pair.values()] == [name, name]
    pair["text"].save(tmp_path)
    again = LOADERS[name](str(tmp_path))
    for role, tower in pair.items():
        assert again[role].fingerprint == tower.fingerprint
        assert again[role].notes == ()
        assert tower.is_random == (source == "tiny")
    ours: Any = again["image"]
    wanted = OPENAI_COLOURS if source == "tiny" else tuple(map(tuple, COLOURS.values()))
    assert (ours.mean, ours.std) == wanted
    texts: list[Any] = [pair["text"], again["text"]]
    tokenizers = [text.tokenizer for text in texts]
    assert tokenizers[0].encode(["a day"], 8) == tokenizers[1].encode(["a day"], 8)


@pytest.mark.parametrize(("name", "kind"), [("clip", CLIPModel), ("blip", BlipModel)])
def test_a_saved_backbone_is_in_the_format_of_the_library(
    folders: Mapping[str, str], tmp_path: Path, name: str, kind: Any
) -> None:
    LOADERS[name](folders[name])["image"].save(tmp_path)
    model, found = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    expected = MODELS[name]().state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == name


@pytest.mark.parametrize("name", MODELS)
def test_a_digest_covers_the_projection(folders: Mapping[str, str], name: str) -> None:
    for role in DEPTHS:
        tower = LOADERS[name](folders[name])[role]
        before = tower.fingerprint
        with torch.no_grad():
            tower.projection.weight[0, 0] += 1e-3
        assert tower.fingerprint != before


@pytest.mark.parametrize("name", MODELS)
def test_tiny_towers_are_the_same_each_time(name: str) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = LOADERS[name]("tiny")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert all(LOADERS[name]("tiny")[r].fingerprint == t.fingerprint for r, t in first.items())
