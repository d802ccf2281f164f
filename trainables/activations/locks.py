"""The lock of a key: who builds or removes its files holds it."""

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
    """Hold a lock; wait for it while another process does.

    Args:
        path: The lock's file, made when missing.

    Yields:
        Once, while the lock is held.

    Raises:
        OSError: If the file cannot be made.
    """
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(path, file):  # else it was removed by the one who held it
                yield
                return


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock, unless another process does.

    Args:
        path: The lock's file; where there is none, nobody holds it, and none is made.

    Yields:
        Whether the lock is held here, or there is none.
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
