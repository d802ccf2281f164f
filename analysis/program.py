"""How every command ends: its errors, its exit code, a reader that left, a stream that is closed.

All commands are here alike, those of `search` too, whose `--help` must not wait for a framework.
"""

from __future__ import annotations

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
_WIDE = 1_000  # what is piped is cut to no terminal's width


def fail(faults: Iterable[str], code: int = BAD_INPUT) -> int:
    """Say what is wrong, a line each, on the standard error.

    Args:
        faults: What is wrong, in sentences.
        code: The exit code.

    Returns:
        The exit code.
    """
    for line in (line for fault in faults for line in fault.splitlines()):
        sys.stderr.write(f"error: {line}\n")
    return code


def make_console(**options: Any) -> Console:
    """Make a console for the standard output, which wraps lines for a terminal only.

    Args:
        options: Of rich's `Console`.

    Returns:
        The console.
    """
    from rich.console import Console  # noqa: PLC0415 - --help does not wait for it

    console = Console(**options)
    return console if console.is_terminal else Console(width=_WIDE, soft_wrap=True, **options)


def tell(notes: Iterable[str]) -> None:
    """Say what a reader of the output should know, a line each, on the standard error.

    Args:
        notes: In sentences; one that recurs is told once.
    """
    for line in dict.fromkeys(notes):
        sys.stderr.write(f"note: {line}\n")


def print_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run a command that prints, and leave the process.

    Where it is read by `head` or a pager that has seen enough, it ends without a word, as
    programs in C do. Not for what talks to others: a peer that hangs up would end it too.

    Args:
        main: The command; returns the exit code.
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
        _give_up(1)  # what is still held back would fail once more
    sys.exit(code)


def work_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run a command whose work is worth more than what it prints, and leave the process.

    Where a reader of its output leaves, or the disk under it is full, the work goes on.

    Args:
        main: The command; returns the exit code.
    """
    _open_closed_streams()
    sys.stderr = _lasting(sys.stderr, "")
    sys.stdout = _lasting(sys.stdout, "note: the output cannot be written; the work goes on\n")
    code = main()
    for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(kind, signal.SIG_IGN)  # it is ending: no more can be asked of it
    sys.exit(code)


class _Lasting(io.FileIO):
    """A stream that swallows what cannot be written."""

    note = ""

    def write(self, content: Any) -> int:
        """Write, if someone still takes it.

        Args:
            content: Bytes.

        Returns:
            How many were taken.
        """
        try:
            return super().write(content)
        except OSError:
            _give_up(self.fileno())
            sys.stderr.write(self.note)
            return len(content)


def _lasting(stream: Any, note: str) -> io.TextIOWrapper:
    raw = _Lasting(stream.fileno(), "w", closefd=False)
    raw.note = note
    # A terminal that lacks a letter is no reason to end, either.
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
    """Give a place to streams that were closed: else the next file that is opened takes theirs."""
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
