"""The threshold of the fallback class, whose range depends on how many classes the data have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.space import EmptyRangeError
from trainables.evaluation.classes import SENTIMENTS
from trainables.hyperparameter import FloatRange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search.study.overrides import Overrides
    from spaces.space import Space
    from trainables.evaluation.classes import Classes

THRESHOLD = "neutral_threshold"


def of_any_classes(space: Space) -> Space:
    """Let a space, if it draws the threshold from a range, have every threshold there can be."""
    if not _is_range(space):
        return space
    return space.replace({THRESHOLD: FloatRange(0.0, 1.0)})


def of_classes(space: Space, overrides: Overrides, classes: Classes) -> Space:
    """Fit the range of the threshold to the classes.

    The range was made for three classes, where a threshold of a third changes nothing; it is a
    multiple of an even share. Without a fallback class there is no threshold.

    Args:
        space: Its range is that of three classes.
        overrides: What `--range` leaves of it is that of the fitted one.
        classes: The classes.

    Returns:
        The space.

    Raises:
        EmptyRangeError: If `--range` leaves nothing.
    """
    if classes.fallback is None:
        return space.without([THRESHOLD])
    if not _is_range(space):
        return space
    domain = space.domains[THRESHOLD]
    assert isinstance(domain, FloatRange)
    factor = relative_share(classes)
    ends = domain.low * factor, domain.high * factor
    space = space.replace({THRESHOLD: FloatRange(*ends, domain.log)})
    asked = {name: ends for name, ends in overrides.ranges.items() if name == THRESHOLD}
    return space.within(asked)


def relative_share(classes: Classes) -> float:
    """Return an even share of the classes as a multiple of a third."""
    return len(SENTIMENTS) / len(classes)


def range_faults(space: Space, overrides: Overrides, classes: Classes) -> Iterator[str]:
    """Yield a sentence if `--range` leaves nothing of the threshold's range."""
    try:
        of_classes(space, overrides, classes)
    except EmptyRangeError as error:
        yield f"{error} for {len(classes)} classes"


def _is_range(space: Space) -> bool:
    return isinstance(space.domains.get(THRESHOLD), FloatRange)
