"""The parts of a library's model, by the places that `families` declares."""

from __future__ import annotations

import copy
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from trainables.modules.backbones.families import places_of
from trainables.modules.backbones.weights import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn


def inner(model: Any) -> Any:
    """Return the model itself: what transformers wraps, if it wraps a model of timm."""
    return getattr(model, "timm_model", model)


def type_of(model: Any) -> str:
    """Return the type by which `families` knows a model."""
    if hasattr(model, "timm_model"):
        return type(model.timm_model).__name__
    found: str = model.config.model_type
    return found


def declared_places(model: Any) -> Any:
    """Return where a model can be cut; None if nothing is declared for its type."""
    return places_of(type_of(model))


def part(model: Any, place: str) -> Any:
    """Return the part of a model at a place.

    Raises:
        WeightsError: If it has none there.
    """
    try:
        return attrgetter(place)(inner(model))
    except AttributeError as error:
        msg = (
            f"{type(inner(model)).__name__} must have {place}, and has none: this version of its"
            " library makes it otherwise; install the version of constraints.txt"
        )
        raise WeightsError(msg) from error


def parts(model: Any, places: Iterable[str]) -> list[Any]:
    """Return the parts of a model at some places, without those that it is made without."""
    found = (part(model, place) for place in places)
    return [one for one in found if one is not None]


def shell(module: Any) -> Any:
    """Copy a module whose children can then be replaced; the children themselves are shared."""
    clone: nn.Module = copy.copy(module)
    clone._modules = dict(module._modules)
    return clone
