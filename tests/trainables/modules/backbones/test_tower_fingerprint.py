"""Fingerprints: another for whatever a tower reads, the same for whatever it does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.trainables.modules.conftest import FAMILIES, load
from trainables.modules.backbones.tokenizers import PretrainedTokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping


def edited(folder: str, to: Path, name: str, **changes: Any) -> Path:
    """Copy a checkpoint and change fields of one of its JSON files."""
    shutil.copytree(folder, to)
    before = json.loads((to / name).read_text())
    (to / name).write_text(json.dumps(before | changes))
    return to


def fingerprint(family: str, folder: str | Path) -> str:
    return load({family: str(folder)}, family).fingerprint


@pytest.mark.parametrize(
    ("family", "file", "changes"),
    [
        ("bert", "config.json", {"hidden_act": "relu"}),
        ("bert", "config.json", {"layer_norm_eps": 1e-3}),
        ("bert", "config.json", {"num_attention_heads": 2}),
        ("distilbert", "config.json", {"activation": "relu"}),
        ("mobilenet", "config.json", {"hidden_act": "relu"}),
        ("vit", "config.json", {"layer_norm_eps": 1e-3}),
        ("vit", "preprocessor_config.json", {"image_mean": [0.4, 0.5, 0.61]}),
        ("vit", "preprocessor_config.json", {"image_std": [0.2, 0.25, 0.31]}),
    ],
)
def test_a_fingerprint_differs_with_the_settings_beside_the_weights(
    weights: Mapping[str, str], tmp_path: Path, family: str, file: str, changes: dict[str, Any]
) -> None:
    other = edited(weights[family], tmp_path / family, file, **changes)
    assert fingerprint(family, other) != fingerprint(family, weights[family])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fingerprint_is_that_of_the_contents_wherever_they_lie(
    weights: Mapping[str, str], tmp_path: Path, family: str
) -> None:
    source = Path(weights[family])
    other = tmp_path / source.name
    if source.is_file():
        shutil.copy(source, other)
    else:
        names = {"id2label": {"0": "cat"}, "label2id": {"cat": 0}, "architectures": ["Another"]}
        edited(str(source), other, "config.json", **names)
    assert fingerprint(family, other) == fingerprint(family, source)


def test_a_fingerprint_differs_with_a_word_of_the_vocabulary(
    weights: Mapping[str, str], tmp_path: Path
) -> None:
    other = Path(shutil.copytree(weights["bert"], tmp_path / "bert"))
    file = other / "tokenizer.json"
    file.write_text(file.read_text().replace('"lovely"', '"lonely"'))
    assert fingerprint("bert", other) != fingerprint("bert", weights["bert"])


def test_reading_texts_changes_no_fingerprint(weights: Mapping[str, str]) -> None:
    tower: Any = load(weights, "bert")
    before = tower.fingerprint
    tower.tokenizer.encode(["a lovely day by the river"], 4)
    assert tower.fingerprint == before


def test_a_tokenizer_in_python_is_known_by_its_files(tmp_path: Path) -> None:
    from transformers import BertweetTokenizer

    def tokenizer(name: str, *, merges: str, **settings: Any) -> PretrainedTokenizer:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "vocab.txt").write_text("a</w> 3\nb</w> 2\na@@ 1\n")
        (folder / "bpe.codes").write_text(merges)
        files = (str(folder / "vocab.txt"), str(folder / "bpe.codes"))
        return PretrainedTokenizer(BertweetTokenizer(*files, **settings))

    one, same = (tokenizer(name, merges="a b</w> 1\n") for name in ("one", "same"))
    assert one.fingerprint == same.fingerprint
    assert tokenizer("other", merges="b a</w> 1\n").fingerprint != one.fingerprint
    cleaned = tokenizer("cleaned", merges="a b</w> 1\n", normalization=True)
    assert cleaned.fingerprint != one.fingerprint


def test_a_fingerprint_differs_with_one_weight(weights: Mapping[str, str]) -> None:
    tower = load(weights, "bert")
    before = tower.fingerprint
    assert before == load(weights, "bert").fingerprint
    with torch.no_grad():
        tower.model.encoder.layer[0].output.dense.bias[3] += 1e-3
    assert tower.fingerprint != before
