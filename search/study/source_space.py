"""Backbones to choose among: their sources, each alone and each two together, join the space.

The second tower of two has layers and a learning rate of its own, which are drawn as the first's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from search.study.space import distributions
from trainables.config import ROLES, nearest
from trainables.modules.blocks.slots import slot_of
from trainables.variants.towers import AND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import optuna
    from optuna.distributions import BaseDistribution

    from search.study.space import NarrowedSpace, Space
    from trainables.config import Role


@dataclass(frozen=True)
class SourceSpace:
    """A space that chooses among backbones too.

    Attributes:
        space: The variant's space.
        choices: By hyperparameter such as `text_backbone`, names of sources and `A+B`.
    """

    space: Space
    choices: Mapping[str, tuple[str, ...]]

    def __call__(self, trial: optuna.Trial) -> None:
        """Suggest one trial.

        Args:
            trial: The Optuna trial that draws the values.
        """
        self.space(trial)
        for chooser, names in self.choices.items():
            if AND not in str(trial.suggest_categorical(chooser, names)):
                continue
            for role in roles_of(chooser):
                second = slot_of(role, 1)
                layers = self._drawn[f"{role}_unfrozen_layers"]
                rate = self._drawn["backbone_learning_rate"]
                trial.suggest_int(f"{second}_unfrozen_layers", layers.low, layers.high)
                trial.suggest_float(f"{second}_learning_rate", rate.low, rate.high, log=True)

    @cached_property
    def _drawn(self) -> dict[str, Any]:
        drawn: dict[str, BaseDistribution] = distributions(self.space)
        return drawn


def roles_of(chooser: str) -> tuple[Role, ...]:
    """Say which roles a hyperparameter chooses the towers of.

    Args:
        chooser: Such as `text_backbone`; that of a checkpoint chooses both.

    Returns:
        The roles.
    """
    own = tuple(role for role in ROLES["both"] if chooser == f"{role}_backbone")
    return own or ROLES["both"]


def first_sources(
    hand_tuned: Mapping[str, Any], choices: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """Let a hand-tuned config read the first source of each role, alone.

    Args:
        hand_tuned: Its values, by name.
        choices: By hyperparameter, the names of the sources, the first given first.

    Returns:
        The values but for those of second towers.
    """
    values = {name: value for name, value in hand_tuned.items() if "_second_" not in name}
    return values | {chooser: names[0] for chooser, names in choices.items()}


def source_faults(space: NarrowedSpace, choices: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Say which held sources are none.

    Args:
        space: The narrowed space.
        choices: By hyperparameter, the names of the sources.

    Yields:
        One sentence per fault.
    """
    for name, value in space.fixed.items():
        if not name.endswith("_backbone"):
            continue
        if name not in choices:
            role = name.removesuffix("_backbone")
            yield f"--fix {name} chooses among several --backbone {role}=SOURCE, got one"
        elif value not in choices[name]:
            hint = nearest(str(value), choices[name])
            yield f"--fix {name} must be a source or two of them, got {value!r}; {hint}"
