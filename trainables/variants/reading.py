"""How a config reads a pretrained tower: which one, where it is cut, with which inputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from trainables.config import InputSettings
    from trainables.modules.blocks.cut import Cut


Prepared = tuple[tuple[str, str], ...]
"""Input settings that differ from those of the search, with their names."""


class Reading(NamedTuple):
    """A tower as a config reads it; equal prefixes imply equal activations.

    Attributes:
        tower: The tower's name: its role, or `ROLE/SOURCE` if there are several sources.
        cut: Where it is cut.
        prepared: Input settings that differ from those of the search, by name.
    """

    tower: str
    cut: Cut
    prepared: Prepared = ()

    @property
    def prefix(self) -> Reading:
        """The reading that represents all readings with the same frozen part."""
        return self._replace(cut=self.cut.prefix)


def prepared_as(inputs: InputSettings, changes: Prepared) -> InputSettings:
    """Return the input settings with some of them replaced."""
    values: dict[str, Any] = dict(changes)
    return replace(inputs, **values)
