"""The classes, in the order of every logit, probability and confusion."""

from __future__ import annotations

from enum import IntEnum


class Sentiment(IntEnum):
    """The classes, in the order of every logit and probability column."""

    POSITIVE = 0
    NEUTRAL = 1
    NEGATIVE = 2

    @property
    def tag(self) -> str:
        """The class as the data files spell it."""
        return self.name.lower()


CLASSES: tuple[str, ...] = tuple(sentiment.tag for sentiment in Sentiment)
