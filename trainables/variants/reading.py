"""What a config reads of a pretrained tower: which one, where it is cut, what it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from trainables.config import InputSettings
    from trainables.modules.blocks.cut import Cut


Prepared = tuple[tuple[str, str], ...]
"""Input settings that differ from those of the search, with their names."""


class Reading(NamedTuple):
    """One tower as a config reads it; equal readings up to the prefix mean equal activations.

    Attributes:
        tower: The tower's name: its role, or `ROLE/SOURCE` where there are several sources.
        cut: Where it is cut.
        prepared: Input settings that differ from those of the search, by name.
    """

    tower: str
    cut: Cut
    prepared: Prepared = ()

    @property
    def prefix(self) -> Reading:
        """The one reading that stands for all whose frozen part is the same."""
        return self._replace(cut=self.cut.prefix)


def prepared_as(inputs: InputSettings, changes: Prepared) -> InputSettings:
    """Change some input settings.

    Args:
        inputs: Those of the search.
        changes: What differs, by name.

    Returns:
        The settings.
    """
    values: dict[str, Any] = dict(changes)
    return replace(inputs, **values)
