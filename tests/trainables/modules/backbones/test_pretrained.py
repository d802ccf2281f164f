"""Loading towers: from folders, files, torchvision's cache or `tiny`; bad ones are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models import resnet18, resnet50, wide_resnet50_2
from transformers import AutoTokenizer, GPT2Config, GPT2Model, RegNetConfig, RegNetModel

from trainables.modules.backbones.image_towers import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    MobileNetTower,
    ResNetTower,
    Standardize,
)
from trainables.modules.backbones.pretrained import load_image_tower, load_text_tower
from trainables.modules.backbones.tokenizers import HashTokenizer
from trainables.modules.backbones.vision_transformer import VisionTransformerTower
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torchvision.models import ResNet

RESNET18_FILE = "resnet18-f37072fd.pth"


def fault_of(role: str, source: str | Path) -> str:
    """What loading says; exactly one type of error is raised."""
    load = load_text_tower if role == "text" else load_image_tower
    with pytest.raises(WeightsError) as error:
        load(str(source))
    assert error.type is WeightsError
    return str(error.value)


@pytest.fixture
def copy_of(weights: Mapping[str, str], tmp_path: Path) -> Path:
    """A BERT folder to be damaged."""
    return Path(shutil.copytree(weights["bert"], tmp_path / "bert"))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_text_tower_is_loaded_from_its_folder(weights: Mapping[str, str], family: str) -> None:
    tower = load_text_tower(weights[family])
    saved = load_file(Path(weights[family], "model.safetensors"))
    loaded = tower.model.state_dict()
    assert not tower.is_random
    assert not tower.model.training
    assert all(torch.equal(loaded[name], value) for name, value in saved.items())
    assert tower.tokenizer.encode(["lovely"], 8) == [[2, 7, 3]]


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("mobilenet", MobileNetTower),
        ("vit", VisionTransformerTower),
        ("resnet", ResNetTower),
        ("resnet_pth", ResNetTower),
    ],
)
def test_an_image_tower_is_loaded_from_its_folder_or_file(
    weights: Mapping[str, str], family: str, kind: type
) -> None:
    tower = load_image_tower(weights[family])
    assert type(tower) is kind
    assert not tower.is_random


def test_both_kinds_of_resnet_file_give_the_same_tower(weights: Mapping[str, str]) -> None:
    towers = [load_image_tower(weights[name]) for name in ("resnet", "resnet_pth")]
    assert towers[0].fingerprint == towers[1].fingerprint


def test_tiny_towers_are_random_and_the_same_each_time() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    text, image = load_text_tower("tiny"), load_image_tower("tiny")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert text.is_random
    assert image.is_random
    assert load_text_tower("tiny").fingerprint == text.fingerprint
    assert load_image_tower("tiny").fingerprint == image.fingerprint


def test_a_saved_tiny_tower_hashes_words_as_before(tmp_path: Path) -> None:
    tower = load_text_tower("tiny")
    tower.save(tmp_path)
    again = load_text_tower(str(tmp_path))
    assert isinstance(again.tokenizer, HashTokenizer)
    assert again.fingerprint == tower.fingerprint
    assert again.tokenizer.encode(["a day"], 8) == tower.tokenizer.encode(["a day"], 8)


def test_a_folder_without_colours_takes_one_half(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(weights["vit"], tmp_path / "vit")
    (folder / "preprocessor_config.json").unlink()
    tower = load_image_tower(str(folder))
    assert tower.mean == tower.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("role", ["text", "image"])
def test_a_hub_id_that_is_not_cached_says_what_helps_offline(role: str) -> None:
    message = fault_of(role, "nobody/no-such-backbone")
    assert message.startswith(f"backbone {role} cannot be loaded from nobody/no-such-backbone: ")
    assert f"give a local folder (--backbone {role}=DIR), or go online once" in message
    assert "\n" not in message


def test_a_missing_folder_is_an_error_of_weights() -> None:
    assert "no folder ./no/such" in fault_of("text", "./no/such")
    assert "no folder ./no/such.pth" in fault_of("image", "./no/such.pth")


def test_truncated_weights_are_named(copy_of: Path) -> None:
    path = copy_of / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    message = fault_of("text", copy_of)
    assert message.startswith(f"backbone text: {path} is no whole safetensors file")


@pytest.mark.parametrize("content", ["", "{", "[]"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_json_file_is_named(copy_of: Path, name: str, content: str) -> None:
    (copy_of / name).write_text(content)
    assert fault_of("text", copy_of).startswith(f"backbone text: {copy_of / name} ")


def test_a_model_type_that_the_library_lacks_is_named(copy_of: Path) -> None:
    (copy_of / "config.json").write_text('{"model_type": "no such"}')
    message = fault_of("text", copy_of)
    assert message.startswith(f"backbone text cannot be loaded from {copy_of}: ")
    assert message.endswith("the files are damaged or of a kind that transformers does not know")
    assert "\n" not in message


def test_a_tokenizer_that_the_library_cannot_read_is_named(copy_of: Path) -> None:
    (copy_of / "tokenizer.json").write_text("{}")
    assert f"no tokenizer can be loaded from {copy_of}: " in fault_of("text", copy_of)


def test_a_text_model_of_an_unknown_family_is_refused(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    GPT2Model(GPT2Config(vocab_size=60, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(weights["bert"]).save_pretrained(tmp_path)
    message = fault_of("text", tmp_path)
    assert message.startswith("backbone text must be of one of the families BERT, ")
    assert message.endswith("got GPT2Model")


def test_an_image_model_of_an_unknown_family_is_refused(tmp_path: Path) -> None:
    config = RegNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1], groups_width=2)
    RegNetModel(config).save_pretrained(tmp_path)
    message = fault_of("image", tmp_path)
    expected = "backbone image must be resnet18, resnet34, resnet50, a ResNet weights file, "
    assert message.startswith(expected)
    assert message.endswith(f"got RegNetModel from {tmp_path}")


def test_a_text_model_is_refused_as_image_backbone(weights: Mapping[str, str]) -> None:
    assert "got BertModel from" in fault_of("image", weights["bert"])


@pytest.mark.parametrize("name", ["damaged.pth", "damaged.pt", "damaged.safetensors"])
def test_a_damaged_resnet_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no weights")
    message = fault_of("image", path)
    assert message.startswith(f"backbone image: {path} is no ")


def test_a_state_dict_of_another_model_is_no_resnet(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    expected = f"backbone image: {path} is no ResNet of torchvision: "
    assert fault_of("image", path).startswith(expected)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"conv1.weight": Path}, path)
    assert "is no readable ResNet state dict" in fault_of("image", path)


def test_offline_resnet18_names_the_file_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert fault_of("image", "resnet18") == (
        f"backbone image: offline, and resnet18 is not in {tmp_path / 'hub' / 'checkpoints'}; "
        f"put {RESNET18_FILE} there, or give --backbone image=FILE (a state dict of resnet18)"
    )


def test_resnet18_is_read_offline_from_the_cache_of_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = resnet18()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(model.state_dict(), tmp_path / "hub" / "checkpoints" / RESNET18_FILE)
    tower = load_image_tower("resnet18")
    assert torch.equal(tower.model.conv1.weight, model.conv1.weight)
    assert not tower.is_random


@pytest.mark.parametrize("make", [resnet50, wide_resnet50_2])
def test_a_resnet_of_bottlenecks_is_read_at_its_width(
    make: Callable[[], ResNet], tmp_path: Path
) -> None:
    model = make().eval()
    torch.save(model.state_dict(), tmp_path / "a.pth")
    tower = load_image_tower(str(tmp_path / "a.pth"))
    pixels = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        model.fc = nn.Identity()
        expected = model(Standardize(IMAGENET_MEAN, IMAGENET_STD)(pixels))
        found = tower.prefix(Cut(0, "cls"))(Activations(pixels, None)).values
    assert tower.hidden_size == found.shape[1] == 2048
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)  # values up to some 30


def test_the_cache_of_torch_runs_no_code_and_is_named_when_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / RESNET18_FILE
    cached.parent.mkdir(parents=True)
    torch.save({"conv1.weight": Path}, cached)
    assert fault_of("image", "resnet18").startswith(f"backbone image: {cached} is no readable ")
    cached.write_bytes(b"")
    assert fault_of("image", "resnet18") == f"backbone image: {cached} is empty"


def test_a_tower_is_float32_whatever_its_file_holds(
    weights: Mapping[str, str], copy_of: Path
) -> None:
    state = load_file(copy_of / "model.safetensors")
    save_file(
        {name: value.half() for name, value in state.items()},
        copy_of / "model.safetensors",
        {"format": "pt"},
    )
    config = json.loads((copy_of / "config.json").read_text())
    (copy_of / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    dtypes = {parameter.dtype for parameter in load_text_tower(str(copy_of)).model.parameters()}
    assert dtypes == {torch.float32}
    assert (
        load_text_tower(weights["bert"]).fingerprint != load_text_tower(str(copy_of)).fingerprint
    )


@pytest.fixture
def hub(
    weights: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Mapping[str, Path]:
    """A cache of the hub with two commits of one checkpoint: the latest one, and an older one."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--bert"
    commits = {"main": "b" * 40, "v1": "a" * 40}
    (repository / "refs").mkdir(parents=True)
    for name, commit in commits.items():
        (repository / "refs" / name).write_text(commit)
        snapshot = Path(shutil.copytree(weights["bert"], repository / "snapshots" / commit))
        state = load_file(snapshot / "model.safetensors")
        state["embeddings.LayerNorm.bias"] += ord(commit[0])
        save_file(state, snapshot / "model.safetensors", {"format": "pt"})
    return {name: repository / "snapshots" / commit for name, commit in commits.items()}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("someone/bert", "main"),
        ("someone/bert@main", "main"),
        ("someone/bert@v1", "v1"),
        (f"someone/bert@{'a' * 40}", "v1"),
    ],
)
def test_a_hub_id_can_be_pinned_to_a_revision(
    hub: Mapping[str, Path], source: str, name: str
) -> None:
    tower = load_text_tower(source)
    assert tower.fingerprint == load_text_tower(str(hub[name])).fingerprint
    assert tower.source == source
    assert tower.tokenizer.encode(["lovely"], 8) == [[2, 7, 3]]


def test_a_revision_that_is_not_cached_says_what_helps_offline(hub: Mapping[str, Path]) -> None:
    assert hub
    message = fault_of("text", "someone/bert@v2")
    assert message.startswith("backbone text cannot be loaded from someone/bert@v2: ")
    assert "or go online once" in message
