"""Backbones to choose among: their sources, each alone and each two together, join the space.

The second tower of two has layers and a learning rate of its own, which are drawn as the first's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spaces.space import Space
from trainables.config import ROLES, nearest
from trainables.hyperparameter import Choices, When, hyperparameters_of
from trainables.modules.blocks.slots import slot_of
from trainables.variants.towers import AND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainables.config import Role
    from trainables.hyperparameter import Hyperparameter, Value


def source_space(space: Space, config: type, choices: Mapping[str, tuple[str, ...]]) -> Space:
    """Let a space choose among backbones too.

    Args:
        space: The variant's space.
        config: The type of its config.
        choices: By hyperparameter such as `text_backbone`, names of sources and `A+B`.

    Returns:
        The space, with the choices last, and the layers and rate of a second tower after each.
    """
    home = hyperparameters_of(config)
    more: list[Hyperparameter] = []
    for chooser, names in choices.items():
        more.append(replace(home[chooser], hand_tuned=names[0], domain=Choices(*names)))
        when = When(chooser, *(name for name in names if AND in name))
        for role in roles_of(chooser):
            second = slot_of(role, 1)
            for name, like in (
                (f"{second}_unfrozen_layers", f"{role}_unfrozen_layers"),
                (f"{second}_learning_rate", "backbone_learning_rate"),
            ):
                more.append(replace(home[name], domain=space.domains[like], when=when))
    return Space([*space.values(), *more])


def roles_of(chooser: str) -> tuple[Role, ...]:
    """Return the roles that a hyperparameter such as `text_backbone` chooses the towers of."""
    own = tuple(role for role in ROLES["both"] if chooser == f"{role}_backbone")
    return own or ROLES["both"]


def first_sources(
    hand_tuned: Mapping[str, Any], choices: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Let a hand-tuned config read the first source of each role, without second towers."""
    values = {name: value for name, value in hand_tuned.items() if "_second_" not in name}
    return values | {chooser: names[0] for chooser, names in choices.items()}


def source_faults(
    asked: Mapping[str, Value], choices: Mapping[str, tuple[str, ...]], flag: str
) -> Iterator[str]:
    """Yield one sentence per value of `flag` that names no known source."""
    for name, value in asked.items():
        if not name.endswith("_backbone"):
            continue
        if name not in choices:
            role = name.removesuffix("_backbone")
            yield f"{flag} {name} chooses among several --backbone {role}=SOURCE, got one"
        elif value not in choices[name]:
            hint = nearest(str(value), choices[name])
            yield f"{flag} {name} must be a source or two of them, got {value!r}; {hint}"
