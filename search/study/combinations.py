"""The combinations of what a trial of a space can read: sources, inputs and views.

Which hyperparameters belong here is asked of the variant, not listed: those where a config with
frozen towers reads something else with one value than with another.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from trainables.hyperparameter import Choices

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from spaces.space import Space
    from trainables.config import Modality
    from trainables.hyperparameter import Value
    from trainables.variants.variant import Variant

MOST_COMBINATIONS = 48
"""More are not cheap: seconds each, and as many times as there are folds."""


class Combination(NamedTuple):
    """One way to read a pair.

    Attributes:
        params: The hyperparameters that say what is read, by name.
        alike: All values of these hyperparameters that read the same, `params` first.
    """

    params: Mapping[str, Value]
    alike: tuple[Mapping[str, Value], ...]


def combinations(
    variant: Variant[Any],
    space: Space,
    modality: Modality,
    hand_tuned: Mapping[str, Any],
    most: int = MOST_COMBINATIONS,
) -> list[Combination]:
    """List what trials can read.

    Args:
        variant: What is tuned.
        space: Its space; only its categorical hyperparameters are combined.
        modality: What is read of a pair.
        hand_tuned: The hand-tuned config, inside the space.
        most: Maximum number.

    Returns:
        The combinations, those nearest to the hand-tuned config first. Where there are more than
        `most`, those that differ from it in too many choices are left out, all that differ in
        equally many together; the hand-tuned one and those one choice away are always there.
    """
    choices = {
        name: list(domain.values)
        for name, domain in space.domains.items()
        if isinstance(domain, Choices)
    }
    names = [n for n, values in choices.items() if _matters(variant, modality, n, values)]
    found: dict[Hashable, list[dict[str, Any]]] = {}
    distances: dict[Hashable, int] = {}
    for values in sorted(
        product(*(choices[name] for name in names)),
        key=lambda values: _distance(names, values, hand_tuned),
    ):
        params = dict(zip(names, values, strict=True))
        key = _reading(variant, modality, params)
        found.setdefault(key, []).append(params)
        distances.setdefault(key, _distance(names, values, hand_tuned))
    near = _nearest(list(distances.values()), most)
    kept = (alike for key, alike in found.items() if distances[key] <= near)
    return [Combination(alike[0], tuple(alike)) for alike in kept]


def _matters(variant: Variant[Any], modality: Modality, name: str, values: list[Any]) -> bool:
    """Return whether a hyperparameter, or the value that it is fixed at, changes what is read."""
    read = {_reading(variant, modality, {name: value}) for value in values}
    return len(read | {_reading(variant, modality, {})}) > 1


def _reading(variant: Variant[Any], modality: Modality, params: Mapping[str, Any]) -> Hashable:
    config = variant.frozen(params)
    readings = sorted(variant.readings(config, modality).items())
    return tuple(readings), variant.views(config, modality)


def _distance(names: list[str], values: tuple[Any, ...], hand_tuned: Mapping[str, Any]) -> int:
    pairs = zip(names, values, strict=True)
    return sum(hand_tuned.get(name, value) != value for name, value in pairs)


def _nearest(distances: list[int], most: int) -> int:
    """Return the largest distance to keep; one choice away is always kept."""
    allowed = [d for d in set(distances) if sum(other <= d for other in distances) <= most]
    return max([1, *allowed])
