"""Random weights have learning rates and batches of their own; nothing else changes for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from search.config.plan import make_plan
from search.config.settings import parse
from search.console.summary import warning
from search.study.space import distributions, draws
from search.study.tiny_space import (
    BATCHES,
    RATES,
    WAYS_TO_READ,
    at_tiny_rates,
    is_tiny,
    tiny_space,
)
from spaces import SPACES
from trainables.data.sample import Corpus
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search.config.plan import Plan


def plan_of(words: str) -> Plan:
    return make_plan(parse(f"--data demo --out never-written {words}".split()))


@pytest.mark.parametrize("name", SPACES)
def test_a_tiny_space_differs_in_learning_rates_batches_and_ways_to_read(name: str) -> None:
    pretrained, tiny = distributions(SPACES[name]), distributions(tiny_space(SPACES[name]))
    assert tiny.keys() == pretrained.keys() - {*WAYS_TO_READ}
    changed = {key for key in tiny if tiny[key] != pretrained[key]}
    assert changed == {*RATES, "batch_size"}
    batches: Any = tiny["batch_size"]
    assert batches.choices == BATCHES
    for key, (low, high) in RATES.items():
        found: Any = tiny[key]
        assert (found.low, found.high, found.log) == (low, high, True)


@pytest.mark.parametrize("name", SPACES)
def test_the_demo_is_searched_and_begun_at_the_rates_of_random_weights(name: str) -> None:
    plan = plan_of(f"--model {name}")
    for key, (low, high) in RATES.items():
        assert plan.hand_tuned[key] == pytest.approx((low * high) ** 0.5)
        assert all(low <= trial[key] <= high for trial in draws(plan.space, 9, seed=1))
    assert plan.hand_tuned["batch_size"] == 16
    others = plan.hand_tuned.keys() - {*RATES, "batch_size"}
    pretrained = SPACES[name].inside(asdict(VARIANTS[name].hand_tuned))
    assert others == pretrained.keys() - {*RATES, "batch_size", *WAYS_TO_READ}
    assert all(plan.hand_tuned[key] == pretrained[key] for key in others)
    words = "demo data, random tiny weights ("
    assert warning(plan, Corpus("demo", (), (), is_demo=True)).startswith(words)
    assert ") and a search space for them: " in warning(plan, Corpus("mine", (), ()))


def test_one_pretrained_tower_is_enough_for_the_rates_of_pretrained_ones(
    weights: Mapping[str, str],
) -> None:
    plan = plan_of(f"--model late_fusion --backbone text={weights['bert']}")
    rates: Any = distributions(plan.space)["backbone_learning_rate"]
    assert rates.high == 3e-4
    assert "a search space for them" not in warning(plan, Corpus("mine", (), ()))
    assert not is_tiny(plan.backbones)
    assert not is_tiny({"text": "tiny", "image": "resnet18"})
    assert is_tiny({"text": "tiny", "image": "tiny"})


def test_tiny_rates_are_narrowed_and_held_as_any() -> None:
    plan = plan_of(
        "--model clip --range head_learning_rate=0.01:1 --fix backbone_learning_rate=0.5"
    )
    assert plan.hand_tuned["head_learning_rate"] == 0.01
    assert plan.hand_tuned["backbone_learning_rate"] == 0.5
    assert at_tiny_rates({"batch_size": 4})["batch_size"] == 4
