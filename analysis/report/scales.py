"""Forest plots as HTML tables: marks and intervals placed in percent of a common scale.

Not a plotly figure, so that the result of a search can be read by screen readers, on narrow
screens and without JavaScript.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOM = 0.06
_TICKS = 5


@dataclass(frozen=True)
class Mark:
    """One row of a forest plot.

    Attributes:
        note: A few words on it.
        kind: A class of the style sheet.
        value: The position of its dot.
        low: Lower end of its interval; None for none.
        text: The formatted value.
    """

    name: str
    note: str
    kind: str
    value: float
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True)
class Scale:
    """A scale from `low` to `high` that contains all marks."""

    low: float
    high: float

    @classmethod
    def around(cls, marks: Sequence[Mark]) -> Scale:
        """Make a scale around at least one mark, with a margin at both ends."""
        ends = [end for m in marks for end in (m.value, m.low, m.high) if end is not None]
        room = _ROOM * (max(ends) - min(ends)) or 0.01
        return cls(min(ends) - room, max(ends) + room)

    def place(self, value: float) -> float:
        """Return the position of a value, in percent from the left end."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self) -> list[dict[str, str | float]]:
        """Choose round tick values; `place` and `text` of each."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * min((m for m in (1, 2, 5, 10) if m * power >= rough), default=10)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        digits = max(0, -math.floor(math.log10(step)))
        return [
            {"place": self.place(count * step), "text": f"{count * step:.{digits}f}"}
            for count in range(first, last + 1)
        ]

    def drawing(self, marks: Sequence[Mark]) -> dict[str, Any]:
        """Place marks for the template.

        Args:
            marks: At least one; the others are compared with the first.

        Returns:
            `marks`: each with its texts, the `place` of its dot, and `left` and `width` of its
            interval; `ticks`; `band`: the interval of the first, or None.
        """
        rows = []
        for mark in marks:
            words = {"name": mark.name, "note": mark.note, "kind": mark.kind, "score": mark.text}
            rows.append({**words, "place": self.place(mark.value), **self._interval(mark)})
        band = rows[0] if rows[0]["width"] is not None else None
        return {"marks": rows, "ticks": self.ticks(), "band": band}

    def _interval(self, mark: Mark) -> dict[str, float | None]:
        if mark.low is None or mark.high is None:
            return {"left": None, "width": None}
        left = self.place(mark.low)
        return {"left": left, "width": round(self.place(mark.high) - left, 2)}
