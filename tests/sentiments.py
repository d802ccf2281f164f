"""The indices of the lab's classes."""

from __future__ import annotations

POSITIVE, NEUTRAL, NEGATIVE = range(3)
