"""BLIP's towers from checkpoints for captioning and retrieval say what the library says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.modules.backbones.test_joint import batch_of
from tests.trainables.modules.joint_models import (
    COLOURS,
    blip_model,
    captioning_model,
    retrieval_model,
    save,
)
from trainables.modules.backbones.blip import load_blip_towers
from trainables.modules.backbones.cross_attention import tower_for
from trainables.modules.blocks.cut import Cut
from trainables.modules.blocks.parameters import total_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from trainables.modules.backbones.tower import Tower
    from trainables.modules.blocks.activations import Activations

MODELS: Mapping[str, Callable[[], Any]] = {
    "captioning": captioning_model,
    "retrieval": retrieval_model,
}
each_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return {name: save(make(), tmp_path_factory.mktemp(name)) for name, make in MODELS.items()}


@pytest.fixture(scope="module")
def towers(sources: Mapping[str, str]) -> Mapping[str, Mapping[str, Tower]]:
    return {name: load_blip_towers(source) for name, source in sources.items()}


def text_says(name: str, tower: Any, inputs: Activations, seen: Tensor | None = None) -> Tensor:
    """The first token, through the trained projection or through the one that starts random."""
    model = MODELS[name]()
    read = {
        "input_ids": inputs.values,
        "attention_mask": inputs.mask,
        "encoder_hidden_states": seen,
    }
    if name == "retrieval":
        projected: Tensor = model.text_proj(model.text_encoder(**read)[0][:, 0])
        return projected
    first = model.text_decoder.bert(**read, is_decoder=False)[0][:, 0]
    return tower.projection(first)  # type: ignore[no-any-return] # a module


def image_says(name: str, tower: Any, inputs: Activations) -> Tensor:
    model = MODELS[name]()
    mean, std = (torch.tensor(COLOURS[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    out = model.vision_model((inputs.values / 255 - mean) / std)
    if name == "retrieval":
        projected: Tensor = model.vision_proj(out.last_hidden_state[:, 0])
    else:
        projected = tower.projection(out.pooler_output)
    return projected


def embed(tower: Tower, cut: Cut, inputs: Activations) -> Tensor:
    embedding: Tensor = tower.suffix(cut).eval()(tower.prefix(cut)(inputs)).values
    return embedding


@each_model
def test_each_tower_says_what_the_library_says_at_every_depth(
    towers: Mapping[str, Mapping[str, Tower]], name: str
) -> None:
    with torch.no_grad():
        for role, says in {"text": text_says, "image": image_says}.items():
            tower, inputs = towers[name][role], batch_of(role)
            wanted = says(name, tower, inputs)
            assert wanted.std(dim=0).max() > 0.1
            for unfrozen in range(tower.depth + 1):
                got = embed(tower, Cut(unfrozen), inputs)
                torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


@each_model
def test_text_that_reads_its_image_says_what_the_library_says(
    towers: Mapping[str, Mapping[str, Tower]], name: str
) -> None:
    pairs = batch_of("text")._replace(encoder_hidden_states=batch_of("image").values)
    with torch.no_grad():
        tower = tower_for("pair", towers[name])
        seen = towers[name]["image"].prefix(Cut(0, "tokens"))(batch_of("image")).values
        got = embed(tower, Cut(0), pairs)
        wanted = text_says(name, towers[name]["text"], pairs, seen)
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


@each_model
def test_nothing_that_starts_random_stays_frozen(
    towers: Mapping[str, Mapping[str, Tower]], name: str
) -> None:
    held = {float(value.double().sum()) for value in MODELS[name]().state_dict().values()}
    for tower in towers[name].values():
        for parameter_name, parameter in tower.suffix(Cut(1)).named_parameters():
            frozen = not parameter.requires_grad
            assert not frozen or float(parameter.double().sum()) in held, parameter_name


@each_model
def test_the_same_is_read_once_it_is_saved(
    sources: Mapping[str, str],
    towers: Mapping[str, Mapping[str, Tower]],
    tmp_path: Path,
    name: str,
) -> None:
    towers[name]["text"].save(tmp_path)
    again = load_blip_towers(str(tmp_path))
    second = load_blip_towers(sources[name])
    for role, tower in towers[name].items():
        assert again[role].fingerprint == second[role].fingerprint == tower.fingerprint
        assert again[role].parameter_count == tower.parameter_count


def test_a_pooler_that_is_not_there_counts_all_the_same(
    towers: Mapping[str, Mapping[str, Tower]], tmp_path: Path
) -> None:
    whole = load_blip_towers(save(blip_model(), tmp_path))
    counts = [
        sum(tower.parameter_count for tower in pair.values())
        for pair in (whole, towers["captioning"])
    ]
    assert counts[0] == counts[1] == total_parameters(blip_model())
