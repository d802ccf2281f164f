"""What every kind of list file is read into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list file.

    Attributes:
        place: Its file and first line, for messages.
        values: Its values by column, in lower case; a number as it is written, nothing as "".
        image: The bytes of the image, where the file holds images instead of their names.
    """

    place: str
    values: dict[str, str]
    image: bytes | None = None
