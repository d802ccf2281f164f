"""`--fix` and `--range`: from words to a narrowed space, with all their faults at once."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from search.study.threshold import THRESHOLD
from trainables.config import ConfigError, nearest
from trainables.hyperparameter import Choices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from spaces.space import Space
    from trainables.config import Modality
    from trainables.hyperparameter import Domain, Value
    from trainables.variants.variant import Variant

_BOOLEANS = {"true": True, "false": False}


@dataclass
class Overrides:
    """What `--fix` and `--range` ask for, and what is wrong with it.

    Attributes:
        fixed: Fixed values by name.
        ranges: Lowest and highest value by name.
        choices: Values to choose among by name, in the order given.
        faults: One sentence per fault.
    """

    fixed: dict[str, Value] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    choices: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def narrowed(self) -> set[str]:
        """Names that `--range` narrows."""
        return {*self.ranges, *self.choices}


def split_pair(text: str, flag: str, form: str) -> tuple[str, str]:
    """Split `NAME=VALUE`; flag and form are for the message.

    Returns:
        The name and the value.

    Raises:
        ValueError: If either is missing.
    """
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        msg = f"{flag} must be {form}, got {text!r}"
        raise ValueError(msg)
    return name.strip(), value.strip()


def narrow(
    variant: Variant[Any],
    space: Space,
    fix: Iterable[str],
    ranges: Iterable[str],
    modality: Modality,
    epochs: int,
) -> tuple[Space, Overrides]:
    """Read `--fix` and `--range`.

    Args:
        variant: The variant.
        space: Its space.
        fix: `NAME=VALUE` words; any hyperparameter of the variant, searched or not.
        ranges: `NAME=LOW:HIGH` words, hyperparameters of the space; and `NAME=A,B` words, any of
            the variant, searched or not.
        modality: What is read of a pair; what is inactive then is not drawn.
        epochs: Of a trial; a schedule that cannot act in so few is not drawn.

    Returns:
        The space, narrowed but for the threshold, whose range is cut once the classes are known,
        and what was read: with any fault, the space must not be used.
    """
    found = Overrides()
    _read_fixed(found, variant, fix)
    _read_ranges(found, variant, space, ranges)
    found.faults += [
        f"{name} must have one of --fix and --range, got both"
        for name in sorted(found.fixed.keys() & found.narrowed)
    ]
    unread = variant.unread(modality)
    found.faults += [
        f"{name} is inactive with --modality {modality}; leave it out"
        for name in sorted((found.fixed.keys() | found.narrowed) & unread)
    ]
    found.faults += _config_faults(variant, found.fixed, "--fix")
    for name, values in found.choices.items():
        for value in values:
            found.faults += _config_faults(variant, {name: value}, "--range")
    if not _plateau_can_act(found, variant, epochs):
        space = space.replace({"schedule": Choices("cosine")})
    now = {name: ends for name, ends in found.ranges.items() if name != THRESHOLD}
    space = space.within(now).choose(found.choices)
    return space.without(unread).fix(found.fixed), found


def _plateau_can_act(found: Overrides, variant: Variant[Any], epochs: int) -> bool:
    """Return whether there are enough epochs for `plateau`; if not, fixing it is a fault."""
    config = variant.config()
    config = replace(config, patience=found.fixed.get("patience", config.patience))
    least: int = config.least_plateau_epochs
    asked = ["--fix"] * (found.fixed.get("schedule") == "plateau")
    asked += ["--range"] * ("plateau" in found.choices.get("schedule", ()))
    for flag in asked if epochs < least else ():
        found.faults.append(
            f"{flag} schedule=plateau must have --epochs >= {least}, the first that it can act in"
            f" with patience {config.patience}, got {epochs}"
        )
    return epochs >= least


def _read_fixed(found: Overrides, variant: Variant[Any], words: Iterable[str]) -> None:
    for word in words:
        try:
            name, text = split_pair(word, "--fix", "NAME=VALUE")
            found.fixed[name] = _value("--fix", name, text, _like("--fix", name, variant))
        except ValueError as error:
            found.faults.append(str(error))


def _like(flag: str, name: str, variant: Variant[Any]) -> Value:
    """Return the hand-tuned value, for its type."""
    known = asdict(variant.hand_tuned)
    if name == "max_epochs":  # --epochs sets it, for ASHA too
        msg = f"{flag} max_epochs is not possible; use --epochs"
        raise ValueError(msg)
    if name not in known:
        del known["max_epochs"]
        msg = f"{flag}: {variant.name} has no parameter {name!r}; {nearest(name, known)}"
        raise ValueError(msg)
    return cast("Value", known[name])


def _value(flag: str, name: str, text: str, like: Value) -> Value:
    kind = type(like)
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            msg = f"{flag} {name} must be true or false, got {text!r}"
            raise ValueError(msg)
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        words = {int: "a whole number", float: "a number"}
        msg = f"{flag} {name} must be {words[kind]}, got {text!r}"
        raise ValueError(msg) from error


def _read_ranges(
    found: Overrides, variant: Variant[Any], space: Space, words: Iterable[str]
) -> None:
    for word in words:
        try:
            name, text = split_pair(word, "--range", "NAME=LOW:HIGH or NAME=A,B")
            if "," in text:
                like = _like("--range", name, variant)
                values = [_value("--range", name, each.strip(), like) for each in text.split(",")]
                found.choices[name] = tuple(dict.fromkeys(values))
                continue
            if name not in space:
                found.faults.append(
                    f"--range: the space has no parameter {name!r}; {nearest(name, space.keys())}"
                )
                continue
            low, high = _bounds(name, text, space.domains[name])
            if name != THRESHOLD:  # whose range is that of the classes
                space.within({name: (low, high)})
            found.ranges[name] = (low, high)
        except ValueError as error:
            found.faults.append(str(error))


def _bounds(name: str, text: str, domain: Domain) -> tuple[float, float]:
    if isinstance(domain, Choices):
        choices = domain.values
        if not all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
            msg = f"--range {name} must be numeric, got choices {choices}; use {name}=A,B"
            raise ValueError(msg)
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as error:
        msg = f"--range must be NAME=LOW:HIGH with two numbers or NAME=A,B, got '{name}={text}'"
        raise ValueError(msg) from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        msg = f"--range {name} must have LOW <= HIGH, both finite, got {low:g}:{high:g}"
        raise ValueError(msg)
    return low, high


def _config_faults(variant: Variant[Any], values: Mapping[str, Value], flag: str) -> Iterator[str]:
    try:
        variant.config.from_params(asdict(variant.hand_tuned) | dict(values))
    except ConfigError as error:
        yield from (f"{flag}: {fault}" for fault in str(error).splitlines())
