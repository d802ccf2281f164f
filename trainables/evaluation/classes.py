"""The classes of a data set, in the order of all logits, probabilities and confusion matrices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NEUTRAL = "neutral"
"""The class that is the fallback wherever the data have it."""


@dataclass(frozen=True)
class Classes:
    """The classes that a model tells apart.

    Attributes:
        names: What they are called, in order; at least two, each once.
        fallback: The index of the class that a pair is of where no other class is likely enough;
            None where there is no such class, and the likeliest decides.
        tags: The class of each tag in lists, where `--tags` said so; else empty.
    """

    names: tuple[str, ...]
    fallback: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def fallback_name(self) -> str | None:
        """What the fallback class is called; None where there is none."""
        return None if self.fallback is None else self.names[self.fallback]

    @property
    def others(self) -> tuple[int, ...]:
        """The indices of all classes but the fallback."""
        return tuple(index for index in range(len(self)) if index != self.fallback)

    @property
    def unlikely(self) -> str:
        """When a pair is of the fallback class, in words that go before `under 0.4`."""
        if self.names == SENTIMENTS.names:
            return "both polar probabilities are"
        if len(self.others) == 1:
            return f"the probability of {self.names[self.others[0]]} is"
        return "the probabilities of all other classes are"


SENTIMENTS = Classes(("positive", NEUTRAL, "negative"), 1)
"""The classes of the lab's data. Runs and models that name no others are of these."""


def classes_named(
    names: Sequence[str], fallback: str | None = None, tags: Mapping[str, str] | None = None
) -> Classes:
    """Give classes by name, in order.

    Args:
        names: The classes.
        fallback: The fallback class, one of them; `neutral` by default, if that is one of them.
        tags: The class of each tag in lists, where that was given.

    Returns:
        The classes.
    """
    known = tuple(names)
    if fallback is None:
        fallback = next((name for name in known if name.casefold() == NEUTRAL), None)
    return Classes(known, None if fallback is None else known.index(fallback), dict(tags or {}))
