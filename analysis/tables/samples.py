"""Which samples to look at: those that a model is surest about, wrongly and rightly, by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.evaluation.classes import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.evaluation.resampling import Validated


class Group(NamedTuple):
    """The samples of one class, decided wrong or right.

    Attributes:
        label: The class.
        right: Whether the decisions are right.
        places: Their places in what was said, the surest first.
    """

    label: int
    right: bool
    places: NDArray[np.int64]


def by_class(said: Validated) -> list[Group]:
    """Part samples by class and by right and wrong.

    Args:
        said: What a config said of samples that it did not train on; of one that repeats
            validated twice, the first counts.

    Returns:
        For each class its mistakes, then its hits.
    """
    sure = said.probabilities[np.arange(len(said.rows)), said.decided]
    right = said.labels == said.decided
    _, first = np.unique(said.rows, return_index=True)
    once = np.zeros(len(right), bool)
    once[first] = True
    groups = []
    for label in range(len(CLASSES)):
        for wanted in (False, True):
            found = np.flatnonzero((said.labels == label) & (right == wanted) & once)
            order = found[np.argsort(-sure[found], kind="stable")]
            groups.append(Group(label, wanted, order.astype(np.int64)))
    return groups


def surest(said: Validated, count: int) -> list[int]:
    """Take from every group in turn, the surest first.

    Args:
        said: What a config said.
        count: How many in all, at most.

    Returns:
        Places in what was said.
    """
    groups = by_class(said)
    deepest = max(len(group.places) for group in groups)
    turns = (group.places[i] for i in range(deepest) for group in groups if i < len(group.places))
    return [int(place) for place, _ in zip(turns, range(count), strict=False)]
