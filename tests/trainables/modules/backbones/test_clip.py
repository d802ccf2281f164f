"""Loading CLIP, and the end of its texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from tests.trainables.modules.joint_models import blip_model, clip_model, save
from trainables.modules.backbones.clip import load_clip_towers
from trainables.modules.backbones.tokenizers import PretrainedTokenizer
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.activations import Activations
from trainables.modules.blocks.cut import Cut

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def tokenizer(length: int = 77) -> CLIPTokenizer:
    """CLIP's tokenizer over letters that nothing merges."""
    letters = [letter + end for letter in "abcdefgh<>|notx" for end in ("", "</w>")]
    vocabulary = {piece: i for i, piece in enumerate([BEGIN, END, *dict.fromkeys(letters)])}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=length)


def fault_of(source: str | Path) -> str:
    with pytest.raises(WeightsError) as error:
        load_clip_towers(str(source))
    return str(error.value)


def test_a_saved_clip_is_loaded_with_its_own_tokenizer(tmp_path: Path) -> None:
    folder = Path(save(clip_model(), tmp_path))
    (folder / "tokenizer_config.json").unlink()
    tokenizer().save_pretrained(folder)
    tower: Any = load_clip_towers(str(folder))["text"]
    assert tower.tokenizer.encode(["ab", "", "a" * 99], 8) == [
        [0, *tokenizer().convert_tokens_to_ids(["a", "b</w>"]), 1],
        [0, 1],
        [0, *tokenizer().convert_tokens_to_ids(["a"] * 6), 1],
    ]
    assert tower.tokenizer.encode([f"{END} b"], 8) == [[0, 1]]
    expected = clip_model().state_dict()
    for name, value in tower.model.state_dict().items():
        assert torch.equal(value, expected[f"text_model.{name}"])
    assert tower.notes == ()


def test_a_text_that_spells_out_its_end_ends_there() -> None:
    (ids,) = PretrainedTokenizer(tokenizer(), causal=True).encode([f"a {END} b"], 77)
    assert ids == [0, tokenizer().convert_tokens_to_ids("a</w>"), 1]
    (all_ids,) = PretrainedTokenizer(tokenizer()).encode([f"a {END} b"], 77)
    assert all_ids[:3] == ids
    assert all_ids[-1] == 1
    assert len(all_ids) == 5


def test_a_text_longer_than_the_backbone_reads_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--text-length must be <= 77 for .*, got 78"):
        PretrainedTokenizer(tokenizer()).encode(["a"], 78)


def test_a_token_is_not_changed_by_what_follows_it(tmp_path: Path) -> None:
    tower = load_clip_towers(save(clip_model(), tmp_path))["text"]
    ids = torch.randint(3, 40, (2, 6))
    ids[1, :4] = ids[0, :4]
    with torch.no_grad():
        hidden = tower.prefix(Cut(1))(Activations(ids, torch.ones(2, 6, dtype=torch.bool))).values
    torch.testing.assert_close(hidden[0, :4], hidden[1, :4])
    assert not torch.allclose(hidden[0, 4:], hidden[1, 4:])


def test_a_model_of_another_kind_is_refused_by_its_type(tmp_path: Path) -> None:
    source = save(blip_model(), tmp_path)
    assert fault_of(source) == (
        f"backbone clip must be a CLIP or SigLIP model, got a blip from {source} (families of"
        " pairs: CLIP, OpenCLIP, SigLIP, SigLIP 2, BLIP)"
    )


def test_a_checkpoint_without_its_towers_is_refused(tmp_path: Path) -> None:
    source = save(clip_model(), tmp_path)
    path = tmp_path / "model.safetensors"
    kept = {k: v for k, v in load_file(path).items() if k != "vision_model.pre_layrnorm.bias"}
    save_file(kept, path, {"format": "pt"})
    assert fault_of(source) == (
        f"backbone clip: {source} lacks 1 of 92 weights of a CLIPModel, such as "
        "vision_model.pre_layrnorm.bias; give a checkpoint that has them"
    )


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    source = save(clip_model(), tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    assert fault_of(source) == (
        f"backbone clip: the folder {source} lacks a tokenizer (tokenizer.json or vocab.txt)"
    )
