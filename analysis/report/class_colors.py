"""The colour of each class: the same in every figure and table of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trainables.evaluation.classes import SENTIMENTS

if TYPE_CHECKING:
    from trainables.evaluation.classes import Classes

_PALETTE = 10  # colours in style.css


class Look(NamedTuple):
    """How a class is drawn.

    Attributes:
        color: A CSS colour, which follows the page's theme.
        shape: The CSS class of its mark: the lab's classes have one each, all others a disc.
    """

    color: str
    shape: str


def looks_of(classes: Classes) -> dict[str, Look]:
    """Give each class its colour, by name.

    Sentiments have those of the lab's classes, whatever stands beside them, and the fallback class
    is grey. The others take the palette in turn.

    Returns:
        The looks, in the order of the classes.
    """
    taken, looks = 0, {}
    for index, name in enumerate(classes.names):
        if (folded := name.casefold()) in SENTIMENTS.names:
            looks[name] = Look(f"var(--{folded})", folded)
        elif index == classes.fallback:
            looks[name] = Look("var(--neutral)", "neutral")
        else:
            looks[name] = Look(f"var(--class-{taken % _PALETTE + 1})", "")
            taken += 1
    return looks
