"""The lock of a cache key: held while its files are built or removed.

`fcntl.flock` rather than filelock: `locked_if_free` must work in a cache that is read-only to this
user, where filelock, which opens its file for writing and creates it, raises `PermissionError`.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, waiting while another process does; the lock file is created if missing."""
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(path, file):  # otherwise its previous holder removed the file
                yield
                return


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Try to hold a lock without waiting.

    Args:
        path: The lock file; it is not created, and a missing one counts as free.

    Yields:
        True if the lock is held here or does not exist, False if another process holds it.
    """
    try:
        file = path.open()
    except FileNotFoundError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
