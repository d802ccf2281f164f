from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.distributions import IntDistribution

from spaces import SPACES
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from trainables.variants.variant import Variant

each_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


def sample(name: str, count: int) -> list[optuna.Trial]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        SPACES[name](trial)
    return trials


def test_every_variant_has_a_space() -> None:
    assert SPACES.keys() == VARIANTS.keys()


@each_variant
def test_every_point_of_a_space_is_a_valid_config(variant: Variant[Any]) -> None:
    for trial in sample(variant.name, 200):
        variant.config.from_params(trial.params)


@each_variant
def test_the_hand_tuned_config_lies_inside_its_space(variant: Variant[Any]) -> None:
    found: dict[str, BaseDistribution] = {}
    for trial in sample(variant.name, 200):
        found |= trial.distributions
    hand_tuned = asdict(variant.hand_tuned)
    for name, distribution in found.items():
        value = distribution.to_internal_repr(hand_tuned[name])
        assert distribution._contains(value), (name, hand_tuned[name])
        if isinstance(distribution, IntDistribution):
            # Optuna holds any number between the ends for contained: it must be on the grid.
            assert (hand_tuned[name] - distribution.low) % distribution.step == 0, name


@each_variant
def test_a_trial_that_repeats_the_hand_tuned_config_draws_exactly_it(
    variant: Variant[Any],
) -> None:
    hand_tuned = asdict(variant.hand_tuned)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(hand_tuned)
    trial = study.ask()
    SPACES[variant.name](trial)
    assert trial.params == {name: hand_tuned[name] for name in trial.params}


def test_warm_up_is_drawn_only_for_the_schedule_that_has_one() -> None:
    for name in SPACES:
        for trial in sample(name, 50):
            has = "warmup_ratio" in trial.params
            assert has == (trial.params["schedule"] == "cosine")


def test_spaces_import_no_framework() -> None:
    probe = (
        "import sys, spaces\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'numpy', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
