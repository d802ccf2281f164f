"""A search space: hyperparameters in the order in which they are drawn, and the edits of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from trainables.hyperparameter import Choices, FloatRange, Hyperparameter, IntRange

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import optuna

    from trainables.hyperparameter import Domain, Value


class EmptyRangeError(ValueError):
    """A range leaves no value of a domain."""


class Space(Mapping[str, Hyperparameter]):
    """What a search draws: hyperparameters by name, in their order.

    It is immutable: each edit gives a new space. A hyperparameter without a domain is not drawn,
    nor one whose condition cannot be met. A condition on one that is not drawn is decided by the
    hand-tuned value of that.

    Args:
        hyperparameters: A condition may name only one that stands before.

    Raises:
        ValueError: If a condition names one that does not.
    """

    def __init__(self, hyperparameters: Iterable[Hyperparameter]) -> None:
        self._drawn: dict[str, Hyperparameter] = {}
        domains: dict[str, Domain] = {}
        self.domains: Mapping[str, Domain] = domains
        """What each is drawn from."""
        earlier: dict[str, Hyperparameter] = {}
        for each in hyperparameters:
            if each.domain is not None and self._can_act(each, earlier):
                is_free = each.when is None or each.when.name in self._drawn
                self._drawn[each.name] = each if is_free else replace(each, when=None)
                domains[each.name] = each.domain
            earlier[each.name] = each

    def _can_act(self, each: Hyperparameter, earlier: Mapping[str, Hyperparameter]) -> bool:
        if each.when is None:
            return True
        if each.when.name not in earlier:
            msg = f"the condition of {each.name} must name one before it, got {each.when.name!r}"
            raise ValueError(msg)
        other = earlier[each.when.name]
        if other.domain is None:
            return other.hand_tuned in each.when.values
        is_drawn = other.name in self._drawn
        return is_drawn and not {*each.when.values}.isdisjoint(values_of(other.domain))

    def __getitem__(self, name: str) -> Hyperparameter:
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawn)

    def __len__(self) -> int:
        return len(self._drawn)

    def suggest(self, trial: optuna.Trial) -> None:
        """Draw the hyperparameters of a trial, each whose condition is met."""
        drawn: dict[str, Value] = {}
        for name, each in self.items():
            if _acts(each, drawn):
                drawn[name] = _suggest(trial, name, self.domains[name])

    def fix(self, values: Mapping[str, Value]) -> Space:
        """Hold hyperparameters in every trial, whatever their condition.

        Args:
            values: By name; they need not lie in the domain, nor the name in the space.

        Returns:
            The space; new names stand last, in alphabetical order.
        """
        more = [Hyperparameter(name, values[name]) for name in sorted(values.keys() - self.keys())]
        return Space(
            replace(each, domain=Choices(values[each.name]), when=None)
            if each.name in values
            else each
            for each in [*self.values(), *more]
        )

    def within(self, ranges: Mapping[str, tuple[float, float]]) -> Space:
        """Cut the domains of numbers to the lowest and highest value by name, both included.

        Returns:
            The space.

        Raises:
            EmptyRangeError: If nothing is left of one.
        """
        return self.replace(
            {name: _cut(name, self.domains[name], *ends) for name, ends in ranges.items()}
        )

    def choose(self, choices: Mapping[str, tuple[Value, ...]]) -> Space:
        """Draw hyperparameters from given values.

        Args:
            choices: At least one value by name; they need not lie in the domain, nor the name in
                the space.

        Returns:
            The space; new names stand last, in the order given.
        """
        domains = {name: Choices(*values) for name, values in choices.items()}
        new = [name for name in choices if name not in self]
        more = [Hyperparameter(name, choices[name][0], domains[name]) for name in new]
        return Space([*self.replace(domains).values(), *more])

    def without(self, names: Collection[str]) -> Space:
        """Leave hyperparameters at their hand-tuned value."""
        return Space(
            replace(each, domain=None) if name in names else each for name, each in self.items()
        )

    def replace(self, domains: Mapping[str, Domain]) -> Space:
        """Give hyperparameters another domain, by name."""
        return Space(
            replace(each, domain=domains.get(name, each.domain)) for name, each in self.items()
        )

    def leave_out(self, values: Mapping[str, Collection[Value]]) -> Space:
        """Take values out of choices; of each at least one other value must be left."""
        return self.replace(
            {
                name: Choices(*(value for value in domain.values if value not in out))
                for name, out in values.items()
                if isinstance(domain := self.domains[name], Choices)
            }
        )

    def inside(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """Move parameters to the nearest point of this space.

        Args:
            params: Values by name, such as a hand-tuned config; those not drawn are dropped.

        Returns:
            The values moved into their domain, and the held ones whether given or not.
        """
        moved: dict[str, Value] = {}
        for name, domain in self.domains.items():
            if isinstance(domain, Choices) and len(domain.values) == 1:
                moved[name] = domain.values[0]
            elif name in params:
                moved[name] = nearest_value(params[name], domain)
        return moved

    def combinations(self, names: Collection[str]) -> list[dict[str, Value]]:
        """Combine every value of some hyperparameters; the others have the first of theirs.

        Args:
            names: Which; those that decide whether they act are combined with them. Of real
                numbers only the ends are.

        Returns:
            Parameters by name, such as a trial could draw.
        """
        names = self._with_conditions(names)
        found: list[dict[str, Value]] = [{}]
        for name, each in self.items():
            values = values_of(self.domains[name])
            tried = values if name in names else values[:1]
            active = [params for params in found if _acts(each, params)]
            found = [params for params in found if not _acts(each, params)]
            found += [{**params, name: value} for params in active for value in tried]
        return found

    def _with_conditions(self, names: Collection[str]) -> set[str]:
        found = {*names} & self.keys()
        for each in reversed([*self.values()]):
            if each.name in found and each.when is not None:
                found.add(each.when.name)
        return found


def _acts(each: Hyperparameter, params: Mapping[str, Value]) -> bool:
    return each.when is None or params.get(each.when.name) in each.when.values


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
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


def _cut(name: str, domain: Domain, low: float, high: float) -> Domain:
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
