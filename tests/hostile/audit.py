"""What Python code does to the system: the processes it starts and the files it writes.

Python's audit events are raised where the interpreter is about to act, so nothing that goes
through it is missed; a hook cannot be taken out again, so this one is switched on and off.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOG = "AUDIT_LOG"
"""Environment variable that names the file where `install_from_environment` writes."""

_CHILDREN = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn"}
_CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
}
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_listener: Callable[[str, str], None] | None = None
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _listener is None:
        return
    if event in _CHILDREN:
        _listener("child", f"{event} {arguments[0]!r}")
    elif event in _CHANGES or (event == "open" and _is_to_write(arguments[2])):
        _tell_path(arguments[1] if event == "os.rename" else arguments[0])


def _is_to_write(flags: Any) -> bool:
    return isinstance(flags, int) and bool(flags & _TO_WRITE)


def _tell_path(path: Any) -> None:
    if _listener is None or isinstance(path, int):
        return
    path = str(Path(os.fsdecode(path)).absolute())
    # Compiled code is the interpreter's; what goes to a device is not kept.
    if "__pycache__" not in path and not path.startswith(("/dev/null", "/dev/tty", "/proc/")):
        _listener("write", path)


def listen(listener: Callable[[str, str], None] | None) -> None:
    """Have what is done told to someone.

    Args:
        listener: Called with `child` or `write` and what it is; None ends it.
    """
    global _listener, _installed
    _listener = listener
    if not _installed:
        _installed = True
        sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[dict[str, list[str]]]:
    """Note what is done inside.

    Yields:
        What was started (`child`) and written (`write`) so far.
    """
    seen: dict[str, list[str]] = {"child": [], "write": []}
    listen(lambda kind, what: seen[kind].append(what))
    try:
        yield seen
    finally:
        listen(None)


def install_from_environment() -> None:
    """Log what this process does from now on, if a log is asked for; Ray's own workers are not."""
    if LOG not in os.environ:
        return
    log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    _log(
        log, "watching", sys.executable
    )  # so that silence can be told from a hook that is not there
    listen(lambda kind, what: _log(log, kind, what))


def _log(log: int, kind: str, what: str) -> None:
    os.write(log, (json.dumps([kind, what]) + "\n").encode())
