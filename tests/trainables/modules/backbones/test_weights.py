"""Sources of weights: every fault is a sentence with the remedy, before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trainables.modules.backbones.weights import check_source, is_local, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WEIGHTS = "weights (model.safetensors or pytorch_model.bin)"
TOKENIZER = "a tokenizer (tokenizer.json or vocab.txt)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.parametrize(
    ("role", "source"),
    [
        ("text", "tiny"),
        ("image", "tiny"),
        ("image", "resnet18"),
        ("image", "resnet34"),
        ("image", "resnet50"),
        ("text", "google-bert/bert-base-uncased"),
        ("text", "gpt2"),
        ("text", "google-bert/bert-base-uncased@main"),
        ("text", "google-bert/bert-base-uncased@refs/pr/7"),
    ],
)
def test_names_and_hub_ids_show_no_fault(role: str, source: str) -> None:
    assert check_source(role, source) == []


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_text_folder_that_is_whole_shows_no_fault(
    weights: Mapping[str, str], family: str
) -> None:
    assert check_source("text", weights[family]) == []


@pytest.mark.parametrize("family", ["mobilenet", "vit", "resnet", "resnet_pth"])
def test_image_weights_that_are_whole_show_no_fault(
    weights: Mapping[str, str], family: str
) -> None:
    assert check_source("image", weights[family]) == []


def test_an_empty_source_is_named() -> None:
    expected = ["backbone text must be a folder, a file, a hub id or 'tiny', got ''"]
    assert check_source("text", "  ") == expected


def test_a_missing_folder_says_what_it_must_hold() -> None:
    assert check_source("text", "./no/such") == [
        f"backbone text must be a folder with config.json; {WEIGHTS}; {TOKENIZER}: "
        "no folder ./no/such"
    ]
    assert check_source("image", "./no/such") == [
        f"backbone image must be a folder with config.json; {WEIGHTS}: no folder ./no/such"
    ]


def test_all_that_a_folder_lacks_comes_in_one_sentence(folder: Path) -> None:
    assert check_source("text", str(folder)) == [
        f"backbone text: the folder {folder} lacks config.json; {WEIGHTS}; {TOKENIZER}"
    ]


@pytest.mark.parametrize("present", ["config.json", "model.safetensors", "vocab.txt"])
def test_what_a_folder_has_is_not_asked_for(folder: Path, present: str) -> None:
    (folder / present).touch()
    (fault,) = check_source("text", str(folder))
    assert present not in fault.split("lacks ")[1]
    assert fault.count(";") == 1


def test_a_folder_of_images_needs_no_tokenizer(folder: Path) -> None:
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert check_source("image", str(folder)) == []
    assert check_source("text", str(folder)) == [
        f"backbone text: the folder {folder} lacks {TOKENIZER}"
    ]


def test_the_home_of_someone_unknown_is_a_missing_folder() -> None:
    (fault,) = check_source("text", "~nobody-here/bert")
    assert fault.endswith("no folder ~nobody-here/bert")


def test_every_damaged_file_of_a_folder_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "tokenizer.json").write_text("{}")
    faults = check_source("text", str(folder))
    assert [fault.split(" is ")[0] for fault in faults] == [
        f"backbone text: {folder / name}" for name in ("config.json", "model.safetensors")
    ]


def test_a_shard_that_an_index_lists_must_be_there(folder: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    listed = '{"weight_map": {"a": "model-1.safetensors", "b": "../../outside.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(listed)
    assert check_source("text", str(folder)) == [
        f"backbone text: {folder / name} is missing"
        for name in ("outside.safetensors", "model-1.safetensors")
    ]


def test_a_place_has_the_revision_that_a_hub_id_is_pinned_to(folder: Path) -> None:
    assert place_of("org/bert@v1.0") == ("org/bert", "v1.0")
    assert place_of("org/bert") == ("org/bert", None)
    (folder / "bert@v1").mkdir()
    assert place_of(str(folder / "bert@v1")) == (str(folder / "bert@v1"), None)


def test_a_file_is_refused_for_text(weights: Mapping[str, str]) -> None:
    source = weights["resnet"]
    assert check_source("text", source) == [
        f"backbone text must be a folder, got the file {source}"
    ]


def test_a_file_that_is_no_resnet_is_refused_with_the_endings_allowed(folder: Path) -> None:
    path = folder / "weights.onnx"
    path.touch()
    assert check_source("image", str(path)) == [
        "backbone image must be a folder or a ResNet file (.pth, .pt, .safetensors), "
        f"got the file {path}"
    ]


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("google-bert/bert-base-uncased", False),
        ("gpt2", False),
        ("./gpt2", True),
        ("/weights/bert", True),
        ("~/bert", True),
        ("a/b/c", True),
        ("resnet18.pth", True),
        ("org/resnet.safetensors", True),
        ("", True),
    ],
)
def test_a_source_is_local_if_it_can_only_be_a_path(source: str, local: bool) -> None:
    assert is_local(source) == local


def test_what_is_on_disk_is_local_whatever_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "gpt2").mkdir()
    monkeypatch.chdir(folder)
    assert is_local("gpt2")
    monkeypatch.setenv("HOME", str(folder))
    assert check_source("text", "~/gpt2")[0].startswith("backbone text: the folder ~/gpt2 lacks")
