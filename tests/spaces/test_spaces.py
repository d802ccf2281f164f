"""The space of every variant, and its configs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.study.space import distributions, draws
from spaces import SPACES
from spaces.space import nearest_value
from trainables.hyperparameter import hyperparameters_of
from trainables.variants import VARIANTS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from trainables.variants.variant import Variant

each_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


def choices(*values: Any) -> BaseDistribution:
    return CategoricalDistribution(values)


def training(head: tuple[float, float], backbone: tuple[float, float]) -> dict[str, Any]:
    return {
        "head_learning_rate": FloatDistribution(*head, log=True),
        "backbone_learning_rate": FloatDistribution(*backbone, log=True),
        "weight_decay": FloatDistribution(1e-5, 1e-1, log=True),
        "schedule": choices("cosine", "plateau"),
        "warmup_ratio": FloatDistribution(0.0, 0.3),
        "batch_size": choices(16, 32, 64),
        "weight_averaging": choices(0.0, 0.95, 0.99),
        "label_smoothing": FloatDistribution(0.0, 0.15),
        "class_weight_smoothing": choices(0.0, 0.03, 0.1, 1.0),
        "neutral_threshold": FloatDistribution(0.3, 0.45),
        "lexicon": choices(False, True),
    }


def joint(*fusions: str) -> dict[str, Any]:
    return {
        "fusion": choices(*fusions),
        "normalize": choices(False, True),
        "hidden_width": choices(64, 128, 256, 512),
        "head_dropout": FloatDistribution(0.1, 0.6),
        "block_dropout": FloatDistribution(0.0, 0.5),
        **LAYERS,
    }


LAYERS = {
    "text_unfrozen_layers": IntDistribution(0, 2),
    "image_unfrozen_layers": IntDistribution(0, 2),
}
READS = {
    **LAYERS,
    "text_cleaning": choices("minimal", "improved"),
    "image_preparation": choices("imagenet", "basic"),
    "text_pooled_layers": choices("last", "both"),
}
# What every variant draws, in the order of its draws: with another order the same seed would draw
# other trials.
EXPECTED: dict[str, dict[str, BaseDistribution]] = {
    "early_fusion": {
        **training((2e-4, 2e-3), (1e-5, 2e-4)),
        **READS,
        "normalize": choices(False, True),
        "projection_width": choices(128, 256, 512),
        "hidden_width": IntDistribution(128, 1024, step=128),
        "head_dropout": FloatDistribution(0.3, 0.7),
    },
    "late_fusion": {
        **training((1e-4, 5e-3), (1e-5, 3e-4)),
        **READS,
        "fusion": choices("weighted", "vote"),
        "fusion_weight": FloatDistribution(0.2, 0.8),
        "text_pooling": choices("cls", "mean"),
        "hidden_width": IntDistribution(64, 512, step=64),
        "head_dropout": FloatDistribution(0.1, 0.6),
    },
    "clip": training((2e-5, 5e-3), (5e-6, 2e-4)) | joint("add", "concat"),
    "blip": training((1e-5, 5e-3), (5e-6, 2e-4)) | joint("add", "concat", "cross"),
    "blip_enhanced": {
        **training((1e-5, 5e-3), (5e-6, 2e-4)),
        **joint("add", "concat"),
        "sampling": choices("none", "weighted", "undersample"),
        "logit_adjustment": choices(0.0, 0.5, 1.0),
        "focal_gamma": choices(0.0, 1.0, 2.0),
    },
}


def test_every_variant_has_a_space() -> None:
    assert SPACES.keys() == VARIANTS.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", SPACES)
def test_a_space_draws_from_these_distributions_in_this_order(name: str) -> None:
    assert list(distributions(SPACES[name]).items()) == list(EXPECTED[name].items())


@pytest.mark.parametrize("name", SPACES)
def test_a_trial_draws_what_its_branch_has_in_order_and_from_what_the_space_says(
    name: str,
) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn: set[str] = set()
    for trial in (study.ask() for _ in range(40)):
        SPACES[name].suggest(trial)
        assert list(trial.params) == [key for key in EXPECTED[name] if key in trial.params]
        assert trial.distributions.items() <= EXPECTED[name].items()
        drawn |= trial.params.keys()
    assert drawn == EXPECTED[name].keys()


@each_variant
def test_every_point_of_a_space_is_a_valid_config(variant: Variant[Any]) -> None:
    for params in draws(SPACES[variant.name], 200, seed=0):
        variant.config.from_params(params)
    for name in SPACES[variant.name]:
        for params in SPACES[variant.name].combinations({name}):
            variant.config.from_params(params)


@each_variant
def test_the_hand_tuned_config_lies_inside_its_space(variant: Variant[Any]) -> None:
    hand_tuned = asdict(variant.hand_tuned)
    # As the search prepares its inputs: by default as the variant does.
    hand_tuned |= {n: v for n, v in asdict(variant.inputs).items() if hand_tuned.get(n) == ""}
    for name, domain in SPACES[variant.name].domains.items():
        assert nearest_value(hand_tuned[name], domain) == hand_tuned[name], name


@each_variant
def test_a_trial_that_repeats_the_hand_tuned_config_draws_exactly_it(
    variant: Variant[Any],
) -> None:
    hand_tuned = SPACES[variant.name].inside(asdict(variant.hand_tuned))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(hand_tuned)
    trial = study.ask()
    SPACES[variant.name].suggest(trial)
    assert trial.params == {name: hand_tuned[name] for name in trial.params}


@each_variant
def test_every_hyperparameter_says_what_it_means(variant: Variant[Any]) -> None:
    assert [one.name for one in hyperparameters_of(variant.config).values() if not one.doc] == []


def test_warm_up_is_drawn_only_for_the_schedule_that_has_one() -> None:
    for name in SPACES:
        for params in draws(SPACES[name], 50, seed=0):
            assert ("warmup_ratio" in params) == (params["schedule"] == "cosine")


def test_spaces_import_no_framework() -> None:
    probe = (
        "import sys, spaces\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'numpy', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
