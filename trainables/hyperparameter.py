"""A hyperparameter: a field of a config that holds all there is to know about it.

A field made by `hyperparameter` holds its value in the hand-tuned config, the range that a search
draws it from, when it acts, what a valid value is and what it means. A subclass that gives the
field another value or range inherits the rest.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
Value = bool | int | float | str


@dataclass(frozen=True)
class FloatRange:
    """Real numbers between two ends, both included; `log` draws them by their logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class IntRange:
    """Whole numbers from `low` in steps of `step` (>= 1) up to `high`, both included."""

    low: int
    high: int
    step: int = 1


@dataclass(frozen=True, init=False)
class Choices:
    """At least one value, in the order in which they are drawn."""

    values: tuple[Value, ...]

    def __init__(self, *values: Value) -> None:
        object.__setattr__(self, "values", values)


Domain = FloatRange | IntRange | Choices


@dataclass(frozen=True, init=False)
class When:
    """The condition under which a hyperparameter acts: an earlier one has one of these values."""

    name: str
    values: tuple[Value, ...]

    def __init__(self, name: str, *values: Value) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "values", values)


class Rule(NamedTuple):
    """What a valid number is, in words and as a test that NaN fails."""

    words: str
    holds: Callable[[float], bool]


POSITIVE = Rule("> 0 and finite", lambda value: 0 < value < math.inf)
NOT_NEGATIVE = Rule(">= 0 and finite", lambda value: 0 <= value < math.inf)
AT_LEAST_0 = Rule(">= 0", lambda value: value >= 0)
AT_LEAST_1 = Rule(">= 1", lambda value: value >= 1)
BELOW_1 = Rule("in [0, 1)", lambda value: 0 <= value < 1)
SHARE = Rule("in [0, 1]", lambda value: 0 <= value <= 1)


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter of one variant.

    Attributes:
        name: The field of the config.
        hand_tuned: Its value in the hand-tuned config, which is the default of the config.
        domain: What a search draws it from; None leaves it at `hand_tuned`.
        when: The condition under which it acts; None is always.
        rule: What a valid value is, where that can be said of a number alone.
        doc: What it means.
    """

    name: str
    hand_tuned: Value
    domain: Domain | None = None
    when: When | None = None
    rule: Rule | None = None
    doc: str = ""


@overload
def hyperparameter(
    hand_tuned: T,
    domain: Domain | None = None,
    *,
    when: When | None = None,
    rule: Rule | None = None,
    doc: str = "",
) -> T: ...
@overload
def hyperparameter(*, rule: Rule | None = None, doc: str = "") -> Any: ...
def hyperparameter(
    hand_tuned: Any = MISSING,
    domain: Domain | None = None,
    *,
    when: When | None = None,
    rule: Rule | None = None,
    doc: str = "",
) -> Any:
    """Make the field of a config; a subclass that makes it again inherits what it leaves out.

    Args:
        hand_tuned: Its value in the hand-tuned config, which is the default of the config; left
            out where every subclass has one of its own.
        domain: What a search draws it from.
        when: The condition under which it acts.
        rule: What a valid value is.
        doc: What it means: unit, and what its values do.

    Returns:
        The field; a type checker takes it for its default.
    """
    given = {"domain": domain, "when": when, "rule": rule, "doc": doc}
    return field(default=hand_tuned, metadata={key: each for key, each in given.items() if each})


def hyperparameters_of(config: type) -> Mapping[str, Hyperparameter]:
    """Read the hyperparameters of a variant's config type, a dataclass with all defaults.

    Returns:
        All by name, those with a domain first, in the order in which the classes, base first, give
        them one.
    """
    merged: dict[str, dict[str, Any]] = {}
    searched: dict[str, None] = {}
    for kind in filter(is_dataclass, reversed(config.__mro__)):
        found = {each.name: each for each in fields(kind)}
        for name in filter(found.__contains__, inspect.get_annotations(kind)):
            known = merged.setdefault(name, {})
            known.update(found[name].metadata, hand_tuned=found[name].default)
            if "domain" in known:
                searched.setdefault(name)
    order = [*searched, *(name for name in merged if name not in searched)]
    return {name: Hyperparameter(name, **merged[name]) for name in order}
