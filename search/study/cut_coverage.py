"""Configs of a space that together cut the backbones at every place where any config does.

Every combination of the hyperparameters that a variant reads to say where it cuts is tried.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spaces.space import Space
    from trainables.config import Modality
    from trainables.variants.variant import Variant


def meet_every_cut(
    variant: Variant[Any], space: Space, modality: Modality
) -> list[dict[str, Any]]:
    """Return a config, as hyperparameters by name, for each distinct way to cut the backbones."""
    relevant: set[str] = set()
    while True:
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        read: set[str] = set()
        for params in space.combinations(relevant):
            config = _traced(variant.config.from_params(params), read)
            readings = variant.readings(config, modality)
            found.setdefault(tuple(one.prefix for one in readings.values()), params)
        if read <= relevant:
            return list(found.values())
        relevant |= read


def _traced(config: Any, read: set[str]) -> Any:
    """Copy a config so that the names of its attributes that are read are added to a set."""
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
