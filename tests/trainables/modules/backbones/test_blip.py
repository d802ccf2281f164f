"""Loading BLIP: every kind of checkpoint finds its place, and what one lacks is said."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainables.modules.joint_models import (
    blip_model,
    captioning_model,
    clip_model,
    retrieval_model,
    save,
)
from trainables.modules.backbones.blip import load_blip_towers
from trainables.modules.backbones.weights import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

NOTES = {
    "text": (
        "blip: {} has no text pooler: the first token is read",
        "blip: {} has no text projection: it starts random and trains",
    ),
    "image": ("blip: {} has no image projection: it starts random and trains",),
}


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint as published for captioning."""
    return save(captioning_model(), tmp_path_factory.mktemp("captions"))


@pytest.fixture
def copy(captions: str, tmp_path: Path) -> Path:
    """One to be damaged."""
    return Path(shutil.copytree(captions, tmp_path / "copy"))


def fault_of(source: str | Path) -> str:
    with pytest.raises(WeightsError) as error:
        load_blip_towers(str(source))
    return str(error.value)


def test_a_captioning_checkpoint_gives_its_decoder_as_text_tower(captions: str) -> None:
    towers = load_blip_towers(captions)
    saved = load_file(Path(captions, "model.safetensors"))
    text, image = towers["text"].model.state_dict(), towers["image"].model.state_dict()
    decoder = {k.removeprefix("text_decoder.bert."): v for k, v in saved.items() if ".bert." in k}
    vision = {k.removeprefix("vision_model."): v for k, v in saved.items() if "vision" in k}
    assert text.keys() == decoder.keys()  # nothing in it is random
    assert image.keys() == vision.keys()
    assert all(torch.equal(text[name], value) for name, value in decoder.items())
    assert all(torch.equal(image[name], value) for name, value in vision.items())


def test_what_a_captioning_checkpoint_lacks_is_said_by_the_tower_it_concerns(
    captions: str,
) -> None:
    for role, tower in load_blip_towers(captions).items():
        assert tower.notes == tuple(note.format(captions) for note in NOTES[role])
        assert not tower.is_random


def test_a_checkpoint_whose_image_tower_is_wider_loads_as_the_large_one_does(
    tmp_path: Path,
) -> None:
    model = captioning_model(vision_width=64)
    towers = load_blip_towers(save(model, tmp_path))
    assert (towers["text"].hidden_size, towers["image"].hidden_size) == (32, 64)
    assert {tower.width for tower in towers.values()} == {24}
    crossed = {k: v for k, v in towers["text"].model.state_dict().items() if ".crossatt" in k}
    expected = model.text_decoder.bert.state_dict()
    assert {tuple(v.shape) for k, v in crossed.items() if "self.key.weight" in k} == {(32, 64)}
    assert all(torch.equal(value, expected[name]) for name, value in crossed.items())


def test_what_starts_random_is_the_same_each_time(captions: str) -> None:
    torch.manual_seed(1)
    first = load_blip_towers(captions)
    torch.manual_seed(2)
    second = load_blip_towers(captions)
    assert all(first[role].fingerprint == second[role].fingerprint for role in first)


def test_a_checkpoint_of_both_towers_lacks_nothing(tmp_path: Path) -> None:
    towers = load_blip_towers(save(blip_model(), tmp_path))
    expected: Mapping[str, Tensor] = blip_model().state_dict()
    for name, value in towers["text"].model.state_dict().items():
        assert torch.equal(value, expected[f"text_model.{name}"])
    assert torch.equal(towers["text"].projection.weight, expected["text_projection.weight"])
    assert torch.equal(towers["image"].projection.weight, expected["visual_projection.weight"])
    assert [tower.notes for tower in towers.values()] == [(), ()]


def test_a_retrieval_checkpoint_gives_its_encoder_as_text_tower(tmp_path: Path) -> None:
    towers = load_blip_towers(save(retrieval_model(), tmp_path))
    expected = retrieval_model().text_encoder.state_dict()
    got = towers["text"].model.state_dict()
    assert all(torch.equal(got[name], value) for name, value in expected.items())


def test_the_trained_projections_of_a_retrieval_checkpoint_are_used(tmp_path: Path) -> None:
    towers = load_blip_towers(save(retrieval_model(), tmp_path))
    for role, name in {"text": "text_proj", "image": "vision_proj"}.items():
        trained = getattr(retrieval_model(), name).state_dict()
        ours = towers[role].projection.state_dict()
        assert ours.keys() == {"weight", "bias"}
        assert all(torch.equal(ours[key], value) for key, value in trained.items())
        assert towers[role].width == 28
        assert towers[role].notes == ()


def test_a_checkpoint_without_its_towers_is_refused(copy: Path) -> None:
    path = copy / "model.safetensors"
    kept = {k: v for k, v in load_file(path).items() if not k.startswith("text_decoder.bert.enc")}
    save_file(kept, path, {"format": "pt"})
    message = fault_of(copy)
    assert message.startswith(f"backbone blip: {copy} lacks 78 of ")
    assert " weights of a BlipTowers, such as text_model.encoder.layer.0." in message
    assert message.endswith("; give a checkpoint that has them")


def test_a_model_of_another_kind_is_refused_by_its_type(tmp_path: Path) -> None:
    source = save(clip_model(), tmp_path)
    assert fault_of(source) == f"backbone blip must be a BLIP model, got a clip from {source}"


def test_a_missing_folder_says_what_it_must_hold() -> None:
    assert fault_of("./no/such") == (
        "backbone blip must be a folder with config.json; weights (model.safetensors or "
        "pytorch_model.bin); a tokenizer (tokenizer.json or vocab.txt): no folder ./no/such"
    )


def test_a_hub_id_that_is_not_cached_says_what_helps_offline() -> None:
    message = fault_of("nobody/no-such-blip")
    assert message.startswith("backbone blip cannot be loaded from nobody/no-such-blip: ")
    assert "give a local folder (--backbone blip=DIR), or go online once" in message
    assert "\n" not in message


def test_truncated_weights_are_named(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert fault_of(copy).startswith(f"backbone blip: {path} is no whole safetensors file")


def test_the_library_does_not_warn_of_what_our_notes_say(
    captions: str, caplog: pytest.LogCaptureFixture
) -> None:
    load_blip_towers(captions)
    assert not caplog.records
