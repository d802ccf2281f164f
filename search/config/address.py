"""Which Ray cluster a search joins, or whether Ray can start here; nothing connects yet."""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


HERE = "local"
"""The address that starts Ray on this machine."""


_VARIABLE = "RAY_ADDRESS"


_ADDRESS = re.compile(r"(?P<host>[^/]+):(?P<port>\d{1,5})")


_LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107  # bytes, by the system


def chosen_address(asked: str | None) -> str | None:
    """Return which cluster to join: the one asked for, else the environment's; None starts Ray."""
    address = asked or os.environ.get(_VARIABLE) or HERE
    return None if address == HERE else address


def address_faults(asked: str | None) -> Iterator[str]:
    """Yield a sentence if the cluster to join is named wrongly; it is not contacted yet."""
    address = chosen_address(asked)
    match = _ADDRESS.fullmatch(address or "")
    if address in {None, "auto"} or (match and 0 < int(match["port"]) < 2**16):
        return
    where = "--address" if asked else _VARIABLE
    remedy = "" if asked else f"; unset it, or give --address {HERE} to start Ray here"
    yield f"{where} must be HOST:PORT, auto or {HERE}, got {address!r}{remedy}"


def joining(asked: str | None) -> str:
    """Return a line if a cluster is joined that the command does not name, else nothing."""
    address = chosen_address(asked)
    if asked or address is None:
        return ""
    return f"joining the Ray cluster of {_VARIABLE}, {address}; --address {HERE} starts Ray here"


def room_faults() -> Iterator[str]:
    """Yield a sentence if Ray could not be started on this machine: where its sockets go."""
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    folder = Path(os.environ[name] if name else "/tmp").absolute()  # Ray's own
    session = f"session_{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S_%f}_{os.getpid()}"
    rest = len(f"/ray/{session}/sockets/plasma_store")
    length, most = len(os.fsencode(folder)), _LONGEST_SOCKET - rest
    if length > most:
        yield (
            f"{name} must be a path of at most {most} bytes, as Ray keeps sockets there,"
            f" got {length}: {folder}; set RAY_TMPDIR to a short one such as /tmp"
        )
    elif not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
        yield (
            f"{name or 'the folder /tmp'} must be a folder that can be written,"
            f" got {folder}; set RAY_TMPDIR to another"
        )
