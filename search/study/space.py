"""A search space as Optuna sees it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from trainables.hyperparameter import Choices, FloatRange, IntRange

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spaces.space import Space
    from trainables.hyperparameter import Domain


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's distributions of the hyperparameters of a space, by name, in their order."""
    return {name: _distribution(domain) for name, domain in space.domains.items()}


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case FloatRange(low, high, log):
            return FloatDistribution(low, high, log=log)
        case IntRange(low, high, step):
            return IntDistribution(low, high, step=step)
        case Choices(values):
            return CategoricalDistribution(values)


def draws(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """Draw `count` random trials of a space, as parameter values by name."""
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        space.suggest(trial)
    return [trial.params for trial in trials]
