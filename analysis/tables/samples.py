"""Select samples to look at: the most confident decisions, wrong and right, by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainables.evaluation.resampling import Validated


class SampleGroup(NamedTuple):
    """The samples of one class that were decided wrong, or right.

    Attributes:
        places: Their indices in the predictions, most confident first.
    """

    label: int
    right: bool
    places: NDArray[np.int64]


def by_class(validated: Validated) -> list[SampleGroup]:
    """Group predictions: for each class the wrong decisions, then the right ones.

    Of a sample that was validated several times, the first counts.

    Returns:
        The groups.
    """
    sure = validated.probabilities[np.arange(len(validated.rows)), validated.decided]
    right = validated.labels == validated.decided
    _, first = np.unique(validated.rows, return_index=True)
    once = np.zeros(len(right), bool)
    once[first] = True
    groups = []
    for label in range(len(validated.classes)):
        for wanted in (False, True):
            found = np.flatnonzero((validated.labels == label) & (right == wanted) & once)
            order = found[np.argsort(-sure[found], kind="stable")]
            groups.append(SampleGroup(label, wanted, order.astype(np.int64)))
    return groups


def surest(validated: Validated, count: int) -> list[int]:
    """Take at most `count` predictions from all groups in turn, most confident first."""
    groups = by_class(validated)
    deepest = max(len(group.places) for group in groups)
    turns = (group.places[i] for i in range(deepest) for group in groups if i < len(group.places))
    return [int(place) for place, _ in zip(turns, range(count), strict=False)]
