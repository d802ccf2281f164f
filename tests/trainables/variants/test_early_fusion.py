"""Early fusion: the faults of its config, and what its config decides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from trainables.config import ROLES, ConfigError
from trainables.modules.backbones.weights import WeightsError
from trainables.modules.blocks.cut import Cut
from trainables.variants.early_fusion import EARLY_FUSION, EarlyFusionConfig
from trainables.variants.towers import load_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.modules.backbones.tower import Tower

FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"text_pooling": "max"}, "text_pooling must be cls or mean, got 'max'"),
    ({"text_unfrozen_layers": -1}, "text_unfrozen_layers must be >= 0, got -1"),
    ({"image_unfrozen_layers": -2}, "image_unfrozen_layers must be >= 0, got -2"),
    ({"projection_width": 0}, "projection_width must be >= 1, got 0"),
    ({"hidden_width": 0}, "hidden_width must be >= 1, got 0"),
    ({"head_dropout": 1.0}, "head_dropout must be in [0, 1), got 1.0"),
    ({"head_dropout": -0.1}, "head_dropout must be in [0, 1), got -0.1"),
    ({"head_dropout": math.nan}, "head_dropout must be in [0, 1), got nan"),
]


@pytest.fixture(scope="module")
def towers() -> Mapping[str, Tower]:
    return load_pair({"text": "tiny", "image": "tiny"}, ROLES["both"])


@pytest.mark.parametrize(("values", "message"), FAULTS)
def test_a_bad_value_is_named_with_its_rule(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        EarlyFusionConfig.from_params(values)
    assert str(error.value) == message


def test_all_faults_come_at_once() -> None:
    values = {name: value for case, _ in FAULTS for name, value in case.items()}
    assert len(list(EarlyFusionConfig(**values).faults())) == len(values)


def test_a_config_says_where_the_towers_are_cut() -> None:
    config = EarlyFusionConfig(text_unfrozen_layers=2, image_unfrozen_layers=3, text_pooling="cls")
    assert config.cuts() == {"text": Cut(2, "cls"), "image": Cut(3)}


def test_a_config_shapes_the_head(towers: Mapping[str, Tower]) -> None:
    config = EarlyFusionConfig(
        projection_width=5, hidden_width=7, head_dropout=0.25, normalize=True
    )
    head: Any = EARLY_FUSION.build(config, towers).head
    assert head.projections["text"].weight.shape == (5, towers["text"].width)
    assert head.projections["image"].weight.shape == (5, towers["image"].width)
    assert head.hidden.weight.shape == (7, 10)
    assert head.dropout.p == 0.25
    assert head.normalize


def test_a_backbone_that_cannot_be_had_is_an_error_of_weights() -> None:
    with pytest.raises(WeightsError, match=r"no folder \./no/such"):
        load_pair({"text": "tiny", "image": "./no/such"}, ROLES["both"])
