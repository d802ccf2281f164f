"""Check before any work whether a command's output can be written."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TRIES = 20
_PAGE = b"\0" * 4096  # empty files can be created even on a full disk


def file_faults(flag: str, path: Path) -> Iterator[str]:
    """Yield an error if the file, named by `flag`, cannot be written; its folder may not exist."""
    if why := _trouble(path.parent, path.name):
        yield f"{flag} must be a file that can be written, got {path}: {why}"


def folder_faults(flag: str, path: Path) -> Iterator[str]:
    """Yield an error if the folder, named by `flag`, cannot be written to; it need not exist."""
    if why := _trouble(path):
        yield f"{flag} must be a folder that can be written, got {path}: {why}"


def _trouble(folder: Path, name: str = "") -> str:
    for tries in range(_TRIES, 0, -1):
        try:
            return _look(folder, name)
        except OSError as error:
            # Another command that checks the same path removes the folders that it made.
            if tries == 1 or not isinstance(error, FileNotFoundError):
                return (error.strerror or str(error)).lower()
    return ""


def _look(folder: Path, name: str) -> str:
    """Write beside the file, and leave nothing."""
    target = folder / name
    if not name and target.is_file():
        return "it is a file"
    if name and target.is_dir():
        return "it is a folder"
    if name and target.exists() and not target.is_file():
        return ""  # a device or a pipe
    with ExitStack() as made:
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            with suppress(FileExistsError):  # made by another command, just now
                missing.mkdir()
                made.callback(_remove, missing)
        # The file is first written under such a name, and the name's length may be the problem.
        first = f".{name}."
        with tempfile.NamedTemporaryFile(prefix=first, suffix=".partial", dir=folder) as file:
            file.write(_PAGE)
            file.flush()
    if name and target.exists() and not os.access(target, os.W_OK):
        return "it is write-protected"
    return ""


def _remove(folder: Path) -> None:
    with suppress(OSError):  # another command is in it
        folder.rmdir()
