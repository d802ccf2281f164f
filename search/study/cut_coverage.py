"""Configs of a space that between them meet every place at which it cuts a backbone.

A space is asked, not parsed: a recorder answers its suggestions, and every choice that steers what
is asked next, or that a cut depends on, is tried together with every other such choice.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any, cast

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FixedTrial

from search.study.space import draws

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from optuna.distributions import BaseDistribution

    from search.study.space import Space
    from trainables.config import Modality
    from trainables.variants.variant import Variant

_DRAWS = 64  # random trials, each changed in one place after the other


class _Asked(FixedTrial):
    """Answers with the values that it is given, and else with the first that may be drawn."""

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:  # Optuna's one way in
        self._params.setdefault(name, _values(distribution)[0])
        with warnings.catch_warnings(action="ignore"):  # of a value outside a branch's range
            return super()._suggest(name, distribution)


def meet_every_cut(
    variant: Variant[Any], space: Space, modality: Modality
) -> list[dict[str, Any]]:
    """Find configs that need all the frozen activations that any config of a space needs.

    Args:
        variant: What is tuned.
        space: Its space.
        modality: What is read of a pair.

    Returns:
        Hyperparameters by name, one config for each distinct way to cut the backbones.
    """
    steering = _steering(space)
    relevant: set[str] = set()
    while True:
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        read: set[str] = set()
        for params in _combinations(space, steering | relevant):
            config = _traced(variant.config.from_params(params), read)
            readings = variant.readings(config, modality)
            found.setdefault(tuple(one.prefix for one in readings.values()), params)
        if read <= relevant:
            return list(found.values())
        relevant |= read


def _steering(space: Space) -> set[str]:
    """Find the names whose value decides what else is asked for."""
    names: set[str] = set()
    for params in draws(space, _DRAWS, seed=0):
        asked = _ask(space, params)
        for name, distribution in asked.distributions.items():
            if name not in names and any(
                _ask(space, {**params, name: value}).distributions != asked.distributions
                for value in _values(distribution)
            ):
                names.add(name)
    return names


def _combinations(space: Space, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """Give every combination of the values of some names that the space can draw."""
    waiting: list[dict[str, Any]] = [{}]
    while waiting:
        held = waiting.pop()
        asked = _ask(space, held)
        free = (name for name in asked.distributions if name in names and name not in held)
        name = next(free, None)
        if name is None:
            yield dict(asked.params)
        else:
            waiting += [{**held, name: v} for v in _values(asked.distributions[name])]


def _ask(space: Space, params: Mapping[str, Any]) -> _Asked:
    asked = _Asked(dict(params))
    space(cast("Any", asked))
    return asked


def _values(distribution: BaseDistribution) -> list[Any]:
    """Give all the values of a distribution; of a continuous one, its ends."""
    match distribution:
        case CategoricalDistribution():
            return list(distribution.choices)
        case IntDistribution():
            return list(range(distribution.low, distribution.high + 1, distribution.step))
    assert isinstance(distribution, FloatDistribution)
    return [distribution.low, distribution.high]


def _traced(config: Any, read: set[str]) -> Any:
    """Copy a config so that the names of what is read of it are added to a set."""
    kind = type(config)
    fields = frozenset(vars(config))

    def note(self: Any, name: str) -> Any:
        if name in fields:
            read.add(name)
        return object.__getattribute__(self, name)

    traced = copy.copy(config)
    traced_kind = type(kind.__name__, (kind,), {"__getattribute__": note})
    object.__setattr__(traced, "__class__", traced_kind)
    return traced
