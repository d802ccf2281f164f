"""Read untrusted files: regular files only, checked before they are opened, up to a size."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_POINTER = b"version https://git-lfs.github.com/spec/"


class FileError(ValueError):
    """A file cannot be read; the message gives the reason, the caller adds the path."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or what a link leads to: a pipe would block, a device may never end.

    Returns:
        The file, to be closed by the caller.

    Raises:
        FileError: If it is missing, unreadable or not a regular file.
    """
    try:
        _refuse_special(path.stat().st_mode)
        # Non-blocking, in case a pipe has replaced the file since.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    except ValueError as error:  # a name with a NUL
        raise FileError(str(error)) from error
    try:
        _refuse_special(os.fstat(file.fileno()).st_mode)
    except FileError:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """Read a whole file of at most `most` bytes.

    Returns:
        Its bytes.

    Raises:
        FileError: If it is missing, unreadable, larger, not a regular file, or a Git LFS pointer.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        raw = b"" if size > most else _read(file, most + 1)
    if max(size, len(raw)) > most:
        msg = f"the file must have at most {most / 1e6:,.0f} MB, got {size / 1e6:,.0f} MB"
        raise FileError(msg)
    refuse_pointer(raw)
    return raw


def read_beginning(path: Path, count: int) -> bytes:
    """Read at most `count` bytes from the start of a file.

    Returns:
        The bytes; fewer if the file is shorter.

    Raises:
        FileError: As `read_regular`, except for the size.
    """
    with open_regular(path) as file:
        raw = _read(file, count)
    refuse_pointer(raw)
    return raw


def refuse_pointer(raw: bytes) -> None:
    """Raise if the first bytes of a file are those of a Git LFS pointer.

    Raises:
        FileError: If they are.
    """
    if raw.startswith(_POINTER):
        msg = "the file is a Git LFS pointer, not the file itself; git lfs pull fetches it"
        raise FileError(msg)


def is_there(path: Path) -> bool:
    """Return whether a path exists, links followed; False if it is not a valid path."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def _refuse_special(mode: int) -> None:
    if not stat.S_ISREG(mode):
        msg = f"it must be a regular file, got {_KINDS.get(stat.S_IFMT(mode), 'something else')}"
        raise FileError(msg)


def _read(file: BinaryIO, count: int) -> bytes:
    try:
        return file.read(count)
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
