"""One search at a time in a run folder, held by a lock that a killed process loses."""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from search.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.run_folder.folder import RunFolder


@contextmanager
def locked(folder: RunFolder, *, new: bool) -> Iterator[None]:
    """Keep every other search out of a run folder.

    Args:
        folder: The run folder; made when missing.
        new: Whether it must not hold a search yet.

    Yields:
        Nothing.

    Raises:
        SettingsError: If another search is at work in it, or has been meanwhile.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    with folder.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            msg = f"{folder.path} must have one search at a time; {holder} is at work in it"
            raise SettingsError(msg) from error
        if new and folder.holds_search():
            msg = f"{folder.path} must be without a search, but another one has just begun there"
            raise SettingsError(msg)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
