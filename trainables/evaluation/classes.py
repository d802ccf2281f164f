"""The classes, in the order of all logits, probabilities and confusion matrices."""

from __future__ import annotations

from enum import IntEnum


class Sentiment(IntEnum):
    """The classes, in the order of all logits and probability columns."""

    POSITIVE = 0
    NEUTRAL = 1
    NEGATIVE = 2

    @property
    def tag(self) -> str:
        """The class as spelt in data files."""
        return self.name.lower()


CLASSES: tuple[str, ...] = tuple(sentiment.tag for sentiment in Sentiment)
