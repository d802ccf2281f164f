"""What a machine keeps of images: which decode without error, and those that came in a table."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import PIL

from trainables.data.files import FileError, read_regular
from trainables.data.sample import image_digest

_LINE = re.compile(r"([0-9a-f]{32}) (\d{1,9}) (\d{1,9})")
_MOST_BYTES = 100_000_000


class WholeImages:
    """The images that a machine has fully decoded, by digest, with their sizes.

    This is only an optimisation: if the record is missing, damaged or of another version of
    Pillow, images are decoded again.

    Args:
        folder: Where the record is kept; None for none.
        unpacked: Folder of the images that were in a table; None for one of this process.
    """

    def __init__(self, folder: Path | None, unpacked: Path | None = None) -> None:
        self._unpacked = unpacked
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

    def unpack(self, raw: bytes) -> Path:
        """Write an image into a file that is named after its content, unless it is there.

        Returns:
            The file.

        Raises:
            OSError: If it cannot be written.
        """
        if self._unpacked is None:
            self._unpacked = Path(_own_folder())
        path = self._unpacked / image_digest(raw)
        if not path.exists() or path.stat().st_size != len(raw):
            self._unpacked.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            partial.write_bytes(raw)
            partial.replace(path)
        return path

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


def _own_folder() -> str:
    """Make a folder that lasts as long as this process."""
    folder = tempfile.mkdtemp(prefix="unpacked-images-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
