"""What every kind of list file is read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list file.

    Attributes:
        place: Its file and first line, for messages.
        values: Its values by column, in lower case; a number as it is written, nothing as "". A
            column that the file does not have is missing.
        image: The bytes of the image, where the file holds images instead of their names.
        images: How many images it has, where they are a list.
    """

    place: str
    values: dict[str, str]
    image: bytes | None = None
    images: int = 1


def first_of(value: Any) -> tuple[Any, int]:
    """Return the first of a list and how many it has; any other value is one."""
    if not isinstance(value, list):
        return value, 1
    return (value[0] if value else None), len(value)
