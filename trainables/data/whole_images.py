"""Which images were found whole before, by their bytes: no later start decodes them again."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import PIL

from trainables.data.files import FileError, read_regular

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r"([0-9a-f]{32}) (\d{1,9}) (\d{1,9})")
_MOST_BYTES = 100_000_000


class WholeImages:
    """The images that a machine has decoded whole, each with its size.

    What is kept only saves work: where it is missing or damaged, or of another decoder, images are
    decoded once more.

    Args:
        folder: Where it is kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / f"whole_images.{PIL.__version__}.txt"
        self._new: dict[str, tuple[int, int]] = {}
        self._known: dict[str, tuple[int, int]] = {}
        with suppress(FileError):
            raw = b"" if self._path is None else read_regular(self._path, _MOST_BYTES)
            for line in raw.decode("ascii", errors="replace").splitlines():
                if found := _LINE.fullmatch(line):
                    self._known[found[1]] = int(found[2]), int(found[3])

    def size_of(self, digest: str) -> tuple[int, int] | None:
        """Look for an image.

        Args:
            digest: Of its bytes, 32 hexadecimal digits.

        Returns:
            Width and height in pixels; None where it was not decoded before.
        """
        return self._known.get(digest)

    def add(self, digest: str, size: tuple[int, int]) -> None:
        """Note an image that was decoded whole; many threads may.

        Args:
            digest: Of its bytes.
            size: Width and height in pixels.
        """
        self._new[digest] = size

    def save(self) -> None:
        """Keep what is new; where nothing can be written, nothing is kept."""
        if self._path is None or not self._new:
            return
        lines = [f"{digest} {width} {height}" for digest, (width, height) in self._new.items()]
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:  # others may add theirs at the same time
                # A line that a kill has torn ends before ours.
                file.write("\n".join(["", *lines, ""]).encode())
        self._known |= self._new
        self._new = {}
