"""The order of a search: trials that train heads alone come first.

They cost seconds where trials with unfrozen blocks cost minutes, and what they show of inputs,
views and heads holds for the others too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.study.tiny_space import is_tiny
from spaces.space import values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spaces.space import Space
    from trainables.hyperparameter import Value

_LAYERS = "_unfrozen_layers"
_SHARE = 2  # half of the trials


def frozen_params(space: Space, backbones: Mapping[str, str]) -> dict[str, Value]:
    """Return the values that freeze every tower of a trial.

    Args:
        space: What the search draws from.
        backbones: Where weights come from: random towers are useless when frozen.

    Returns:
        The numbers of unfrozen layers by hyperparameter, all 0; empty where the towers are random
        or the space leaves no choice, as it freezes all of them, or some never.
    """
    if is_tiny(backbones):
        return {}
    layers = {n: values_of(space.domains[n]) for n in space if n.endswith(_LAYERS)}
    if all(len(values) == 1 for values in layers.values()):
        return {}
    return dict.fromkeys(layers, 0) if all(0 in values for values in layers.values()) else {}


def frozen_first(
    space: Space, backbones: Mapping[str, str], trials: int, begun: int
) -> list[Mapping[str, Value]]:
    """Return the hyperparameters that the first trials hold, after the configs to begin with.

    Args:
        space: What the search draws from.
        backbones: Where weights come from.
        trials: The number of trials.
        begun: How many of these are given in full.

    Returns:
        One entry per trial: the hyperparameters that it does not draw.
    """
    held = frozen_params(space, backbones)
    return [held] * max(0, trials // _SHARE - begun) if held else []
