"""Remember which image files decode without error, so that later starts need not decode them."""

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
    """The images that a machine has fully decoded, by digest, with their sizes.

    This is only an optimisation: if the record is missing, damaged or of another version of
    Pillow, images are decoded again.

    Args:
        folder: Where the record is kept; None for none.
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
        """Return an image's width and height by its digest; None if it was not decoded before."""
        return self._known.get(digest)

    def add(self, digest: str, size: tuple[int, int]) -> None:
        """Record the size in pixels of a fully decoded image, from any thread."""
        self._new[digest] = size

    def save(self) -> None:
        """Append new entries; does nothing if the file cannot be written."""
        if self._path is None or not self._new:
            return
        lines = [f"{digest} {width} {height}" for digest, (width, height) in self._new.items()]
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:  # other processes may append at the same time
                # The leading newline ends a line that a kill left incomplete.
                file.write("\n".join(["", *lines, ""]).encode())
        self._known |= self._new
        self._new = {}
