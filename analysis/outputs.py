"""Where a command is to write, tried before its work: what cannot be kept shows at once."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PAGE = b"\0" * 4096  # a full disk makes empty files still


def file_faults(flag: str, path: Path) -> Iterator[str]:
    """Say why a file cannot be written; its folders are made when the time comes.

    Args:
        flag: What asks for it.
        path: The file; one that is there would be replaced.

    Yields:
        One sentence if it cannot.
    """
    if why := _trouble(path.parent, path.name):
        yield f"{flag} must be a file that can be written, got {path}: {why}"


def folder_faults(flag: str, path: Path) -> Iterator[str]:
    """Say why nothing can be written in a folder, which may be still to be made.

    Args:
        flag: What asks for it.
        path: The folder.

    Yields:
        One sentence if nothing can.
    """
    if why := _trouble(path):
        yield f"{flag} must be a folder that can be written, got {path}: {why}"


def _trouble(folder: Path, name: str = "") -> str:
    made: list[Path] = []
    try:
        target = folder / name
        if name and target.is_dir():
            return "it is a folder"
        if not name and target.is_file():
            return "it is a file"
        if name and target.exists() and not target.is_file():
            return ""  # a device or a pipe takes what it is given
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            missing.mkdir()
            made.append(missing)
        # As long a name as is written first: a file appears whole or not at all.
        first = f".{name}."
        with tempfile.NamedTemporaryFile(prefix=first, suffix=".partial", dir=folder) as file:
            file.write(_PAGE)
            file.flush()
        if name and target.exists() and not os.access(target, os.W_OK):
            return "it is write-protected"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    finally:
        for one in reversed(made):
            one.rmdir()
    return ""
