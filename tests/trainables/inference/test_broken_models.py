"""Model folders that are damaged or do not fit: each fault is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trainables.inference.about import ModelError, read_about
from trainables.inference.predictor import Predictor


@pytest.fixture
def broken(saved_tiny: Path, tmp_path: Path) -> Path:
    """A copy of a model, to be damaged."""
    return Path(shutil.copytree(saved_tiny, tmp_path / "model"))


def change_config(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | changes))


def members(**config: int) -> dict[str, Any]:
    return {"members": [{"config": config, "weight": 1}]}


def fault_of(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        Predictor(folder)
    return str(error.value)


def test_all_that_a_model_folder_lacks_is_named(tmp_path: Path) -> None:
    assert fault_of(tmp_path) == (
        f"model folder {tmp_path} must hold config.json and classifier.safetensors; "
        "it lacks ['config.json', 'classifier.safetensors']"
    )


def test_a_config_that_is_no_json_is_named(broken: Path) -> None:
    (broken / "config.json").write_text("{")
    assert fault_of(broken).startswith(f"{broken / 'config.json'} must be JSON: ")


@pytest.mark.parametrize("change", [{"format": 1}, {"format": None}, {"variant": "late"}])
def test_another_format_or_variant_is_refused(broken: Path, change: dict[str, Any]) -> None:
    change_config(broken, **change)
    message = fault_of(broken)
    assert "must be of format 2 and of a variant among early_fusion" in message
    assert repr(change.get("variant", "early_fusion")) in message
    with pytest.raises(ModelError):
        read_about(broken)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (
            members(batch_size=0),
            "batch_size must be >= 1, got 0",
        ),
        (members(bach_size=4), "did you mean 'batch_size'?"),
        (
            members(hidden_width=9),
            "size mismatch for head.hidden.weight",
        ),
        (members(text_unfrozen_layers=9), "must be in [0, 3]"),
        ({"inputs": {"image_sise": 64}}, "image_sise"),
        ({"inputs": {"image_size": 1}}, "image_size must be >= 32, got 1"),
        ({"inputs": {"image_size": "64"}}, "'<' not supported"),
        ({"members": []}, "config.json is damaged: it lacks members"),
        ({"inputs": [], "members": 1}, "config.json is damaged: it lacks members, inputs"),
        ({"decision": {"threshold": 1}}, "threshold"),
        ({"random_backbones": None}, "config.json is damaged: it lacks random_backbones"),
    ],
)
def test_a_config_that_does_not_fit_is_named(
    broken: Path, change: dict[str, Any], cause: str
) -> None:
    change_config(broken, **change)
    message = fault_of(broken)
    assert str(broken) in message
    assert cause in message


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_a_config_that_is_no_table_is_named(broken: Path, content: str) -> None:
    (broken / "config.json").write_text(content)
    assert str(broken / "config.json") in fault_of(broken)


@pytest.mark.parametrize(
    "name", ["classifier.safetensors", "text/model.safetensors", "image/resnet.safetensors"]
)
def test_truncated_weights_are_named(broken: Path, name: str) -> None:
    (broken / name).write_bytes((broken / name).read_bytes()[:500])
    assert str(broken) in fault_of(broken)


def test_a_missing_tower_is_named(broken: Path) -> None:
    shutil.rmtree(broken / "text")
    assert f"no folder {broken / 'text'}" in fault_of(broken)
