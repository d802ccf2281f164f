"""Configs: every fault is named, all at once, with its rule and value."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trainables.config import ConfigError, InputSettings, TrainConfig, nearest

BAD_INPUTS: list[tuple[dict[str, Any], str]] = [
    ({"text_length": 3}, "text_length must be >= 4, got 3"),
    ({"image_size": 31}, "image_size must be >= 32, got 31"),
    ({"blur_radius": -0.1}, "blur_radius must be >= 0, got -0.1"),
    ({"blur_radius": math.nan}, "blur_radius must be >= 0, got nan"),
    ({"blur_radius": math.inf}, "blur_radius must be <= 100, got inf"),
    (
        {"text_cleaning": "basics"},
        "text_cleaning must be one of basic, improved, minimal, got 'basics'; "
        "did you mean 'basic'?",
    ),
    (
        {"image_preparation": "crop"},
        "image_preparation must be one of basic, improved, imagenet, got 'crop'; "
        "known are basic, imagenet, improved",
    ),
]

BAD_TRAINING: list[tuple[str, Any, str]] = [
    ("head_learning_rate", 0.0, "> 0 and finite"),
    ("head_learning_rate", math.inf, "> 0 and finite"),
    ("backbone_learning_rate", -1e-5, "> 0 and finite"),
    ("backbone_learning_rate", math.nan, "> 0 and finite"),
    ("max_grad_norm", 0.0, "> 0 and finite"),
    ("weight_decay", -0.1, ">= 0 and finite"),
    ("weight_decay", math.nan, ">= 0 and finite"),
    ("weight_decay", math.inf, ">= 0 and finite"),
    ("class_weight_smoothing", -1.0, ">= 0"),
    ("batch_size", 0, ">= 1"),
    ("max_epochs", 0, ">= 1"),
    ("patience", 0, ">= 1"),
    ("warmup_ratio", 1.0, "in [0, 1)"),
    ("warmup_ratio", -0.1, "in [0, 1)"),
    ("label_smoothing", 1.0, "in [0, 1)"),
    ("neutral_threshold", 1.1, "in [0, 1]"),
    ("neutral_threshold", math.nan, "in [0, 1]"),
]


def test_a_near_name_is_offered() -> None:
    assert nearest("batchsize", {"batch_size", "patience"}) == "did you mean 'batch_size'?"


def test_known_names_are_listed_in_order_when_none_is_near() -> None:
    assert nearest("zzz", {"patience", "batch_size"}) == "known are batch_size, patience"


def test_default_inputs_have_no_fault() -> None:
    assert list(InputSettings().faults()) == []


@pytest.mark.parametrize(("values", "message"), BAD_INPUTS)
def test_a_bad_input_setting_is_named_with_its_rule(values: dict[str, Any], message: str) -> None:
    assert list(InputSettings(**values).faults()) == [message]


def test_the_least_allowed_inputs_have_no_fault() -> None:
    assert list(InputSettings(text_length=4, image_size=32, blur_radius=0.0).faults()) == []


def test_defaults_fill_what_params_leave_out() -> None:
    assert TrainConfig.from_params({"batch_size": 8}) == TrainConfig(batch_size=8)


@pytest.mark.parametrize(("name", "value", "rule"), BAD_TRAINING)
def test_a_bad_hyperparameter_is_named_with_its_rule(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_params({name: value})
    assert str(error.value) == f"{name} must be {rule}, got {value}"


def test_an_unknown_schedule_gets_the_nearest_known() -> None:
    with pytest.raises(ConfigError, match=r"got 'cosin'; did you mean 'cosine'\?"):
        TrainConfig.from_params({"schedule": "cosin"})


def test_the_limits_of_ranges_are_allowed() -> None:
    limits = {"weight_decay": 0, "warmup_ratio": 0, "label_smoothing": 0, "neutral_threshold": 1}
    least = {"batch_size": 1, "max_epochs": 1, "patience": 1, "class_weight_smoothing": 0}
    assert list(TrainConfig.from_params(limits | least).faults()) == []


def test_all_faults_come_in_one_message() -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig.from_params({"bach_size": 4, "patience": 0, "weight_decay": -1})
    assert str(error.value).splitlines() == [
        "TrainConfig has no parameter 'bach_size'; did you mean 'batch_size'?",
        "weight_decay must be >= 0 and finite, got -1",
        "patience must be >= 1, got 0",
    ]
