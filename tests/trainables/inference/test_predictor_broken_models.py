"""Model folders that are damaged or do not fit: each fault is named."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

from trainables.evaluation.decision import DecisionRule
from trainables.inference.about import ModelError, read_about
from trainables.inference.predictor import Predictor

if TYPE_CHECKING:
    from trainables.data.sample import Corpus


@pytest.fixture
def broken(saved_tiny: Path, tmp_path: Path) -> Path:
    """A copy of a model, to be damaged."""
    return Path(shutil.copytree(saved_tiny, tmp_path / "model"))


def change_config(folder: Path, **changes: Any) -> None:
    about = json.loads((folder / "config.json").read_text())
    about.pop("sha256", None)  # a change that is meant
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
    assert "must be of format 2 or 3 and of a variant among early_fusion" in message
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
        ({"inputs": {"image_size": "64"}}, "not supported between instances of 'int' and 'str'"),
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


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, 10**400, "1", None, True])
@pytest.mark.parametrize("name", ["neutral_weight", "temperature"])
def test_a_factor_of_the_decision_that_is_no_finite_number_above_0_is_named(
    broken: Path, name: str, value: Any
) -> None:
    change_config(broken, decision={"neutral_threshold": 0.36, name: value})
    assert f"config.json is damaged: decision.{name}: " in fault_of(broken)


def test_a_decision_of_an_earlier_version_weighs_all_classes_alike(broken: Path) -> None:
    change_config(broken, decision={"neutral_threshold": 0.36, "temperature": 2.0})
    assert Predictor(broken).rule == DecisionRule(0.36, 2.0)
    assert Predictor(broken).rule.neutral_weight == 1


def test_a_member_of_an_earlier_version_was_trained(broken: Path, corpus: Corpus) -> None:
    before = Predictor(broken).probabilities(corpus.unlabelled)
    (member,) = read_about(broken)["members"]
    assert member.pop("kind") == "trained"
    change_config(broken, members=[member])
    assert (Predictor(broken).probabilities(corpus.unlabelled) == before).all()


def test_a_member_of_another_kind_than_its_weights_is_refused(broken: Path) -> None:
    (member,) = read_about(broken)["members"]
    change_config(broken, members=[member | {"kind": "forest"}])
    assert "config.json is damaged: members[0].kind: 'forest' is not one of" in fault_of(broken)
    change_config(broken, members=[member | {"kind": "regression"}])
    assert "without unfrozen layers, got text 2, image 1" in fault_of(broken)
    frozen = member["config"] | {"text_unfrozen_layers": 0, "image_unfrozen_layers": 0}
    change_config(broken, members=[member | {"kind": "regression", "config": frozen}])
    assert "head.linear.weight" in fault_of(broken)


@pytest.mark.parametrize("content", ["[]", "null", "3"])
def test_a_config_that_is_no_table_is_named(broken: Path, content: str) -> None:
    (broken / "config.json").write_text(content)
    assert str(broken / "config.json") in fault_of(broken)


WEIGHTS = ["classifier.safetensors", "text/model.safetensors", "image/resnet.safetensors"]


@pytest.mark.parametrize("name", WEIGHTS)
def test_truncated_weights_are_named(broken: Path, name: str) -> None:
    (broken / name).write_bytes((broken / name).read_bytes()[:500])
    change_config(broken)
    assert str(broken) in fault_of(broken)


def test_a_missing_tower_is_named(broken: Path) -> None:
    shutil.rmtree(broken / "text")
    lacking = "text/config.json is missing, text/model.safetensors is missing"
    assert lacking in fault_of(broken)
    change_config(broken)
    assert f"no folder {broken / 'text'}" in fault_of(broken)


def test_one_flipped_bit_of_any_file_is_named(broken: Path) -> None:
    for path in [path for path in broken.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 1
        path.write_bytes(flipped)
        assert path.name in fault_of(broken)
        path.write_bytes(content)
    Predictor(broken)


def test_a_changed_setting_is_named_with_what_to_do_if_it_was_meant(broken: Path) -> None:
    path = broken / "config.json"
    path.write_text(path.read_text().replace("0.36", "0.37"))
    assert fault_of(broken).endswith(
        "config.json is damaged or was changed; copy it anew, or take sha256 out of its"
        " config.json if the change was meant"
    )
    change_config(broken)
    Predictor(broken)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_no_numbers_are_named(broken: Path, name: str, value: float) -> None:
    state = load_file(broken / name)
    worst = max(state, key=lambda key: state[key].numel())
    state[worst].flatten()[7] = value
    save_file(state, broken / name, {"format": "pt"})
    change_config(broken)
    assert f"NaN or infinity, in {worst}" in fault_of(broken)


def test_a_prediction_that_is_no_number_is_an_error(broken: Path, corpus: Corpus) -> None:
    state = load_file(broken / "classifier.safetensors")
    state["head.output.weight"][:] = 3e38  # finite, and too large to be added up
    save_file(state, broken / "classifier.safetensors")
    change_config(broken)
    with pytest.raises(ModelError, match=r"not finite for .* of 36 samples, such as 0"):
        Predictor(broken).predict(corpus.samples)
