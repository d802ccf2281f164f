"""What can be done with the domain of a hyperparameter: draw from it, list it, cut it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from trainables.hyperparameter import Choices, FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from trainables.hyperparameter import Domain, Value


class EmptyRangeError(ValueError):
    """A range leaves no value of a domain."""


def suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    """Draw a value of the domain."""
    match domain:
        case FloatRange(low, high, log):
            return trial.suggest_float(name, low, high, log=log)
        case IntRange(low, high, step):
            return trial.suggest_int(name, low, high, step=step)
        case Choices(values):
            return cast("Value", trial.suggest_categorical(name, values))


def values_of(domain: Domain) -> Sequence[Value]:
    """List all values of a domain; of real numbers, the ends."""
    match domain:
        case FloatRange(low, high):
            return low, high
        case IntRange(low, high, step):
            return range(low, high + 1, step)
        case Choices(values):
            return values


def nearest_value(value: Any, domain: Domain) -> Any:
    """Move a value to the nearest of a domain; a string that is not a choice to the first."""
    match domain:
        case FloatRange(low, high):
            return min(max(value, low), high)
        case IntRange(low, high, step):
            return low + round((min(max(value, low), high) - low) / step) * step
        case Choices(values):
            if value in values:
                return value
            if isinstance(value, str):
                return values[0]
            return min(values, key=lambda choice: abs(cast("float", choice) - value))


def cut(name: str, domain: Domain, low: float, high: float) -> Domain:
    """Keep what lies between two ends, on the grid that starts at the domain's own lowest value.

    Args:
        name: Of the hyperparameter, for the error.
        domain: Of numbers.
        low: The lowest value to keep.
        high: The highest.

    Returns:
        The part of the domain that is left.

    Raises:
        EmptyRangeError: If nothing is left.
    """
    match domain:
        case FloatRange(first, last, log):
            ends = max(first, low), min(last, high)
            kept: Domain = FloatRange(*ends, log)
            left, where = ends[0] <= ends[1], f"in [{first:g}, {last:g}]"
        case IntRange(first, last, step):
            begin = first + math.ceil((max(first, low) - first) / step) * step
            end = first + math.floor((min(last, high) - first) / step) * step
            kept, left = IntRange(begin, end, step), begin <= end
            where = f"in [{first:g}, {last:g}] in steps of {step:g}"
        case Choices(values):
            kept = Choices(*(each for each in values if low <= cast("float", each) <= high))
            left, where = bool(kept.values), f"one of {list(values)}"
    if not left:
        msg = f"--range {name}={low:g}:{high:g} leaves nothing: the space draws it {where}"
        raise EmptyRangeError(msg)
    return kept
