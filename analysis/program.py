"""How every command ends: its errors, its exit code, a reader that left.

All commands are here alike, those of `search` too, whose `--help` must not wait for a framework.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BAD_INPUT = 2


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


def print_and_exit(main: Callable[[], int]) -> NoReturn:
    """Run a command that prints, and leave the process.

    Where it is read by `head` or a pager that has seen enough, it ends without a word, as
    programs in C do. Not for what talks to others: a peer that hangs up would end it too.

    Args:
        main: The command; returns the exit code.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
