"""`--fix` and `--range`: from words to a narrowed space, with every fault of them at once."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
        fixed: Held values by name.
        ranges: Lowest and highest value by name.
        faults: One sentence per fault.
    """

    fixed: dict[str, Value] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def split_pair(text: str, flag: str, form: str) -> tuple[str, str]:
    """Part `NAME=VALUE`.

    Args:
        text: The word of the command line.
        flag: The flag it was given to.
        form: What it must look like.

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
        ranges: `NAME=LOW:HIGH` words; hyperparameters of the space.
        modality: What is read of a pair; what is inactive then is not drawn.
        epochs: Of a trial; a schedule that cannot act in so few is not drawn.

    Returns:
        The narrowed space, and what was read: with any fault, the space is of no use.
    """
    found = Overrides()
    _read_fixed(found, variant, fix)
    _read_ranges(found, space, ranges)
    found.faults += [
        f"{name} must have one of --fix and --range, got both"
        for name in sorted(found.fixed.keys() & found.ranges.keys())
    ]
    unread = variant.unread(modality)
    found.faults += [
        f"{name} has no say with --modality {modality}; leave it out"
        for name in sorted((found.fixed.keys() | found.ranges.keys()) & unread)
    ]
    found.faults += _config_faults(variant, found.fixed)
    if not _plateau_can_act(found, variant, epochs):
        space = space.replace({"schedule": Choices("cosine")})
    return space.within(found.ranges).without(unread).fix(found.fixed), found


def _plateau_can_act(found: Overrides, variant: Variant[Any], epochs: int) -> bool:
    """Say whether the epochs are enough for `plateau`; where not, it is a fault to hold it."""
    config = variant.config()
    config = replace(config, patience=found.fixed.get("patience", config.patience))
    least: int = config.least_plateau_epochs
    if epochs < least and found.fixed.get("schedule") == "plateau":
        found.faults.append(
            f"--fix schedule=plateau must have --epochs >= {least}, the first that it can act in"
            f" with patience {config.patience}, got {epochs}"
        )
    return epochs >= least


def _read_fixed(found: Overrides, variant: Variant[Any], words: Iterable[str]) -> None:
    known = asdict(variant.hand_tuned)
    del known["max_epochs"]  # --epochs sets it, for ASHA too
    for word in words:
        try:
            name, text = split_pair(word, "--fix", "NAME=VALUE")
            if name == "max_epochs":
                found.faults.append("--fix max_epochs is not possible; use --epochs")
            elif name not in known:
                found.faults.append(
                    f"--fix: {variant.name} has no parameter {name!r}; {nearest(name, known)}"
                )
            else:
                found.fixed[name] = _value(name, text, known[name])
        except ValueError as error:
            found.faults.append(str(error))


def _value(name: str, text: str, like: Value) -> Value:
    kind = type(like)
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            msg = f"--fix {name} must be true or false, got {text!r}"
            raise ValueError(msg)
        return _BOOLEANS[text.lower()]
    try:
        return kind(text)
    except ValueError as error:
        words = {int: "a whole number", float: "a number"}
        msg = f"--fix {name} must be {words[kind]}, got {text!r}"
        raise ValueError(msg) from error


def _read_ranges(found: Overrides, space: Space, words: Iterable[str]) -> None:
    for word in words:
        try:
            name, text = split_pair(word, "--range", "NAME=LOW:HIGH")
            if name not in space:
                found.faults.append(
                    f"--range: the space has no parameter {name!r}; {nearest(name, space.keys())}"
                )
                continue
            low, high = _bounds(name, text, space.domains[name])
            space.within({name: (low, high)})
            found.ranges[name] = (low, high)
        except ValueError as error:
            found.faults.append(str(error))


def _bounds(name: str, text: str, domain: Domain) -> tuple[float, float]:
    if isinstance(domain, Choices):
        choices = domain.values
        if not all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices):
            msg = f"--range {name} must be numeric, got choices {choices}; use --fix {name}=VALUE"
            raise ValueError(msg)
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError as error:
        msg = f"--range must be NAME=LOW:HIGH with two numbers, got '{name}={text}'"
        raise ValueError(msg) from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        msg = f"--range {name} must have LOW <= HIGH, both finite, got {low:g}:{high:g}"
        raise ValueError(msg)
    return low, high


def _config_faults(variant: Variant[Any], fixed: Mapping[str, Value]) -> Iterator[str]:
    try:
        variant.config.from_params(asdict(variant.hand_tuned) | dict(fixed))
    except ConfigError as error:
        yield from (f"--fix: {fault}" for fault in str(error).splitlines())
