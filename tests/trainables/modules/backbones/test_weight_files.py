"""Files that are not what their names say: each is named with what it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from trainables.modules.backbones.weight_files import file_fault

if TYPE_CHECKING:
    from pathlib import Path

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 440473133\n"
NAMES = ("config.json", "model.safetensors", "pytorch_model.bin", "resnet.pth", "vocab.txt")


def fault(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    found = file_fault(path)
    assert found is not None
    assert found.startswith(f"{path} ")
    assert "\n" not in found
    return found.removeprefix(f"{path} ")


@pytest.mark.parametrize("name", NAMES)
def test_a_pointer_in_place_of_a_file_says_how_to_get_the_file(tmp_path: Path, name: str) -> None:
    assert fault(tmp_path / name, POINTER).startswith(
        "is a pointer of Git LFS, not the file itself"
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_and_a_web_page_are_told(tmp_path: Path, name: str) -> None:
    assert fault(tmp_path / name, b"") == "is empty"
    assert fault(tmp_path / name, b" <!DOCTYPE html><p>404").startswith("is a web page")


@pytest.mark.parametrize(("content", "said"), [(b"{", "is no JSON: "), (b"[1]", "got a list")])
def test_a_damaged_json_file_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in fault(tmp_path / "config.json", content)


def test_weights_that_are_cut_off_are_told_without_reading_them(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    save_file({"weight": torch.zeros(100)}, whole)
    assert file_fault(whole) is None
    content = whole.read_bytes()
    path = tmp_path / "model.safetensors"
    cut = fault(path, content[:-40])
    assert cut == f"must have {len(content)} bytes, got {len(content) - 40}: it is cut off"
    assert "cut off" in fault(path, content[:20])
    assert fault(path, (4).to_bytes(8, "little") + b"nope").startswith("is no safetensors file")


@pytest.mark.parametrize("old", [True, False])
def test_a_torch_file_of_either_format_is_one(tmp_path: Path, old: bool) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.zeros(9)}, path, _use_new_zipfile_serialization=not old)
    assert file_fault(path) is None


def test_a_damaged_torch_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    torch.save({"w": torch.zeros(9)}, path)
    cut = fault(tmp_path / "pytorch_model.bin", path.read_bytes()[:-100])
    assert cut == "is cut off: the end of its archive is missing"
    assert fault(tmp_path / "pytorch_model.bin", b"junk") == "is no file that torch wrote"


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    assert file_fault(tmp_path / "config.json") == f"{tmp_path / 'config.json'} is no regular file"
    assert file_fault(tmp_path / "absent") == f"{tmp_path / 'absent'} is missing"


def test_a_sound_json_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert file_fault(tmp_path / "config.json") is None
