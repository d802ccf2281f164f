"""Lengths of time as the command line spells them."""

from __future__ import annotations

import math
import re

_TIME = re.compile(r"(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m)?(?:(?P<s>[\d.]+)s?)?")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def seconds_of(flag: str, text: str | None, faults: list[str]) -> float:
    """Read a length of time.

    Args:
        flag: What it was given to.
        text: Such as `90s`, `20m` or `1h30m`; None for no limit.
        faults: Takes one sentence when it is none.

    Returns:
        The seconds; infinity for no limit.
    """
    if text is None:
        return math.inf
    match = _TIME.fullmatch(text.strip().lower())
    try:
        parts = match.groupdict(default="0") if match else {}
        seconds = sum(float(parts[unit]) * size for unit, size in _UNITS.items() if parts)
    except ValueError:
        seconds = 0
    if not 0 < seconds < math.inf:
        faults.append(f"{flag} must be a time such as 90s, 20m or 1h30m, got {text!r}")
    return seconds
