"""A variant's search space, as the user narrowed it, and what can be asked of a space.

A space is asked, never parsed: its conditions are plain `if`s, so that its parameters and their
ranges are known from a few draws.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.distributions import CategoricalDistribution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna.distributions import BaseDistribution

    Space = Callable[[optuna.Trial], None]
    Value = bool | int | float | str

_DRAWS = 64  # enough to meet every branch of a space: one of probability 0.1 is missed once in 900


class EmptyRangeError(ValueError):
    """A narrowed range leaves no value of the space."""


@dataclass(frozen=True)
class NarrowedSpace:
    """A space whose parameters are held or kept to a part of their range.

    Attributes:
        space: The variant's space.
        fixed: Values by name; every trial has them, also where the space draws no such name.
        ranges: Lowest and highest value by name, both inclusive.
        unread: Names that have no say, as those of a tower that is not there: never drawn.
        inert: Choices by name that would change nothing, as a schedule that the epochs are too
            few for: never drawn.
    """

    space: Space
    fixed: Mapping[str, Value] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    inert: Mapping[str, frozenset[Value]] = field(default_factory=dict)

    def __call__(self, trial: optuna.Trial) -> None:
        """Suggest one trial.

        Args:
            trial: The Optuna trial that draws the values.
        """
        self.space(cast("optuna.Trial", _NarrowedTrial(trial, self)))
        for name in sorted(self.fixed.keys() - trial.params.keys()):
            trial.suggest_categorical(name, [self.fixed[name]])

    def inside(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Move parameters to the nearest point of this space.

        Args:
            params: Values by name, such as a hand-tuned config; names that are not drawn go.

        Returns:
            The held values, and the others moved into their range.
        """
        moved = {}
        for name, distribution in distributions(self).items():
            value = self.fixed.get(name, params.get(name))
            if value is not None:
                moved[name] = _nearest_value(value, distribution)
        return moved


class _NarrowedTrial:
    """Draws from the narrowed ranges in a space's stead."""

    def __init__(self, trial: optuna.Trial, narrowed: NarrowedSpace) -> None:
        self._trial = trial
        self._narrowed = narrowed

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if name in self._narrowed.unread:
            return low
        if name in self._narrowed.fixed:
            return cast("float", self._held(name))
        low, high = self._clip(name, low, high, step)
        return self._trial.suggest_float(name, low, high, step=step, log=log)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        if name in self._narrowed.unread:
            return low
        if name in self._narrowed.fixed:
            return cast("int", self._held(name))
        first, last = self._clip(name, low, high, step)
        return self._trial.suggest_int(name, int(first), int(last), step=step, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        if name in self._narrowed.unread:
            return choices[0]
        if name in self._narrowed.fixed:
            return self._held(name)
        inert = self._narrowed.inert.get(name, frozenset())
        choices = [choice for choice in choices if choice not in inert]
        if name in self._narrowed.ranges:
            low, high = self._narrowed.ranges[name]
            kept = [choice for choice in choices if low <= cast("float", choice) <= high]
            if not kept:
                raise EmptyRangeError(_left_nothing(name, low, high, f"one of {choices}"))
            choices = kept
        return cast("Value", self._trial.suggest_categorical(name, choices))

    def _held(self, name: str) -> Value:
        return cast("Value", self._trial.suggest_categorical(name, [self._narrowed.fixed[name]]))

    def _clip(self, name: str, low: float, high: float, step: float | None) -> tuple[float, float]:
        asked_low, asked_high = self._narrowed.ranges.get(name, (low, high))
        first, last = max(low, asked_low), min(high, asked_high)
        if step is not None:  # stay on the grid that starts at the space's own lowest value
            first = low + math.ceil((first - low) / step) * step
            last = low + math.floor((last - low) / step) * step
        if first > last:
            where = f"in [{low:g}, {high:g}]" + (f" in steps of {step:g}" if step else "")
            raise EmptyRangeError(_left_nothing(name, asked_low, asked_high, where))
        return first, last


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Find the parameters of a space and their ranges, those of every branch.

    Args:
        space: The space.

    Returns:
        Optuna's distributions by name, in the order of the space.
    """
    found: dict[str, BaseDistribution] = {}
    for trial in _ask(space, _DRAWS, seed=0):
        found |= trial.distributions
    return found


def draws(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    """Draw random trials of a space.

    Args:
        space: The space.
        count: How many, >= 1.
        seed: Seeds the draws.

    Returns:
        Parameter values by name.
    """
    return [trial.params for trial in _ask(space, count, seed)]


def _ask(space: Space, count: int, seed: int) -> list[optuna.Trial]:
    optuna.logging.set_verbosity(logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        space(trial)
    return trials


def _nearest_value(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        if value in distribution.choices or isinstance(value, str):
            return value if value in distribution.choices else distribution.choices[0]
        return min(distribution.choices, key=lambda choice: abs(cast("float", choice) - value))
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]  # both kinds have them
    value = min(max(value, low), high)
    step = getattr(distribution, "step", None)
    return low + round((value - low) / step) * step if step else value


def _left_nothing(name: str, low: float, high: float, where: str) -> str:
    return f"--range {name}={low:g}:{high:g} leaves nothing: the space draws it {where}"
