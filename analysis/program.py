"""Error messages, exit codes and output streams of all commands.

The commands of `search` use this too, so nothing here imports a framework before it is needed.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rich.console import Console

BAD_INPUT = 2
_NOTHING = 1
_INTERRUPTED = 130
_WIDE = 1_000  # columns for piped output, which has no terminal width
NOTEBOOK_COLUMNS = 100
"""What a notebook shows without being scrolled."""


def fail(faults: Iterable[str], code: int = BAD_INPUT) -> int:
    """Write errors to standard error, a line each, and return the exit code."""
    for line in (line for fault in faults for line in fault.splitlines()):
        sys.stderr.write(f"error: {line}\n")
    return code


def make_console(**options: Any) -> Console:
    """Make a console for standard output that wraps lines only on a terminal or in a notebook."""
    from rich.console import Console  # noqa: PLC0415 - --help does not wait for it

    console = Console(**options)
    if console.is_jupyter:
        return Console(width=NOTEBOOK_COLUMNS, **options)
    return console if console.is_terminal else Console(width=_WIDE, soft_wrap=True, **options)


def counted(count: int, noun: str) -> str:
    """Return a number with what it counts, which gets an s unless there is one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def tell(notes: Iterable[str]) -> None:
    """Write notes to standard error, a line each, without duplicates."""
    for line in dict.fromkeys(notes):
        sys.stderr.write(f"note: {line}\n")


def print_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run a command whose purpose is its output, and exit.

    If the reader (`head`, a pager) closes the pipe, the process ends silently like a C program.
    Not for commands with network connections, where a closed connection would end the process too.
    """
    _open_closed_streams()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = fail(["interrupted"], _INTERRUPTED)
    except OSError as error:
        code = fail([_words(error)], _NOTHING)
        _give_up(1)  # flushing buffered output at exit would fail again
    sys.exit(code)


def work_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run a command whose work matters more than its output, and exit.

    If the output can no longer be written (pipe closed, disk full), the work continues.
    """
    _open_closed_streams()
    sys.stderr = _lasting(sys.stderr, "")
    sys.stdout = _lasting(sys.stdout, "note: the output cannot be written; the work goes on\n")
    code = main()
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)  # nothing is left to interrupt
    gc.freeze()  # else Python looks for cycles among all objects: half a second with our libraries
    sys.exit(code)


class _Lasting(io.FileIO):
    """A stream that discards output once writing fails."""

    note = ""

    def write(self, content: Any) -> int:
        """Write bytes, or discard them if that fails; return how many were taken."""
        try:
            return super().write(content)
        except OSError:
            _give_up(self.fileno())
            sys.stderr.write(self.note)
            return len(content)


def _lasting(stream: Any, note: str) -> io.TextIOWrapper:
    raw = _Lasting(stream.fileno(), "w", closefd=False)
    raw.note = note
    # Nor should a character that the terminal's encoding lacks end the process.
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, errors="replace", line_buffering=True
    )


def _give_up(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == descriptor:
        os.set_inheritable(descriptor, True)
    else:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _open_closed_streams() -> None:
    """Open /dev/null for closed standard streams: other files would get their descriptors."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            _give_up(descriptor)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _words(error: OSError) -> str:
    return f"{error.strerror or error}: {error.filename or 'the output cannot be written'}"
